"""Fill the tables of docs/reliability.md with the counts of the long fault tests.

    make faults                         # hours; writes the counts to build/faults
    python docs/make_reliability.py     # copies them to docs/reliability, and writes the tables

Counts in docs/reliability that were not measured again stay, each with its day.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
NEW_COUNTS = DOCS.parent / "build" / "faults"
COUNTS = DOCS / "reliability"
PAGE = DOCS / "reliability.md"
BEGIN, END = "<!-- counted: begin -->\n", "<!-- counted: end -->\n"

Counts = Mapping[str, Any]
"""What one test counted, as in its file."""

INTERRUPTIONS = {
    "broken": "EIO",
    "full": "disk full",
    "kill": "killed before",
    "torn": "killed in the middle",
}


def copy_new_counts() -> None:
    """Copy the new counts to docs/reliability, with the day of their files."""
    COUNTS.mkdir(exist_ok=True)
    for path in sorted(NEW_COUNTS.glob("*.json")):
        counts = json.loads(path.read_text())
        day = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC).date().isoformat()
        (COUNTS / path.name).write_text(json.dumps({"day": day, **counts}, indent=1) + "\n")


def read_counts() -> dict[str, Counts]:
    """Read the counts of all tests, by the name of the file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(COUNTS.glob("*.json"))}


def rows(counts: Mapping[str, Counts]) -> list[tuple[str, ...]]:
    """Return fault, promise, result, test and day of each kind of fault."""
    table: list[tuple[str, ...]] = []
    for name, fault, promise, test, describe in FAULTS:
        by_file = {key: value for key, value in counts.items() if key == name or key.startswith(f"{name}-")}
        result = describe(by_file) if by_file else "not measured yet"
        day = max((count["day"] for count in by_file.values()), default="")
        table.append((fault, promise, result, test, day))
    return table


def describe_kills(counts: Mapping[str, Counts]) -> str:
    """Describe how many trainings were killed, and how many of them gave the same results."""
    count = counts["kills"]
    return (
        f"{count['kills']} kills in {count['trainings']} trainings; {count['identical']} of these trainings gave "
        "the same weights, history and metrics as without kills"
    )


def describe_checkpoints(counts: Mapping[str, Counts]) -> str:
    """Describe at how many points the writing of a checkpoint was interrupted."""
    points = {name.removeprefix("checkpoint-"): count["points"] for name, count in counts.items()}
    return f"{_interruptions(points)}: a valid checkpoint can be loaded, and the next one is written"


def describe_exports(counts: Mapping[str, Counts]) -> str:
    """Describe at how many points an export was interrupted."""
    return (
        f"{_interruptions(counts['export'])}: the classifier can be loaded, and none of its files has changed"
    )


def _interruptions(points: Mapping[str, Any]) -> str:
    known = {name: points[name] for name in INTERRUPTIONS if name in points}
    listed = ", ".join(f"{INTERRUPTIONS[name]} {number}" for name, number in known.items())
    return f"all {sum(known.values())} points ({listed})"


def describe_runs(counts: Mapping[str, Counts]) -> str:
    """Describe at how many points the writing of a run directory was interrupted."""
    results = []
    for name, count in counts.items():
        step, changes = count["step"], count["changes"]
        points = f"one in {step} of {changes:,} changes" if step > 1 else "every change"
        results.append(
            f"{INTERRUPTIONS[name.removeprefix('run-')]} at {count['points']} points ({points}): the old run is intact "
            f"{count.get('intact', 0)} times, the new one complete {count.get('whole', 0)} times"
        )
    without_figures = all(count.get("figures") == "empty" for count in counts.values())
    return "; ".join(results) + (" (with empty figures)" if without_figures else "")


def describe_flips(counts: Mapping[str, Counts]) -> str:
    """Describe how many bits were flipped."""
    count = counts["flips"]
    model, checkpoint = (sum(count[name].values()) for name in ("model", "checkpoint"))
    return f"{model:,} bits of a model and {checkpoint:,} of a checkpoint; undetected: {count['undetected']}"


def describe_fuzz(counts: Mapping[str, Counts]) -> str:
    """Describe how long a fuzzer ran, and what it found."""
    (count,) = counts.values()
    return (
        f"{count['executions']:,} executions in {count['seconds'] / 60:.0f} minutes: {count['crashes']} untyped "
        f"errors or hangs, at most {count['peak_memory_bytes'] / 2**20:,.0f} MiB"
    )


def describe_values(counts: Mapping[str, Counts]) -> str:
    """Describe the results for inputs with extreme values."""
    by_result = {name: count for name, count in counts["values"].items() if name != "day"}
    refused = sum(count for name, count in by_result.items() if name != "trained")
    return (
        f"{sum(by_result.values())} inputs: {refused} refused with a clear error, {by_result.get('trained', 0)} "
        "trained as declared, with finite results"
    )


def describe_many(counts: Mapping[str, Counts]) -> str:
    """Describe how fast files without events are inspected."""
    count = counts["many"]
    return (
        f"{count['files']:,} files, one report; {count['files_per_processor_second']:,.0f} files per second of "
        f"processor time, {count['bytes_per_file'] / 1024:,.1f} KiB of memory for each"
    )


def describe_agreement(counts: Mapping[str, Counts]) -> str:
    """Describe the largest difference of scores."""
    count = counts["agreement"]
    largest = max(max(differences.values()) for differences in count["largest differences"].values())
    sizes = count["sizes of batches"]
    return (
        f"{len(count['largest differences'])} kinds of networks, {len(sizes)} batch sizes from {min(sizes)} to "
        f"{max(sizes):,}: largest difference {largest:.1g}"
    )


def describe_networks(counts: Mapping[str, Counts]) -> str:
    """Describe how many networks were exported, and how many a fixed tolerance would have refused."""
    results = []
    for name, count in sorted(counts.items()):
        kind = name.removeprefix("networks-")
        results.append(
            f"{count['networks']} {kind} networks: {len(count['refused'])} refused; for {count['above 1e-6']}, a score "
            f"differs from float64 by more than 1e-6, by up to {count['largest difference']:.1g} (tamis itself by up "
            f"to {count['largest difference of tamis in float32']:.1g})"
        )
    return "; ".join(results)


def describe_memory(counts: Mapping[str, Counts]) -> str:
    """Describe what works with little memory, and what is refused."""
    count = counts["memory"]
    return (
        "training with 12,000,000 events: refused before it begins, with the required memory "
        f"({count['needed_gibibytes']:.1f} GiB); training with {count['trained']:,} events and scores of "
        f"{count['applied']:,} events: completed"
    )


def describe_repeats(counts: Mapping[str, Counts]) -> str:
    """Describe how many repeated trainings gave identical files."""
    count = counts["repeats"]
    return f"{count['identical']} of {count['trainings']} are bit-identical: {', '.join(count['compared'])}"


FAULTS: list[tuple[str, str, str, str, Callable[[Mapping[str, Counts]], str]]] = [
    (
        "memory",
        "a control group limits the memory to 2 GiB",
        "works in chunks, or reports the required memory in advance",
        "test_faults_memory.py",
        describe_memory,
    ),
    (
        "kills",
        "`kill -9` at random times of a training",
        "the training resumes with bit-identical results",
        "test_faults_kills.py",
        describe_kills,
    ),
    (
        "checkpoint",
        "each write, sync and rename of a checkpoint fails, or the process is killed at it",
        "a valid checkpoint can be loaded",
        "test_faults_writes.py",
        describe_checkpoints,
    ),
    (
        "run",
        "a change in a run directory fails while the run is replaced",
        "one error; the old run or the new one is complete",
        "test_faults_writes.py",
        describe_runs,
    ),
    (
        "export",
        "each change by `tamis export` fails, or the process is killed at it",
        "the classifier stays complete",
        "test_faults_writes.py",
        describe_exports,
    ),
    (
        "flips",
        "bits of a model or a checkpoint flip",
        "all are detected",
        "test_faults_flips.py",
        describe_flips,
    ),
    (
        "values",
        "NaN, infinities, sentinels, and weights that are zero, negative or extreme",
        "refused, or used as declared",
        "test_faults_values.py",
        describe_values,
    ),
    (
        "many",
        "thousands of files without events, trees or content",
        "one complete report",
        "test_faults_many.py",
        describe_many,
    ),
    (
        "fuzz_configuration",
        "random changes of configurations",
        "typed errors, no hang, less than 1 GiB",
        "fuzz_configuration.py",
        describe_fuzz,
    ),
    (
        "fuzz_model",
        "random changes of model files",
        "typed errors, no hang, less than 1 GiB",
        "fuzz_model.py",
        describe_fuzz,
    ),
    (
        "agreement",
        "JAX in 32 bits, NumPy in 64 bits and ONNX Runtime score the same events",
        "the scores agree within 1e-5",
        "test_faults_agreement.py",
        describe_agreement,
    ),
    (
        "networks",
        "networks of any architecture, scaling and depth are exported",
        "none is refused",
        "tests/export/test_agreement.py",
        describe_networks,
    ),
    (
        "repeats",
        "trainings in new processes",
        "bit-identical results",
        "test_faults_repeats.py",
        describe_repeats,
    ),
]


def format_table(header: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Format a table in Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [header, ("---",) * len(header), *lines])


def damaged_inputs(counts: Counts) -> list[tuple[str, ...]]:
    """Return what cuts and flipped bits led to, for each kind of input file."""
    lines = []
    for kind, count in counts.items():
        if kind == "day":
            continue
        cut, bit = count["cut"], count["bit"]
        results = [bit.get(key, 0) for key in ("error that names the file", "unchanged", "undetected change")]
        fractions = [f"{100 * number / bit['number']:.1f}%" for number in results]
        cuts = f"{cut.get('error that names the file', 0)} of {cut['number']}"
        manifest = f"{bit.get('named with the manifest', 0):,} of {bit['number']:,}"
        lines.append((kind, cuts, *fractions, manifest))
    return lines


def text() -> str:
    """Return both tables."""
    counts = read_counts()
    faults = format_table(("fault", "promise", "result", "test", "day"), rows(counts))
    header = (
        "file",
        "cut files detected",
        "flipped bit: error",
        "values unchanged",
        "undetected",
        "detected with a manifest",
    )
    inputs = format_table(header, damaged_inputs(counts["files"])) if "files" in counts else ""
    return f"{faults}\n{inputs}"


def main() -> None:
    """Copy the new counts and write the tables."""
    copy_new_counts()
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{text()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
