"""Is the network better on the events that it was trained on? The two-sample Kolmogorov-Smirnov test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.errors import TamisError
from tamis.evaluation.arrays import (
    ROUNDING,
    classes_of,
    finite_numbers,
    needed_sum,
    positive_sum,
    real_numbers,
    weights_of,
)
from tamis.evaluation.units import Units, raised_powers, share_with_unit, squared_sum, units_of_rows


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """Whether two weighted samples come from one distribution.

    Args:
        distance: the largest difference of the two weighted cumulative distributions.
        p_value: chance of a distance at least as large if both come from one distribution.
        effective_training: effective number of events (sum w)^2 / sum w^2 of the first (training) sample.
        effective_test: the same of the second (test) sample.
    """

    distance: float
    p_value: float
    effective_training: float
    effective_test: float


class Distribution:
    """Weighted values, sorted once, of which parts are compared with the rest.

    Args:
        values: [n_events].
        weight: signed weight, [n_events].
    """

    def __init__(self, values: NDArray[np.floating], weight: NDArray[np.float64]) -> None:
        """Sort the events by their value."""
        self._order = np.argsort(values)  # equal values in any order: the sums at their end are compared
        rising = values.take(self._order)
        # between equal values distributions are not compared
        last = np.append(rising[1:] != rising[:-1], True)
        self._last = None if last.all() else last
        self._weight = weight.take(self._order)
        self._everything = np.cumsum(self._weight)

    def distance(self, inside: NDArray[np.bool_]) -> float:
        """Give the largest distance of the cumulative distributions of some events and of the others.

        Args:
            inside: which events, [n_events].

        Returns:
            NaN where one of the two has no positive sum of weights.
        """
        # with A and B the sums of some events and of all: A / A_end - (B - A) / (B_end - A_end), in place
        summed = np.multiply(self._weight, inside.take(self._order))
        np.cumsum(summed, out=summed)
        total, rest = float(summed[-1]), float(self._everything[-1] - summed[-1])
        if total <= 0 or rest <= 0:
            return np.nan
        summed *= 1 / total + 1 / rest
        summed -= self._everything / rest
        np.abs(summed, out=summed)
        if self._last is not None:
            summed *= self._last
        return float(summed.max())

    def cumulative(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum numbers of the events up to each of their different values, [values]."""
        summed: NDArray[np.float64] = np.cumsum(numbers.take(self._order))
        return summed if self._last is None else summed[self._last]


def kolmogorov_smirnov(
    first: ArrayLike,
    first_weight: ArrayLike,
    second: ArrayLike,
    second_weight: ArrayLike,
    *,
    units: tuple[Units | None, Units | None] = (None, None),
) -> KolmogorovSmirnov:
    r"""Compare two samples of signed weighted values, without bins.

    With n = n_1 n_2 / (n_1 + n_2) from the effective numbers and D the distance, the p-value is that of the
    Kolmogorov distribution at (sqrt(n) + 0.12 + 0.11 / sqrt(n)) D / s. The bracket is the small-sample form
    of Stephens, J. R. Stat. Soc. B 32 (1970) 115; in null toys it fires closer to the nominal rate than
    sqrt(n) D.

    The scale s is 1 where weights do not depend on the value: then the difference of the distributions tends
    to a Brownian bridge, whatever the weights and their signs. It is not one where a few heavy events sit
    at one side, as in a class made of several processes: with F the cumulative sum of weights, v that of
    squared weights (both end at 1) the limit is W(v) - F W(1), W a Brownian motion, with variance
    v (1 - v) + (v - F)^2 instead of F (1 - F). s is its largest standard deviation over 1/2, that of the
    bridge. This gives the exponent of the tail of the supremum (Marcus and Shepp, 6th Berkeley Symp. 2
    (1972) 423), so the test errs on the safe side: such samples fire at 2% to 5% of null toys at a nominal
    5%, and at more than 10% without s.

    Where several events vary together, v is the sum over units of the squared sum of the weights that a unit has up
    to a value, and c that of these sums times those of the whole unit, both over the sum of the latter squared. The
    variance of the difference is then v - 2 F c + F^2, with c = v where every event stands for itself.

    The formula is asymptotic: it needs some tens of effective events, also among the heavy ones. Equal
    values (scores that saturate) make the test fire less often than nominal.

    Args:
        first: values of the training sample. Shape [n_first].
        first_weight: their signed physics weights. Shape [n_first].
        second: values of the test sample. Shape [n_second].
        second_weight: their signed physics weights. Shape [n_second].
        units: for each sample the number of what each event belongs to, where several events vary together. Shapes
            [n_first] and [n_second].

    Raises:
        TamisError: if arrays do not fit together, or a sum of weights is not positive.

    Example:
        >>> same = kolmogorov_smirnov([1.0, 2.0, 3.0], [1.0] * 3, [1.0, 2.0, 3.0], [1.0] * 3)
        >>> same.distance, same.p_value
        (0.0, 1.0)
        >>> kolmogorov_smirnov([0.1, 0.2], [1.0, 1.0], [0.8, 0.9], [1.0, 1.0]).distance
        1.0
    """
    samples = [
        _sample(first, first_weight, "first sample"),
        _sample(second, second_weight, "second sample"),
    ]
    sizes = [squared_sum(weight, of_sample) for (_, weight), of_sample in zip(samples, units, strict=True)]
    effective = [float(weight.sum()) ** 2 / size for (_, weight), size in zip(samples, sizes, strict=True)]
    values, weights = (np.concatenate(pair) for pair in zip(*samples, strict=True))
    distribution = Distribution(values, weights)
    distance = distribution.distance(np.arange(len(values)) < len(samples[0][0]))

    def pooled(numbers: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return distribution.cumulative(_pooled(numbers, effective))

    described = list(zip(samples, units, sizes, strict=True))
    spread = shared = pooled(
        [raised_powers(-value, weight, of_sample)[0] / size for (value, weight), of_sample, size in described]
    )
    if any(of_sample is not None for of_sample in units):
        shared = pooled(
            [weight * share_with_unit(weight, of_sample) / size for (_, weight), of_sample, size in described]
        )
    scale = _scale(pooled([weight / weight.sum() for _, weight in samples]), spread, shared)
    root = float(np.sqrt(effective[0] * effective[1] / sum(effective)))
    return KolmogorovSmirnov(
        distance=distance,
        p_value=float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance / scale)),
        effective_training=effective[0],
        effective_test=effective[1],
    )


def overtraining_tests(
    scores_training: ArrayLike,
    class_training: ArrayLike,
    weight_training: ArrayLike,
    scores_test: ArrayLike,
    class_test: ArrayLike,
    weight_test: ArrayLike,
    *,
    units: tuple[Units | None, Units | None] = (None, None),
) -> tuple[tuple[KolmogorovSmirnov | None, ...], ...]:
    """Compare training and test events for each true class and each score.

    The tests of one network are many and depend on each other: among nine p-values one below 0.05 is no
    surprise.

    Args:
        scores_training: shape [n_training, n_classes].
        class_training: true class. Shape [n_training].
        weight_training: signed physics weight. Shape [n_training].
        scores_test: shape [n_test, n_classes].
        class_test: true class. Shape [n_test].
        weight_test: signed physics weight. Shape [n_test].
        units: for training and test the number of what each event belongs to, where several events vary together.
            Shapes [n_training] and [n_test].

    Returns:
        `result[true_class][score]`; None for a class without a positive sum of weights in one of the parts.

    Raises:
        TamisError: if arrays do not fit together.
    """
    training = finite_numbers(scores_training, "training scores", dimensions=2)
    test = finite_numbers(scores_test, "test scores", dimensions=2)
    if training.shape[1] != test.shape[1]:
        raise TamisError(
            f"overtraining: the training has {training.shape[1]} scores per event, the test {test.shape[1]}"
        )
    classes = training.shape[1]
    training_class = classes_of(class_training, len(training), classes, "training class_index")
    test_class = classes_of(class_test, len(test), classes, "test class_index")
    training_weight = weights_of(weight_training, len(training), "training weight")
    test_weight = weights_of(weight_test, len(test), "test weight")
    rows = [(training_class == index, test_class == index) for index in range(classes)]
    return tuple(
        _tests_of_class(
            training[in_training],
            training_weight[in_training],
            test[in_test],
            test_weight[in_test],
            (units_of_rows(units[0], in_training), units_of_rows(units[1], in_test)),
        )
        for in_training, in_test in rows
    )


def _tests_of_class(
    training: NDArray[np.float64],
    training_weight: NDArray[np.float64],
    test: NDArray[np.float64],
    test_weight: NDArray[np.float64],
    units: tuple[Units | None, Units | None],
) -> tuple[KolmogorovSmirnov | None, ...]:
    if positive_sum(training_weight) is None or positive_sum(test_weight) is None:
        return tuple(None for _ in training.T)
    return tuple(
        kolmogorov_smirnov(first, training_weight, second, test_weight, units=units)
        for first, second in zip(training.T, test.T, strict=True)
    )


def _sample(
    values: ArrayLike, weight: ArrayLike, what: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    numbers = real_numbers(values, what)
    weights = weights_of(weight, len(numbers), f"weight of the {what}")
    needed_sum(weights, f"Kolmogorov-Smirnov test: the weights of the {what}")
    return numbers, weights


def _pooled(parts: list[NDArray[np.float64]], effective: list[float]) -> NDArray[np.float64]:
    # Each part sums to one: under the null hypothesis all estimate the same, some better than others.
    return np.concatenate([part * number for part, number in zip(parts, effective, strict=True)]) / sum(
        effective
    )


def _scale(share: NDArray[np.float64], spread: NDArray[np.float64], shared: NDArray[np.float64]) -> float:
    # what events have in common with later ones of their unit; nothing where every event stands for itself
    excess = shared - spread
    variance = spread * (1 - spread) + np.square(spread - share) - 2 * share * excess
    # Where the share is one half the variance is 1/4 (without the excess); a sample may jump over that point.
    at_half = 0.25 - excess[np.argmin(np.abs(share - 0.5))]
    # events of one unit may cancel up to rounding
    return 2 * float(np.sqrt(max(at_half, variance.max(), ROUNDING)))
