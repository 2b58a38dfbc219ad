"""The classifier of a run: its files, its reference events, its configuration and its ONNX form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tamis.classifier.manifest import files_of
from tamis.deploy.names import NAMED, PACKED
from tamis.errors import ExportError, InputError
from tamis.verification.comparison import Comparison, few
from tamis.verification.record import Record

if TYPE_CHECKING:
    from tamis.classifier import Classifier
    from tamis.deploy.onnx_classifier import Form


def compare_model(record: Record) -> tuple[Comparison, Classifier | None]:
    """Compare the files with their manifest, and give the reference events their scores again.

    Returns:
        What to say, and the classifier; None where it cannot be used.
    """
    from tamis.classifier import Classifier

    what = "model: files and reference events"
    try:
        classifier = Classifier.load(record.folder / "model")
    except InputError as error:
        said = [f"{_inside(record, problem.where)} {problem.message}" for problem in error.problems]
        return Comparison(what, 0, few(said)), None
    number = len(files_of(record.folder / "model")) + len(classifier.reference_scores)
    return Comparison(what, number, few(_other_configuration(record, classifier))), classifier


def _inside(record: Record, where: str) -> str:
    path = Path(where)
    return str(path.relative_to(record.folder)) if path.is_relative_to(record.folder) else where


def _other_configuration(record: Record, classifier: Classifier) -> list[str]:
    config = record.config
    if config is None:
        return []
    pairs = {
        "classes": (classifier.class_names, config.class_names),
        "features": (
            [(each.name, each.expression) for each in classifier.features],
            [(each.name, each.expression) for each in config.features],
        ),
    }
    return [
        f"the {name} of the classifier are not those of config.yaml"
        for name, (first, second) in pairs.items()
        if list(first) != list(second)
    ]


def compare_onnx(record: Record, classifier: Classifier | None) -> Comparison:
    """Let ONNX Runtime and the classifier score the same events."""
    what = "ONNX: scores"
    forms: dict[str, Form] = {NAMED: "named", PACKED: "packed"}
    there = {name: form for name, form in forms.items() if (record.folder / "model" / name).is_file()}
    if classifier is None:
        return Comparison(what, 0, notes=("the ONNX files were not compared, for want of a classifier",))
    if not there:
        reason = record.provenance.onnx.get("error", "") if record.provenance is not None else ""
        return Comparison(what, 0, notes=(f"the run has no ONNX files{': ' if reason else ''}{reason}",))
    events, findings = 0, []
    for name, form in there.items():
        try:
            events += _agreeing_events(classifier, record.folder / "model" / name, form)
        except ExportError as error:
            findings.append(f"model/{name}: {str(error).split(';')[0]}")
    return Comparison(what, events, tuple(findings))


def _agreeing_events(classifier: Classifier, path: Path, form: Form) -> int:
    from tamis.deploy.agreement import compare, measure_reference, reference_events
    from tamis.deploy.onnx_check import Model, check_numbers

    check_numbers(classifier, path)
    reference = measure_reference(classifier, reference_events(classifier))
    return compare(reference, Model(classifier, path, form), "ONNX Runtime").events
