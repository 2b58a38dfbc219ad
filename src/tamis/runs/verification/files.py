"""Comparisons of the files of a run: hashes, configuration, classifier, ONNX files, figures, page and input files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tamis.classifier.exported_names import DERIVED, NAMED, PACKED
from tamis.classifier.manifest import MANIFEST, files_of
from tamis.config import Config, dump_config
from tamis.errors import ExportError, InputError, TamisError
from tamis.files import sha256
from tamis.machine import describe_machine
from tamis.paths import explain_os_error
from tamis.plots.book import BOOK
from tamis.report.page import report_page
from tamis.report.rendering import render
from tamis.runs.layout import CONFIG, FIGURES, FPGA, MODEL, PROVENANCE, REPORT
from tamis.runs.read import file_problem, hash_problem, read_run, read_text
from tamis.runs.verification.comparison import Comparison, few
from tamis.runs.verification.record import Provenance, Record, RecordedInput
from tamis.wording import join_first

if TYPE_CHECKING:
    from tamis.classifier import Classifier
    from tamis.export.onnx_writer import Inputs

_MOST_MISSING = 3
"""Number of missing input files that are named."""
_EXPORTED = frozenset(f"{MODEL}/{name}" for name in (*DERIVED, MANIFEST))
"""Files that `tamis export` may have written again; the manifest of the folder `model` has their hashes."""


def compare_files(record: Record) -> Comparison:
    """Compare every file with its hash, and find missing files and files that do not belong to the run."""
    folder = record.folder
    unreadable = {name: why for name, why in record.unreadable.items() if (folder / name).is_file()}
    findings = [f"{name} {why}" for name, why in unreadable.items()]
    if PROVENANCE not in record.unreadable and (problem := hash_problem(read_text(folder / PROVENANCE))):
        findings.append(f"{PROVENANCE} {problem}")
    if record.provenance is None:
        note = f"{PROVENANCE} has the hashes of all files and cannot be used: no file was compared"
        return Comparison("files", 0, tuple(findings), (note,))
    outputs = record.provenance.outputs
    exported = []
    for name, written in outputs.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            findings.append(f"{name} is listed in {PROVENANCE}, but is not a name inside the run directory")
            continue
        problem = file_problem(folder / name, written)
        if problem and name in _EXPORTED and (folder / name).is_file():
            exported.append(name)
        elif problem and name not in unreadable:
            findings.append(f"{name} {problem}")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        known = name in outputs or name in (PROVENANCE, REPORT) or name.startswith((f"{MODEL}/", f"{FPGA}/"))
        if path.is_file() and not known:
            findings.append(f"{name} does not belong to this run: {PROVENANCE} does not list it")
    note = f"{', '.join(sorted(exported))}: changed after the run was written, as by `tamis export`"
    return Comparison("files", len(outputs), few(findings), (note,) if exported else ())


def compare_configuration(record: Record) -> Comparison:
    """Compare the configuration with the text that tamis would write, and its seed with the seed of the run."""
    what = "configuration"
    if record.config is None:
        return Comparison(what, 0, notes=(f"{CONFIG} {record.unreadable[CONFIG]}",))
    findings: list[str] = []
    notes: list[str] = []
    if read_text(record.folder / CONFIG) != dump_config(record.config):
        difference = f"{CONFIG} is not the text that this version of tamis writes for its configuration"
        (notes if other_versions(record.provenance) else findings).append(difference)
    seed = record.config.seed if record.provenance is None else record.provenance.seed
    if seed != record.config.seed:
        findings.append(f"{CONFIG} has the seed {record.config.seed}, and {PROVENANCE} has {seed}")
    return Comparison(what, 1, tuple(findings), tuple(notes))


def other_versions(provenance: Provenance | None) -> dict[str, tuple[str, str]]:
    """Return the versions of packages, and the processor, that have changed since the run was written: then and now."""
    if provenance is None:
        return {}
    machine = describe_machine()
    now = {**machine["packages"], "processor": machine["processor"]}
    then = {**provenance.packages, "processor": provenance.processor}
    return {name: (then[name], now.get(name, "none")) for name in then if then[name] != now.get(name)}


def compare_model(record: Record) -> tuple[Comparison, Classifier | None]:
    """Compare the files with their manifest, score the reference events again, and return the classifier if usable."""
    from tamis.classifier import Classifier

    what = "model: files and reference events"
    try:
        classifier = Classifier.load(record.folder / MODEL)
    except InputError as error:
        findings = [
            f"{problem.where.removeprefix(f'{record.folder}/')} {problem.message}"
            for problem in error.problems
        ]
        return Comparison(what, 0, few(findings)), None
    number = len(files_of(record.folder / MODEL)) + len(classifier.reference_scores)
    findings = []
    if record.config is not None and classifier.class_names != record.config.class_names:
        findings.append(f"the classes of the classifier are not those of {CONFIG}")
    if record.config is not None and _features(classifier) != _features(record.config):
        findings.append(f"the features of the classifier are not those of {CONFIG}")
    return Comparison(what, number, tuple(findings)), classifier


def _features(source: Classifier | Config) -> list[tuple[str, str]]:
    return [(feature.name, feature.expression) for feature in source.features]


def compare_onnx(record: Record, classifier: Classifier | None) -> Comparison:
    """Compare the scores of ONNX Runtime with those of the classifier."""
    what = "ONNX: scores"
    if classifier is None:
        note = "the ONNX files were not compared, because the classifier cannot be used"
        return Comparison(what, 0, notes=(note,))
    kinds: dict[str, Inputs] = {NAMED: "named", PACKED: "packed"}
    existing = {name: kind for name, kind in kinds.items() if (record.folder / MODEL / name).is_file()}
    if not existing:
        reason = record.provenance.onnx.get("error", "") if record.provenance is not None else ""
        return Comparison(what, 0, notes=(f"the run has no ONNX files{': ' if reason else ''}{reason}",))
    from tamis.export.agreement import build_reference_events, compare, measure_reference
    from tamis.export.lower import lower
    from tamis.export.onnx_files import OnnxScorer, check_numbers

    events, findings = 0, []
    graph, reference = None, None
    for name, kind in existing.items():
        path = record.folder / MODEL / name
        try:
            graph = graph or lower(classifier)
            check_numbers(graph, path)
            if reference is None:
                reference = measure_reference(classifier, graph, build_reference_events(classifier))
            events += compare(reference, OnnxScorer(classifier, path, kind), "ONNX Runtime").events
        except ExportError as error:
            findings.append(f"{MODEL}/{name}: {str(error).split(';')[0]}")
    return Comparison(what, events, tuple(findings))


def compare_figures(record: Record) -> Comparison:
    """Check that every figure exists in each format of the figures of the run, and that the book exists."""
    listed = () if record.provenance is None else record.provenance.outputs
    names = [PurePosixPath(name) for name in listed if name.startswith(f"{FIGURES}/")]
    single = [name for name in names if name.name != BOOK]
    stems, endings = dict.fromkeys(name.stem for name in single), {".svg", *(name.suffix for name in single)}
    expected = [f"{stem}{ending}" for stem in stems for ending in sorted(endings)] + ([BOOK] if stems else [])
    missing = [
        f"{FIGURES}/{name} is missing" for name in expected if not (record.folder / FIGURES / name).is_file()
    ]
    notes = () if stems else ("the run lists no figures",)
    return Comparison(FIGURES, len(stems), few(missing), notes)


def compare_report(record: Record) -> Comparison:
    """Compare the page with a new one, built from the files of the run."""
    what = "report"
    path = record.folder / REPORT
    if not path.is_file():
        return Comparison(what, 0, (f"{REPORT} is missing; `tamis report` writes it again",))
    try:
        expected = render(report_page(read_run(record.folder)))
    except TamisError:
        note = f"{REPORT} was not compared, because files that it is built from cannot be used"
        return Comparison(what, 0, notes=(note,))
    try:
        written = path.read_bytes()
    except OSError as error:
        return Comparison(what, 0, (f"{REPORT} cannot be read: {explain_os_error(error)}",))
    if written == expected.encode():
        return Comparison(what, 1)
    difference = f"{REPORT} differs from a new page of the files of the run; `tamis report` writes it again"
    if "tamis" in other_versions(record.provenance):
        return Comparison(what, 0, notes=(f"{difference} (another version of tamis wrote the run)",))
    return Comparison(what, 1, (difference,))


def compare_inputs(record: Record, data: Path | None) -> Comparison:
    """Compare size and hash of every input file with those in the provenance; `data` has the moved files."""
    what = "input files"
    if record.provenance is None:
        note = f"the input files of the run are not known: {PROVENANCE} cannot be used"
        return Comparison(what, 0, notes=(note,))
    with ThreadPoolExecutor(max_workers=2) as pool:
        checks = list(pool.map(partial(_check_input, data=data), record.provenance.inputs))
    findings = [message for kind, message in checks if kind == "changed"]
    notes = [message for kind, message in checks if kind == "unknown"]
    if missing := [message for kind, message in checks if kind == "missing"]:
        advice = "check --data" if data is not None else "if they were moved, give their folder with --data"
        verb = "does not exist" if len(missing) == 1 else "do not exist"
        notes.append(f"{join_first(missing, _MOST_MISSING)} {verb} any more; {advice}")
    unknown = sum(kind in ("unknown", "missing") for kind, _ in checks)
    return Comparison(what, len(checks) - unknown, few(findings), few(notes))


def _check_input(recorded: RecordedInput, data: Path | None) -> tuple[str, str]:
    """Return whether a file is the `same`, `changed`, `unknown` or `missing`, and the reason or the missing path."""
    if "://" in recorded.path:
        return "unknown", f"{recorded.path} is remote: its hash is not known, and it was not read again"
    path = Path(recorded.path)
    if data is not None and not Path(recorded.file).is_absolute():
        path = data / recorded.file
    if not path.is_file():
        return "missing", str(path)
    size = path.stat().st_size
    if size != recorded.bytes:
        return "changed", f"{path} has {size:,} bytes, and had {recorded.bytes:,} when the run was made"
    if sha256(path) != recorded.sha256:
        return "changed", f"{path} was changed after the run was made"
    return "same", ""


def find_data_folder(record: Record, data: Path | None) -> str | None:
    """Return the folder of the input files with relative names; None if it is not known."""
    if data is not None:
        return str(data.absolute())
    for recorded in () if record.provenance is None else record.provenance.inputs:
        if recorded.path != recorded.file and recorded.path.endswith(f"/{recorded.file}"):
            return recorded.path.removesuffix(f"/{recorded.file}") or "/"
    return None
