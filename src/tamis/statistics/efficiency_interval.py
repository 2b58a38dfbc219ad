"""Interval of the background efficiency of a cut at a fixed signal efficiency, for few events and signed weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import isotonic_regression

from tamis.arrays import Float64
from tamis.statistics.intervals import COVERAGE, Interval, compute_central_interval, compute_student_factors
from tamis.statistics.units import Units, compute_power_increments, merge_in_cells

FEWEST_FAILING = 1.0
"""Effective signal events that are expected on each side of the cut, from which on its interval is known."""
_PROBABILITIES = (np.arange(41) + 0.5) / 41
_DEVIATIONS = np.asarray(special.ndtri(_PROBABILITIES), np.float64)


@dataclass(frozen=True, eq=False)
class CumulatedWeights:
    """Sums of powers of the weights of signal or of background above each cut.

    Between events the sums are interpolated, as if half of an event were above its score. Events with equal scores are
    spread over the positions that they share.

    Args:
        position: of the cuts, from 0 (nothing passes) to the number of events (everything passes), [n_cuts].
        sums: of the first to the fourth power of the weights of the units that pass, [4, n_cuts].
    """

    position: Float64
    sums: Float64

    @property
    def total(self) -> Float64:
        """Sums of all events, [4]."""
        return self.sums[:, -1]

    def at(self, position: Float64) -> Float64:
        """Return the sums above cuts at some positions, [4, n]."""
        return np.stack([np.interp(position, self.position, powers) for powers in self.sums])

    def find_position(self, efficiency: Float64) -> Float64:
        """Return the positions of the cuts with some efficiencies, [n].

        With signed weights the efficiency does not only rise, and the cuts are those of the rising function next to it.
        """
        # the half events at both ends are beyond all cuts
        rising = isotonic_regression(self.sums[0, 1:-1] / self.total[0]).x
        ends = min(2 * rising[0] - rising[1], 0.0), max(2 * rising[-1] - rising[-2], 1.0)
        return np.interp(efficiency, [ends[0], *rising, ends[1]], self.position)


def cumulate_weights(
    score: Float64, is_signal: NDArray[np.bool_], weight: Float64, units: Units | None = None
) -> tuple[CumulatedWeights, CumulatedWeights]:
    """Sum powers of the weights of signal and of background above each cut on a score.

    >>> signal, background = cumulate_weights(np.array([0.9, 0.5, 0.1]), np.array([True, False, True]), np.ones(3))
    >>> background.at(signal.find_position(np.array([0.5])))[0].tolist()
    [0.5]
    """
    values, level = np.unique(-score, return_inverse=True)
    cell = 2 * level + is_signal
    increments = [weight, *compute_power_increments(score, weight, units, (2, 3, 4))]
    sums = np.array([np.bincount(cell, powers, 2 * len(values)) for powers in increments], np.float64)
    sums = sums.reshape(4, -1, 2)
    merged, _ = merge_in_cells(cell, weight, units)
    counts = np.bincount(merged, minlength=2 * len(values)).reshape(-1, 2)
    sizes = counts.sum(axis=1)
    begins = np.cumsum(sizes) - sizes
    background, signal = (_interpolate(begins, sizes, counts[:, kind], sums[:, :, kind]) for kind in (0, 1))
    return signal, background


def _interpolate(
    begins: NDArray[np.intp], sizes: NDArray[np.intp], counts: NDArray[np.intp], sums: Float64
) -> CumulatedWeights:
    """Spread the events of a kind with equal scores evenly over the positions of all events with this score."""
    after = np.cumsum(sums, axis=1)
    rows = counts > 0
    half = 0.5 / counts[rows]
    first, last = (begins[rows] + sizes[rows] * fraction for fraction in (half, 1 - half))
    of_first, of_last = after[:, rows] - sums[:, rows] * (1 - half), after[:, rows] - sums[:, rows] * half
    single = counts[rows] == 1
    keep = np.stack([np.ones_like(single), ~single], axis=1).ravel()
    position = np.stack([first, last], axis=1).ravel()[keep]
    inner = np.stack([of_first, of_last], axis=2).reshape(4, -1)[:, keep]
    return CumulatedWeights(
        np.concatenate([[0.0], position, [float(sizes.sum())]]),
        np.concatenate([np.zeros((4, 1)), inner, after[:, -1:]], axis=1),
    )


def compute_efficiency_interval(
    signal: CumulatedWeights, background: CumulatedWeights, target: float
) -> Interval | None:
    """Compute the 68.3% interval of the background efficiency at a signal efficiency (`target`).

    The interval is the central one of a confidence distribution. Its parts, each on a grid of quantiles, are

    - the cut: the signal efficiency that the sample has at the true cut, a mean of known expectation, by the
      expansion of E. Cornish and R. Fisher (Rev. Inst. Int. Stat. 5 (1938) 307). The background efficiency changes with
      it along the straight line, in log-odds of both, that fits the sample best. (The sample itself in place of a line
      would count the fluctuations of the background twice.)
    - the background that passes: a shifted gamma distribution with the variance and the skewness of the weighted sum
      in the sample. Without weights it is the gamma distribution of k + 1/2 events, halfway between the ends of the
      exact interval of a Poisson mean (F. Garwood, Biometrika 28 (1936) 437); to first order in the skewness it is
      the interval of N. Johnson (J. Am. Stat. Assoc. 73 (1978) 536).

    If few weights dominate a variance, it is uncertain, and its factor of Student widens the interval
    (`compute_student_factors`), with the degrees of freedom that remain when the sum of weights is known: none are lost
    for equal weights, whose variance follows from their number.

    Returns:
        None if less than one effective signal event is expected to pass or to fail, or if the background that passes
        has no positive sum of weights.
    """
    total, squares, cubes, fourths = signal.total.tolist()
    size = total**2 / squares
    if total <= 0 or background.total[0] <= 0 or size * min(target, 1 - target) < FEWEST_FAILING * (1 - 1e-9):
        return None
    center = signal.find_position(np.array([target]))
    passing = background.at(center)[:, 0]
    if passing[0] <= 0:
        return None
    efficiency = passing[0] / background.total[0]
    variance, third, fourth = _compute_moments(efficiency, passing, background.total)
    # the cut
    skew = (1 - 2 * target) * cubes / squares / total
    width = np.sqrt(target * (1 - target) / size) * _compute_factor(squares, cubes, fourths)
    reached = target + width * _DEVIATIONS + skew * (np.square(_DEVIATIONS) - 1) / 6
    reached = np.clip(reached, 0.5 / size, 1 - 0.5 / size)
    efficiencies = _follow_line(signal, background, target, reached, efficiency)
    # the background that passes, in units of an event whose weight has the skewness of the sample
    scale = third / variance
    if abs(scale) < 1e-3 * np.sqrt(variance):
        scale = 1e-3 * np.sqrt(variance)  # nearly a normal distribution
    growth = (
        efficiencies * (1 - efficiencies) / (efficiency * (1 - efficiency))
        if efficiency < 1
        else np.ones(len(reached))
    )
    shape = (variance * np.maximum(growth, 0) / scale**2)[:, None]
    quantiles = special.gammaincinv(shape + 0.5, _PROBABILITIES if scale > 0 else 1 - _PROBABILITIES)
    deviations = scale * (quantiles - shape - 0.5) * _compute_factor(variance, third, fourth)
    return compute_central_interval((efficiencies[:, None] + scale / 2 + deviations).ravel())


def _compute_moments(efficiency: float, passing: Float64, total: Float64) -> list[float]:
    """Compute the sums of the second to the fourth power of the influences on the background efficiency."""
    return [
        float(
            (1 - efficiency) ** power * passing[power - 1]
            + (-efficiency) ** power * (total[power - 1] - passing[power - 1])
        )
        / float(total[0]) ** power
        for power in (2, 3, 4)
    ]


def _compute_factor(second: float, third: float, fourth: float) -> float:
    """Compute the factor of Student of a variance, relative to the normal distribution.

    The arguments are sums of powers of the contributions. The variance fluctuates with the fourth, less what follows
    from the fluctuation of the sum itself.
    """
    remaining = max(fourth - third**2 / second, 0.0)
    freedom = max(second**2 / remaining, 1.0) if remaining > 1e-12 * fourth else np.inf
    return (
        float(compute_student_factors(freedom) / special.ndtri((1 + COVERAGE) / 2))
        if freedom < np.inf
        else 1.0
    )


def _follow_line(
    signal: CumulatedWeights, background: CumulatedWeights, target: float, reached: Float64, efficiency: float
) -> Float64:
    """Return background efficiencies at signal efficiencies, [n], on a line through those at the working point."""
    sizes = [float(kind.total[0] ** 2 / kind.total[1]) for kind in (signal, background)]
    passing = background.at(signal.find_position(reached))[0] / background.total[0]
    run = _compute_log_odds(reached, sizes[0]) - _compute_log_odds(target, sizes[0])
    at_center = _compute_log_odds(efficiency, sizes[1])
    rise = _compute_log_odds(passing, sizes[1]) - at_center
    from_mean = run - run.mean()
    slope = max(float(from_mean @ rise / (from_mean @ from_mean)), 0.0)
    # back from the log-odds with half an event added
    line = special.expit(at_center + slope * run) * (1 + 1 / sizes[1]) - 0.5 / sizes[1]
    return np.clip(line, 1e-12, 1 - 1e-12) if efficiency < 1 else np.full(len(reached), efficiency)


def _compute_log_odds(efficiency: float | Float64, size: float) -> Float64:
    """Compute log-odds with half an event added to those that pass and to those that fail: finite at both ends."""
    inside = np.clip(efficiency, 0.0, 1.0)
    return np.asarray(special.logit((inside + 0.5 / size) / (1 + 1 / size)), np.float64)
