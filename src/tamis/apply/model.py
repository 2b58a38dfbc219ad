"""The model that is applied: a classifier, with the selection, tree, folds and ranges of its run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tamis.apply.folds import (
    AverageOfAll,
    EntryNumberRule,
    EventIdRule,
    FileUse,
    FoldRule,
    NumberRule,
    TrainingFile,
)
from tamis.classifier import DOCUMENT, Classifier
from tamis.config import Config, Sample
from tamis.data.ensemble import EnsemblePlan
from tamis.data.plan import Quantity, parse_quantity
from tamis.data.root_files import is_several
from tamis.errors import ExpressionError, RequestError
from tamis.expressions import Expression, parse
from tamis.paths import to_path
from tamis.pipeline.run import Run
from tamis.runs.layout import MODEL
from tamis.runs.read import read_run


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value of a feature in training."""

    low: float
    high: float


@dataclass(frozen=True)
class Model:
    """A classifier, and the rules for the entries that it scores.

    Args:
        digest: hash of the classifier with its weights, `document_sha256` of `classifier.json`.
        selection: entries for which it is false are not scored; None scores all.
        tree: the tree to read in files with several, or names and globs of which exactly one must match; None if it
            is not known.
        tree_is_required: whether the user named the tree, so that no other tree is read.
        ranges: the range of each feature in training, if known.
        training: files of the training; empty if not known.
        types: the types of each branch in training, if known.
        trees: the names of the trees of the training, if known; empty if a sample may read several of one file.
    """

    classifier: Classifier
    digest: str
    features: tuple[Quantity, ...]
    selection: Expression | None
    tree: str | tuple[str, ...] | None
    tree_is_required: bool
    folds: FoldRule
    ranges: Mapping[str, Range] = field(default_factory=dict)
    training: tuple[TrainingFile, ...] = ()
    notes: tuple[str, ...] = ()
    types: Mapping[str, Sequence[str]] = field(default_factory=dict)
    trees: frozenset[str] = frozenset()


def read_model(
    run: Path | str, *, selection: str | None = None, sample: str | None = None, tree: str | None = None
) -> Model:
    """Read the classifier of a run, or of a folder `model` without its run, and how it is applied.

    A selection replaces those of the samples; `sample` names the one whose selection and tree are used.

    Raises:
        InputError: there is no classifier, or it is damaged.
        RequestError: the samples have different selections, and none was chosen.
    """
    folder = to_path(run, "tamis.apply")
    is_model_folder = (folder / DOCUMENT).is_file()
    if selection is not None and sample is not None:
        raise RequestError("--selection and --sample exclude each other; use one of them")
    if selection is not None and not selection.strip():
        raise RequestError("--selection is empty; expected an expression of branches, such as 'pt > 20'")
    try:
        chosen_selection = None if selection is None else parse(selection)
    except ExpressionError as error:
        raise RequestError(f"--selection: {error}") from error
    if not is_model_folder:
        return _of_run(read_run(folder), chosen_selection, sample, tree)
    if sample is not None:
        raise RequestError(f"--sample needs the run directory; {folder} is a folder `model` without samples")
    return _of_folder(folder, chosen_selection, tree)


def _of_folder(folder: Path, selection: Expression | None, tree: str | None) -> Model:
    classifier = Classifier.load(folder)
    notes: tuple[str, ...] = (
        "values are not compared with their training ranges, which are only in the run directory",
    )
    if selection is None:
        notes = ("all entries are scored: the selection is only in the run directory", *notes)
    return Model(
        classifier=classifier,
        digest=_digest(folder),
        features=tuple(map(parse_quantity, classifier.features)),
        selection=selection,
        tree=tree,
        tree_is_required=tree is not None,
        folds=_fold_rule(classifier.plan, None),
        notes=notes,
    )


def _of_run(run: Run, selection: Expression | None, sample: str | None, tree: str | None) -> Model:
    samples = [section for section in run.config.samples if sample in (None, section.name)]
    if not samples:
        names = ", ".join(section.name for section in run.config.samples)
        raise RequestError(f"the run has no sample {sample!r}; there are {names}")
    trees = {section.tree for section in samples}
    return Model(
        classifier=run.classifier,
        digest=_digest(run.folder / MODEL),
        features=tuple(map(parse_quantity, run.classifier.features)),
        selection=selection if selection is not None else _common_selection(samples),
        tree=tree or (next(iter(trees)) if len(trees) == 1 else None),
        tree_is_required=tree is not None,
        folds=_fold_rule(run.classifier.plan, run.config),
        ranges=_ranges(run.metrics),
        training=_training_files(run),
        types=run.provenance.get("branches", {}),
        trees=frozenset(
            () if any(map(is_several, trees)) else (entry["tree"] for entry in run.provenance["inputs"])
        ),
    )


def _digest(folder: Path) -> str:
    return str(json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))["document_sha256"])


def _common_selection(samples: Sequence[Sample]) -> Expression | None:
    selections = {sample.selection for sample in samples}
    if len(selections) > 1:
        listing = "; ".join(f"{sample.name}: {sample.selection or 'all entries'}" for sample in samples)
        raise RequestError(
            f"the samples of the run have different selections ({listing}); choose one with --sample NAME, or use "
            "--selection EXPRESSION (--selection true scores all entries)"
        )
    (selection,) = selections
    return None if selection is None else parse(selection)


def _fold_rule(plan: EnsemblePlan, config: Config | None) -> FoldRule:
    if not plan.is_cross_training:
        return AverageOfAll()
    if plan.fold_expression is not None:
        return NumberRule(parse(plan.fold_expression), plan.n_folds)
    if config is not None and config.split.event_id:
        return EventIdRule(tuple(map(parse, config.split.event_id)), plan.n_folds, config.split.seed)
    return EntryNumberRule(plan.n_folds, 0 if config is None else config.split.seed)


def _ranges(metrics: Mapping[str, Any]) -> dict[str, Range]:
    """Return the training ranges of the study of the inputs; a feature without values has none."""
    by_feature = (metrics.get("inputs") or {}).get("by_feature", {})
    return {
        name: Range(feature["outside"]["low"], feature["outside"]["high"])
        for name, feature in by_feature.items()
        if feature.get("outside") is not None
    }


def _training_files(run: Run) -> tuple[TrainingFile, ...]:
    samples = {sample.name: sample for sample in run.config.samples}
    files: dict[str, TrainingFile] = {}
    for entry in run.provenance["inputs"]:  # one for each tree of a file
        uses = tuple(
            _use(samples[account["sample"]], entry, file_key)
            for account in run.cutflow["samples"]
            for file_key in (entry["file"], f"{entry['file']}:{entry['tree']}")
            if file_key in account["files"]
        )
        file = TrainingFile(
            entry["file"], entry["bytes"], entry["sha256"], (), entry["path"], entry["entries"]
        )
        file = files.get(entry["path"], file)
        files[entry["path"]] = replace(file, uses=tuple(dict.fromkeys((*file.uses, *uses))))
    return tuple(files.values())


def _use(sample: Sample, entry: Mapping[str, Any], file_key: str) -> FileUse:
    tree = entry["tree"] if is_several(sample.tree) else sample.tree
    selection = None if sample.selection is None else parse(sample.selection)
    return FileUse(sample.name, tree if isinstance(tree, str) else None, selection, file_key)
