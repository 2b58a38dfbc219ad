"""The overtraining test: a permutation test of training against test events, corrected for all comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from tamis.arrays import Float64, Mask
from tamis.errors import TamisError
from tamis.statistics.arrays import ROUNDING, check_classes, check_probabilities, positive_sum
from tamis.statistics.influence import compute_influences
from tamis.statistics.intervals import compute_half_widths, compute_intervals
from tamis.statistics.metrics import compute_loss_and_accuracy_terms
from tamis.statistics.p_values import compute_corrected_p_values
from tamis.statistics.resampling import (
    CellSums,
    GroupedScore,
    Multiplicities,
    compute_areas,
    compute_in_blocks,
    compute_linear_sums,
    permute_labels,
)
from tamis.statistics.scored import ScoredEvents, join_events
from tamis.statistics.split_metrics import (
    FirstOrder,
    compute_difference_half_widths,
    compute_first_order,
)
from tamis.statistics.units import Units
from tamis.studies.study import Undefined
from tamis.wording import format_change, format_metric, format_p_value

LEVEL = 0.05
"""Corrected p-value up to which a classifier is called overtrained."""
PERMUTATIONS = 199
"""Number of permutations; the smallest possible p-value is 1 / (PERMUTATIONS + 1)."""
_ROUNDS = 10
"""Maximum number of rounds of drawing, to get enough permutations with positive sums of weights."""
_CELLS = 2048
"""Cells of a score: the error of a distance is small compared with its fluctuations, and the same in permutations."""


@dataclass(frozen=True)
class ComparedQuantity:
    """One quantity of training and test events.

    Args:
        quantity: `loss`, `accuracy`, `auc` or `score`.
        class_name: the class of the area under the curve, or the true class whose scores are compared.
        score: the class whose score is compared.
        training: value of the training events; None for a distribution.
        test: value of the test events; None for a distribution.
        difference: training minus test; for a distribution the largest distance of the cumulative ones.
        interval: 68.3% interval of the difference to first order; None for a distribution, and for too few events.
        p_value: of this comparison alone.
        corrected_p_value: probability that any of the comparisons deviates as much, without overtraining.
    """

    quantity: str
    class_name: str | None
    score: str | None
    training: float | None
    test: float | None
    difference: float
    interval: tuple[float, float] | None
    p_value: float
    corrected_p_value: float

    @property
    def description(self) -> str:
        """Quantity in the middle of a sentence."""
        match self.quantity:
            case "score":
                return f"the score of {self.score} for events of {self.class_name}"
            case "auc":
                return f"the AUC of {self.class_name}"
            case _:
                return f"the {self.quantity}"


@dataclass(frozen=True)
class PermutationTest:
    """The overtraining test: training against test events, with one correction for all comparisons; the loss is first.

    It is paired if both are the same events, scored by members that learned from them and by others (cross-training).
    """

    comparisons: tuple[ComparedQuantity, ...]
    permutations: int
    paired: bool = False

    @property
    def smallest_p_value(self) -> float:
        """The smallest p-value that the permutations can give."""
        return 1 / (self.permutations + 1)

    @property
    def most_deviating(self) -> ComparedQuantity:
        """The comparison with the smallest corrected p-value."""
        return min(
            self.comparisons, key=lambda comparison: (comparison.corrected_p_value, comparison.p_value)
        )

    @property
    def p_value(self) -> float:
        """The smallest corrected p-value, which is the p-value of the whole test."""
        return self.most_deviating.corrected_p_value

    @property
    def overtrained(self) -> bool:
        """Return whether training and test events differ significantly at the 5% level."""
        return self.p_value <= LEVEL

    @property
    def sentence(self) -> str:
        """The result in one sentence that can be quoted."""
        loss = next(comparison for comparison in self.comparisons if comparison.quantity == "loss")
        training, test = (format_metric(number)[0] for number in (loss.training or 0.0, loss.test or 0.0))
        ends = (
            "of the training events is {} with members that learned from them and {} with out-of-fold scores"
            if self.paired
            else "is {} in training and {} in test"
        )
        difference = f"training minus test {format_change(loss.difference, loss.interval)}"
        sentence = f"{self.headline}: the balanced loss {ends.format(training, test)}, {difference}"
        return f"{sentence}; {self._describe_most_deviating()}." if self.overtrained else f"{sentence}."

    def _describe_most_deviating(self) -> str:
        comparison = self.most_deviating
        if comparison.quantity == "loss":
            return "it deviates most"
        if comparison.quantity == "score":
            return (
                f"{comparison.description} deviates most, with a distance of {comparison.difference:.4f} between the "
                "distributions"
            )
        difference = format_change(comparison.difference, comparison.interval)
        return f"{comparison.description} deviates most, by {difference}"

    @property
    def headline(self) -> str:
        """The result and its p-value, without the numbers that were compared."""
        p_value = format_p_value(self.p_value, smallest=self.smallest_p_value)
        outcome = "Overtrained" if self.overtrained else "No sign of overtraining"
        return f"{outcome} ({p_value}, corrected for {len(self.comparisons)} comparisons)"

    @property
    def level(self) -> float:
        """Significance level of the test."""
        return LEVEL


def compute_permutation_test(
    training: ScoredEvents,
    test: ScoredEvents,
    class_names: Sequence[str],
    *,
    generator: Generator,
    permutations: int = PERMUTATIONS,
    numbers: Callable[[], tuple[FirstOrder, FirstOrder]] | None = None,
    paired: bool = False,
) -> PermutationTest | Undefined:
    r"""Compare all quoted quantities of training and test events by a permutation test.

    Without overtraining it does not matter which events the network was trained on, so that training and test events of
    a class can be exchanged. All comparisons are repeated for each permutation of them. The loss, the accuracy and the
    areas under the curve deviate if training is better than test; the distributions of each score for each true class
    by the largest distance of their cumulative distributions. `compute_corrected_p_values` combines them: the loss,
    which the training minimises, has most of the level. A corrected p-value is the fraction of permutations (including
    the observed events) in which any comparison deviates as much (P. Westfall and S. Young, "Resampling-based multiple
    testing", Wiley 1993). It is exact if the training and test events of a class are drawn alike, whatever their
    weights and the correlations of the comparisons. A permutation that gives a class of one split no positive sum of
    weights is drawn again: the observed events are exchangeable with the others. The test is undefined if more than
    nine of ten do, or a class has none to begin with.

    With cross-training (`paired`) training and test are the same events in the same order with two scores each: that of
    a member that learned from the event and that of one that did not. Members and folds are drawn at random, so that
    these two can be exchanged in each event without overtraining, and the fluctuations of the events themselves cancel.

    `numbers` returns those of training and test events with balanced weights, if they are known.
    """
    classes = range(len(class_names))
    for split in (training, test):
        if split.scores.shape[1:] != (len(class_names),):
            raise TamisError(
                f"overtraining: expected {len(class_names)} scores of each event, found {split.scores.shape}"
            )
        if any(positive_sum(split.weight[split.class_index == index]) is None for index in classes):
            return Undefined("a class has no positive sum of weights in training or test events")
    pool = join_events(training, test)
    # events of a class follow each other: their labels are shuffled in one piece
    by_class = np.argsort(pool.class_index, kind="stable")
    pool, is_training = pool.take(by_class), by_class < len(training)
    deviations = _Deviations(pool)
    observed = deviations.of(is_training[:, None])
    if not np.isfinite(observed[0, 2 + len(classes) :]).all():
        return Undefined("the weights of one split are lost by rounding beside those of the other")
    units = training.units if paired else pool.units
    groups = [np.flatnonzero(pool.class_index == index) for index in classes]

    def permute(number: int, stream: Generator) -> Float64:
        if paired:
            return deviations.of(_swap_pairs(len(training), number, stream, units)[by_class])
        return deviations.of(permute_labels(is_training, groups, number, stream, units))

    drawn = np.empty((0, observed.shape[1]))
    for _ in range(_ROUNDS):
        more = compute_in_blocks(permute, permutations, len(pool), generator, sums=deviations.size)
        drawn = np.concatenate([drawn, more[np.isfinite(more[:, 2 + len(classes) :]).all(axis=1)]])
        if len(drawn) >= permutations:
            break
    else:
        return Undefined(
            "fewer than one of ten permutations gives every class a positive sum of weights in training and test events"
        )
    drawn = drawn[:permutations]
    single, corrected = compute_corrected_p_values(observed[0], drawn)
    of_training, of_test = (
        numbers()
        if numbers
        else (compute_first_order(split, [split.balanced_weight])[0] for split in (training, test))
    )
    widths = (
        _paired_half_widths(training, test)
        if paired
        else compute_difference_half_widths(of_training, of_test)
    )
    comparisons = tuple(
        _comparisons(class_names, observed[0], single, corrected, (of_training, of_test), widths)
    )
    return PermutationTest(comparisons, permutations, paired)


def _swap_pairs(events: int, resamples: int, generator: Generator, units: Units | None) -> Mask:
    """Exchange the two scores of about half of the units, [2 n_events, resamples]: whether each is a training score."""
    drawn = events if units is None else int(units.max()) + 1
    swapped = generator.integers(0, 2, (drawn, resamples), dtype=np.bool_)
    swapped = swapped if units is None else swapped[units]
    return np.concatenate([~swapped, swapped])


def _paired_half_widths(training: ScoredEvents, test: ScoredEvents) -> Float64:
    """Compute half the widths of the intervals of differences between two scores of the same events."""
    of_event = [
        compute_influences(split.scores, split.class_index, split.balanced_weight).of_event
        for split in (training, test)
    ]
    return compute_half_widths(of_event[0] - of_event[1], training.units)


class _Deviations:
    """All compared quantities of labelled (training) events minus those of unlabelled (test) events."""

    def __init__(self, pool: ScoredEvents) -> None:
        weight, classes = pool.balanced_weight, pool.class_index
        scores = check_probabilities(pool.scores)
        columns = [
            GroupedScore(score, classes, scores.shape[1], index) for index, score in enumerate(scores.T)
        ]
        self._linear = compute_loss_and_accuracy_terms(scores, check_classes(classes, *scores.shape), weight)
        self._cells = CellSums(columns, weight, _CELLS)
        self._linear_of_all = self._linear.sum(axis=1, keepdims=True)
        self._resolved = ROUNDING * np.bincount(classes, np.abs(weight), scores.shape[1])[:, None]
        self._cells_of_all = self._cells.sums(np.ones((len(pool), 1), np.bool_))

    @property
    def size(self) -> int:
        """Number of sums that a labelling takes in memory."""
        return self._cells.size

    def of(self, labels: Multiplicities) -> Float64:
        """Compute the deviations of some labellings, [labellings, quantities]; a larger one is more overtraining."""
        sums = compute_linear_sums(self._linear, labels)
        gaps = _means(sums) - _means(self._linear_of_all - sums)
        areas, distances = [], []
        for index, (of_all, labelled) in enumerate(
            zip(self._cells_of_all, self._cells.sums(labels), strict=True)
        ):
            unlabelled = of_all - labelled
            areas.append(_area_of_class(labelled, index) - _area_of_class(unlabelled, index))
            distances.append(_distances(labelled, unlabelled))
        # a smaller loss is better; distances by true class, then by score
        deviations = np.stack(
            [-gaps[0], gaps[1], *areas, *np.concatenate(np.stack(distances, axis=1))], axis=1
        )
        # the sums without label are differences: below the rounding of the total they contain no information
        lost = (
            np.minimum(*(np.abs(sums_of_split.sum(axis=0)) for sums_of_split in (labelled, unlabelled)))
            <= self._resolved
        )
        deviations[lost.any(axis=0)] = np.nan
        return deviations


def _means(sums: Float64) -> Float64:
    """Divide sums by the sum of weights, which is first; NaN if that is not positive."""
    means: Float64 = sums[1:] / np.where(sums[0] > 0, sums[0], np.nan)
    return means


def _area_of_class(sums: Float64, index: int) -> Float64:
    """Compute the area under the curve of a class against all others, [labellings]."""
    signal = sums[:, index]
    return compute_areas(signal, sums.sum(axis=1) - signal)


def _distances(first: Float64, second: Float64) -> Float64:
    """Compute the largest distances of cumulative distributions, [classes, labellings]; NaN if one is not defined.

    Both have the sums of weights by rising score, [cells, classes, labellings].
    """
    difference, of_second = (np.cumsum(sums, axis=0) for sums in (first, second))
    for summed in (difference, of_second):
        summed *= 1 / np.where(summed[-1] > 0, summed[-1], np.nan)
    difference -= of_second
    distance: Float64 = np.maximum(difference.max(axis=0), -difference.min(axis=0))
    return distance


def _comparisons(
    class_names: Sequence[str],
    observed: Float64,
    single: Float64,
    corrected: Float64,
    split_numbers: tuple[FirstOrder, FirstOrder],
    half_widths: Float64,
) -> list[ComparedQuantity]:
    training, test = split_numbers
    quantities = [("loss", None), ("accuracy", None), *(("auc", name) for name in class_names)]
    differences = training.value - test.value
    intervals = compute_intervals(differences, half_widths, training.known & test.known)
    comparisons = [
        ComparedQuantity(
            quantity,
            name,
            None,
            float(training.value[number]),
            float(test.value[number]),
            float(differences[number]),
            intervals[number],
            float(single[number]),
            float(corrected[number]),
        )
        for number, (quantity, name) in enumerate(quantities)
    ]
    pairs = [(true, score) for true in class_names for score in class_names]
    for number, (true, score) in enumerate(pairs, start=len(quantities)):
        values = (float(observed[number]), None, float(single[number]), float(corrected[number]))
        comparisons.append(ComparedQuantity("score", true, score, None, None, *values))
    return comparisons
