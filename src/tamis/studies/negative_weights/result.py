"""The result of the study of negative weights, and its computation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tamis.blocks.numbers import significant
from tamis.statistics.expected_significance import ExpectedSignificance, count_expected_significance
from tamis.statistics.influence import (
    compute_efficiency_influences,
    compute_influences,
    compute_standard_errors,
    propagate_class_sums,
)
from tamis.statistics.negative_weights import NegativeShare, count_negative, drop_negative_weights
from tamis.statistics.ranking import RankedScores, rank_scores
from tamis.statistics.roc import RocCurve, compute_roc_curves, compute_working_points
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.units import select_units
from tamis.studies.context import Context
from tamis.studies.shared import (
    build_requirements,
    compute_significance,
    compute_test_curves,
    rank_test_scores,
    scale_to_expected_events,
)
from tamis.wording import format_with_error


@dataclass(frozen=True)
class ChangedNumber:
    """A quoted number with and without the events of negative weight; `keys.py` describes the fields."""

    quantity: str
    name: str | None
    target: float | None
    quoted: float
    without_negative_weights: float
    error: float | None = None

    @property
    def change(self) -> float:
        """Number without negative weights minus the number with them."""
        return self.without_negative_weights - self.quoted

    @property
    def in_errors(self) -> float:
        """Size of the change in its standard deviations; zero if the error is not known."""
        return abs(self.change) / self.error if self.error else 0.0


@dataclass(frozen=True)
class NegativeWeightsResult:
    """The negative weights of the test events, and how the numbers would change without them.

    Args:
        changes: of the quoted numbers; nothing if the weights of a class have no positive sum.
        samples: fraction of the used events with a negative weight, of each sample that has any.
    """

    classes: Mapping[str, NegativeShare]
    changes: tuple[ChangedNumber, ...]
    samples: Mapping[str, float]

    @property
    def sentence(self) -> str:
        """Result in two or three sentences."""
        events = sum(share.events for share in self.classes.values())
        name, largest = max(self.classes.items(), key=lambda item: item[1].fraction)
        verb = "event has a negative weight" if events == 1 else "events have negative weights"
        sentence = (
            f"{events:,} test {verb}. The largest fraction is that of {name}: {100 * largest.fraction:.1f}% of its "
            f"events with {100 * largest.share:.1f}% of its absolute weight. Its effective sample size is "
            f"{significant(largest.effective_sample_size)}, that of its events with positive weights alone is "
            f"{significant(largest.effective_sample_size_without)}."
        )
        if not self.changes:
            return sentence
        return f"{sentence} Dropping them would change {', '.join(self._headline_changes())}."

    def _headline_changes(self) -> Iterator[str]:
        """Write the change of the loss, and the most significant one of the areas and of the significances."""
        by_quantity = {
            "loss": "the loss",
            "auc": "the AUC of {}",
            "significance": "the significance of the {}",
        }
        for quantity, words in by_quantity.items():
            changes = [number for number in self.changes if number.quantity == quantity]
            largest = max(changes, key=lambda number: number.in_errors, default=None)
            if largest is not None:
                change = format_with_error(largest.change, largest.error or None, signed=True)
                yield f"{words.format(largest.name)} by {change}"


CountedSignificance = tuple[ExpectedSignificance, ScoredEvents]
"""A discovery significance, and the events that were counted for it; their weights are expected events."""


def compute_negative_weights(context: Context) -> NegativeWeightsResult | None:
    """Count the negative weights of the test events, and compute how the numbers would change without them.

    The result is None if no weight of a test event is negative.
    """
    test = context.splits["test"]
    if not (test.weight < 0).any():
        return None
    classes, changes = compare_without_negative(
        test,
        context.class_names,
        context.working_points,
        _significances(context),
        context.once(rank_test_scores),
        context.once(compute_test_curves),
    )
    return NegativeWeightsResult(classes, changes, context.negative_fractions)


def _significances(context: Context) -> tuple[CountedSignificance, CountedSignificance] | None:
    """Return the expected significance of all events, and of those with positive weights, at the same cut and bins.

    The cut and the bins are not chosen anew for the positive weights: that would mostly compare different cuts.
    """
    test, significance = context.once(scale_to_expected_events)["test"], context.once(compute_significance)
    positive = None if test is None else drop_negative_weights(test)
    if significance is None or test is None or positive is None:
        return None
    edges = None if significance.binning is None else significance.binning.edges
    requirements = build_requirements(context, context.signal)
    of_positive = count_expected_significance(positive, context.signal, significance.cut, edges, requirements)
    return (significance, test), (of_positive, positive)


def compare_without_negative(
    test: ScoredEvents,
    class_names: Sequence[str],
    working_points: Sequence[float],
    significances: tuple[CountedSignificance, CountedSignificance] | None = None,
    ranked_scores: RankedScores | None = None,
    curves: Sequence[RocCurve | None] | None = None,
) -> tuple[Mapping[str, NegativeShare], tuple[ChangedNumber, ...]]:
    """Count the negative weights of each class, and compare each number with what it would be without them.

    Each class keeps its sum of weights: dropping events does not change a cross-section, it changes the shapes. If the
    weights of a class have no positive sum, nothing is compared. `significances` are those of all events, and without
    those of negative weight; None if one is not known. Sorted scores and the ROC curves of each class are used if they
    are known.
    """
    of_class = {name: test.class_index == index for index, name in enumerate(class_names)}
    shares = {
        name: count_negative(test.weight[rows], select_units(test.units, rows))
        for name, rows in of_class.items()
    }
    without = drop_negative_weights(test)
    if without is None:
        return shares, ()
    scores = rank_scores(test.scores) if ranked_scores is None else ranked_scores
    changes = [
        *_change_numbers(scores, test, without, class_names),
        *_change_working_points(scores, test, without, class_names, working_points, curves),
        *([] if significances is None else _change_significances(*significances)),
    ]
    return shares, tuple(changes)


def _change_numbers(
    scores: RankedScores, test: ScoredEvents, without: ScoredEvents, class_names: Sequence[str]
) -> Iterator[ChangedNumber]:
    quoted, changed = (
        compute_influences(scores, test.class_index, events.weight) for events in (test, without)
    )
    of_event = propagate_class_sums(changed.of_event, test.class_index, test.weight, without.weight)
    errors = compute_standard_errors(of_event - quoted.of_event, test.units)
    names = [("loss", None), ("accuracy", None), *(("auc", name) for name in class_names)]
    for (quantity, name), before, after, error in zip(
        names, quoted.value.tolist(), changed.value.tolist(), errors.tolist(), strict=True
    ):
        if np.isfinite(before) and np.isfinite(after):
            yield ChangedNumber(quantity, name, None, before, after, error)


def _change_working_points(
    scores: RankedScores,
    test: ScoredEvents,
    without: ScoredEvents,
    class_names: Sequence[str],
    targets: Sequence[float],
    curves: Sequence[RocCurve | None] | None,
) -> Iterator[ChangedNumber]:
    of_test = curves or compute_roc_curves(scores, test.class_index, test.weight)
    of_others = compute_roc_curves(scores, test.class_index, without.weight)
    for index, (name, *pair) in enumerate(zip(class_names, of_test, of_others, strict=True)):
        before, after = ([] if curve is None else compute_working_points(curve, targets) for curve in pair)
        for first, second in zip(before, after, strict=False):
            quoted, changed = (
                compute_efficiency_influences(
                    scores.probabilities[:, index],
                    events.class_index == index,
                    events.weight,
                    point.threshold,
                    point.target,
                    test.units,
                )[:, None]
                for events, point in ((test, first), (without, second))
            )
            of_event = propagate_class_sums(changed, test.class_index, test.weight, without.weight)
            yield ChangedNumber(
                "background_efficiency",
                name,
                first.target,
                first.background_efficiency,
                second.background_efficiency,
                float(compute_standard_errors(of_event - quoted, test.units)[0]),
            )


def _change_significances(
    quoted: CountedSignificance, without: CountedSignificance
) -> Iterator[ChangedNumber]:
    """Compare the significances of the cut, the bins and the categories."""
    before, after = (significance.influences(events) for significance, events in (quoted, without))
    (_, all_events), (_, positive) = quoted, without
    for name in (name for name in before if name in after):
        scaled = propagate_class_sums(
            after[name].of_event[:, None],
            all_events.class_index,
            all_events.weight,
            positive.weight,
            after[name].of_weight[:, None],
        )
        error = compute_standard_errors(scaled - before[name].of_event[:, None], all_events.units)
        yield ChangedNumber(
            "significance", name, None, before[name].significance, after[name].significance, float(error[0])
        )
