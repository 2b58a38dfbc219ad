"""The two-sample Kolmogorov-Smirnov test of training and test events, with signed weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tamis.arrays import Float64
from tamis.statistics.arrays import (
    ROUNDING,
    check_positive_sum,
    check_real_numbers,
    check_scored,
    check_weights,
    positive_sum,
)
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.units import (
    Units,
    compute_power_increments,
    compute_squared_sum,
    compute_unit_sums,
    select_units,
)


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """The comparison of two weighted samples.

    Args:
        distance: the largest difference of the two weighted cumulative distributions.
        p_value: probability of a distance at least as large if both come from one distribution.
        training_effective_sample_size: of the first (training) sample.
        test_effective_sample_size: of the second (test) sample.
    """

    distance: float
    p_value: float
    training_effective_sample_size: float
    test_effective_sample_size: float


def compute_kolmogorov_smirnov(
    first: ArrayLike,
    first_weight: ArrayLike,
    second: ArrayLike,
    second_weight: ArrayLike,
    *,
    units: tuple[Units | None, Units | None] = (None, None),
) -> KolmogorovSmirnov:
    """Compare two samples (training and test) of signed weighted values, without bins.

    With n = n_1 n_2 / (n_1 + n_2) from the effective sample sizes and D the distance, the p-value is that of the
    Kolmogorov distribution at (sqrt(n) + 0.12 + 0.11 / sqrt(n)) D / s. The bracket is the small-sample form of
    Stephens, J. R. Stat. Soc. B 32 (1970) 115; in null toys its rate is closer to the nominal rate than that of sqrt(n)
    D.

    The scale s is 1 if weights do not depend on the value: then the difference of the distributions tends to a Brownian
    bridge, for all weights and signs. It is not one if a few heavy events are at one side, as in a class made of
    several processes: with F the cumulative sum of weights, v that of squared weights (both end at 1) the limit is W(v)
    - F W(1), W a Brownian motion, with variance v (1 - v) + (v - F)^2 instead of F (1 - F). s is its largest standard
    deviation over 1/2, that of the bridge. This gives the exponent of the tail of the supremum (Marcus and Shepp, 6th
    Berkeley Symp. 2 (1972) 423), so that the test is conservative: such samples are rejected in 2% to 5% of null toys
    at a nominal 5%, and in more than 10% without s.

    If several events vary together, v is the sum over units of the squared sum of the weights that a unit has up to a
    value, and c that of these sums times those of the whole unit, both over the sum of the latter squared. The variance
    of the difference is then v - 2 F c + F^2, with c = v if all events are independent.

    The formula is asymptotic: it needs some tens of effective events, also among the heavy ones. Equal values
    (saturated scores) make the test conservative.

    >>> same = compute_kolmogorov_smirnov([1.0, 2.0, 3.0], [1.0] * 3, [1.0, 2.0, 3.0], [1.0] * 3)
    >>> same.distance, same.p_value
    (0.0, 1.0)
    >>> compute_kolmogorov_smirnov([0.1, 0.2], [1.0, 1.0], [0.8, 0.9], [1.0, 1.0]).distance
    1.0
    """
    samples = [
        _check_sample(first, first_weight, "first sample"),
        _check_sample(second, second_weight, "second sample"),
    ]
    sizes = [
        compute_squared_sum(weight, of_sample) for (_, weight), of_sample in zip(samples, units, strict=True)
    ]
    effective = [float(weight.sum()) ** 2 / size for (_, weight), size in zip(samples, sizes, strict=True)]
    values, weights = (np.concatenate(pair) for pair in zip(*samples, strict=True))
    order = np.argsort(values)  # equal values in any order: only the sums at the last of them are compared
    rising = values.take(order)
    last_of_equals = np.append(rising[1:] != rising[:-1], True)
    is_first, sorted_weight = order < len(samples[0][0]), weights.take(order)

    def sum_up(numbers: Float64, factors: Sequence[float]) -> Float64:
        """Sum numbers of the events, times a factor of their sample, up to each of their different values."""
        summed = np.where(is_first, *factors)
        summed *= numbers
        np.cumsum(summed, out=summed)
        return summed if last_of_equals.all() else summed[last_of_equals]

    def pool(numbers: Float64, totals: Sequence[float]) -> Float64:
        # Each sample sums to one: under the null hypothesis both estimate the same, one better than the other.
        share = [number / sum(effective) for number in effective]
        return sum_up(numbers, (share[0] / totals[0], share[1] / totals[1]))

    def pool_by_unit(of_unit: Callable[[Float64, Float64, Units | None], Float64]) -> Float64:
        numbers = [
            of_unit(*sample, sample_units) for sample, sample_units in zip(samples, units, strict=True)
        ]
        return pool(np.concatenate(numbers).take(order), sizes)

    totals = [float(weight.sum()) for _, weight in samples]
    distance = float(np.abs(sum_up(sorted_weight, (1 / totals[0], -1 / totals[1]))).max())
    if units[0] is units[1] is None:
        spread = shared = pool(np.square(sorted_weight), sizes)
    else:
        spread = pool_by_unit(lambda value, weight, unit: compute_power_increments(-value, weight, unit)[0])
        shared = pool_by_unit(lambda _value, weight, unit: weight * compute_unit_sums(weight, unit))
    scale = _scale(pool(sorted_weight, totals), spread, shared)
    root = float(np.sqrt(effective[0] * effective[1] / sum(effective)))
    return KolmogorovSmirnov(
        distance=distance,
        p_value=float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance / scale)),
        training_effective_sample_size=effective[0],
        test_effective_sample_size=effective[1],
    )


def compute_kolmogorov_smirnov_tests(
    training: ScoredEvents, test: ScoredEvents
) -> tuple[tuple[KolmogorovSmirnov | None, ...], ...]:
    """Compare training and test events for each true class and each score, `result[true_class][score]`.

    The tests of one network are many and correlated: among nine p-values, one below 0.05 is not unusual. A class
    without a positive sum of weights in training or test events has none.
    """
    checked = [check_scored(events.scores, events.class_index, events.weight) for events in (training, test)]
    count = checked[0][0].shape[1]
    tests: list[tuple[KolmogorovSmirnov | None, ...]] = []
    for index in range(count):
        rows = [classes == index for _, classes, _ in checked]
        first, second = (weight[chosen] for (*_, weight), chosen in zip(checked, rows, strict=True))
        if positive_sum(first) is None or positive_sum(second) is None:
            tests.append((None,) * count)
            continue
        units = select_units(training.units, rows[0]), select_units(test.units, rows[1])
        scores = (of_split[chosen].T for (of_split, *_), chosen in zip(checked, rows, strict=True))
        tests.append(
            tuple(
                compute_kolmogorov_smirnov(of_training, first, of_test, second, units=units)
                for of_training, of_test in zip(*scores, strict=True)
            )
        )
    return tuple(tests)


def _check_sample(values: ArrayLike, weight: ArrayLike, name: str) -> tuple[Float64, Float64]:
    numbers = check_real_numbers(values, name)
    weights = check_weights(weight, len(numbers), f"weight of the {name}")
    check_positive_sum(weights, f"Kolmogorov-Smirnov test: the weights of the {name}")
    return numbers, weights


def _scale(share: Float64, spread: Float64, shared: Float64) -> float:
    # spread - 2 share shared + share^2, in place
    variance = share - 2 * shared
    variance *= share
    variance += spread
    # At a share of one half the variance is 1/4 (without the excess), but a sample may jump over that point.
    at_half = 0.25
    if shared is not spread:
        middle = np.argmin(np.abs(share - 0.5))
        at_half -= shared[middle] - spread[middle]
    # events of one unit may cancel up to rounding
    return 2 * float(np.sqrt(max(at_half, variance.max(), ROUNDING)))
