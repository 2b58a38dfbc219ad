"""The files of a run directory against the hashes that were written with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tamis.classifier.manifest import MANIFEST
from tamis.config import dump_config
from tamis.deploy.names import DERIVED
from tamis.errors import InputError, TamisError
from tamis.files import sha256
from tamis.plots.book import BOOK
from tamis.provenance import describe_machine
from tamis.report.page import REPORT, report_page
from tamis.report.rendering import render
from tamis.run_reading import FINISHED, own_hash_problem, read_run, read_text
from tamis.verification.comparison import Comparison, few
from tamis.verification.record import Provenance, Record

_EXPORTED = frozenset(f"model/{name}" for name in (*DERIVED, MANIFEST))
"""What `tamis export` may have written again; the manifest of the folder `model` says whether it is whole."""


def compare_files(record: Record) -> Comparison:
    """Compare every file with its hash, and find what is missing and what is not of the run."""
    unreadable = {name: said for name, said in record.unreadable.items() if (record.folder / name).is_file()}
    findings = [f"{name} {said}" for name, said in unreadable.items()]
    notes: list[str] = []
    if FINISHED not in record.unreadable:
        problem = own_hash_problem(record.text)
        if problem:
            findings.append(f"{FINISHED} {problem}")
        elif problem is not None:
            notes.append(
                f"{FINISHED} has no hash of itself, as earlier versions wrote it: whether it was changed is not known"
            )
    if record.provenance is None:
        notes.append(
            f"the hashes of all files stand in {FINISHED}, which cannot be used: no file was compared"
        )
        return Comparison("files", 0, tuple(findings), tuple(notes))
    outputs = record.provenance.outputs
    for name, wanted in outputs.items():
        if name not in unreadable and (said := _difference(record.folder, name, wanted)):
            findings.append(f"{name} {said}")
    findings += [f"{name} is not of this run: nothing lists it" for name in _unlisted(record)]
    again = [name for name in _EXPORTED & outputs.keys() if _is_other(record.folder / name, outputs[name])]
    if again:
        notes.append(
            f"{', '.join(sorted(again))}: other than when the run was written, as `tamis export` leaves them"
        )
    return Comparison("files", len(outputs), few(findings), tuple(notes))


def _difference(folder: Path, name: str, wanted: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return f"is listed in {FINISHED}, but is not a name inside the run directory"
    if not (folder / name).is_file():
        return "is missing"
    if name not in _EXPORTED and sha256(folder / name) != wanted:
        return "was changed after the run was written"
    return ""


def _is_other(path: Path, wanted: str) -> bool:
    return path.is_file() and sha256(path) != wanted


def _unlisted(record: Record) -> Iterator[str]:
    listed = {} if record.provenance is None else record.provenance.outputs
    for path in sorted(record.folder.rglob("*")):
        name = path.relative_to(record.folder).as_posix()
        own = name in listed or name in (FINISHED, REPORT) or name.startswith("model/")
        if path.is_file() and not own:
            yield name


def compare_configuration(record: Record) -> Comparison:
    """See whether the configuration is the text that tamis writes of it, and whether its seed is that of the run."""
    what = "configuration"
    if record.config is None:
        return Comparison(what, 0, notes=(f"config.yaml {record.unreadable['config.yaml']}",))
    findings: list[str] = []
    notes: list[str] = []
    if read_text(record.folder / "config.yaml") != dump_config(record.config):
        said = "config.yaml is not what this version of tamis writes of its configuration"
        (notes if other_versions(record.provenance) else findings).append(said)
    seed = record.config.seed if record.provenance is None else record.provenance.seed
    if seed != record.config.seed:
        findings.append(f"config.yaml has the seed {record.config.seed}, and {FINISHED} {seed}")
    return Comparison(what, 1, tuple(findings), tuple(notes))


def other_versions(provenance: Provenance | None) -> dict[str, tuple[str, str]]:
    """Find the packages whose versions were others when the run was written, and the processor: then and now."""
    if provenance is None:
        return {}
    machine = describe_machine()
    now = {**machine["packages"], "processor": machine["processor"]}
    then = {**provenance.packages, "processor": provenance.processor}
    return {name: (then[name], now.get(name, "none")) for name in then if then[name] != now.get(name)}


def compare_figures(record: Record) -> Comparison:
    """See whether every figure is there in each format that the run has figures in, and whether the book is there."""
    listed = () if record.provenance is None else record.provenance.outputs
    names = [PurePosixPath(name) for name in listed if name.startswith("figures/")]
    single = [name for name in names if name.name != BOOK]
    stems, endings = dict.fromkeys(name.stem for name in single), {".svg", *(name.suffix for name in single)}
    folder = record.folder / "figures"
    wanted = [
        *(f"{stem}{ending}" for stem in stems for ending in sorted(endings)),
        *([BOOK] if stems else ()),
    ]
    missing = [f"figures/{name} is missing" for name in wanted if not (folder / name).is_file()]
    notes = () if stems else ("the run lists no figures",)
    return Comparison("figures", len(stems), few(missing), notes)


def compare_report(record: Record) -> Comparison:
    """Compare the page with the one that follows from the files of the run."""
    what = "report"
    path = record.folder / REPORT
    if not path.is_file():
        return Comparison(what, 0, (f"{REPORT} is missing; `tamis report` writes it again",))
    try:
        expected = render(report_page(read_run(record.folder)))
    except TamisError:
        note = f"{REPORT} follows from files that cannot be used as they are now, and was not written again"
        return Comparison(what, 0, notes=(note,))
    try:
        same = read_text(path) == expected
    except InputError as error:
        return Comparison(what, 1, tuple(str(each) for each in error.problems))
    if same:
        return Comparison(what, 1)
    said = f"{REPORT} is not the page that follows from the files of the run; `tamis report` writes it again"
    if "tamis" in other_versions(record.provenance):
        return Comparison(what, 0, notes=(f"{said} (the run is of another version of tamis)",))
    return Comparison(what, 1, (said,))
