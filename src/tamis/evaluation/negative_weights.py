"""What negative weights cost, and how each quoted number would change if they were dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.arrays import effective_number, positive_sum
from tamis.evaluation.influence import find_influences, keep_sums, kept_influences, standard_errors
from tamis.evaluation.ranking import RankedScores, ranked
from tamis.evaluation.roc import RocCurve, background_rejection, roc_curves
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.search import Search
from tamis.evaluation.units import Units, units_of_rows

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class NegativeShare:
    """The negative weights of one class.

    Args:
        events: number of events with a negative weight.
        fraction: of the events.
        share: of the sum of absolute weights.
        effective: effective number of events.
        effective_without: that of the other events alone.
        gained: by how much the sum of weights would grow if they were dropped, as a factor; None where the sum is not
            positive.
    """

    events: int
    fraction: float
    share: float
    effective: float
    effective_without: float
    gained: float | None


@dataclass(frozen=True)
class Change:
    """A quoted number with and without the events of negative weight.

    Args:
        quantity: `loss`, `accuracy`, `auc`, `background_efficiency`, or `significance`.
        of: the class; or `cut`, `bins` or `categories` of a search; None where it is of everything.
        target: the signal efficiency at which a background efficiency is quoted.
        quoted: the number with the signed weights.
        without: the number if the events with negative weights were dropped.
        error: standard deviation of the change from the finite number of events; None where it is not known.
    """

    quantity: str
    of: str | None
    target: float | None
    quoted: float
    without: float
    error: float | None = None

    @property
    def change(self) -> float:
        """The number without, minus the number with negative weights."""
        return self.without - self.quoted


@dataclass(frozen=True)
class NegativeWeights:
    """What the negative weights of the test events do.

    Args:
        classes: by name.
        changes: of the quoted numbers; nothing where the weights of a class have no positive sum.
    """

    classes: Mapping[str, NegativeShare]
    changes: tuple[Change, ...]

    @property
    def sentence(self) -> str:
        """The whole in words for people."""
        events = sum(each.events for each in self.classes.values())
        name, most = max(self.classes.items(), key=lambda item: item[1].fraction)
        left = most.effective / most.effective_without if most.effective_without else 0.0
        said = (
            f"{events:,} test events have negative weights. The largest fraction is that of {name}: "
            f"{100 * most.fraction:.1f}% of its events with {100 * most.share:.1f}% of its absolute weight, which "
            f"leave {100 * left:.0f}% of the effective number of events that the others alone would have."
        )
        loss = next((each for each in self.changes if each.quantity == "loss"), None)
        if loss is None:
            return said
        areas = [each for each in self.changes if each.quantity == "auc"]
        most_area = max(areas, key=lambda each: abs(each.change), default=None)
        area = (
            ""
            if most_area is None
            else f", the AUC of {most_area.of} by {most_area.change:+.4f} +- {most_area.error:.4f}"
        )
        return f"{said} To drop them would change the loss by {loss.change:+.4f} +- {loss.error:.4f}{area}."

    def to_dict(self) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "sentence": self.sentence,
            "classes": {name: vars(each) for name, each in self.classes.items()},
            "changes": [{**vars(each), "change": each.change} for each in self.changes],
        }


def without_negative(events: ScoredEvents) -> ScoredEvents | None:
    """Set negative weights to zero, and scale those of each class to the sum that they had: its cross-section.

    Returns:
        None where the weights of a class that has events do not have a positive sum.

    >>> events = ScoredEvents(np.ones((3, 1)), np.zeros(3, np.int32), np.array([2.0, 2.0, -1.0]), np.ones(3))
    >>> without_negative(events).weight.tolist()
    [1.5, 1.5, 0.0]
    """
    positive = np.maximum(events.weight, 0.0)
    for index in np.unique(events.class_index):
        rows = events.class_index == index
        total = positive_sum(events.weight[rows])
        if total is None:
            return None
        positive[rows] *= total / positive[rows].sum()
    return events.reweighted(positive)


@dataclass(frozen=True)
class Counted:
    """What a score is worth in a search, and the events that were counted.

    Args:
        search: of these events.
        events: their weights are expected events.
    """

    search: Search
    events: ScoredEvents


def judge_negative_weights(
    test: ScoredEvents,
    class_names: Sequence[str],
    working_points: Sequence[float],
    searches: tuple[Counted | None, Counted | None] = (None, None),
    ranked_scores: RankedScores | None = None,
    curves: Sequence[RocCurve | None] | None = None,
) -> NegativeWeights | None:
    """See what the negative weights cost, and what would change without the events that have them.

    Each class keeps its sum of weights: a cross-section does not change because events are dropped. What changes are
    the shapes.

    Args:
        test: the events of which numbers are quoted.
        class_names: in the order of the scores.
        working_points: signal efficiencies at which background efficiencies are quoted.
        searches: what the score is worth with all events, and without those of negative weight; None where it is not
            known.
        ranked_scores: the scores of the events, where they are sorted.
        curves: of each class against all others, where they are known.

    Returns:
        None where no weight is negative.
    """
    if not (test.weight < 0).any():
        return None
    of_class = {name: test.class_index == index for index, name in enumerate(class_names)}
    shares = {
        name: _share(test.weight[rows], units_of_rows(test.units, rows)) for name, rows in of_class.items()
    }
    without = without_negative(test)
    if without is None:
        return NegativeWeights(shares, ())
    scores = ranked(test.scores) if ranked_scores is None else ranked_scores
    changes = [
        *_numbers(scores, test, without, class_names),
        *_working_points(scores, test, without, class_names, working_points, curves),
        *_significances(*searches),
    ]
    return NegativeWeights(shares, tuple(changes))


def _share(weight: Float64, units: Units | None) -> NegativeShare:
    negative = weight < 0
    events, size = int(np.count_nonzero(negative)), float(np.abs(weight).sum())
    positive, total = weight[~negative], positive_sum(weight)
    return NegativeShare(
        events=events,
        fraction=events / len(weight) if len(weight) else 0.0,
        share=float(-weight[negative].sum()) / size if size else 0.0,
        effective=effective_number(weight, units),
        effective_without=effective_number(positive, units_of_rows(units, ~negative)),
        gained=None if total is None else float(positive.sum()) / total,
    )


def _numbers(
    scores: RankedScores, test: ScoredEvents, without: ScoredEvents, class_names: Sequence[str]
) -> Iterator[Change]:
    quoted, changed = (find_influences(scores, test.class_index, events.weight) for events in (test, without))
    of_event = keep_sums(changed.of_event, test.class_index, test.weight, without.weight)
    errors = standard_errors(of_event - quoted.of_event, test.units)
    names = [("loss", None), ("accuracy", None), *(("auc", name) for name in class_names)]
    for (quantity, name), before, after, error in zip(
        names, quoted.value.tolist(), changed.value.tolist(), errors.tolist(), strict=True
    ):
        if np.isfinite(before) and np.isfinite(after):
            yield Change(quantity, name, None, before, after, error)


def _working_points(
    scores: RankedScores,
    test: ScoredEvents,
    without: ScoredEvents,
    class_names: Sequence[str],
    targets: Sequence[float],
    curves: Sequence[RocCurve | None] | None,
) -> Iterator[Change]:
    of_test = curves or roc_curves(scores, test.class_index, test.weight)
    of_others = roc_curves(scores, test.class_index, without.weight)
    for index, (name, *pair) in enumerate(zip(class_names, of_test, of_others, strict=True)):
        before, after = ([] if curve is None else background_rejection(curve, targets) for curve in pair)
        for first, second in zip(before, after, strict=False):
            quoted, changed = (
                kept_influences(
                    scores.probabilities[:, index],
                    events.class_index == index,
                    events.weight,
                    point.threshold,
                    point.target,
                )[:, None]
                for events, point in ((test, first), (without, second))
            )
            of_event = keep_sums(changed, test.class_index, test.weight, without.weight)
            yield Change(
                "background_efficiency",
                name,
                first.target,
                first.background_efficiency,
                second.background_efficiency,
                float(standard_errors(of_event - quoted, test.units)[0]),
            )


def _significances(quoted: Counted | None, without: Counted | None) -> Iterator[Change]:
    """Compare the significances; each has the cuts and the bins that its own validation events chose."""
    if quoted is None or without is None:
        return
    before, after = (each.search.influences(each.events) for each in (quoted, without))
    for name in (name for name in before if name in after):
        scaled = keep_sums(
            after[name].of_event[:, None],
            quoted.events.class_index,
            quoted.events.weight,
            without.events.weight,
            after[name].of_weight[:, None],
        )
        error = standard_errors(scaled - before[name].of_event[:, None], quoted.events.units)
        yield Change(
            "significance", name, None, before[name].significance, after[name].significance, float(error[0])
        )
