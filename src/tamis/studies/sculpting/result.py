"""The result of the study of sculpting, and its computation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float64
from tamis.statistics.arrays import (
    check_real_numbers,
    check_weights,
    compute_effective_sample_size,
    compute_signal_score,
    positive_sum,
)
from tamis.statistics.histogram import (
    Binning,
    Histogram,
    choose_binning,
    choose_number_of_bins,
    fill_histogram,
)
from tamis.statistics.roc import compute_roc_curve, compute_working_points
from tamis.statistics.sculpting import (
    BINS,
    LEVEL,
    Dependence,
    Shift,
    Slice,
    compute_chance_distance,
    compute_dependence,
    compute_shape_distance,
    compute_shape_p_value,
    compute_shift,
    compute_slices,
    has_value,
)
from tamis.statistics.units import Units, select_units
from tamis.studies.context import Context, Decorrelation
from tamis.studies.study import Undefined
from tamis.wording import format_p_value

FEWEST_EVENTS = 20.0
"""Effective events after a cut from which on their shape is compared and drawn."""


@dataclass(frozen=True)
class Sculpting:
    """The dependence of one spectator on the signal score, in one class.

    Args:
        spectator: its name.
        class_name: the true class.
        slices: means in slices of the score.
        shift: largest difference of two means; None if there are not two.
        dependence: of spectator and score; None if one of them is constant, or there are few events.
        passing: effective sample size of the events with a value after each cut.
        shapes: for each cut the Jensen-Shannon distance of the shape after it; None if fewer than 20 effective events
            pass.
        shapes_by_chance: what these distances would be for cuts that are independent of the spectator.
        shape_p_values: for each cut the p-value of the test that it is independent of the spectator; None if fewer than
            20 effective events pass, if all do, or if the spectator is constant.
        binning: of the histograms; None if no event of the class has a value.
        before: distribution of all events; None if the weights have no positive sum.
        after: distribution after each cut; None if nothing passes.
    """

    spectator: str
    class_name: str
    slices: tuple[Slice, ...]
    shift: Shift | None
    dependence: Dependence | None
    passing: tuple[float, ...]
    shapes: tuple[float | None, ...]
    shapes_by_chance: tuple[float | None, ...]
    shape_p_values: tuple[float | None, ...]
    binning: Binning | None
    before: Histogram | None
    after: tuple[Histogram | None, ...]

    @property
    def warning(self) -> str:
        """Warning if the score sculpts the spectator, else an empty text."""
        reasons = []
        if self.dependence is not None and self.dependence.large:
            correlation = self.dependence.distance_correlation
            reasons.append(f"distance correlation {correlation:.2f} ({self.dependence.chance})")
        if self.shift is not None and self.shift.large:
            reasons.append(
                f"its mean moves by {self.shift.size:.2f} of its standard deviations between slices of the score "
                f"({format_p_value(self.shift.p_value or 0.0)})"
            )
        if not reasons:
            return ""
        return f"{self.spectator} of {self.class_name} depends on the score: {'; '.join(reasons)}."

    @property
    def changes_shape(self) -> bool:
        """Return whether a cut changes the shape significantly, corrected for the number of cuts (Bonferroni)."""
        p_values = [p for p in self.shape_p_values if p is not None]
        return bool(p_values) and min(p_values) * len(p_values) <= LEVEL

    @property
    def is_weak(self) -> bool:
        """Return whether there is a significant dependence that is too small for a warning."""
        shift = self.shift
        moves = shift is not None and shift.size is not None and shift.is_significant
        return not self.warning and (self.changes_shape or moves)

    @property
    def is_known(self) -> bool:
        """Return whether there are enough events to test a dependence."""
        return self.dependence is not None or (self.shift is not None and self.shift.p_value is not None)

    @property
    def histograms(self) -> Sculpting | None:
        """The distributions, if there are any."""
        return None if self.binning is None else self


@dataclass(frozen=True)
class SculptingResult:
    """The dependence of all spectators on the signal score, in each class.

    Args:
        working_points: signal efficiencies of the cuts.
        cuts: thresholds of the signal score after which shapes are compared, one for each working point.
        spectators: of each spectator and each class, those of one spectator in the order of the classes.
        signal: names of the signal classes.
        decorrelation: what the training made the score independent of; None for nothing.
    """

    working_points: tuple[float, ...]
    cuts: tuple[float, ...]
    spectators: tuple[Sculpting, ...]
    signal: tuple[str, ...]
    decorrelation: Decorrelation | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the spectators."""
        return tuple(dict.fromkeys(sculpting.spectator for sculpting in self.spectators))

    @property
    def by_class(self) -> dict[str, dict[str, Sculpting]]:
        """Numbers of each spectator in each class, by their names."""
        return {
            name: {
                sculpting.class_name: sculpting
                for sculpting in self.spectators
                if sculpting.spectator == name
            }
            for name in self.names
        }


def compute_sculpting(context: Context) -> SculptingResult | Undefined | None:
    """Measure how cuts on the signal score sculpt the spectators of the test events, with physics weights.

    Returns:
        None without spectators, without a signal class or without a background. Undefined if the weights of signal
        or background have no positive sum.
    """
    test, signal = context.splits["test"], context.signal
    if not test.spectators or not 0 < len(signal) < len(context.class_names):
        return None
    score = compute_signal_score(test.scores, signal)
    is_signal = np.isin(test.class_index, list(signal))
    if positive_sum(test.weight[is_signal]) is None or positive_sum(test.weight[~is_signal]) is None:
        return Undefined(
            "the weights of the signal or of the background have no positive sum in the test events"
        )
    points = compute_working_points(compute_roc_curve(score, is_signal, test.weight), context.working_points)
    cuts = tuple(point.threshold for point in points)
    spectators = measure_sculpting(
        test.spectators,
        score,
        test.class_index,
        test.weight,
        context.class_names,
        cuts,
        context.random_stream("sculpting"),
        units=test.units,
    )
    names = tuple(context.class_names[index] for index in signal)
    return SculptingResult(tuple(context.working_points), cuts, spectators, names, context.decorrelation)


def measure_sculpting(
    spectators: Mapping[str, ArrayLike],
    score: ArrayLike,
    class_index: NDArray[np.integer[Any]],
    weight: ArrayLike,
    class_names: Sequence[str],
    cuts: Sequence[float],
    generator: Generator,
    *,
    units: Units | None = None,
) -> tuple[Sculpting, ...]:
    """Measure how a score sculpts each spectator in each class.

    Args:
        spectators: [n_events] each.
        score: [n_events].
        class_index: the true class, [n_events].
        weight: signed physics weight, [n_events].
        class_names: in the order of the class indices.
        cuts: thresholds of the score after which shapes are compared.
        generator: draws the events and the signs of `compute_dependence`.
        units: unit of each event, if several events vary together, [n_events].
    """
    scores = check_real_numbers(score, "score")
    weights = check_weights(weight, len(scores))
    results = []
    for name, values in spectators.items():
        column = np.asarray(values, np.float64)
        for index, class_name in enumerate(class_names):
            inside = class_index == index
            events = (column[inside], scores[inside], weights[inside])
            members = select_units(units, inside)
            means, covariance = compute_slices(*events, units=members)
            passes = [events[1] >= cut for cut in cuts]
            passing = tuple(_effective_sample_size(*events[::2], rows, members) for rows in passes)
            # cuts with an effective sample size below the minimum have no shape
            compared = [
                rows if size >= FEWEST_EVENTS else None for rows, size in zip(passes, passing, strict=True)
            ]
            bins = _choose_bins(events[0], events[2], members)
            results.append(
                Sculpting(
                    name,
                    class_name,
                    means,
                    compute_shift(events[0], events[2], means, covariance),
                    compute_dependence(*events, generator, units=members),
                    passing,
                    tuple(
                        None if rows is None else compute_shape_distance(events[0], rows, events[2])
                        for rows in compared
                    ),
                    tuple(
                        None
                        if rows is None
                        else compute_chance_distance(events[0], rows, events[2], units=members)
                        for rows in compared
                    ),
                    tuple(
                        None
                        if rows is None
                        else compute_shape_p_value(events[0], rows, events[2], units=members)
                        for rows in compared
                    ),
                    bins,
                    _distribution(events[0], events[2], bins, members),
                    tuple(
                        _distribution(events[0][rows], events[2][rows], bins, select_units(members, rows))
                        for rows in passes
                    ),
                )
            )
    return tuple(results)


def _effective_sample_size(
    values: Float64, weights: Float64, passes: NDArray[np.bool_], units: Units | None
) -> float:
    rows = passes & has_value(values)
    return compute_effective_sample_size(weights[rows], select_units(units, rows))


def _choose_bins(values: Float64, weights: Float64, units: Units | None) -> Binning | None:
    """Choose bins for one class: with a range common to all classes, one with a long tail would squeeze the others."""
    rows = has_value(values)
    if not rows.any():
        return None
    bins = choose_number_of_bins([weights[rows]], [select_units(units, rows)])
    return choose_binning([values[rows]], min(bins, BINS), [weights[rows]])


def _distribution(
    values: Float64, weights: Float64, bins: Binning | None, units: Units | None
) -> Histogram | None:
    if bins is None:
        return None
    rows = has_value(values)
    return fill_histogram(values[rows], weights[rows], bins.edges, units=select_units(units, rows))
