"""What the score of the signal classes is worth in a search: chosen on validation events, quoted on test events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.errors import RequestError
from tamis.evaluation.arrays import probabilities_of, signal_score
from tamis.evaluation.asimov import USUAL, Requirements, is_enough, number_backgrounds
from tamis.evaluation.bins import (
    Binning,
    SignificanceInfluence,
    Yields,
    bin_of,
    bin_yields,
    choose_bins,
    fill_bins,
    significance_influence,
    significance_interval,
    together,
)
from tamis.evaluation.counts import Category, Counts, count_above, fill_categories
from tamis.evaluation.cuts import Scan, scan_cuts
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.units import squared_sum, units_of_rows
from tamis.evaluation.workspace import obstacle, pyhf_workspace

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Search:
    """What the score of the signal classes is worth in a search.

    Args:
        signal: indices of the classes that are signal.
        scan: yields and significances behind every cut, with the test events.
        cut: the threshold with the largest significance on validation events; None where none leaves enough.
        behind_cut: what it keeps of the test events.
        binning: bins that were chosen on validation events, filled with test events; None where there is not enough
            background for one.
        yields: of each class in these bins.
        categories: of the highest score, with the test events.
        requirements: what cuts and bins have to keep.
        events_per_weight: expected events for a sum of weights of one; None where it is not known: yields are then
            sums of weights.
        intervals: 68.3% intervals of the significances of `cut`, `bins` and `categories`, from the finite simulation;
            None where there is none.
    """

    signal: tuple[int, ...]
    scan: Scan
    cut: float | None
    behind_cut: Counts | None
    binning: Binning | None
    yields: Yields | None
    categories: tuple[Category, ...]
    requirements: Requirements
    events_per_weight: float | None
    intervals: Mapping[str, tuple[float, float] | None]

    @property
    def yields_are(self) -> str:
        """What the yields are, in words."""
        return "sum of weights" if self.events_per_weight is None else "expected events"

    @property
    def by_categories(self) -> float:
        """Significance of all categories together."""
        return together([each.counts for each in self.categories], self.requirements.relative)

    def influences(self, test: ScoredEvents) -> dict[str, SignificanceInfluence]:
        """Give the significances of `cut`, `bins` and `categories`, and what each event contributes to them.

        Args:
            test: the events that were counted.
        """
        score = signal_score(probabilities_of(test.scores), self.signal)
        groups: dict[str, tuple[Sequence[Counts], NDArray[np.intp]]] = {
            "categories": ([each.counts for each in self.categories], test.scores.argmax(axis=1))
        }
        if self.cut is not None and self.behind_cut is not None:
            groups["cut"] = ((self.behind_cut,), np.where(score >= self.cut, 0, -1))
        if self.binning is not None:
            groups["bins"] = (self.binning.bins, bin_of(score, self.binning.edges))
        background = number_backgrounds(test.class_index, self.signal, test.scores.shape[1])
        of_signal, relative = np.isin(test.class_index, list(self.signal)), self.requirements.relative
        return {
            name: significance_influence(
                *groups[name], of_signal, test.weight, relative, units=test.units, background=background
            )
            for name in ("cut", "bins", "categories")
            if name in groups
        }

    def workspace(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give the bins as a workspace for pyhf.

        Raises:
            RequestError: there are no bins, or they hold what HistFactory does not take.
        """
        if self.yields is None:
            raise RequestError(self.without_workspace(class_names))
        return pyhf_workspace(self.yields, class_names, self.signal, relative=self.requirements.relative)

    def without_workspace(self, class_names: Sequence[str]) -> str:
        """Say why there can be no workspace; an empty text where there can be one."""
        if self.yields is None:
            return "there is not enough background for one bin of the score"
        return obstacle(self.yields, class_names)

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "signal": [class_names[index] for index in self.signal],
            "events_per_weight": self.events_per_weight,
            "requirements": vars(self.requirements),
            "scan": self.scan.to_dict(),
            "cut": self.cut,
            "behind_cut": None
            if self.behind_cut is None
            else {**vars(self.behind_cut), "significance_interval": self.intervals["cut"]},
            "bins": self._bins(class_names),
            "without_workspace": self.without_workspace(class_names) or None,
            "categories": {
                name: {"yields": dict(zip(class_names, each.yields, strict=True)), **vars(each.counts)}
                for name, each in zip(class_names, self.categories, strict=True)
            },
            "significance_of_categories": self.by_categories,
            "significance_of_categories_interval": self.intervals["categories"],
        }

    def _bins(self, class_names: Sequence[str]) -> dict[str, Any] | None:
        if self.binning is None or self.yields is None:
            return None
        yields = [
            dict(zip(class_names, each, strict=True)) for each in zip(*self.yields.numbers, strict=True)
        ]
        return {
            "edges": list(self.binning.edges),
            "bins": [
                {**vars(each), "yields": by_class}
                for each, by_class in zip(self.binning.bins, yields, strict=True)
            ],
            "significance": self.binning.significance,
            "significance_interval": self.intervals["bins"],
        }


def judge_search(
    validation: ScoredEvents,
    test: ScoredEvents,
    signal: Sequence[int],
    requirements: Requirements = USUAL,
    *,
    events_per_weight: float | None = None,
) -> Search:
    """Choose cut and bins of the signal score on validation events, and quote them on test events.

    The signal score is the sum of the scores of the signal classes.

    Args:
        validation: events that choose; their weights are expected events.
        test: events that are counted, likewise.
        signal: indices of the classes that are signal.
        requirements: what cuts and bins have to keep.
        events_per_weight: by which the weights were multiplied, for the record; None where expected events are not
            known.

    Raises:
        TamisError: the arrays do not fit together.
    """
    parts = [
        (
            signal_score(probabilities_of(events.scores), signal),
            np.isin(events.class_index, list(signal)),
            events.weight,
        )
        for events in (validation, test)
    ]
    chosen, counted = parts
    units = test.units
    of_validation, of_test = (
        number_backgrounds(events.class_index, signal, test.scores.shape[1]) for events in (validation, test)
    )
    cut = scan_cuts(*chosen, requirements, units=validation.units, background=of_validation).best
    binning = yields = None
    background = chosen[2][~chosen[1]]
    squares = np.array([squared_sum(background, units_of_rows(validation.units, ~chosen[1]))])
    if is_enough(background.sum(keepdims=True), squares, requirements).all():
        edges = choose_bins(*chosen, requirements, units=validation.units)
        binning = fill_bins(edges, *counted, requirements, units=units, background=of_test)
        yields = bin_yields(
            binning.edges, counted[0], test.class_index, test.weight, test.scores.shape[1], units=units
        )
    behind_cut = (
        None if cut is None else count_above(cut, *counted, requirements, units=units, background=of_test)
    )
    categories = fill_categories(
        test.scores, test.class_index, test.weight, signal, requirements, units=units
    )
    groups = {
        "bins": () if binning is None else binning.bins,
        "categories": [each.counts for each in categories],
    }
    search = Search(
        signal=tuple(signal),
        scan=scan_cuts(*counted, requirements, units=units, background=of_test),
        cut=cut,
        behind_cut=behind_cut,
        binning=binning,
        yields=yields,
        categories=categories,
        requirements=requirements,
        events_per_weight=events_per_weight,
        intervals={
            "cut": _around(behind_cut),
            **{name: significance_interval(bins, requirements.relative) for name, bins in groups.items()},
        },
    )
    if units is None:
        return search
    # events of one unit may lie in several bins, which Counts do not tell
    propagated = {name: influence.interval for name, influence in search.influences(test).items()}
    intervals = {name: before and propagated[name] for name, before in search.intervals.items()}
    return replace(search, intervals=intervals)


def _around(counts: Counts | None) -> tuple[float, float] | None:
    """Give the interval of the significance behind a cut."""
    if counts is None or counts.significance is None or counts.significance_error is None:
        return None
    return max(
        counts.significance - counts.significance_error, 0.0
    ), counts.significance + counts.significance_error
