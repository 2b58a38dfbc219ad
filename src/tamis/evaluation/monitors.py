"""Numbers of the validation scores that early stopping can look at, larger is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tamis.evaluation.arrays import classes_of, probabilities_of, signal_score, weights_of
from tamis.evaluation.asimov import LEAST_EFFECTIVE, asimov_significance
from tamis.evaluation.roc import roc_curves
from tamis.evaluation.units import Units, raised_powers


def mean_auc(scores: ArrayLike, class_index: ArrayLike, weight: ArrayLike) -> float:
    """Average the areas under the ROC curves of all classes, one versus the rest.

    Args:
        scores: [n, n_classes].
        class_index: the true class, [n].
        weight: signed physics weight, [n].

    >>> mean_auc([[0.9, 0.1], [0.2, 0.8]], [0, 1], [1.0, 1.0])
    1.0
    """
    curves = roc_curves(scores, class_index, weight)
    return float(np.mean([curve.auc for curve in curves if curve is not None]))


def best_significance(
    scores: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    signal: Sequence[int],
    *,
    units: Units | None = None,
) -> float:
    """Find the cut on the signal score with the largest Asimov significance.

    Without uncertainty of the background, every cut is tried; `significance.scan_cuts` tries fewer, with one.

    Args:
        scores: [n, n_classes].
        class_index: the true class, [n].
        weight: signed physics weight, [n].
        signal: indices of the classes that are signal.
        units: number of what each event belongs to, where several events vary together, [n].

    Returns:
        The significance; 0 where no cut leaves enough background.

    >>> scores = np.repeat([[0.2, 0.8], [0.9, 0.1]], 100, axis=0)
    >>> class_index = np.r_[np.ones(50, int), np.zeros(150, int)]
    >>> round(best_significance(scores, class_index, np.ones(200), [1]), 3)
    6.215
    """
    probabilities = probabilities_of(scores)
    weights = weights_of(weight, len(probabilities))
    of_signal = np.isin(classes_of(class_index, *probabilities.shape), list(signal))
    score = signal_score(probabilities, signal)
    order = np.argsort(-score)
    # a cut lies only between different scores
    ends = np.flatnonzero(np.diff(score[order], append=-np.inf) != 0)
    s = np.cumsum(np.where(of_signal, weights, 0)[order])[ends]
    background = np.where(of_signal, 0, weights)
    b, squares = (
        np.cumsum(numbers[order])[ends] for numbers in raised_powers(score, background, units, (1, 2))
    )
    usable = (b > 0) & (s > 0) & (b**2 >= LEAST_EFFECTIVE * squares)
    if not usable.any():
        return 0.0
    s, b = s[usable], b[usable]
    return float(asimov_significance(s, b).max())
