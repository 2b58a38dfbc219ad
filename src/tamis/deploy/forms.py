"""The forms of the hand-over, each written only if it gives the scores of the classifier."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import DOCUMENT, Classifier
from tamis.classifier.document import read_document
from tamis.classifier.manifest import announce, settle
from tamis.classifier.missing import apply_rules
from tamis.deploy.agreement import (
    Comparison,
    Sample,
    Score,
    choose_events,
    compare,
    measure_reference,
    reference_events,
)
from tamis.deploy.constants import (
    check_constants,
    classifier_constants,
    cpp_constants,
    document_constants,
    expected_lwtnn_constants,
    lwtnn_constants,
)
from tamis.deploy.cpp import cpp_header, namespace_of
from tamis.deploy.cpp_check import Program, has_compiler
from tamis.deploy.lwtnn import lwtnn_document, lwtnn_scores
from tamis.deploy.names import DERIVED, FILES, HEADER, LWTNN, PLAIN
from tamis.deploy.onnx_file import export_onnx
from tamis.deploy.plain import plain_document
from tamis.deploy.plain_scores import plain_scores
from tamis.deploy.resolution import require_float32
from tamis.errors import ExportError, RequestError, UntranslatableError
from tamis.files import LONGER_WHILE_WRITTEN, complete_file, folders_for, locked, write_json, write_text
from tamis.places import obstacle

Form = Literal["onnx", "json", "lwtnn", "cpp"]
FORMS: tuple[Form, ...] = ("onnx", "json", "lwtnn", "cpp")

NAMES: Mapping[Form, tuple[str, ...]] = {
    "onnx": FILES,
    "json": (PLAIN,),
    "lwtnn": (LWTNN,),
    "cpp": (HEADER,),
}
"""What files each form has."""


LOCK = ".export.lock"
"""The file that an export holds in the folder that it writes to."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        files: of all forms.
        comparisons: how well each form agrees with the classifier.
        notes: what was not written or not checked, and why.
    """

    files: tuple[Path, ...] = ()
    comparisons: Mapping[Form, Comparison] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def export_classifier(
    folder: Path | str,
    forms: Sequence[Form] = ("onnx",),
    output: Path | None = None,
    *,
    skip_untranslatable: bool = False,
    features: NDArray[np.float32] | None = None,
    fold: NDArray[np.int32] | None = None,
) -> Exported:
    """Write a saved classifier in other forms, and check each against the classifier.

    Args:
        folder: the folder `model` of a run, as `Classifier.save` writes it.
        forms: which.
        output: where the files go; into the folder itself by default, whose manifest then lists them.
        skip_untranslatable: whether a form that has no words for this classifier is passed over with a note.
        features: events to compare, NaN where missing, [n, n_features]; by default the reference events, and mixtures
            of them.
        fold: their folds, [n].

    Raises:
        InputError: there is no classifier in the folder, or it is damaged.
        RequestError: nothing can be written to the output.
        ExportError: a file does not compute the classifier, or a form has no words for it.
    """
    folder = Path(folder)
    target = folder if output is None else Path(output)
    read_document(folder / DOCUMENT)  # before anything is made
    _check_target(target)
    exported = Exported()
    failed: list[str] = []
    busy = f"{target} is being exported to by {{}}; wait for it, or choose another folder (`output`)"
    with folders_for(target / LOCK), locked(target / LOCK, busy=busy):
        for form in forms:
            try:
                exported = _with_form(exported, form, folder, target, features, fold)
            except ExportError as error:
                if not skip_untranslatable:
                    raise
                if not isinstance(error, UntranslatableError):
                    failed.append(f"{form}: {error}")
                exported = Exported(
                    exported.files, exported.comparisons, (*exported.notes, f"no {form}: {error}")
                )
    if failed:
        written = ", ".join(str(path) for path in exported.files) or "nothing"
        raise ExportError("\n".join([*failed, f"what was written: {written}"]))
    return exported


def _check_target(target: Path) -> None:
    reason = obstacle(target / NAMES["onnx"][0], longer=LONGER_WHILE_WRITTEN)
    if reason:
        raise RequestError(f"{target} cannot be written to: {reason}; choose another folder (`output`)")


def _with_form(
    exported: Exported,
    form: Form,
    folder: Path,
    target: Path,
    features: NDArray[np.float32] | None,
    fold: NDArray[np.int32] | None,
) -> Exported:
    """Write one more form."""
    notes: tuple[str, ...] = ()
    comparison: Comparison | None
    if form == "onnx":
        comparison = export_onnx(folder, features, fold, output=target)
    else:
        classifier = Classifier.load(folder, ignoring=DERIVED)
        require_float32(classifier, _PROGRAMS[form])
        sample = reference_events(classifier) if features is None else choose_events(features, fold)
        listed = target.resolve() == folder.resolve()
        comparison = _write(classifier, form, target, sample, listed=listed)
    if comparison is None:
        notes = (f"the scores of {form} were not compared: there is no compiler g++ on this machine",)
    files = tuple(target / name for name in NAMES[form])
    compared = exported.comparisons if comparison is None else {**exported.comparisons, form: comparison}
    return Exported((*exported.files, *files), compared, (*exported.notes, *notes))


def _write(
    classifier: Classifier,
    form: Literal["json", "lwtnn", "cpp"],
    target: Path,
    sample: Sample,
    *,
    listed: bool,
) -> Comparison | None:
    """Write one form, and list it where that is asked for; None where it cannot be checked here."""
    document = plain_document(classifier)
    with ExitStack() as stack:
        path = stack.enter_context(complete_file(target / NAMES[form][0]))
        score = _written(document, form, path, classifier, stack)
        comparison = None
        if score is not None:
            comparison = compare(measure_reference(classifier, sample), score, _PROGRAMS[form])
        if listed:
            announce(target, {NAMES[form][0]: path})
    if listed:
        settle(target)
    return comparison


_PROGRAMS: Mapping[Form, str] = {"json": "the plain JSON", "lwtnn": "lwtnn", "cpp": "the C++ header"}


def _written(
    document: Mapping[str, Any],
    form: Literal["json", "lwtnn", "cpp"],
    path: Path,
    classifier: Classifier,
    stack: ExitStack,
) -> Score | None:
    """Write a file, compare its numbers, and return what scores events by what stands in it."""
    name = NAMES[form][0]
    match form:
        case "json":
            write_json(path, document)
            said = json.loads(path.read_text(encoding="utf-8"))
            check_constants(classifier_constants(classifier), document_constants(said), name)
            return lambda given, fold: plain_scores(said, given, fold)
        case "lwtnn":
            write_json(path, lwtnn_document(document))
            said = json.loads(path.read_text(encoding="utf-8"))
            check_constants(expected_lwtnn_constants(classifier), lwtnn_constants(said, classifier), name)
            return _lwtnn(said, classifier)
        case "cpp":
            write_text(path, cpp_header(document))
            numbers = cpp_constants(path.read_text(encoding="utf-8"))
            check_constants(classifier_constants(classifier), numbers, name)
            if not has_compiler():
                return None
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            program = Program([path], [namespace_of(document)], folder)
            classes = len(classifier.classes)
            return lambda given, fold: program.scores(given, classes, fold)
        case _:
            assert_never(form)


def _lwtnn(document: Mapping[str, Any], classifier: Classifier) -> Score:
    """Prepare events as the user of lwtnn has to: NaN where missing, and indicators."""

    def score(given: NDArray[np.float32], fold: NDArray[np.int32]) -> NDArray[np.float32]:
        del fold
        return lwtnn_scores(document, lwtnn_inputs(classifier, given))

    return score


def lwtnn_inputs(classifier: Classifier, given: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Give the inputs of lwtnn by name: NaN where missing, and the indicators.

    Args:
        classifier: that was exported.
        given: features as a user passes them, [n, n_features].
    """
    features = apply_rules(given, classifier.features)
    names = classifier.feature_names
    columns = {name: features[:, index] for index, name in enumerate(names)}
    return columns | {
        f"{names[index]}_is_missing": np.isnan(features[:, index]).astype(np.float32)
        for index in classifier.preprocessing.indicators
    }
