"""Intervals of 68.3% that cover for few events, spread weights and numbers near a bound."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.evaluation.arrays import ROUNDING, effective_number
from tamis.evaluation.influence import standard_errors
from tamis.evaluation.units import Units, sum_by_unit, units_of_rows

Float64 = NDArray[np.float64]
Interval = tuple[float, float]
Scale = Literal["linear", "log", "logit"]

COVERAGE = 0.683
FEWEST = 25.0
"""Effective events of a class from which on an interval is quoted; for fewer none covers."""


def is_known(is_class: NDArray[np.bool_], weight: Float64, units: Units | None = None) -> bool:
    """Return whether a class and the other classes have enough effective events for the interval of an area.

    Args:
        is_class: [n_events].
        weight: signed, [n_events].
        units: number of what each event belongs to, where several events vary together, [n_events].
    """
    return all(
        weight[rows].sum() > 0 and is_enough(weight[rows], units_of_rows(units, rows))
        for rows in (is_class, ~is_class)
    )


def is_enough(weight: Float64, units: Units | None = None, fewest: float = FEWEST) -> bool:
    """Return whether events have a given effective number, which equal weights miss by rounding alone.

    Args:
        weight: signed, [n_events].
        units: number of what each event belongs to, where several events vary together, [n_events].
        fewest: the number.

    >>> is_enough(np.full(25, 0.1)), is_enough(np.full(24, 0.1))
    (True, False)
    """
    return effective_number(weight, units) >= fewest * (1 - 1e-9)


def student_factors(of_event: Float64, units: Units | None = None) -> Float64:
    """Compute by what a standard error is multiplied for the half width of an interval, [numbers].

    The sum of squared influences varies itself, the more the fewer events make it. It has about as many degrees of
    freedom as its square over the sum of the fourth powers (F. Satterthwaite, Biometrics Bull. 2 (1946) 110), and the
    factor is the quantile of Student's distribution.

    Args:
        of_event: influences, [n_events, numbers].
        units: number of what each event belongs to, where several events vary together, [n_events].

    >>> [student_factors(np.ones((events, 1))).round(3).tolist() for events in (4, 1000)]
    [[1.142], [1.001]]
    """
    squares = np.square(sum_by_unit(of_event, units))
    sums, fourths = squares.sum(axis=0), np.square(squares).sum(axis=0)
    freedom = np.divide(sums**2, fourths, out=np.ones_like(sums), where=fourths > 0)
    factors: Float64 = special.stdtrit(np.maximum(freedom, 1.0), (1 + COVERAGE) / 2)
    return factors


def half_widths(of_event: Float64, units: Units | None = None) -> Float64:
    """Compute half the width of the interval of each number: its standard error times `student_factors`, [numbers].

    Args:
        of_event: influences, [n_events, numbers].
        units: number of what each event belongs to, where several events vary together, [n_events].
    """
    errors: Float64 = standard_errors(of_event, units) * student_factors(of_event, units)
    return errors


def around(value: float, error: float, scale: Scale = "linear") -> Interval | None:
    """Return the interval of a number that is symmetric on a scale; None where the number lies at its bound.

    Args:
        value: the number.
        error: half the width of the interval, to first order.
        scale: on which the number varies about as a normal one: the logarithm, or that of the odds.

    >>> around(0.5, 0.1), around(1.0, 0.1, "logit"), around(1.5, 0.25, "logit")
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
                return value - error, value + error  # signed weights carry estimates beyond their bounds
            if not 0 < value < 1:
                return None
            width = error / (value * (1 - value))
            middle = special.logit(value)
            return float(special.expit(middle - width)), float(special.expit(middle + width))


def from_replicas(value: float, replicas: ArrayLike, factor: float, scale: Scale) -> Interval | None:
    """Return the interval of a number whose bootstrap replicas say how wide it is on a scale.

    Args:
        value: the number.
        replicas: of bootstrap samples; where one is not defined, or the number lies at its bound, there is no interval.
        factor: of `student_factors`.
        scale: as for `around`.
    """
    drawn = np.asarray(replicas, np.float64)
    if not drawn.size or not np.isfinite(drawn).all():
        return None
    if scale == "logit" and min(abs(value), abs(value - 1)) <= ROUNDING:
        return None
    low, high = np.quantile(drawn, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]).tolist()
    if scale == "logit" and 0 < value < 1 and low > 0 and high < 1:
        width = float(special.logit(high) - special.logit(low)) / 2
        return around(value, factor * width * value * (1 - value), scale)
    if scale == "log" and value > 0 and low > 0:
        return around(value, factor * float(np.log(high / low)) / 2 * value, scale)
    # replicas at a bound, or numbers that signed weights carry beyond theirs: no scale fits
    error = factor * (high - low) / 2
    if scale == "logit" and 0 <= value <= 1:
        return max(value - error, 0.0), min(value + error, 1.0)
    return around(value, error)
