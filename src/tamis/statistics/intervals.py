"""Intervals with 68.3% coverage for few events, widely spread weights and numbers near a bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.arrays import Float64
from tamis.statistics.arrays import ROUNDING, compute_effective_sample_size
from tamis.statistics.influence import compute_standard_errors
from tamis.statistics.units import Units, select_units, sum_by_unit

Interval = tuple[float, float]
Scale = Literal["linear", "log", "logit"]

COVERAGE = 0.683
FEWEST = 25.0
"""Effective sample size of a class from which an interval is quoted; with fewer events the coverage is wrong."""


def has_area_interval(is_class: NDArray[np.bool_], weight: Float64, units: Units | None = None) -> bool:
    """Return whether a class and the other classes have enough effective events for the interval of an area."""
    return all(
        weight[rows].sum() > 0 and has_enough_events(weight[rows], select_units(units, rows))
        for rows in (is_class, ~is_class)
    )


def has_enough_events(weight: Float64, units: Units | None = None, fewest: float = FEWEST) -> bool:
    """Return whether the effective sample size is at least `fewest`, up to rounding.

    >>> has_enough_events(np.full(25, 0.1)), has_enough_events(np.full(24, 0.1))
    (True, False)
    """
    return compute_effective_sample_size(weight, units) >= fewest * (1 - 1e-9)


def compute_degrees_of_freedom(of_event: Float64, units: Units | None = None) -> Float64:
    """Compute the degrees of freedom of the sums of squared influences, [n_events, numbers]; at least one, [numbers].

    The sum fluctuates itself, the more the fewer events contribute. Its degrees of freedom are about its square over
    the sum of the fourth powers (F. Satterthwaite, Biometrics Bull. 2 (1946) 110).

    >>> compute_degrees_of_freedom(np.ones((4, 1)))
    array([4.])
    """
    squares = np.square(sum_by_unit(of_event, units))
    sums, fourths = squares.sum(axis=0), np.square(squares).sum(axis=0)
    freedom = np.divide(sums**2, fourths, out=np.ones_like(sums), where=fourths > 0)
    at_least_one: Float64 = np.maximum(freedom, 1.0)
    return at_least_one


def compute_student_factors(freedom: ArrayLike) -> Float64:
    """Compute the factors between a standard error and the half width of an interval from the degrees of freedom.

    >>> compute_student_factors([4.0, 1000.0]).round(3).tolist()
    [1.142, 1.001]
    """
    return np.asarray(special.stdtrit(np.asarray(freedom, np.float64), (1 + COVERAGE) / 2), np.float64)


def combine_degrees_of_freedom(errors: Sequence[ArrayLike], freedoms: Sequence[ArrayLike]) -> Float64:
    """Compute the degrees of freedom of the error of a sum or a difference of independent numbers.

    Source: B. Welch, Biometrika 34 (1947) 28.

    >>> combine_degrees_of_freedom([1.0, 1.0], [10.0, 10.0]), combine_degrees_of_freedom([1.0, 0.0], [10.0, 10.0])
    (array(20.), array(10.))
    """
    variances = [np.square(np.asarray(error, np.float64)) for error in errors]
    fourths = np.sum(
        [np.square(variance) / freedom for variance, freedom in zip(variances, freedoms, strict=True)], axis=0
    )
    total = np.square(np.sum(variances, axis=0))
    return np.asarray(np.divide(total, fourths, out=np.ones_like(total), where=fourths > 0), np.float64)


def compute_half_widths(of_event: Float64, units: Units | None = None) -> Float64:
    """Compute half the width of the interval of each number: its standard error times its factor of Student."""
    factors = compute_student_factors(compute_degrees_of_freedom(of_event, units))
    errors: Float64 = compute_standard_errors(of_event, units) * factors
    return errors


def compute_interval(value: float, error: float, scale: Scale = "linear") -> Interval | None:
    """Return the interval of a number that is symmetric on a scale; None if the number is at its bound.

    `error` is half the width of the interval, to first order. The number is about normally distributed on the scale:
    linear, logarithm, or log-odds.

    >>> compute_interval(0.5, 0.1), compute_interval(1.0, 0.1, "logit"), compute_interval(1.5, 0.25, "logit")
    ((0.4, 0.6), None, (1.25, 1.75))
    """
    if not np.isfinite(value) or not np.isfinite(error):
        return None
    match scale:
        case "linear":
            return value - error, value + error
        case "log":
            if value <= 0:
                return None
            return value * float(np.exp(-error / value)), value * float(np.exp(error / value))
        case "logit":
            if value < -ROUNDING or value > 1 + ROUNDING:
                return value - error, value + error  # signed weights may move estimates beyond their bounds
            if not 0 < value < 1:
                return None
            width = error / (value * (1 - value))
            middle = special.logit(value)
            return float(special.expit(middle - width)), float(special.expit(middle + width))


def compute_intervals(
    values: Float64, errors: Float64, known: ArrayLike, scales: Sequence[Scale] = ()
) -> tuple[Interval | None, ...]:
    """Return the interval of each number (`compute_interval`); None for one that is not known well enough."""
    linear: list[Scale] = ["linear"] * len(values)
    numbers = zip(values.tolist(), errors.tolist(), np.asarray(known), scales or linear, strict=True)
    return tuple(
        compute_interval(value, error, scale) if enough else None for value, error, enough, scale in numbers
    )


def compute_central_interval(replicas: ArrayLike) -> Interval | None:
    """Return the central interval of bootstrap replicas; None if one of them is undefined.

    >>> [round(edge, 1) for edge in compute_central_interval(np.arange(1001))]
    [158.5, 841.5]
    """
    values = np.asarray(replicas, np.float64)
    if not values.size or not np.isfinite(values).all():
        return None
    low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]).tolist()
    return low, high


def compute_bootstrap_interval(
    value: float, replicas: ArrayLike, factor: float, scale: Scale
) -> Interval | None:
    """Compute the interval of a number from its bootstrap replicas, symmetric on a scale (`compute_interval`).

    The width of the central interval of the replicas is multiplied by a factor (`compute_student_factors`). The result
    is None if a replica is undefined, or if the number is at its bound.
    """
    central = compute_central_interval(replicas)
    if central is None or (scale == "logit" and min(abs(value), abs(value - 1)) <= ROUNDING):
        return None
    low, high = central
    if scale == "logit" and 0 < value < 1 and low > 0 and high < 1:
        width = float(special.logit(high) - special.logit(low)) / 2
        return compute_interval(value, factor * width * value * (1 - value), scale)
    if scale == "log" and value > 0 and low > 0:
        return compute_interval(value, factor * float(np.log(high / low)) / 2 * value, scale)
    # no scale fits replicas at a bound, or numbers that signed weights move beyond their bounds
    error = factor * (high - low) / 2
    if scale == "logit" and 0 <= value <= 1:
        return max(value - error, 0.0), min(value + error, 1.0)
    return compute_interval(value, error)
