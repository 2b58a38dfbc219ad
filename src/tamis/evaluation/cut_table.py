"""What passes a cut on a score, for every cut that a person may want to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.arrays import none_where_undefined, positive_sum, probabilities_of, signal_score
from tamis.evaluation.asimov import Requirements, significance_behind_cuts
from tamis.evaluation.cuts import sums_above
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.units import raised_powers

Float64 = NDArray[np.float64]

_STEPS = 100


@dataclass(frozen=True)
class CutTable:
    """Events behind each of many cuts on the score of some classes.

    Args:
        signal: indices of the classes whose scores are added.
        thresholds: rising from 0; events with score >= threshold pass, [cuts].
        passed: expected events of each true class, [n_classes, cuts].
        background_error: of all other classes together, from the finite simulation, [cuts].
        significance: Asimov significance; NaN where too little background is left, [cuts].
    """

    signal: tuple[int, ...]
    thresholds: Float64
    passed: Float64
    background_error: Float64
    significance: Float64

    @property
    def efficiency(self) -> Float64:
        """Fraction of each class that passes, [n_classes, cuts]."""
        fractions: Float64 = self.passed / self.passed[:, :1]
        return fractions

    @property
    def signal_events(self) -> Float64:
        """Expected signal events, [cuts]."""
        return np.asarray(self.passed[list(self.signal)].sum(axis=0), np.float64)

    @property
    def background_events(self) -> Float64:
        """Expected events of all other classes, [cuts]."""
        return np.asarray(np.delete(self.passed, list(self.signal), axis=0).sum(axis=0), np.float64)

    @property
    def signal_efficiency(self) -> Float64:
        """Fraction of the signal that passes, [cuts]."""
        fractions: Float64 = self.signal_events / self.signal_events[0]
        return fractions

    @property
    def rejection(self) -> Float64:
        """One in how many background events passes; NaN where none is left, [cuts]."""
        return _ratio(self.background_events[0], self.background_events)

    @property
    def purity(self) -> Float64:
        """Fraction of the passing events that is signal; NaN where nothing passes, [cuts]."""
        return _ratio(self.signal_events, self.signal_events + self.background_events)

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "score_of": [class_names[index] for index in self.signal],
            "thresholds": self.thresholds.tolist(),
            "passed": {name: row.tolist() for name, row in zip(class_names, self.passed, strict=True)},
            "efficiency": {
                name: row.tolist() for name, row in zip(class_names, self.efficiency, strict=True)
            },
            "signal": self.signal_events.tolist(),
            "background": self.background_events.tolist(),
            "background_error": self.background_error.tolist(),
            "signal_efficiency": self.signal_efficiency.tolist(),
            "rejection": none_where_undefined(self.rejection),
            "purity": none_where_undefined(self.purity),
            "significance": none_where_undefined(self.significance),
        }


def follow_cuts(
    events: ScoredEvents,
    signal: Sequence[int],
    requirements: Requirements,
    *,
    also: Sequence[float] = (),
) -> CutTable | None:
    """Count what passes each cut on the score of some classes.

    The cuts are those at every hundredth of the score and of the signal efficiency.

    Args:
        events: their weights are expected events.
        signal: indices of the classes whose scores are added; all others are background.
        requirements: what a cut has to keep for a significance.
        also: further thresholds.

    Returns:
        None where a class has no positive sum of weights.

    Raises:
        TamisError: the arrays do not fit together.

    >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> events = ScoredEvents(scores, np.array([0, 0, 1]), np.ones(3), np.ones(3))
    >>> found = follow_cuts(events, [1], Requirements(), also=[0.7])
    >>> found.passed[:, found.thresholds == 0.7].ravel().tolist()
    [0.0, 1.0]
    """
    probabilities = probabilities_of(events.scores)
    classes, weights = events.class_index, events.weight
    count = probabilities.shape[1]
    if any(positive_sum(weights[classes == index]) is None for index in range(count)):
        return None
    score = signal_score(probabilities, signal)
    of_signal = np.isin(classes, list(signal))
    at = np.linspace(0, 1, _STEPS + 1)
    quantiles = np.quantile(score[of_signal], at, method="inverted_cdf")
    thresholds = np.unique(np.concatenate([at[:-1], quantiles, np.asarray(also, np.float64)]))
    (squares,) = raised_powers(score, np.where(of_signal, 0, weights), events.units)
    *by_class, squares = sums_above(
        thresholds, score, [*(np.where(classes == index, weights, 0) for index in range(count)), squares]
    )
    passed = np.stack(by_class)
    signal_events = passed[list(signal)].sum(axis=0)
    backgrounds = np.delete(passed, list(signal), axis=0)
    significance = significance_behind_cuts(signal_events, backgrounds, squares, requirements)
    return CutTable(tuple(signal), thresholds, passed, np.sqrt(np.maximum(squares, 0)), significance)


def _ratio(numerator: Float64, denominator: Float64) -> Float64:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Float64 = np.where(denominator > 0, numerator / denominator, np.nan)
    return ratio
