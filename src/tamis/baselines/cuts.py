"""Rectangular cuts, by the patient rule induction method.

J. H. Friedman and N. I. Fisher, "Bump hunting in high-dimensional data", Statistics and Computing 9 (1999) 123.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.baselines.events import LabelledEvents
from tamis.errors import RequestError

Features = NDArray[np.float32] | NDArray[np.float64]
Float64 = NDArray[np.float64]

PEEL = 0.03
"""Fraction of the remaining events that one step peels off, by their absolute weights."""
FEWEST_EVENTS = 50.0
"""Effective number of signal events that a box keeps at least."""
MOST_STEPS = 1000

# what is summed of the events of a box
_SIGNAL, _BACKGROUND, _SIGNAL_SIZE, _BACKGROUND_SIZE, _SIGNAL_SQUARES = range(5)


@dataclass(frozen=True)
class Interval:
    """A cut on one feature: an event passes with low <= value <= high, and fails where the value is missing.

    Args:
        feature: its index.
        low: lower edge; -infinity where there is none.
        high: upper edge; infinity where there is none.
    """

    feature: int
    low: float
    high: float

    def to_dict(self, feature_names: Sequence[str]) -> dict[str, Any]:
        """Give the cut as `metrics.json` holds it, an edge that is not there as null."""
        low, high = (edge if np.isfinite(edge) else None for edge in (self.low, self.high))
        return {"feature": feature_names[self.feature], "low": low, "high": high}


@dataclass(frozen=True, eq=False)
class Cuts:
    """Boxes of which each contains the next one; the first contains everything.

    Args:
        low: lower edges of each box, rising along the boxes, [boxes, n_features].
        high: upper edges of each box, falling along the boxes, [boxes, n_features].
        signal_inside: share of the training signal in each box, by the signed weights, [boxes].
        inside: the mean of the shares of signal and of background in each box, by the absolute weights, falling,
            [boxes].
    """

    low: Features
    high: Features
    signal_inside: Float64
    inside: Float64

    def __len__(self) -> int:
        """Give the number of boxes."""
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

    def signal_score(self, features: Features) -> Float64:
        """Give the discriminant, [n]: one minus the share of events inside the smallest box that contains the event.

        It only grows with the number of boxes passed, from 0 to 1, and means the same for the boxes of all folds.

        Args:
            features: NaN where missing, [n, n_features].
        """
        return np.asarray(1 - self.inside[self.boxes_passed(features) - 1])

    def box(self, efficiency: float) -> int:
        """Give the index of the smallest box that keeps at least this share of the training signal."""
        # rounding of the sums must not move the box
        return int(np.flatnonzero(self.signal_inside >= efficiency - 1e-12)[-1])

    def intervals(self, box: int) -> tuple[Interval, ...]:
        """Give the cuts of a box, on the features that it cuts on."""
        edges = enumerate(zip(self.low[box].tolist(), self.high[box].tolist(), strict=True))
        return tuple(
            Interval(feature, low, high)
            for feature, (low, high) in edges
            if np.isfinite(low) or np.isfinite(high)
        )


def find_cuts(training: LabelledEvents, signal: Sequence[int], *, peel: float = PEEL) -> Cuts:
    """Find nested boxes: each step peels a few percent of the remaining events off one side of one feature.

    The step is the one that raises log(signal / background) most for what it removes, -log(share of events that
    stays): so a feature with few values, of which only many events can be peeled at once, is no better for that. The
    background has the mean weight of one of its events added, so that a box without any is no infinite gain. Sums of
    signal and background are signed; what is a few percent goes by the absolute weights. An event whose value is
    missing fails every cut on that feature. The peeling ends where no step raises the ratio, or too little signal
    would be left; nothing is pasted back.

    Args:
        training: the events to learn from.
        signal: indices of the signal classes.
        peel: fraction of the remaining events that a step removes; more where that many have one value.

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
        raise RequestError("cuts need signal and background events, and there are only those of one kind")
    box = _Box.around(_Events.of(training, of_signal))
    boxes = [box]
    while len(boxes) <= MOST_STEPS and (smaller := box.peeled(peel)) is not None:
        box = smaller
        boxes.append(box)
    sums = np.array([each.tally for each in boxes])
    sizes = sums[:, [_SIGNAL_SIZE, _BACKGROUND_SIZE]]
    return Cuts(
        low=np.array([each.low for each in boxes]),
        high=np.array([each.high for each in boxes]),
        signal_inside=sums[:, _SIGNAL] / sums[0, _SIGNAL],
        inside=(sizes / sizes[0]).mean(axis=1),
    )


@dataclass(frozen=True)
class _Step:
    """A candidate: what one side of a feature would lose.

    Args:
        gain: by how much log(signal / background) rises for what is removed.
        feature: its index.
        side: 0 for the lower edge, 1 for the upper one.
        edge: the outermost value that stays.
    """

    gain: float
    feature: int
    side: int
    edge: float


@dataclass(frozen=True)
class _Events:
    """The training events of all boxes.

    Args:
        columns: values of each feature, [n_features, n].
        weight: what each event adds to a tally, [n, 5].
        unit: mean absolute weight of a background event.
    """

    columns: Features
    weight: Float64
    unit: float

    @classmethod
    def of(cls, training: LabelledEvents, of_signal: NDArray[np.bool_]) -> _Events:
        """Leave out the events that do not count."""
        counted = training.weight != 0
        of_signal, weight = of_signal[counted], training.weight[counted]
        signal, background = np.where(of_signal, weight, 0.0), np.where(of_signal, 0.0, weight)
        tally = np.stack([signal, background, np.abs(signal), np.abs(background), signal**2], axis=1)
        unit = float(np.abs(background).sum() / np.count_nonzero(background))
        return cls(np.ascontiguousarray(training.features[counted].T), tally, unit)

    def size(self, rows: NDArray[np.intp]) -> Float64:
        """Give absolute weights."""
        size: Float64 = self.weight[rows, _SIGNAL_SIZE] + self.weight[rows, _BACKGROUND_SIZE]
        return size


@dataclass(frozen=True)
class _Box:
    """A box with the events inside.

    Args:
        events: those of all boxes.
        rows: which of them are inside.
        ordered: for each feature the rows inside by rising value, without those where it is missing.
        low: lower edges, [n_features].
        high: upper edges, [n_features].
        tally: sums over the events inside, [5].
    """

    events: _Events
    rows: NDArray[np.intp]
    ordered: tuple[NDArray[np.intp], ...]
    low: Features
    high: Features
    tally: Float64

    @classmethod
    def around(cls, events: _Events) -> _Box:
        """Give the box with everything inside."""
        orders = [np.argsort(column, kind="stable") for column in events.columns]  # NaN comes last
        there = np.count_nonzero(~np.isnan(events.columns), axis=1)
        ordered = tuple(order[:number] for order, number in zip(orders, there, strict=True))
        edge = np.full(len(events.columns), np.inf, events.columns.dtype)
        return cls(events, np.arange(len(events.weight)), ordered, -edge, edge, events.weight.sum(axis=0))

    @property
    def size(self) -> float:
        """Sum of absolute weights inside."""
        return float(self.tally[_SIGNAL_SIZE] + self.tally[_BACKGROUND_SIZE])

    def peeled(self, peel: float) -> _Box | None:
        """Give the best smaller box; None where no step raises the ratio of signal and background."""
        steps = [step for feature in range(len(self.ordered)) for step in self._steps(feature, peel)]
        best = max(steps, key=lambda step: step.gain, default=None)
        if best is None or best.gain <= 0:
            return None
        values = self.events.columns[best.feature, self.rows]
        rows = self.rows[values >= best.edge if best.side == 0 else values <= best.edge]
        kept = np.zeros(len(self.events.weight), np.bool_)
        kept[rows] = True
        low, high = self.low.copy(), self.high.copy()
        (low, high)[best.side][best.feature] = best.edge
        ordered = tuple(order[kept[order]] for order in self.ordered)
        return _Box(self.events, rows, ordered, low, high, self.events.weight[rows].sum(axis=0))

    def _steps(self, feature: int, peel: float) -> Iterator[_Step]:
        """Give what can be peeled off both sides of a feature; the events where it is missing go with it."""
        order, column = self.ordered[feature], self.events.columns[feature]
        if not len(order) or column[order[0]] == column[order[-1]]:
            return
        there = self.tally if len(order) == len(self.rows) else self.events.weight[order].sum(axis=0)
        for side, values, outward in ((0, column, order), (1, -column, order[::-1])):
            first = self._first_kept(values, outward, peel)
            gain = self._gain(there - self.events.weight[outward[:first]].sum(axis=0))
            if gain is not None:
                yield _Step(gain, feature, side, float(column[outward[first]]))

    def _first_kept(self, values: Features, outward: NDArray[np.intp], peel: float) -> int:
        """Give the place of the first of the ordered rows that stays; equal values stay or go together."""
        wanted = peel * self.size
        window = int(2 * peel * len(outward)) + 1
        while True:
            reached = np.cumsum(self.events.size(outward[:window]))
            if reached[-1] > wanted or window >= len(outward):
                break
            window *= 2
        place = min(int(np.searchsorted(reached, wanted, side="right")), len(reached) - 1)
        edge = values[outward[place]]
        first = int(np.searchsorted(values[outward[: place + 1]], edge, side="left"))
        # more than enough events may share the outermost value
        return first or int(np.searchsorted(values[outward], edge, side="right"))

    def _gain(self, kept: Float64) -> float | None:
        """Give the gain of a smaller box with this tally; None where too little signal is left."""
        signal, unit = kept[_SIGNAL], self.events.unit
        left = (kept[_SIGNAL_SIZE] + kept[_BACKGROUND_SIZE]) / self.size
        if signal <= 0 or signal**2 < FEWEST_EVENTS * kept[_SIGNAL_SQUARES] or left >= 1:
            return None
        before = self.tally[_SIGNAL] / (max(self.tally[_BACKGROUND], 0.0) + unit)
        after = signal / (max(kept[_BACKGROUND], 0.0) + unit)
        return float(np.log(after / before) / -np.log(left))
