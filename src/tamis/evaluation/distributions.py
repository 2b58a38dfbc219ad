"""The distributions of features and scores by class, training beside test, as histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.errors import TamisError
from tamis.evaluation.arrays import classes_of, finite_numbers, same_length, weights_of
from tamis.evaluation.histogram import Binning, Histogram, binning, fill, number_of_bins

_Part = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Distribution:
    """The histograms of one feature or score, of unit area each.

    Args:
        bins: common to all histograms; None where no event has a value.
        training: of the training events of each class; None where the sum of weights is not positive.
        test: the same of the test events.
        missing: fraction of the events of both whose value is not finite.
    """

    bins: Binning | None
    training: tuple[Histogram | None, ...]
    test: tuple[Histogram | None, ...]
    missing: float = 0.0


def feature_distributions(
    values: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    training: ArrayLike,
    test: ArrayLike,
    *,
    classes: int,
) -> tuple[Distribution, ...]:
    """Compute the distribution of each feature for each class.

    Args:
        values: shape [n_events, n_features].
        class_index: true class. Shape [n_events].
        weight: signed physics weight. Shape [n_events].
        training: whether the event is one of training. Shape [n_events].
        test: whether the event is one of test. Shape [n_events].
        classes: how many there are.

    Raises:
        TamisError: if the arrays do not fit together.

    Example:
        >>> one, = feature_distributions([[1.0], [2.0]], [0, 1], [1.0, 1.0], [True, False], [False, True], classes=2)
        >>> one.training[1] is None, one.test[1].density.tolist()
        (True, [0.0, 1.0])
    """
    columns = np.asarray(values)
    if columns.ndim != 2:
        raise TamisError(
            f"distributions: expected values of shape [n_events, n_features], found {columns.shape}"
        )
    weights = weights_of(weight, len(columns))
    indices = classes_of(class_index, len(columns), classes)
    masks = [np.asarray(part, np.bool_) for part in (training, test)]
    for mask, what in zip(masks, ("training", "test"), strict=True):
        same_length(mask, len(columns), what)
    # of all training classes first, then of all test classes
    rows = [np.flatnonzero(mask & (indices == index)) for mask in masks for index in range(classes)]
    shown = masks[0] | masks[1]
    return tuple(
        _of_feature(columns[:, feature].astype(np.float64), weights, rows, shown)
        for feature in range(columns.shape[1])
    )


def _of_feature(
    column: NDArray[np.float64],
    weights: NDArray[np.float64],
    rows: Sequence[NDArray[np.intp]],
    shown: NDArray[np.bool_],
) -> Distribution:
    finite = np.isfinite(column)
    there = [chosen[finite[chosen]] for chosen in rows]
    parts = [(column[chosen], weights[chosen]) for chosen in there]
    missing = 1 - finite[shown].mean() if shown.any() else 0.0
    if not any(len(inside) for inside, _ in parts):
        nothing = (None,) * (len(parts) // 2)
        return Distribution(None, nothing, nothing, float(missing))
    bins = binning([inside for inside, _ in parts], number_of_bins([weight for _, weight in parts]))
    return _filled(parts, bins, float(missing))


def _filled(parts: Sequence[_Part], bins: Binning, missing: float = 0.0) -> Distribution:
    histograms = tuple(fill(*part, bins.edges) for part in parts)
    middle = len(histograms) // 2
    return Distribution(bins, histograms[:middle], histograms[middle:], missing)


def score_distribution(
    score_training: ArrayLike,
    class_training: ArrayLike,
    weight_training: ArrayLike,
    score_test: ArrayLike,
    class_test: ArrayLike,
    weight_test: ArrayLike,
    *,
    classes: int,
) -> Distribution:
    """Compute the distribution of one score for each true class, in equal bins from 0 to 1.

    Args:
        score_training: from 0 to 1. Shape [n_training].
        class_training: true class. Shape [n_training].
        weight_training: signed physics weight. Shape [n_training].
        score_test: shape [n_test].
        class_test: true class. Shape [n_test].
        weight_test: signed physics weight. Shape [n_test].
        classes: how many there are.

    Raises:
        TamisError: if the arrays do not fit together.
    """
    parts = [
        *_parts(score_training, class_training, weight_training, classes, "training"),
        *_parts(score_test, class_test, weight_test, classes, "test"),
    ]
    edges = np.linspace(0.0, 1.0, number_of_bins([weight for _, weight in parts]) + 1)
    return _filled(parts, Binning(edges))


def _parts(
    score: ArrayLike, class_index: ArrayLike, weight: ArrayLike, classes: int, what: str
) -> list[_Part]:
    scores = finite_numbers(score, f"{what} score")
    weights = weights_of(weight, len(scores), f"{what} weight")
    indices = classes_of(class_index, len(scores), classes, f"{what} class_index")
    return [(scores[indices == index], weights[indices == index]) for index in range(classes)]
