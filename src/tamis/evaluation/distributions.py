"""The distributions of features and scores by class, training beside test, as histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.errors import TamisError
from tamis.evaluation.arrays import classes_of, finite_numbers, same_length, weights_of
from tamis.evaluation.histogram import Binning, Histogram, binning, fill, number_of_bins
from tamis.evaluation.units import Units

_Part = tuple[NDArray[np.float64], NDArray[np.float64], Units | None]


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
    units: Units | None = None,
) -> tuple[Distribution, ...]:
    """Compute the distribution of each feature for each class.

    Args:
        values: shape [n_events, n_features].
        class_index: true class. Shape [n_events].
        weight: signed physics weight. Shape [n_events].
        training: whether the event is one of training. Shape [n_events].
        test: whether the event is one of test. Shape [n_events].
        classes: how many there are.
        units: number of what each event belongs to, where several events vary together. Shape [n_events].

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
        _of_feature(columns[:, feature].astype(np.float64), weights, units, rows, shown)
        for feature in range(columns.shape[1])
    )


def _of_feature(
    column: NDArray[np.float64],
    weights: NDArray[np.float64],
    units: Units | None,
    rows: Sequence[NDArray[np.intp]],
    shown: NDArray[np.bool_],
) -> Distribution:
    finite = np.isfinite(column)
    there = [chosen[finite[chosen]] for chosen in rows]
    parts = [(column[chosen], weights[chosen], None if units is None else units[chosen]) for chosen in there]
    missing = 1 - finite[shown].mean() if shown.any() else 0.0
    if not any(len(inside) for inside, *_ in parts):
        nothing = (None,) * (len(parts) // 2)
        return Distribution(None, nothing, nothing, float(missing))
    bins = binning([inside for inside, *_ in parts], _number_of_bins(parts))
    return _filled(parts, bins, float(missing))


def _filled(parts: Sequence[_Part], bins: Binning, missing: float = 0.0) -> Distribution:
    histograms = tuple(fill(values, weight, bins.edges, units=units) for values, weight, units in parts)
    middle = len(histograms) // 2
    return Distribution(bins, histograms[:middle], histograms[middle:], missing)


def _number_of_bins(parts: Sequence[_Part]) -> int:
    units = [units for *_, units in parts if units is not None]
    return number_of_bins([weight for _, weight, _ in parts], units if len(units) == len(parts) else None)


def score_distribution(
    score_training: ArrayLike,
    class_training: ArrayLike,
    weight_training: ArrayLike,
    score_test: ArrayLike,
    class_test: ArrayLike,
    weight_test: ArrayLike,
    *,
    classes: int,
    units: tuple[Units, Units] | None = None,
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
        units: numbers of what the training and the test events belong to, where several events vary together.

    Raises:
        TamisError: if the arrays do not fit together.
    """
    of_training, of_test = units or (None, None)
    parts = [
        *_parts(score_training, class_training, weight_training, of_training, classes, "training"),
        *_parts(score_test, class_test, weight_test, of_test, classes, "test"),
    ]
    edges = np.linspace(0.0, 1.0, _number_of_bins(parts) + 1)
    return _filled(parts, Binning(edges))


def _parts(
    score: ArrayLike, class_index: ArrayLike, weight: ArrayLike, units: Units | None, classes: int, what: str
) -> list[_Part]:
    scores = finite_numbers(score, f"{what} score")
    weights = weights_of(weight, len(scores), f"{what} weight")
    indices = classes_of(class_index, len(scores), classes, f"{what} class_index")
    rows = [indices == index for index in range(classes)]
    return [(scores[own], weights[own], None if units is None else units[own]) for own in rows]
