"""The result of the study of cuts on the scores, and its computation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tamis.statistics.arrays import compute_signal_score
from tamis.statistics.cuts import CutTable, tabulate_cuts
from tamis.statistics.roc import RocCurve, compute_roc_curve, compute_working_points
from tamis.statistics.scored import ScoredEvents
from tamis.studies.context import Context
from tamis.studies.shared import (
    build_requirements,
    compute_significance,
    compute_test_curves,
    scale_to_expected_events,
)
from tamis.studies.study import Undefined

VALIDATION_CUT = "cut of the validation events"
"""Description of the cut that the significance of validation events chooses."""


@dataclass(frozen=True)
class QuotedCut:
    """A cut that the report quotes: the smallest score that passes, and a description of a few words."""

    threshold: float
    description: str


@dataclass(frozen=True)
class CutsResult:
    """Yields, efficiencies and significance of every cut on the signal score and on the score of each class.

    Args:
        tables: of the signal score first, then of the score of each class.
        quoted: cuts of each table that the report quotes.
        yields_are: `expected events`, or `sum of weights` if expected events are not known.
        cross_trained: whether the events are all but the validation events, with out-of-fold scores.
    """

    class_names: tuple[str, ...]
    tables: tuple[CutTable, ...]
    quoted: tuple[tuple[QuotedCut, ...], ...]
    yields_are: str
    cross_trained: bool

    def to_metrics(self) -> dict[str, Any]:
        """Return the part of `metrics.json`."""
        return {"tables": [table.to_dict(self.class_names) for table in self.tables]}


def compute_cuts(context: Context) -> CutsResult | Undefined:
    """Tabulate the cuts on the signal score and on the score of each class, including those that the report quotes.

    The result is Undefined if the expected events of a class are not known.
    """
    expected = context.once(scale_to_expected_events)["test"]
    if expected is None:
        return Undefined("a class has no positive sum of weights in test events, or in all used events")
    tables, quoted = [], []
    for signal in _groups(context):
        cuts = _quoted_cuts(context, expected, signal)
        thresholds = [cut.threshold for cut in cuts]
        table = tabulate_cuts(expected, signal, build_requirements(context, signal), also=thresholds)
        if table is not None:
            tables.append(table)
            quoted.append(cuts)
    yields_are = "sum of weights" if context.events_per_weight is None else "expected events"
    return CutsResult(
        context.class_names, tuple(tables), tuple(quoted), yields_are, context.plan.is_cross_training
    )


def _groups(context: Context) -> list[tuple[int, ...]]:
    """Return the classes whose scores are added: those of the signal first, then each class."""
    classes = range(len(context.class_names))
    groups = dict.fromkeys([context.signal, *((index,) for index in classes)])
    return [group for group in groups if 0 < len(group) < len(classes)]


def _curve_of_sum(events: ScoredEvents, signal: tuple[int, ...]) -> RocCurve:
    """Return the ROC curve of the sum of the scores of several classes."""
    return compute_roc_curve(
        compute_signal_score(events.scores, signal), np.isin(events.class_index, list(signal)), events.weight
    )


def _quoted_cuts(context: Context, expected: ScoredEvents, signal: tuple[int, ...]) -> tuple[QuotedCut, ...]:
    """Return the cuts at the working points and that with the best significance, without those that nothing passes."""
    curve = (
        context.once(compute_test_curves)[signal[0]] if len(signal) == 1 else _curve_of_sum(expected, signal)
    )
    points = [] if curve is None else compute_working_points(curve, context.working_points)
    cuts = [QuotedCut(point.threshold, f"{100 * point.target:g}% efficiency") for point in points]
    if signal == context.signal:
        significance = context.once(compute_significance)
        if significance is not None and significance.cut is not None:
            cuts.append(QuotedCut(significance.cut, VALIDATION_CUT))
    return tuple(cut for cut in cuts if cut.threshold <= 1)
