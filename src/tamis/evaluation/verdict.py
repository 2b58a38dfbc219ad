"""The verdict on overtraining: training against test, by permutations, with one correction for all comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import special

from tamis.errors import TamisError
from tamis.evaluation.arrays import ROUNDING, classes_of, positive_sum, probabilities_of
from tamis.evaluation.intervals import around
from tamis.evaluation.metrics import loss_and_accuracy_sums
from tamis.evaluation.parts import FirstOrder, measure_to_first_order
from tamis.evaluation.resampling import (
    CellSums,
    Column,
    Counts,
    area_of_sums,
    in_blocks,
    linear_sums,
    permuted_labels,
)
from tamis.evaluation.scored import ScoredEvents, join

Float64 = NDArray[np.float64]

PERMUTATIONS = 199
"""Permutations; the smallest p-value that they can give is one in one more."""
_ROUNDS = 10
"""Times that the number of permutations is drawn at most, to have as many in which all sums of weights are positive."""
_CELLS = 2048
"""Cells of a score: what a distance loses inside one is small beside what it varies, and the same in permutations."""
SHARE_OF_LOSS = 0.8
"""Part of the level that the comparison of the losses has; the others share the rest."""
LEVEL = 0.05
"""Corrected p-value up to which a classifier is called overtrained."""


@dataclass(frozen=True)
class Comparison:
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
        corrected: probability that any of the comparisons deviates as much, without overtraining.
    """

    quantity: str
    class_name: str | None
    score: str | None
    training: float | None
    test: float | None
    difference: float
    interval: tuple[float, float] | None
    p_value: float
    corrected: float

    @property
    def name(self) -> str:
        """The quantity for people."""
        match self.quantity:
            case "score":
                return f"the score of {self.score} for events of {self.class_name}"
            case "auc":
                return f"the AUC of {self.class_name}"
            case _:
                return f"the {self.quantity}"

    @property
    def most(self) -> str:
        """Say that this comparison deviates most, and by how much."""
        if self.quantity == "score":
            return f"most differs {self.name}, whose distributions are {self.difference:.4f} apart"
        return f"most differs {self.name}, by {self.difference:+.4f}"


@dataclass(frozen=True)
class Verdict:
    """Whether a classifier is overtrained.

    Args:
        comparisons: every quantity that was compared.
        permutations: number of permutations.
    """

    comparisons: tuple[Comparison, ...]
    permutations: int

    @property
    def worst(self) -> Comparison:
        """The comparison that deviates most."""
        return min(self.comparisons, key=lambda each: (each.corrected, each.p_value))

    @property
    def p_value(self) -> float:
        """The smallest corrected p-value: that of the whole."""
        return self.worst.corrected

    @property
    def overtrained(self) -> bool:
        """Whether training and test events differ by more than chance allows at the 5% level."""
        return self.p_value <= LEVEL

    @property
    def sentence(self) -> str:
        """The verdict in one sentence that can be quoted."""
        loss = next(each for each in self.comparisons if each.quantity == "loss")
        gap = (
            f"in the balanced mixture the loss is {loss.training:.4f} in training and {loss.test:.4f} in test"
        )
        size = f"training minus test {loss.difference:+.4f}"
        if loss.interval is not None:
            size += " [{:+.4f}, {:+.4f}]".format(*loss.interval)
        if self.overtrained:
            return f"{self.headline}: {gap}, {size}; {self.worst.most}."
        return f"{self.headline}: {gap}, {size}."

    @property
    def headline(self) -> str:
        """The verdict and how sure it is, without the numbers that were compared."""
        found = self.p_value
        # no permutation deviated as much: all that is known is that the p-value is not larger
        least = found <= 1 / (self.permutations + 1)
        sure = f"p {'<=' if least else '='} {found:.3g}, corrected for {len(self.comparisons)} comparisons"
        return f"{'Overtrained' if self.overtrained else 'No sign of overtraining'} ({sure})"

    def to_dict(self) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "overtrained": self.overtrained,
            "sentence": self.sentence,
            "p_value": self.p_value,
            "level": LEVEL,
            "permutations": self.permutations,
            "comparisons": [vars(each) for each in self.comparisons],
        }


def judge_overtraining(
    training: ScoredEvents,
    test: ScoredEvents,
    class_names: Sequence[str],
    *,
    generator: Generator,
    permutations: int = PERMUTATIONS,
    numbers: Callable[[], tuple[FirstOrder, FirstOrder]] | None = None,
) -> Verdict | None:
    r"""Compare training and test events in everything that is quoted of them.

    Without overtraining it is of no matter to the network which events it was trained on, so that training and
    test events of a class may be exchanged. All comparisons are made anew for each permutation of them. The loss,
    the accuracy and the areas under the curve count where training is better than test; the distributions of each
    score for each true class by the largest distance of their cumulative distributions. `corrected_p_values` joins
    them: the loss, which is what a training minimises, has most of the level. A corrected p-value is the fraction of
    permutations (with the events as they are among them) in which any comparison deviates as much (P. Westfall and S.
    Young, "Resampling-based multiple testing", Wiley 1993). It is exact where the training and test events of a class
    are drawn alike, whatever their weights and the correlations of the comparisons. A permutation that gives a class
    of one part no positive sum of weights is drawn again: among those that do not, the events as they are may be any.

    Args:
        training: events that the network learned from.
        test: events that it never saw.
        class_names: in the order of the scores.
        generator: where the random numbers come from.
        permutations: number of permutations.
        numbers: gives the numbers of training and test in the mixture that the network learned, where they are known.

    Returns:
        None where a class has no positive sum of weights in training or test, or has one in fewer than one of ten
        permutations.

    Raises:
        TamisError: the arrays do not fit together.
    """
    classes = range(len(class_names))
    for part in (training, test):
        if part.scores.shape[1:] != (len(class_names),):
            raise TamisError(
                f"overtraining: expected {len(class_names)} scores of each event, found {part.scores.shape}"
            )
        if any(positive_sum(part.weight[part.class_index == index]) is None for index in classes):
            return None
    pool = join(training, test)
    # events of a class follow each other: their labels are shuffled in one piece
    by_class = np.argsort(pool.class_index, kind="stable")
    pool, is_training = pool.take(by_class), by_class < len(training)
    deviations = _Deviations(pool)
    observed = deviations.of(is_training[:, None])
    if not np.isfinite(observed[0, 2 + len(classes) :]).all():
        return None  # the weights of one part are lost by rounding beside those of the other
    units = pool.units
    groups = [np.flatnonzero(pool.class_index == index) for index in classes]

    def permute(number: int, own: Generator) -> Float64:
        return deviations.of(permuted_labels(is_training, groups, number, own, units))

    drawn = np.empty((0, observed.shape[1]))
    for _ in range(_ROUNDS):
        more = in_blocks(permute, permutations, len(pool), generator, sums=deviations.size)
        drawn = np.concatenate([drawn, more[np.isfinite(more[:, 2 + len(classes) :]).all(axis=1)]])
        if len(drawn) >= permutations:
            break
    else:
        return None
    drawn = drawn[:permutations]
    single, corrected = corrected_p_values(observed[0], drawn)
    parts = (
        numbers()
        if numbers
        else [measure_to_first_order(part, [part.learned_weight])[0] for part in (training, test)]
    )
    return Verdict(tuple(_comparisons(class_names, observed[0], single, corrected, parts)), permutations)


class _Deviations:
    """How much events with a label differ from those without it, in everything that is compared."""

    def __init__(self, pool: ScoredEvents) -> None:
        weight, classes = pool.learned_weight, pool.class_index
        scores = probabilities_of(pool.scores)
        columns = [Column(score, classes, scores.shape[1], index) for index, score in enumerate(scores.T)]
        self._linear = loss_and_accuracy_sums(scores, classes_of(classes, *scores.shape), weight)
        self._cells = CellSums(columns, weight, _CELLS)
        self._linear_of_all = self._linear.sum(axis=1, keepdims=True)
        self._resolved = ROUNDING * np.bincount(classes, np.abs(weight), scores.shape[1])[:, None]
        self._cells_of_all = self._cells.sums(np.ones((len(pool), 1), np.bool_))

    @property
    def size(self) -> int:
        """Number of sums that a labelling takes in memory."""
        return self._cells.size

    def of(self, labels: Counts) -> Float64:
        """Compute the deviations of some labellings, [labellings, quantities]; a larger one is more overtraining."""
        sums = linear_sums(self._linear, labels)
        gaps = _means(sums) - _means(self._linear_of_all - sums)
        areas, distances = [], []
        for index, (of_all, labelled) in enumerate(
            zip(self._cells_of_all, self._cells.sums(labels), strict=True)
        ):
            others = of_all - labelled
            areas.append(_area_of_class(labelled, index) - _area_of_class(others, index))
            distances.append(_distances(labelled, others))
        # a smaller loss is better; distances by true class, then by score
        deviations = np.stack(
            [-gaps[0], gaps[1], *areas, *np.concatenate(np.stack(distances, axis=1))], axis=1
        )
        # the sums of the others are differences: of a part that is lost beside the other nothing is known
        lost = np.minimum(*(np.abs(part.sum(axis=0)) for part in (labelled, others))) <= self._resolved
        deviations[lost.any(axis=0)] = np.nan
        return deviations


def _means(sums: Float64) -> Float64:
    """Divide sums by the sum of weights, which stands first; NaN where that is not positive."""
    means: Float64 = sums[1:] / np.where(sums[0] > 0, sums[0], np.nan)
    return means


def _area_of_class(sums: Float64, index: int) -> Float64:
    """Compute the area under the curve of a class against all others, [labellings]."""
    signal = sums[:, index]
    return area_of_sums(signal, sums.sum(axis=1) - signal)


def _distances(first: Float64, second: Float64) -> Float64:
    """Compute the largest distances of cumulative distributions, [classes, labellings]; NaN where one is not defined.

    Args:
        first: sums of weights by rising score, [cells, classes, labellings].
        second: likewise.
    """
    difference, of_second = (_cumulative(sums) for sums in (first, second))
    difference -= of_second
    distance: Float64 = np.maximum(difference.max(axis=0), -difference.min(axis=0))
    return distance


def _cumulative(sums: Float64) -> Float64:
    """Sum by rising score, as shares of the whole; NaN where that is not positive."""
    summed: Float64 = np.cumsum(sums, axis=0)
    summed *= 1 / np.where(summed[-1] > 0, summed[-1], np.nan)
    return summed


def corrected_p_values(observed: Float64, drawn: Float64) -> tuple[Float64, Float64]:
    """Compute the p-value of each quantity alone, and corrected for there being several.

    Each quantity is brought to a normal distribution over the permutations, as far as mean, deviation and skewness go:
    distances are skewed, and of several standardised numbers the skewed ones are the largest. The first quantity has
    the part `SHARE_OF_LOSS` of the level, and the largest of the others the rest: a quantity has the normal
    p-value of the first, or of the largest of the others, divided by its part, and the smallest of all counts.
    What is done to the events as they are is done to each permutation, so the result is exact, whatever the shapes.

    Args:
        observed: how much each quantity deviates; larger is more, [quantities].
        drawn: the same for each permutation, [permutations, quantities]; what cannot be computed counts as more.

    Returns:
        The p-values and the corrected ones, [quantities] each.

    >>> single, corrected = corrected_p_values(np.array([9.0, 0.5]), np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 2.0]]))
    >>> single.tolist(), corrected.tolist()
    ([0.25, 0.75], [0.25, 1.0])
    """
    everything = np.concatenate([observed[None], drawn])
    # differences of rounding alone are none
    known = np.where(np.isfinite(everything), everything, np.nan).round(12)
    known[:, np.isnan(known[0])] = 0.0  # what is not defined for the events as they are says nothing
    normal = _to_normal(known)
    single = (normal >= normal[0] - 1e-9).mean(axis=0)
    sizes = -special.log_ndtr(-normal)
    sizes[:, 0] += np.log(SHARE_OF_LOSS)
    if sizes.shape[1] > 1:
        largest = normal[:, 1:].max(axis=1, keepdims=True)
        # the others on the scale of the largest of them
        others = _to_normal(np.concatenate([largest, normal[:, 1:]], axis=1), reference=largest[:, 0])[:, 1:]
        sizes[:, 1:] = -special.log_ndtr(-others) + np.log(1 - SHARE_OF_LOSS)
    corrected = (sizes.max(axis=1)[:, None] >= sizes[0] - 1e-9).mean(axis=0)
    return single, corrected


def _to_normal(values: Float64, reference: Float64 | None = None) -> Float64:
    """Bring columns to mean 0, deviation 1 and skewness 0, as far as a gamma distribution describes them.

    The moments for a row are those of all other rows: a row that is far from all others does not hide behind them.
    Source: E. Wilson and M. Hilferty, Proc. Natl. Acad. Sci. 17 (1931) 684.

    Args:
        values: [rows, columns]; NaN becomes infinity.
        reference: what has this mean, deviation and skewness, [rows]; by default each column.
    """
    of = values if reference is None else reference[:, None]
    known = np.isfinite(of)
    centre = np.nanmean(np.where(known, of, np.nan), axis=0)
    width = np.nanstd(np.where(known, of, np.nan), axis=0)
    size = np.where(width > 0, width, 1)
    scaled = np.where(known, (of - centre) / size, 0)
    number = np.maximum(known.sum(axis=0) - known, 1)
    first, second, third = ((scaled**power).sum(axis=0) - scaled**power for power in (1, 2, 3))
    mean = first / number
    variance = second / number - mean**2
    deviation = np.sqrt(np.maximum(variance, 1e-6))
    skewness = (third / number - 3 * mean * second / number + 2 * mean**3) / deviation**3
    skewness = np.clip(skewness, -2, 2)
    skewness = np.where(np.abs(skewness) < 1e-3, 1e-3, skewness)
    unit = np.where(np.isfinite(values), (values - centre) / size, 0)
    unit = np.where(width > 0, unit - mean, 0) / deviation
    base = np.maximum(1 + skewness / 2 * unit, 1e-9)
    normal = 6 / skewness * (np.cbrt(base) - 1) + skewness / 6
    return np.where(np.isnan(values) | np.isposinf(values), np.inf, normal)


def _comparisons(
    class_names: Sequence[str],
    observed: Float64,
    single: Float64,
    corrected: Float64,
    parts: Sequence[FirstOrder],
) -> list[Comparison]:
    training, test = parts
    quantities = [("loss", None), ("accuracy", None), *(("auc", name) for name in class_names)]
    differences, errors = training.value - test.value, np.hypot(training.error, test.error)
    known = training.known & test.known
    found = [
        Comparison(
            quantity,
            name,
            None,
            float(training.value[number]),
            float(test.value[number]),
            float(differences[number]),
            around(float(differences[number]), float(errors[number])) if known[number] else None,
            float(single[number]),
            float(corrected[number]),
        )
        for number, (quantity, name) in enumerate(quantities)
    ]
    pairs = [(true, score) for true in class_names for score in class_names]
    for number, (true, score) in enumerate(pairs, start=len(quantities)):
        values = (float(observed[number]), None, float(single[number]), float(corrected[number]))
        found.append(Comparison("score", true, score, None, None, *values))
    return found
