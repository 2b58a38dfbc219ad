"""Rectangular cuts, by the patient rule induction method.

J. H. Friedman and N. I. Fisher, "Bump hunting in high-dimensional data", Statistics and Computing 9 (1999) 123.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Features, Float64, Mask
from tamis.baselines.events import LabelledEvents
from tamis.errors import RequestError

PEEL = 0.03
"""Fraction of the remaining events that one step peels off, by their absolute weights."""
FEWEST_EVENTS = 50.0
"""Minimum effective sample size of the signal in a box."""
MOST_STEPS = 1000

# columns of a tally: sums over the events of a box
_SIGNAL, _BACKGROUND, _SIGNAL_SIZE, _BACKGROUND_SIZE, _SIGNAL_SQUARES = range(5)


@dataclass(frozen=True)
class Interval:
    """A cut on a feature, given by its index: an event passes with low <= value <= high; edges may be infinite.

    An event without a value fails.
    """

    feature: int
    low: float
    high: float

    def to_dict(self, feature_names: Sequence[str]) -> dict[str, Any]:
        """Return a dictionary for `metrics.json`; an open edge is null."""
        low, high = (edge if np.isfinite(edge) else None for edge in (self.low, self.high))
        return {"feature": feature_names[self.feature], "low": low, "high": high}


@dataclass(frozen=True, eq=False)
class Cuts:
    """Nested boxes: each contains the next one, and the first contains everything.

    Args:
        low: lower edges of each box, increasing along the boxes, [boxes, n_features].
        high: upper edges of each box, decreasing along the boxes, [boxes, n_features].
        signal_inside: fraction of the training signal in each box, with signed weights, [boxes].
        inside: mean of the fractions of signal and of background in each box, with absolute weights, decreasing,
            [boxes].
    """

    low: Features
    high: Features
    signal_inside: Float64
    inside: Float64

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.low)

    def boxes_passed(self, features: Features) -> NDArray[np.intp]:
        """Count the boxes that contain each event, at least one, [n], of features, [n, n_features]."""
        passed = np.full(len(features), len(self))
        for low, high, values in zip(self.low.T, self.high.T, features.T, strict=True):
            within = np.minimum(
                np.searchsorted(low, values, side="right"), np.searchsorted(-high, -values, side="right")
            )
            free = np.count_nonzero(np.isneginf(low) & np.isposinf(high))
            passed = np.minimum(passed, np.where(np.isnan(values), free, within))
        return passed

    def scores(self, features: Features) -> Float64:
        """Compute the discriminant, [n]: one minus the fraction of events in the smallest box that contains the event.

        It increases with the number of boxes that contain the event, from 0 to 1, and has the same meaning for all
        folds. The features are NaN if missing, [n, n_features].
        """
        return np.asarray(1 - self.inside[self.boxes_passed(features) - 1])

    def box(self, efficiency: float) -> int:
        """Return the index of the smallest box with at least this efficiency for the training signal."""
        # rounding of the sums must not move the box
        return int(np.flatnonzero(self.signal_inside >= efficiency - 1e-12)[-1])

    def intervals(self, box: int) -> tuple[Interval, ...]:
        """Return the cuts of a box."""
        edges = enumerate(zip(self.low[box].tolist(), self.high[box].tolist(), strict=True))
        return tuple(
            Interval(feature, low, high)
            for feature, (low, high) in edges
            if np.isfinite(low) or np.isfinite(high)
        )


def find_cuts(training: LabelledEvents, signal: Sequence[int]) -> Cuts:
    """Find nested boxes: each step peels a fraction of the remaining events off one side of one feature.

    The best step has the largest increase of log(signal / background) relative to -log(fraction of events that remain),
    so that a feature with few values, where a step removes many events, has no advantage. The mean weight of one
    background event is added to the background, so that a box without background has a finite gain. Sums of signal and
    background are signed; the fraction of events is that of the absolute weights. An event with a missing value fails
    every cut on that feature. The peeling ends when no step increases the ratio, or too little signal would remain.
    There is no pasting. A step removes more events if more of them share the outermost value.

    Raises:
        RequestError: there is no signal or no background.

    Example:
        >>> x = np.linspace(0, 1, 1001, dtype=np.float32)
        >>> in_the_middle = (x > 0.4) & (x < 0.6)
        >>> events = LabelledEvents(x[:, None], in_the_middle.astype(np.int32), np.ones(1001))
        >>> cuts = find_cuts(events, [1])
        >>> [[round(cut.low, 2), round(cut.high, 2)] for cut in cuts.intervals(cuts.box(1.0))]
        [[0.4, 0.6]]
    """
    of_signal = np.isin(training.class_index, list(signal))
    if of_signal.all() or not of_signal.any():
        raise RequestError(
            "cuts need signal and background events, but all training events are of one kind; set `signal: true` for "
            "some of the classes, or remove cuts from evaluation.baselines"
        )
    box = _Box.around(_Events.of(training, of_signal))
    boxes = [box]
    while len(boxes) <= MOST_STEPS and (smaller := box.peeled()) is not None:
        box = smaller
        boxes.append(box)
    sums = np.array([nested_box.tally for nested_box in boxes])
    sizes = sums[:, [_SIGNAL_SIZE, _BACKGROUND_SIZE]]
    return Cuts(
        low=np.array([nested_box.low for nested_box in boxes]),
        high=np.array([nested_box.high for nested_box in boxes]),
        signal_inside=sums[:, _SIGNAL] / sums[0, _SIGNAL],
        inside=(sizes / sizes[0]).mean(axis=1),
    )


class _Step(NamedTuple):
    """A candidate for the next cut."""

    gain: float  # increase of log(signal / background), relative to -log(fraction of events that remain)
    feature: int
    side: int  # 0 for the lower edge, 1 for the upper one
    edge: float  # the outermost value inside


@dataclass(frozen=True)
class _Events:
    """The training events of all boxes: values of each feature, [n_features, n], and contributions to a tally, [n, 5].

    The unit is the mean absolute weight of a background event.
    """

    columns: Features
    weight: Float64
    unit: float

    @classmethod
    def of(cls, training: LabelledEvents, of_signal: Mask) -> _Events:
        """Build the events, without those of weight zero."""
        counted = training.weight != 0
        of_signal, weight = of_signal[counted], training.weight[counted]
        signal, background = np.where(of_signal, weight, 0.0), np.where(of_signal, 0.0, weight)
        tally = np.stack([signal, background, np.abs(signal), np.abs(background), signal**2], axis=1)
        unit = float(np.abs(background).sum() / np.count_nonzero(background))
        return cls(np.ascontiguousarray(training.features[counted].T), tally, unit)


@dataclass(frozen=True)
class _Box:
    """A box with its edges, [n_features], the rows of the events inside, and the sums over them, [5].

    For each feature, `ordered` has the events inside by increasing value, without those where it is missing.
    """

    events: _Events
    rows: NDArray[np.intp]
    ordered: tuple[NDArray[np.intp], ...]
    low: Features
    high: Features
    tally: Float64

    @classmethod
    def around(cls, events: _Events) -> _Box:
        """Build the box that contains all events."""
        orders = [np.argsort(column, kind="stable") for column in events.columns]  # NaN comes last
        n_values = np.count_nonzero(~np.isnan(events.columns), axis=1)
        ordered = tuple(order[:number] for order, number in zip(orders, n_values, strict=True))
        edge = np.full(len(events.columns), np.inf, events.columns.dtype)
        return cls(events, np.arange(len(events.weight)), ordered, -edge, edge, events.weight.sum(axis=0))

    @property
    def size(self) -> float:
        """Sum of absolute weights inside."""
        return float(self.tally[_SIGNAL_SIZE] + self.tally[_BACKGROUND_SIZE])

    def peeled(self) -> _Box | None:
        """Build the best smaller box; None if no step increases the ratio of signal and background."""
        steps = [step for feature in range(len(self.ordered)) for step in self._steps(feature)]
        best = max(steps, key=lambda step: step.gain, default=None)
        if best is None or best.gain <= 0:
            return None
        values = self.events.columns[best.feature, self.rows]
        rows = self.rows[values >= best.edge if best.side == 0 else values <= best.edge]
        is_inside = np.zeros(len(self.events.weight), np.bool_)
        is_inside[rows] = True
        low, high = self.low.copy(), self.high.copy()
        (low, high)[best.side][best.feature] = best.edge
        ordered = tuple(order[is_inside[order]] for order in self.ordered)
        return _Box(self.events, rows, ordered, low, high, self.events.weight[rows].sum(axis=0))

    def _steps(self, feature: int) -> Iterator[_Step]:
        """Yield the steps that peel off either side of a feature; events where it is missing are peeled off too."""
        order, column = self.ordered[feature], self.events.columns[feature]
        if not len(order) or column[order[0]] == column[order[-1]]:
            return
        tally = self.tally if len(order) == len(self.rows) else self.events.weight[order].sum(axis=0)
        for side, values, outward in ((0, column, order), (1, -column, order[::-1])):
            first = self._find_edge(values, outward)
            gain = self._gain(tally - self.events.weight[outward[:first]].sum(axis=0))
            if gain is not None:
                yield _Step(gain, feature, side, float(column[outward[first]]))

    def _find_edge(self, values: Features, outward: NDArray[np.intp]) -> int:
        """Return the position of the first of the ordered events that stays; equal values stay or go together."""
        target = PEEL * self.size
        window = int(2 * PEEL * len(outward)) + 1
        while True:  # sums over a few more events than are peeled off, in most cases
            weight = self.events.weight[outward[:window]]
            reached = np.cumsum(weight[:, _SIGNAL_SIZE] + weight[:, _BACKGROUND_SIZE])
            if reached[-1] > target or window >= len(outward):
                break
            window *= 2
        position = min(int(np.searchsorted(reached, target, side="right")), len(reached) - 1)
        edge = values[outward[position]]
        first = int(np.searchsorted(values[outward[: position + 1]], edge, side="left"))
        # more events than are to be peeled off may share the outermost value
        return first or int(np.searchsorted(values[outward], edge, side="right"))

    def _gain(self, tally: Float64) -> float | None:
        """Compute the gain of a smaller box with this tally; None if too little signal remains."""
        signal, unit = tally[_SIGNAL], self.events.unit
        remaining = (tally[_SIGNAL_SIZE] + tally[_BACKGROUND_SIZE]) / self.size
        if signal <= 0 or signal**2 < FEWEST_EVENTS * tally[_SIGNAL_SQUARES] or remaining >= 1:
            return None
        before = self.tally[_SIGNAL] / (max(self.tally[_BACKGROUND], 0.0) + unit)
        after = signal / (max(tally[_BACKGROUND], 0.0) + unit)
        return float(np.log(after / before) / -np.log(remaining))
