"""Fill the table of docs/reliability.md from what the long form of the tests of faults has counted.

    make faults                         # hours; its counts lie in build/faults
    python docs/make_reliability.py     # keeps them in docs/reliability, and writes the table

Counts that are kept and were not taken anew stay, each with the day on which it was taken.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COUNTED = HERE.parent / "build" / "faults"
KEPT = HERE / "reliability"
PAGE = HERE / "reliability.md"
BEGIN, END = "<!-- counted: begin -->\n", "<!-- counted: end -->\n"


def keep_counts() -> None:
    """Take over what was counted since the last time."""
    KEPT.mkdir(exist_ok=True)
    for path in sorted(COUNTED.glob("*.json")):
        counts = json.loads(path.read_text())
        day = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC).date().isoformat()
        (KEPT / path.name).write_text(json.dumps({"day": day, **counts}, indent=1) + "\n")


def kept() -> dict[str, dict[str, Any]]:
    """Read what is kept, by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))}


def rows(found: dict[str, dict[str, Any]]) -> list[tuple[str, str, str, str, str]]:
    """Give fault, promise, what was counted, the test, and the day."""
    made = []
    for name, fault, promise, test, tell in SPECIFICATION:
        known = {key: each for key, each in found.items() if key == name or key.startswith(f"{name}-")}
        said = tell(known) if known else "not counted yet"
        made.append((fault, promise, said, test, max((each["day"] for each in known.values()), default="")))
    return made


def tell_kills(found: dict[str, Any]) -> str:
    """Say how many trainings were killed and ended alike."""
    each = found["kills"]
    return (
        f"{each['kills']} kills in {each['trainings']} trainings; {each['identical']} of these ended with the same "
        "weights, history and metrics"
    )


def tell_checkpoints(found: dict[str, Any]) -> str:
    """Say at how many points a checkpoint was disturbed."""
    points = {name.removeprefix("checkpoint-"): each["points"] for name, each in found.items()}
    total = sum(points.values())
    words = {"full": "disk full", "broken": "EIO", "kill": "killed before", "torn": "killed in the middle"}
    said = ", ".join(f"{words[name]} {number}" for name, number in points.items())
    return f"all {total} points ({said}): a good checkpoint loads, and the next is written"


def tell_runs(found: dict[str, Any]) -> str:
    """Say at how many points a run directory was disturbed."""
    words = {"full": "disk full", "broken": "EIO"}
    said = []
    for name, each in found.items():
        every = (
            f"one in {each['step']} of {each['changes']:,} changes" if each["step"] > 1 else "every change"
        )
        said.append(
            f"{words[name.removeprefix('run-')]} at {each['points']} points ({every}): the run before is intact "
            f"{each.get('intact', 0)} times, the new one whole {each.get('whole', 0)} times"
        )
    empty = all(each.get("figures") == "empty" for each in found.values())
    return "; ".join(said) + (" (figures were left empty)" if empty else "")


def tell_exports(found: dict[str, Any]) -> str:
    """Say at how many points an export was disturbed."""
    each = found["export"]
    words = {"full": "disk full", "broken": "EIO", "kill": "killed before", "torn": "killed in the middle"}
    said = ", ".join(f"{words[name]} {each[name]}" for name in words if name in each)
    return f"all {each['points']} points ({said}): the classifier loads, and nothing of it has changed"


def tell_flips(found: dict[str, Any]) -> str:
    """Say how many bits were flipped."""
    each = found["flips"]
    model, checkpoint = (sum(each[name].values()) for name in ("model", "checkpoint"))
    return f"{model:,} bits of a model and {checkpoint:,} of a checkpoint; undetected: {each['undetected']}"


def tell_fuzz(found: dict[str, Any]) -> str:
    """Say how long a fuzzer ran."""
    (each,) = found.values()
    return (
        f"{each['executions']:,} executions in {each['seconds'] / 60:.0f} minutes: {each['crashes']} other errors or "
        f"hangs, at most {each['peak_memory_bytes'] / 2**20:,.0f} MiB"
    )


def tell_values(found: dict[str, Any]) -> str:
    """Say what became of values that hurt."""
    each = {name: count for name, count in found["values"].items() if name != "day"}
    refused = sum(count for name, count in each.items() if name != "trained")
    return (
        f"{sum(each.values())} inputs: {refused} refused in words, {each.get('trained', 0)} trained as declared, "
        "every result a number"
    )


def tell_many(found: dict[str, Any]) -> str:
    """Say how fast files without events are looked into."""
    each = found["many"]
    return (
        f"{each['files']:,} files, one report; {each['files_per_processor_second']:,.0f} files in a second of "
        f"processor time, {each['bytes_per_file'] / 1024:,.1f} KiB of memory for each"
    )


def tell_agreement(found: dict[str, Any]) -> str:
    """Say by how much scores differed."""
    each = found["agreement"]
    worst = max(max(kind.values()) for kind in each["largest differences"].values())
    sizes = each["sizes of batches"]
    return (
        f"{len(each['largest differences'])} kinds of networks, {len(sizes)} sizes of batches from {min(sizes)} to "
        f"{max(sizes):,}: at most {worst:.1g}"
    )


def tell_networks(found: dict[str, Any]) -> str:
    """Say how many networks were exported, and how many a fixed tolerance would have refused."""
    said = []
    for name, each in sorted(found.items()):
        kind = name.removeprefix("networks-")
        said.append(
            f"{each['networks']} {kind} networks: {len(each['refused'])} refused; in {each['above 1e-6']} a score is "
            f"farther than 1e-6 from float64, by up to {each['largest difference']:.1g} (tamis itself by up to "
            f"{each['largest difference of tamis in float32']:.1g})"
        )
    return "; ".join(said)


def tell_memory(found: dict[str, Any]) -> str:
    """Say what was done with little memory, and what was refused."""
    each = found["memory"]
    return (
        f"training of 12,000,000 events: refused before it begins, with the {each['needed_gibibytes']:.1f} GiB that it "
        f"needs; training of {each['trained']:,} events, and scores of {each['applied']:,}: done"
    )


def tell_repeats(found: dict[str, Any]) -> str:
    """Say how many trainings were the same."""
    each = found["repeats"]
    return (
        f"{each['identical']} of {each['trainings']} are the same, bit by bit: {', '.join(each['compared'])}"
    )


SPECIFICATION = [
    (
        "memory",
        "a control group gives 2 GiB of memory",
        "works in chunks, or says beforehand how much it needs",
        "test_faults_memory.py",
        tell_memory,
    ),
    (
        "kills",
        "kill -9 at random times of a training",
        "it goes on, bit by bit",
        "test_faults_kills.py",
        tell_kills,
    ),
    (
        "checkpoint",
        "every write, sync and rename of a checkpoint fails or is the last",
        "a good checkpoint loads",
        "test_faults_writes.py",
        tell_checkpoints,
    ),
    (
        "run",
        "a change below a run directory fails while it is replaced",
        "one error; the old run or the new one, whole",
        "test_faults_writes.py",
        tell_runs,
    ),
    (
        "export",
        "every change of `tamis export` fails or is the last",
        "the classifier stays whole",
        "test_faults_writes.py",
        tell_exports,
    ),
    (
        "flips",
        "bits of a model or a checkpoint flip",
        "all are found",
        "test_faults_flips.py",
        tell_flips,
    ),
    (
        "values",
        "NaN, infinities, sentinels, weights of zero, negative and of any size",
        "refused, or handled as declared",
        "test_faults_values.py",
        tell_values,
    ),
    (
        "many",
        "thousands of files without events, trees or content",
        "one complete report",
        "test_faults_many.py",
        tell_many,
    ),
    (
        "fuzz_configuration",
        "configurations are changed at random",
        "typed errors, no hang, under 1 GiB",
        "fuzz_configuration.py",
        tell_fuzz,
    ),
    (
        "fuzz_model",
        "model files are changed at random",
        "typed errors, no hang, under 1 GiB",
        "fuzz_model.py",
        tell_fuzz,
    ),
    (
        "agreement",
        "JAX in 32 bits, NumPy in 64 and ONNX Runtime score the same events",
        "scores within 1e-5",
        "test_faults_agreement.py",
        tell_agreement,
    ),
    (
        "networks",
        "networks of any architecture, scaling and depth are exported",
        "none is refused",
        "tests/deploy/test_agreement.py",
        tell_networks,
    ),
    (
        "repeats",
        "trainings in fresh processes",
        "the same bits",
        "test_faults_repeats.py",
        tell_repeats,
    ),
]


def markdown(header: list[str], lines: list[tuple[str, ...]]) -> str:
    """Write a table."""
    return "".join(f"| {' | '.join(each)} |\n" for each in [header, ["---"] * len(header), *lines])


def damaged_inputs(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Give for each kind of file what cuts and flipped bits led to."""
    lines = []
    for name, each in found.items():
        if name == "day":
            continue
        cut, bit = each["cut"], each["bit"]
        said = [bit.get(key, 0) for key in ("error that names the file", "unchanged", "undetected change")]
        shares = [f"{100 * count / bit['number']:.1f}%" for count in said]
        cuts = f"{cut.get('error that names the file', 0)} of {cut['number']}"
        manifest = f"{bit.get('named with the manifest', 0):,} of {bit['number']:,}"
        lines.append((name, cuts, *shares, manifest))
    return lines


def text() -> str:
    """Write both tables."""
    found = kept()
    first = markdown(["fault", "promise", "counted", "test", "day"], rows(found))
    header = [
        "file",
        "cuts that are found",
        "flips: error",
        "unchanged",
        "not noticed",
        "flips with a manifest",
    ]
    second = markdown(header, damaged_inputs(found["files"])) if "files" in found else ""
    return f"{first}\n{second}"


def main() -> None:
    """Keep the counts and write the tables."""
    keep_counts()
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{text()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
