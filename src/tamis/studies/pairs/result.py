"""The result of the study of pairs of classes, and its computation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tamis.statistics.pairs import PairAreas, compute_pair_areas, compute_pair_curve
from tamis.statistics.roc_outline import RocOutline, outline_roc
from tamis.studies.context import Context


@dataclass(frozen=True)
class PairCurve:
    """One signal class against one background class, by their indices: the curve of the ratio of their scores."""

    signal: int
    background: int
    curve: RocOutline


@dataclass(frozen=True)
class PairsResult:
    """How well the scores separate each pair of classes of the test events.

    Args:
        areas: under the curve of each pair, with the physics weights.
        curves: of each signal class against each background class, by signal, then by background; pairs without a
            positive sum of weights have none.
    """

    class_names: tuple[str, ...]
    areas: PairAreas
    curves: tuple[PairCurve, ...]

    def to_metrics(self) -> dict[str, Any]:
        """Return the part of `metrics.json`: each pair, in both orders."""
        return {
            first: {
                second: {"auc": self.areas.auc[row][column], "interval": self.areas.intervals[row][column]}
                for column, second in enumerate(self.class_names)
                if row != column
            }
            for row, first in enumerate(self.class_names)
        }


def compute_pairs(context: Context) -> PairsResult | None:
    """Separate the classes of the test events pair by pair.

    The result is None with two classes: the ROC curve shows their only pair.
    """
    count, test = len(context.class_names), context.splits["test"]
    if count < 3:
        return None
    curves = {
        (signal, background): compute_pair_curve(test, signal, background)
        for signal in context.signal
        for background in range(count)
        if background not in context.signal
    }
    return PairsResult(
        context.class_names,
        compute_pair_areas(test),
        tuple(PairCurve(*pair, outline_roc(curve)) for pair, curve in curves.items() if curve is not None),
    )
