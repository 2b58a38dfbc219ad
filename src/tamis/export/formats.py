"""Export a classifier in several formats; a file is written only if it reproduces the scores of the classifier."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

import tamis.export.lwtnn as lwtnn
from tamis.classifier import DOCUMENT, Classifier
from tamis.classifier.document import read_document
from tamis.classifier.exported_names import DERIVED, FILES, HEADER, LWTNN, PLAIN
from tamis.classifier.manifest import list_final_files, list_pending_files
from tamis.classifier.precision import precision_problem
from tamis.data.split import NO_FOLD
from tamis.errors import ExportError, RequestError, UntranslatableError
from tamis.export.agreement import (
    Agreement,
    ComparedEvents,
    Reference,
    Score,
    build_reference_events,
    choose_events,
    compare,
    measure_reference,
)
from tamis.export.constants import check_constants
from tamis.export.cpp_writer import (
    Program,
    build_cpp_header,
    build_namespace,
    convert_name,
    has_compiler,
    read_constants,
)
from tamis.export.evaluate import compute_scores
from tamis.export.lower import ClassifierGraph, lower, lower_document
from tamis.export.onnx_files import write_onnx
from tamis.files import complete_file, folders_for, locked, write_json, write_text
from tamis.paths import check_writable, to_path

ExportFormat = Literal["onnx", "json", "lwtnn", "cpp"]
FORMATS: tuple[ExportFormat, ...] = ("onnx", "json", "lwtnn", "cpp")

_FILES: Mapping[ExportFormat, tuple[str, ...]] = {
    "onnx": FILES,
    "json": (PLAIN,),
    "lwtnn": (LWTNN,),
    "cpp": (HEADER,),
}
_PROGRAMS: Mapping[ExportFormat, str] = {
    "onnx": "ONNX Runtime",
    "json": "the plain JSON",
    "lwtnn": "lwtnn",
    "cpp": "the C++ header",
}
"""The name in messages of what computes the scores of each format."""

_DIFFERENCE = attrgetter("difference")

EXPORT_LOCK = ".export.lock"
"""The lock file in the output folder of an export."""


def require_float32(classifier: Classifier, program: str) -> None:
    """Check that float32, which `program` reads, resolves all features; an `UntranslatableError` names the others."""
    if problem := precision_problem(classifier):
        raise UntranslatableError(
            f"{program} takes features in 32 bits: {problem}. Alternatively, score events with tamis itself (tamis "
            "apply, Classifier.predict), which uses 64 bits"
        )


@dataclass(frozen=True)
class _Source:
    """A folder `model` of a run, the classifier in it, and events for the comparison of scores."""

    folder: Path
    document_sha256: str
    classifier: Classifier
    sample: ComparedEvents

    @classmethod
    def load(
        cls, folder: Path, features: NDArray[np.float32] | None = None, fold: ArrayLike = NO_FOLD
    ) -> _Source:
        """Load a classifier; the arguments are those of `export_onnx`.

        Raises:
            InputError: there is no classifier in the folder, or it is damaged.
        """
        document_sha256 = read_document(folder / DOCUMENT).document_sha256
        classifier = Classifier.load(folder, ignoring=DERIVED)
        sample = build_reference_events(classifier) if features is None else choose_events(features, fold)
        return cls(folder, document_sha256, classifier, sample)

    @cached_property
    def graph(self) -> ClassifierGraph:
        """The classifier as graphs of primitive operations, from which all formats are written."""
        return lower(self.classifier)

    @cached_property
    def reference(self) -> Reference:
        """Float64 scores of the events, and the errors of float32 there."""
        return measure_reference(self.classifier, self.graph, self.sample)


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Args:
        notes: formats that were not written or not checked, and why.
    """

    files: tuple[Path, ...] = ()
    agreements: Mapping[ExportFormat, Agreement] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def export_classifier(
    folder: Path | str,
    formats: Sequence[ExportFormat] = ("onnx",),
    output: Path | str | None = None,
    *,
    skip_untranslatable: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Export a saved classifier in several formats, and check each file against the classifier.

    Files of the same classifier are written again.

    Args:
        folder: the folder `model` of a run, as `Classifier.save` writes it.
        formats: the formats.
        output: the output folder; by default `folder`, whose manifest then lists the files.
        skip_untranslatable: whether a format that cannot express this classifier is skipped with a note.
        overwrite: whether exports of another classifier in `output` are replaced; those in other formats are removed.

    Raises:
        InputError: there is no classifier in the folder, or it is damaged.
        RequestError: the output cannot be written, is inside a run, or holds another classifier or its exports.
        ExportError: a file does not reproduce the classifier, or a format cannot express it.
    """
    folder = to_path(folder, "export_classifier")
    target = folder if output is None else to_path(output, "export_classifier")
    foreign = _check_target(folder, target, formats, overwrite=overwrite)
    files: list[Path] = []
    agreements: dict[ExportFormat, Agreement] = {}
    notes, failures = [], []
    busy = (
        f"{{}} is exporting to {target}; wait for it, or choose another folder (--output; in Python `output`)"
    )
    with folders_for(target / EXPORT_LOCK), locked(target / EXPORT_LOCK, busy=busy):
        source = _Source.load(folder)
        for name in formats:
            try:
                of_files = _write_format(name, source, target)
            except ExportError as error:
                if not skip_untranslatable:
                    raise
                notes.append(f"no {name}: {error}")
                if not isinstance(error, UntranslatableError):
                    failures.append(f"{name}: {error}")
                continue
            files += [target / file for file in _FILES[name]]
            if of_files:
                agreements[name] = max(of_files, key=_DIFFERENCE)
            else:
                notes.append(f"the scores of {name} were not compared, because g++ is not installed")
        removed = sorted(set(foreign) - set(files))
        for path in removed:
            path.unlink(missing_ok=True)
        if removed:
            notes.append(f"removed exports of another classifier: {', '.join(map(str, removed))}")
    if failures:
        written = ", ".join(map(str, files)) or "nothing"
        raise ExportError("\n".join([*failures, f"written files: {written}"]))
    return Exported(tuple(files), agreements, tuple(notes))


def _check_target(
    folder: Path, target: Path, formats: Sequence[ExportFormat], *, overwrite: bool
) -> tuple[Path, ...]:
    """Check before any work that a folder can hold the exports; return those of other classifiers to be replaced."""
    document_sha256 = read_document(folder / DOCUMENT).document_sha256
    is_own = target.resolve() == folder.resolve()
    remedy = "choose another folder (--output; in Python `output`)"
    check_writable(target / FILES[0], remedy, name=target, of_run=is_own)
    if is_own:
        return ()
    if (target / DOCUMENT).exists():
        raise RequestError(
            f"{target} holds another classifier, whose manifest would not list these files; choose another folder "
            "(--output; in Python `output`)"
        )
    foreign: list[Path] = []
    for name, files in _FILES.items():
        paths = [target / file for file in files if (target / file).is_file()]
        # `preprocess.json` alone may belong to another program
        concerns = name in formats or target / files[0] in paths
        if concerns and not any(document_sha256.encode() in path.read_bytes() for path in paths):
            foreign += paths
    if foreign and not overwrite:
        raise RequestError(
            f"{target} holds exports of another classifier ({', '.join(path.name for path in foreign)}); choose "
            "another folder (--output; in Python `output`), or replace them (--overwrite; in Python overwrite=True)"
        )
    return tuple(foreign)


def export_onnx(
    folder: Path | str,
    features: NDArray[np.float32] | None = None,
    fold: ArrayLike = NO_FOLD,
) -> Agreement:
    """Export a saved classifier to ONNX in its folder, and check the files against the classifier.

    Three files are written, all or none: `classifier.onnx` with one input for each feature, `classifier_packed.onnx`
    with one input for all of them, and `preprocess.json` for CMSSW's producers.

    Args:
        folder: the folder `model` of a run, as `Classifier.save` writes it.
        features: events for the comparison of scores, NaN if missing, [n, n_features]; by default the reference events
            of the classifier, and mixtures of them.
        fold: their folds, [n], or that of all.

    Returns:
        The number of compared events, and the largest deviation of a score from float64.

    Raises:
        InputError: there is no classifier in the folder, or it is damaged.
        UntranslatableError: float32 does not resolve a feature.
        ExportError: the files do not reproduce the classifier.
    """
    folder = to_path(folder, "export_onnx")
    return max(_write_format("onnx", _Source.load(folder, features, fold), folder), key=_DIFFERENCE)


def _write_format(name: ExportFormat, source: _Source, target: Path) -> list[Agreement]:
    """Write the files of a format, compare their scores if possible here, and list them in the manifest."""
    require_float32(source.classifier, _PROGRAMS[name])
    is_listed = target.resolve() == source.folder.resolve()  # in the manifest of the classifier
    with ExitStack() as stack:
        paths = {file: stack.enter_context(complete_file(target / file)) for file in _FILES[name]}
        scorers: Sequence[Score]
        if name == "onnx":
            scorers = write_onnx(source.classifier, source.graph, source.folder, paths)
        else:
            scorers = _write_file(name, source, paths, stack)
        agreements = [compare(source.reference, score, _PROGRAMS[name]) for score in scorers]
        if is_listed:
            list_pending_files(target, paths)
    if is_listed:
        list_final_files(target)
    return agreements


def _write_file(
    name: Literal["json", "lwtnn", "cpp"], source: _Source, paths: Mapping[str, Path], stack: ExitStack
) -> list[Score]:
    """Write a file and check its numbers; return the function that scores events with it, if that is possible here."""
    ((file, path),) = paths.items()
    graph = source.graph
    match name:
        case "json":
            write_json(path, {**graph.document, "document_sha256": source.document_sha256})
            read = lower_document(json.loads(path.read_text(encoding="utf-8")))
            check_constants(graph.constants, read.constants, file)
            return [lambda features, fold: compute_scores(read, features, fold).astype(np.float32)]
        case "lwtnn":
            exported = lwtnn.build_lwtnn_document(graph.document)
            exported["miscellaneous"]["document_sha256"] = source.document_sha256
            write_json(path, exported)
            document = json.loads(path.read_text(encoding="utf-8"))
            lwtnn.check_lwtnn_constants(graph.document, document, file)

            def score_with_lwtnn(features: NDArray[np.float32], _: object) -> NDArray[np.float32]:
                inputs = lwtnn.compute_lwtnn_inputs(source.classifier, features)
                return lwtnn.compute_lwtnn_scores(document, inputs)

            return [score_with_lwtnn]
        case "cpp":
            write_text(path, f"// document_sha256 {source.document_sha256}\n{build_cpp_header(graph)}")
            expected = {convert_name(name): values.ravel() for name, values in graph.constants.items()}
            check_constants(expected, read_constants(path.read_text(encoding="utf-8")), file)
            if not has_compiler():
                return []
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            program = Program([path], [build_namespace(graph.document)], folder)
            classes = len(source.classifier.classes)
            return [lambda features, fold: program.scores(features, classes, fold)]
        case _:
            assert_never(name)
