"""Checks of the consistency of history, cutflow, scores and metrics of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from tamis.config import EarlyStopping
from tamis.data.split import SPLITS
from tamis.errors import InputError, TamisError
from tamis.pipeline.inputs import plan_ensemble
from tamis.runs.layout import CUTFLOW, HISTORY, METRICS, SCORES
from tamis.runs.scores import read_scores
from tamis.runs.verification.comparison import Comparison, compare_document, compare_values, few
from tamis.runs.verification.record import Record
from tamis.statistics.split_metrics import compute_split_metrics
from tamis.studies.keys import read_keys
from tamis.studies.performance.keys import Unweighted
from tamis.training.history import Epoch, summarise_history
from tamis.wording import counted

if TYPE_CHECKING:
    from tamis.classifier import Classifier


def compare_scored_numbers(record: Record) -> Comparison:
    """Compare loss, accuracy, areas, confusion matrix and sums with those computed from the stored scores."""
    what = "numbers from the scores"
    written = record.files.get(METRICS)
    if record.config is None or written is None:
        note = (
            f"the numbers of the test events were not computed from {SCORES}, because a file cannot be read"
        )
        return Comparison(what, 0, notes=(note,))
    try:
        scores = read_scores(record.folder / SCORES, record.config.class_names)
        metrics = compute_split_metrics(scores).metrics
        physics, balanced, unweighted = (
            read_keys(Unweighted, numbers, record.config.class_names)
            for numbers in (metrics.physics, metrics.balanced, metrics.unweighted)
        )
    except InputError as error:
        return Comparison(what, 0, tuple(f"{SCORES} {problem.message}" for problem in error.problems))
    except TamisError as error:
        return Comparison(what, 0, (f"{SCORES}: {error}",))
    expected = {**physics, "balanced": balanced, "unweighted": unweighted}
    test = written.get("test")
    test = _select(test, expected) if isinstance(test, dict) else test
    return compare_document(what, METRICS, {"test": test}, {"test": expected})


def _select(written: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers that follow from the scores alone, not the intervals, for example."""
    return {
        key: _select(value, expected[key])
        if key in ("balanced", "unweighted") and isinstance(value, dict)
        else value
        for key, value in written.items()
        if key in expected
    }


def compare_history(record: Record, classifier: Classifier | None) -> Comparison:
    """Select the best epoch of each network again, from the losses of all epochs."""
    what = "history: epochs"
    history, config = record.files.get(HISTORY), record.config
    if history is None or config is None:
        return Comparison(what, 0, notes=("the history was not checked, because a file cannot be read",))
    layers = () if classifier is None else classifier.network.layers
    changing = max((getattr(layer, "changing_until", 0.0) for layer in layers), default=0.0)
    try:
        members = TypeAdapter(list[dict[str, Any]]).validate_python(history.get("members"))
        epochs = [_epochs(member.get("epochs")) for member in members]
    except ValidationError as error:
        reason = f"{HISTORY} does not have the keys that tamis writes: {error.errors()[0]['msg']}"
        return Comparison(what, 0, (reason,))
    findings = []
    if classifier is not None and len(members) != len(classifier.members):
        findings.append(
            f"{HISTORY} has {counted(len(members), 'network')}, and the classifier {len(classifier.members)}"
        )
    for member, epochs_of_member in zip(members, epochs, strict=True):
        findings += _check_best(
            epochs_of_member, member.get("best_epoch"), config.training.early_stopping, changing
        )
    metrics = record.files.get(METRICS)
    if metrics is not None:
        expected = [summarise_history(member) for member in members]
        _, differences = compare_values(metrics.get("history"), expected, "history")
        findings += [f"{METRICS}: {difference}" for difference in differences]
    return Comparison(what, sum(map(len, epochs)), tuple(findings))


def _epochs(written: Any) -> list[Epoch]:
    listed = TypeAdapter(list[dict[str, Any]]).validate_python(written)
    # a custom optimizer has no learning rate
    return TypeAdapter(list[Epoch]).validate_python([{"learning_rate": None, **epoch} for epoch in listed])


def _check_best(
    epochs: Sequence[Epoch], written: Any, stopping: EarlyStopping | None, changing: float
) -> list[str]:
    """Compare the best epoch; while layers change (a fraction of the training), every epoch replaces the one before."""
    from tamis.training.planning import is_improvement

    if [epoch.number for epoch in epochs] != list(range(1, len(epochs) + 1)):
        return [f"the epochs of {HISTORY} are not numbered consecutively"]
    best = 0
    try:
        for number, epoch in enumerate(epochs, start=1):
            if best < changing * epoch.planned or is_improvement(epochs[:number], best, stopping):
                best = number
    except TypeError:
        return [f"an epoch of {HISTORY} does not have the value that early stopping monitors"]
    return (
        [] if best == written else [f"the best epoch in {HISTORY} is {written}; by its numbers it is {best}"]
    )


def compare_sums(record: Record) -> Comparison:
    """Check that the cutflow adds up, and that its counts are those of the metrics."""
    what = "cutflow: sums"
    cutflow = record.files.get(CUTFLOW)
    if cutflow is None:
        return Comparison(what, 0, notes=(f"the cutflow was not checked, because {CUTFLOW} cannot be read",))
    try:
        accounts = TypeAdapter(list[dict[str, Any]]).validate_python(cutflow.get("samples"))
        findings = [finding for account in accounts for finding in _sums(account)]
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        reason = f"{CUTFLOW} does not have the keys that tamis writes ({type(error).__name__})"
        return Comparison(what, 0, (reason,))
    try:
        findings += _counts(record, accounts)
    except (KeyError, TypeError, AttributeError) as error:
        findings.append(f"{METRICS} does not have the keys that tamis writes ({type(error).__name__})")
    return Comparison(what, len(accounts), few(findings))


def _sums(account: Mapping[str, Any]) -> Iterator[str]:
    events = {name: account[name]["events"] for name in ("failed_selection", "used", *SPLITS)}
    dropped = sum(tally["events"] for tally in account["dropped"].values())
    after_selection = events["failed_selection"] + dropped + events["used"]
    selection = "entries that failed the selection, were dropped or are used"
    for total, kind, number, counted_as in (
        (account["entries"], "entries", sum(account["files"].values()), "entries of its files"),
        (account["entries"], "entries", after_selection, selection),
        (events["used"], "used events", sum(events[name] for name in SPLITS), "in its splits"),
    ):
        if number != total:
            yield f"{CUTFLOW}: sample {account['sample']} has {total:,} {kind}, but {number:,} {counted_as}"


def _counts(record: Record, accounts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Compare with the numbers of events in the metrics; with folds these count pairs of event and network."""
    metrics, config = record.files.get(METRICS), record.config
    if metrics is None or config is None or plan_ensemble(config).is_cross_training:
        return
    for split in SPLITS:
        for name in config.class_names:
            counted = sum(account[split]["events"] for account in accounts if account["class"] == name)
            quoted = metrics[split]["events"][name]
            if counted != quoted:
                yield f"{METRICS}: {split}.events.{name} is {quoted}, and {CUTFLOW} has {counted}"
