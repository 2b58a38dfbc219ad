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


def compute_student_factors(of_event: Float64, units: Units | None = None) -> Float64:
    """Compute the factors between a standard error and the half width of an interval, [numbers].

    The sum of squared influences, [n_events, numbers], fluctuates itself, the more the fewer events contribute. Its
    degrees of freedom are about its square over the sum of the fourth powers (F. Satterthwaite, Biometrics Bull. 2
    (1946) 110), and the factor is the quantile of Student's distribution.

    >>> [compute_student_factors(np.ones((events, 1))).round(3).tolist() for events in (4, 1000)]
    [[1.142], [1.001]]
    """
    squares = np.square(sum_by_unit(of_event, units))
    sums, fourths = squares.sum(axis=0), np.square(squares).sum(axis=0)
    freedom = np.divide(sums**2, fourths, out=np.ones_like(sums), where=fourths > 0)
    factors: Float64 = special.stdtrit(np.maximum(freedom, 1.0), (1 + COVERAGE) / 2)
    return factors


def compute_half_widths(of_event: Float64, units: Units | None = None) -> Float64:
    """Compute half the width of the interval of each number: standard error times `compute_student_factors`."""
    errors: Float64 = compute_standard_errors(of_event, units) * compute_student_factors(of_event, units)
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

    The width of the central interval of the replicas is multiplied by a factor of `compute_student_factors`.

    Returns:
        None if a replica is undefined, or if the number is at its bound.
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
