"""What is applied: a classifier, and what the run that made it says about selection, trees, folds and ranges."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tamis.apply.folds import EntryRule, FoldRule, IdentityRule, NumberRule, TrainingFile, Use
from tamis.classifier import DOCUMENT, Classifier
from tamis.config import Config, Sample
from tamis.data.plan import Quantity, quantity
from tamis.data.root_files import is_several
from tamis.errors import ExpressionError, RequestError
from tamis.expressions import Expression, parse
from tamis.run_reading import FinishedRun, check_model, read_run


@dataclass(frozen=True)
class Range:
    """The values of a feature in training.

    Args:
        low: the smallest.
        high: the largest.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Model:
    """A classifier with all that decides which entries it scores, and how.

    Args:
        classifier: as it was loaded and checked.
        digest: hash of the classifier with its weights, `document_sha256` of `classifier.json`.
        features: the inputs, parsed.
        selection: entries for which it is false are not scored; None scores all.
        tree: the tree that is read in files that hold several, or names and globs of which one alone may match; None
            where nothing is known of it.
        tree_is_wish: whether the user named the tree, so that no other one will do.
        folds: how the fold of an entry is found; None where there are no folds.
        ranges: the values of each feature in training, where they are known.
        training: files of the training; empty where they are not known.
        notes: what the user should know.
        types: the types of each branch in training, where they are known.
    """

    classifier: Classifier
    digest: str
    features: tuple[Quantity, ...]
    selection: Expression | None
    tree: str | tuple[str, ...] | None
    tree_is_wish: bool
    folds: FoldRule | None
    ranges: Mapping[str, Range]
    training: tuple[TrainingFile, ...]
    notes: tuple[str, ...]
    types: Mapping[str, Sequence[str]] = field(default_factory=dict)


def read_model(
    place: Path | str, *, selection: str | None = None, sample: str | None = None, tree: str | None = None
) -> Model:
    """Read the classifier of a run, and what the run says about how to apply it.

    Args:
        place: a run directory, or a folder `model`, of which nothing but the classifier is known.
        selection: an expression that takes the place of those of the samples.
        sample: the sample whose selection and tree are taken.
        tree: the tree to read.

    Raises:
        InputError: there is no classifier, or it is damaged.
        RequestError: the samples have different selections, and none was chosen.
    """
    folder = Path(place)
    alone = (folder / DOCUMENT).is_file()
    if selection is not None and sample is not None:
        raise RequestError("--selection and --sample exclude each other; give one of them")
    given = None if selection is None else _parse_option("--selection", selection)
    if alone:
        if sample is not None:
            raise RequestError(
                f"{folder} is a folder `model`, which knows no samples; give the run directory"
            )
        return _of_folder(folder, given, tree)
    return _of_run(read_run(folder), given, sample, tree)


def _parse_option(option: str, text: str) -> Expression:
    if not text.strip():
        raise RequestError(f"{option} is empty; expected an expression of branches, such as 'pt > 20'")
    try:
        return parse(text)
    except ExpressionError as error:
        raise RequestError(f"{option}: {error}") from error


def _of_folder(folder: Path, selection: Expression | None, tree: str | None) -> Model:
    classifier = Classifier.load(folder)
    unselected = (
        ()
        if selection is not None
        else ("no selection is known without the run directory: all entries are scored",)
    )
    return Model(
        classifier,
        _digest(folder),
        tuple(map(quantity, classifier.features)),
        selection,
        tree,
        tree is not None,
        _fold_rule(classifier, None),
        {},
        (),
        (
            *unselected,
            "no training ranges are known without the run directory: values are not compared with them",
        ),
    )


def _of_run(run: FinishedRun, selection: Expression | None, sample: str | None, tree: str | None) -> Model:
    folder = run.folder / "model"
    check_model(run.folder, run.provenance)
    classifier = run.classifier
    samples = _chosen(run.config.samples, sample)
    trees = {each.tree for each in samples}
    return Model(
        classifier,
        _digest(folder),
        tuple(map(quantity, classifier.features)),
        selection if selection is not None else _common_selection(samples),
        tree or (trees.pop() if len(trees) == 1 else None),
        tree is not None,
        _fold_rule(classifier, run.config),
        _ranges(run.metrics),
        _training_files(run),
        (),
        run.provenance.get("branches", {}),
    )


def _digest(folder: Path) -> str:
    return str(json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))["document_sha256"])


def _chosen(samples: Sequence[Sample], wanted: str | None) -> list[Sample]:
    found = [sample for sample in samples if wanted in (None, sample.name)]
    if not found:
        names = ", ".join(sample.name for sample in samples)
        raise RequestError(f"the run has no sample {wanted!r}; there are {names}")
    return found


def _common_selection(samples: Sequence[Sample]) -> Expression | None:
    selections = {sample.selection for sample in samples}
    if len(selections) > 1:
        listing = "; ".join(f"{sample.name}: {sample.selection or 'all entries'}" for sample in samples)
        raise RequestError(
            f"the samples of the run have different selections ({listing}); say which one these files get with "
            "--sample NAME, or with --selection EXPRESSION (--selection true scores all entries)"
        )
    (found,) = selections
    return None if found is None else parse(found)


def _fold_rule(classifier: Classifier, config: Config | None) -> FoldRule | None:
    folds = classifier.folds
    if folds is None:
        return None
    if folds.by is not None:
        return NumberRule(parse(folds.by), folds.number)
    if config is not None and config.split.by:
        return IdentityRule(tuple(map(parse, config.split.by)), folds.number, config.split.seed)
    return EntryRule(folds.number, 0 if config is None else config.split.seed)


def _ranges(metrics: Mapping[str, Any]) -> dict[str, Range]:
    """Take the ranges that the survey of the inputs found; a feature without values has none."""
    found = (metrics.get("inputs") or {}).get("by_feature", {})
    return {
        name: Range(each["outside"]["low"], each["outside"]["high"])
        for name, each in found.items()
        if each.get("outside") is not None
    }


def _training_files(run: FinishedRun) -> tuple[TrainingFile, ...]:
    samples = {sample.name: sample for sample in run.config.samples}
    files: dict[str, TrainingFile] = {}
    for given in run.provenance["inputs"]:  # one for each tree of a file
        uses = (
            _use(samples[account["sample"]], given, identity)
            for account in run.ledger["samples"]
            for identity in (given["file"], f"{given['file']}:{given['tree']}")
            if identity in account["files"]
        )
        before = files.get(given["path"])
        files[given["path"]] = TrainingFile(
            given["file"],
            given["bytes"],
            given["sha256"],
            tuple(dict.fromkeys((*(() if before is None else before.uses), *uses))),
            given["path"],
            given["entries"] if before is None else before.entries,
        )
    return tuple(files.values())


def _use(sample: Sample, given: Mapping[str, Any], identity: str) -> Use:
    tree = given["tree"] if is_several(sample.tree) else sample.tree
    selection = None if sample.selection is None else parse(sample.selection)
    return Use(sample.name, tree if isinstance(tree, str) else None, selection, identity)
