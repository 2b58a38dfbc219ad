"""What the files of a run say of each other: history, ledger, and the numbers that follow from the scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from tamis.config import EarlyStopping
from tamis.data.split import PARTS
from tamis.errors import InputError, TamisError
from tamis.evaluation.parts import measure_part
from tamis.run_reading import read_scores
from tamis.training.history import Epoch
from tamis.verification.comparison import Comparison, compare_values, few
from tamis.verification.record import Record

if TYPE_CHECKING:
    from tamis.classifier import Classifier

SCORES = "scores.parquet"


def compare_scored_numbers(record: Record) -> Comparison:
    """Compute loss, accuracy, areas, confusion and sums from the scores that were written."""
    what = "numbers from the scores"
    written = record.files.get("metrics.json")
    if record.config is None or written is None:
        note = "the numbers of the test events were not computed from scores.parquet: a file cannot be read"
        return Comparison(what, 0, notes=(note,))
    try:
        scores = read_scores(record.folder / SCORES, record.config.class_names)
        expected = measure_part(scores).metrics.to_dict(record.config.class_names)
    except InputError as error:
        return Comparison(what, 0, tuple(f"{SCORES} {each.message}" for each in error.problems))
    except TamisError as error:
        return Comparison(what, 0, (f"{SCORES}: {error}",))
    test = written.get("test")
    kept = _only(test, expected) if isinstance(test, dict) else test
    number, differences = compare_values(kept, expected, "test")
    return Comparison(what, number, few(differences, "metrics.json"))


def _only(written: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what needs more than the scores, such as intervals."""
    return {
        key: _only(each, expected[key])
        if key in ("balanced", "unweighted") and isinstance(each, dict)
        else each
        for key, each in written.items()
        if key in expected
    }


def compare_history(record: Record, classifier: Classifier | None) -> Comparison:
    """Choose the epoch of each network again from what every epoch measured."""
    what = "history: epochs"
    history, config = record.files.get("history.json"), record.config
    if history is None or config is None:
        return Comparison(what, 0, notes=("the history was not looked at: a file cannot be read",))
    stopping = config.training.early_stopping
    layers = () if classifier is None else classifier.network.layers
    changing = max((getattr(layer, "changing_until", 0.0) for layer in layers), default=0.0)
    findings: list[str] = []
    number = 0
    try:
        trainings = TypeAdapter(list[dict[str, Any]]).validate_python(history.get("members", [history]))
        if classifier is not None and len(trainings) != len(classifier.members):
            findings.append(
                f"history.json has {len(trainings)} networks, and the classifier {len(classifier.members)}"
            )
        for each in trainings:
            epochs = _epochs(each.get("epochs"))
            number += len(epochs)
            findings += _chosen(epochs, each.get("best"), stopping, changing)
    except ValidationError as error:
        return Comparison(
            what, number, (f"history.json is not as tamis writes it: {error.errors()[0]['msg']}",)
        )
    findings += _quoted(record, history)
    return Comparison(what, number, tuple(findings))


def _epochs(written: Any) -> list[Epoch]:
    listed = TypeAdapter(list[dict[str, Any]]).validate_python(written)
    # the rate is not there where an optimizer of the user's own sees to it
    return TypeAdapter(list[Epoch]).validate_python([{"learning_rate": None, **each} for each in listed])


def _chosen(
    epochs: Sequence[Epoch], best: Any, stopping: EarlyStopping | None, changing: float
) -> Iterator[str]:
    if [each.number for each in epochs] != list(range(1, len(epochs) + 1)):
        yield "the epochs of history.json are not numbered one after the other"
        return
    try:
        found = best_epoch(epochs, stopping, changing)
    except TypeError:
        yield "an epoch of history.json lacks what early stopping looks at"
        return
    if found != best:
        yield f"history.json says that epoch {best} was kept, and its numbers say epoch {found}"


def best_epoch(epochs: Sequence[Epoch], stopping: EarlyStopping | None, changing: float = 0.0) -> int:
    """Choose the epoch whose weights are kept, from what was measured.

    Args:
        epochs: all of them.
        stopping: what is monitored; without it the last epoch is kept.
        changing: until which part of the training every epoch replaces the one before, because layers change.

    >>> values = ((0.7, 1), (0.5, 2), (0.6, 3))
    >>> epochs = [Epoch(number, 0, 0, loss, 0, learning_rate=1e-3, seconds=1) for loss, number in values]
    >>> best_epoch(epochs, EarlyStopping())
    2
    """
    from tamis.training.planning import improves

    best = 0
    for number, epoch in enumerate(epochs, start=1):
        if best < changing * epoch.planned or improves(list(epochs[:number]), best, stopping):
            best = number
    return best


def _quoted(record: Record, history: Mapping[str, Any]) -> list[str]:
    metrics = record.files.get("metrics.json")
    if metrics is None or not isinstance(history.get("epochs"), list):
        return []
    expected = {
        "epochs": len(history["epochs"]),
        "best_epoch": history.get("best"),
        "ended_because": history.get("reason"),
    }
    _, differences = compare_values(metrics.get("history"), expected, "history")
    return [f"metrics.json: {each}" for each in differences]


def compare_sums(record: Record) -> Comparison:
    """See whether the ledger adds up, and whether its counts are those of the metrics."""
    what = "ledger: sums"
    ledger = record.files.get("events.json")
    if ledger is None:
        return Comparison(what, 0, notes=("the ledger was not added up: events.json cannot be read",))
    findings: list[str] = []
    try:
        accounts = TypeAdapter(list[dict[str, Any]]).validate_python(ledger.get("samples"))
        for each in accounts:
            findings += _sums(each)
        findings += _counts(record, accounts)
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        return Comparison(what, 0, (f"events.json is not as tamis writes it ({type(error).__name__})",))
    return Comparison(what, len(accounts), few(findings))


def _sums(account: Mapping[str, Any]) -> Iterator[str]:
    events = {name: account[name]["events"] for name in ("failed_selection", "used", *PARTS)}
    dropped = sum(each["events"] for each in account["dropped"].values())
    parts = sum(events[name] for name in PARTS)
    sums = {
        "entries of its files": sum(account["files"].values()),
        "entries that failed the selection, were dropped or are used": events["failed_selection"]
        + dropped
        + events["used"],
    }
    for name, found in sums.items():
        if found != account["entries"]:
            yield f"events.json: sample {account['sample']} has {account['entries']:,} entries, but {found:,} {name}"
    if parts != events["used"]:
        yield f"events.json: sample {account['sample']} has {events['used']:,} used events, but {parts:,} in its parts"


def _counts(record: Record, accounts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Compare with the number of events that the metrics quote; with folds they count pairs of event and network."""
    metrics, config = record.files.get("metrics.json"), record.config
    if metrics is None or config is None or config.split.folds is not None:
        return
    for part in PARTS:
        for name in config.class_names:
            counted = sum(each[part]["events"] for each in accounts if each["class"] == name)
            quoted = metrics[part]["events"][name]
            if counted != quoted:
                yield f"metrics.json: {part}.events.{name} is {quoted}, and events.json has {counted}"
