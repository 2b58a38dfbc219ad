"""ROC curves reduced to as many points as a figure can show; a full curve has a point for each event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tamis.records import FloatArray
from tamis.statistics.roc import RocCurve, WorkingPoint

FEWEST_EVENTS = 5
"""Minimum number of passing background events for a rejection to be drawn; with fewer it is mostly noise."""


@dataclass(frozen=True, eq=False)
class RocPoints:
    """Points in the plane of a ROC figure, [n]: the rejection is 1 / background efficiency."""

    signal_efficiency: FloatArray
    background_rejection: FloatArray


@dataclass(frozen=True, eq=False)
class RocOutline:
    """A curve as it is drawn: the area under the whole curve, the drawn part, and its certain part.

    In the certain part enough background passes; it determines the range of the axis.
    """

    auc: float
    points: RocPoints
    certain: RocPoints


def compute_least_efficiency(curve: RocCurve) -> float:
    """Return the background efficiency of about five typical events, if no two events have equal scores."""
    steps = np.abs(np.diff(curve.background_efficiency))
    return FEWEST_EVENTS * float(np.median(steps[steps > 0]))


def outline_roc(
    curve: RocCurve, working_points: Sequence[WorkingPoint] = (), *, least: float | None = None
) -> RocOutline:
    """Reduce a curve to the points that are drawn.

    The curve extends to the working points. `least` is the smallest background efficiency that is drawn; by default
    that of five typical events. It is required for a score with few different values, where a step of the curve is more
    than an event.

    >>> from tamis.statistics.roc import compute_roc_curve
    >>> curve = compute_roc_curve([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1], [1.0, 1.0, 1.0, 1.0])
    >>> outline_roc(curve, least=0.5).points.background_rejection.tolist()
    [2.0, 1.0]
    """
    least = compute_least_efficiency(curve) if least is None else least
    marked = [point.background_efficiency for point in working_points if point.background_efficiency > 0]
    certain = _points_above(curve, least)
    return RocOutline(curve.auc, _points_above(curve, min([least, *marked])) if marked else certain, certain)


def _points_above(curve: RocCurve, least: float) -> RocPoints:
    shown = curve.background_efficiency >= least
    signal, rejection = curve.signal_efficiency[shown], 1 / curve.background_efficiency[shown]
    # points within 1/500 of the axis and 1% of the rejection cannot be distinguished in a figure
    cells = np.stack((np.rint(signal * 500), np.rint(np.log(rejection) * 100)))
    seen = np.append(True, (np.diff(cells) != 0).any(axis=0))[: len(signal)]
    seen[-1:] = True
    return RocPoints(signal[seen], rejection[seen])


def mark_working_points(working_points: Sequence[WorkingPoint]) -> RocPoints:
    """Return the points of cuts on the curve, except those without a background rejection."""
    points = [
        (point.signal_efficiency, point.background_rejection)
        for point in working_points
        if point.background_rejection is not None
    ]
    signal, rejection = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return RocPoints(signal, rejection)
