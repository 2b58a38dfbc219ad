"""The expected significance of the signal score: optimised on validation events, quoted on test events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64
from tamis.statistics.arrays import check_probabilities, compute_signal_score
from tamis.statistics.asimov import USUAL, Requirements, has_enough_background, number_backgrounds
from tamis.statistics.bins import (
    ScoreBinning,
    SignificanceInfluence,
    Yields,
    choose_bins,
    combine_significances,
    compute_significance_influence,
    compute_significance_interval,
    count_yields,
    fill_bins,
    find_bins,
)
from tamis.statistics.counts import Category, Counts, count_above, fill_categories
from tamis.statistics.cuts import Scan, scan_cuts
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.units import compute_squared_sum, select_units


@dataclass(frozen=True, eq=False)
class ExpectedSignificance:
    """Yields and expected discovery significances of the score of the signal classes.

    Args:
        signal: indices of the signal classes.
        scan: yields and significances behind every cut, with the test events.
        cut: the threshold with the largest significance on validation events; None if none leaves enough background.
        binning: bins that were optimised on validation events, filled with test events; None without enough background.
        yields: of each class in these bins.
        categories: of the highest score, with the test events.
        events_per_weight: expected events for a sum of weights of one; None if it is unknown: yields are then sums of
            weights.
        intervals: 68.3% intervals of the significances of `cut`, `bins` and `categories`, from the finite simulation;
            None if undefined.
    """

    signal: tuple[int, ...]
    scan: Scan
    cut: float | None
    after_cut: Counts | None
    binning: ScoreBinning | None
    yields: Yields | None
    categories: tuple[Category, ...]
    requirements: Requirements
    events_per_weight: float | None
    intervals: Mapping[str, tuple[float, float] | None]

    @property
    def yields_are(self) -> str:
        """Unit of the yields in words."""
        return "sum of weights" if self.events_per_weight is None else "expected events"

    @property
    def by_categories(self) -> float:
        """Combined significance of all categories."""
        return combine_significances(
            [category.counts for category in self.categories], self.requirements.relative
        )

    def influences(self, test: ScoredEvents) -> dict[str, SignificanceInfluence]:
        """Compute the significances of `cut`, `bins` and `categories`, and the contribution of each test event."""
        score = compute_signal_score(check_probabilities(test.scores), self.signal)
        groups: dict[str, tuple[Sequence[Counts], NDArray[np.intp]]] = {}
        if self.cut is not None and self.after_cut is not None:
            groups["cut"] = ((self.after_cut,), np.where(score >= self.cut, 0, -1))
        if self.binning is not None:
            groups["bins"] = (self.binning.bins, find_bins(score, self.binning.edges))
        of_categories = [category.counts for category in self.categories]
        groups["categories"] = (of_categories, test.scores.argmax(axis=1))
        background = number_backgrounds(test.class_index, self.signal, test.scores.shape[1])
        of_signal, relative = np.isin(test.class_index, list(self.signal)), self.requirements.relative
        return {
            name: compute_significance_influence(
                *group, of_signal, test.weight, relative, units=test.units, background=background
            )
            for name, group in groups.items()
        }


def compute_expected_significance(
    validation: ScoredEvents,
    test: ScoredEvents,
    signal: Sequence[int],
    requirements: Requirements = USUAL,
    *,
    events_per_weight: float | None = None,
) -> ExpectedSignificance:
    """Optimise cut and bins of the signal score on validation events, and quote them on test events.

    The weights are expected events. `events_per_weight` is the factor that is already in them, which the result stores;
    None if expected events are unknown.
    """
    score, is_signal, weight = _of_signal(validation, signal)
    background = number_backgrounds(validation.class_index, signal, test.scores.shape[1])
    cut = scan_cuts(
        score, is_signal, weight, requirements, units=validation.units, background=background
    ).best
    edges = None
    of_background = weight[~is_signal]
    squares = np.array([compute_squared_sum(of_background, select_units(validation.units, ~is_signal))])
    if has_enough_background(of_background.sum(keepdims=True), squares, requirements).all():
        edges = choose_bins(score, is_signal, weight, requirements, units=validation.units)
    return count_expected_significance(
        test, signal, cut, edges, requirements, events_per_weight=events_per_weight
    )


def count_expected_significance(
    test: ScoredEvents,
    signal: Sequence[int],
    cut: float | None,
    edges: Sequence[float] | None,
    requirements: Requirements = USUAL,
    *,
    events_per_weight: float | None = None,
) -> ExpectedSignificance:
    """Count events after a cut and in bins of the signal score that other events optimised.

    `cut` and `edges` are None without a cut or bins; the other arguments are those of `compute_expected_significance`.
    """
    counted, units = _of_signal(test, signal), test.units
    of_test = number_backgrounds(test.class_index, signal, test.scores.shape[1])
    binning = yields = None
    if edges is not None:
        binning = fill_bins(edges, *counted, requirements, units=units, background=of_test)
        yields = count_yields(
            binning.edges, counted[0], test.class_index, test.weight, test.scores.shape[1], units=units
        )
    after_cut = (
        None if cut is None else count_above(cut, *counted, requirements, units=units, background=of_test)
    )
    categories = fill_categories(
        test.scores, test.class_index, test.weight, signal, requirements, units=units
    )
    counts, relative = [category.counts for category in categories], requirements.relative
    result = ExpectedSignificance(
        signal=tuple(signal),
        scan=scan_cuts(*counted, requirements, units=units, background=of_test),
        cut=cut,
        after_cut=after_cut,
        binning=binning,
        yields=yields,
        categories=categories,
        requirements=requirements,
        events_per_weight=events_per_weight,
        intervals={
            "cut": _around(after_cut),
            "bins": compute_significance_interval(() if binning is None else binning.bins, relative),
            "categories": compute_significance_interval(counts, relative),
        },
    )
    if units is None:
        return result
    # events of one unit may be in several bins, so that the counts alone do not determine the intervals
    propagated = {name: influence.interval for name, influence in result.influences(test).items()}
    intervals = {name: interval and propagated[name] for name, interval in result.intervals.items()}
    return replace(result, intervals=intervals)


def _of_signal(events: ScoredEvents, signal: Sequence[int]) -> tuple[Float64, NDArray[np.bool_], Float64]:
    """Return the signal score, whether an event is signal, and its weight, [n_events] each."""
    score = compute_signal_score(check_probabilities(events.scores), signal)
    return score, np.isin(events.class_index, list(signal)), events.weight


def _around(counts: Counts | None) -> tuple[float, float] | None:
    """Return the interval of the significance after a cut."""
    if counts is None or counts.significance is None or counts.significance_error is None:
        return None
    value, error = counts.significance, counts.significance_error
    return max(value - error, 0.0), value + error
