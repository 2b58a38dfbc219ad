"""Histograms of features and scores by class, for training and test events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float64
from tamis.errors import TamisError
from tamis.statistics.arrays import check_classes, check_length, check_scored, check_weights
from tamis.statistics.histogram import (
    Binning,
    Histogram,
    choose_binning,
    choose_number_of_bins,
    fill_histogram,
)
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.units import Units, select_units

_Events = tuple[Float64, Float64, Units | None]
"""Values, weights and units of the events of one class and split."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """The histograms of one feature or score, of unit area each, for each class in training and in test events.

    They have common bins, None if no event has a value, and are None without a positive sum of weights. `missing` is
    the fraction of the training and test events whose value is not finite.
    """

    bins: Binning | None
    training: tuple[Histogram | None, ...]
    test: tuple[Histogram | None, ...]
    missing: float = 0.0


def compute_feature_distributions(
    values: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    training: ArrayLike,
    test: ArrayLike,
    *,
    classes: int,
    units: Units | None = None,
) -> tuple[Distribution, ...]:
    """Compute the distribution of each feature, [n_events, n_features], for each class.

    `training` and `test` are masks of the events, [n_events].

    >>> is_training, is_test = [True, False], [False, True]
    >>> values, weight = [[1.0], [2.0]], [1.0, 1.0]
    >>> feature, = compute_feature_distributions(values, [0, 1], weight, is_training, is_test, classes=2)
    >>> feature.training[1] is None, feature.test[1].density.tolist()
    (True, [0.0, 1.0])
    """
    columns = np.asarray(values)
    if columns.ndim != 2:
        raise TamisError(
            f"distributions: expected values of shape [n_events, n_features], found {columns.shape}"
        )
    weights = check_weights(weight, len(columns))
    indices = check_classes(class_index, len(columns), classes)
    masks = [np.asarray(mask, np.bool_) for mask in (training, test)]
    for mask, split in zip(masks, ("training", "test"), strict=True):
        check_length(mask, len(columns), split)
    # of all training classes first, then of all test classes
    rows = [np.flatnonzero(mask & (indices == index)) for mask in masks for index in range(classes)]
    shown = masks[0] | masks[1]
    distributions = []
    for column in columns.T:
        feature = column.astype(np.float64)
        finite = np.isfinite(feature)
        samples = _select(feature, weights, units, [of_class[finite[of_class]] for of_class in rows])
        filled = [inside for inside, *_ in samples if len(inside)]
        bins = choose_binning(filled, _number_of_bins(samples)) if filled else None
        missing = float(1 - finite[shown].mean()) if shown.any() else 0.0
        distributions.append(_fill(samples, bins, missing))
    return tuple(distributions)


def _select(
    values: Float64,
    weights: Float64,
    units: Units | None,
    rows: Sequence[NDArray[np.bool_] | NDArray[np.intp]],
) -> list[_Events]:
    return [(values[chosen], weights[chosen], select_units(units, chosen)) for chosen in rows]


def _fill(samples: Sequence[_Events], bins: Binning | None, missing: float = 0.0) -> Distribution:
    histograms = tuple(
        None if bins is None else fill_histogram(values, weight, bins.edges, units=units)
        for values, weight, units in samples
    )
    middle = len(histograms) // 2
    return Distribution(bins, histograms[:middle], histograms[middle:], missing)


def _number_of_bins(samples: Sequence[_Events]) -> int:
    return choose_number_of_bins([weight for _, weight, _ in samples], [units for *_, units in samples])


def compute_score_distributions(training: ScoredEvents, test: ScoredEvents) -> tuple[Distribution, ...]:
    """Compute the distribution of each score for each true class, in equal bins from 0 to 1."""
    samples: list[list[_Events]] = [[] for _ in training.scores.T]  # of each score
    for events in (training, test):
        scores, classes, weight = check_scored(events.scores, events.class_index, events.weight)
        rows = [classes == index for index in range(len(samples))]
        for of_score, score in zip(samples, scores.T, strict=True):
            of_score += _select(score, weight, events.units, rows)
    # the same events have each of the scores
    binning = Binning(np.linspace(0.0, 1.0, _number_of_bins(samples[0]) + 1))
    return tuple(_fill(of_score, binning) for of_score in samples)
