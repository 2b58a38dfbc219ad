"""Flattening: the same distribution of a spectator in all classes, so that a network does not learn it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tamis.arrays import Float64, Int64, Mask
from tamis.config import Flatten
from tamis.data.cutflow import tally
from tamis.data.events import Events
from tamis.data.split import TRAINING
from tamis.errors import InputError, Problem


@dataclass(frozen=True)
class Flattened:
    """The effect of flattening on the training events of one class.

    Args:
        effective_sample_size_before: of the training events, before flattening.
        effective_sample_size_after: of the training events, after; the difference is the cost of flattening.
        empty_bin_fraction: fraction of the bins in which the class has no positive sum of weights; its events in such
            bins have weight zero in the loss.
    """

    effective_sample_size_before: float
    effective_sample_size_after: float
    empty_bin_fraction: float


def flatten_weights(
    events: Events, weight: Float64, classes: Sequence[str], flatten: Flatten
) -> tuple[Float64, dict[str, Flattened]]:
    """Reweight events so that every class has the same binned distribution of the spectators; tell the effect on each.

    The bins have equal sums of weights of the training events of all classes, with equal weights of the classes. In
    every bin, the training weights of a class are scaled so that they sum to the same fraction of the sum of the class.
    A spectator that is not finite raises an `InputError`.
    """
    training = events.split == TRAINING
    bins = _bins(events, weight, training, flatten)
    count = flatten.bins ** len(flatten.spectators)
    result = weight.copy()
    report = {}
    for index, name in enumerate(classes):
        of_class = events.class_index == index
        used = of_class & training
        sums = np.bincount(bins[used], weights=weight[used], minlength=count)
        filled = sums > 0
        factor = np.where(filled, sums.sum() / count / np.where(filled, sums, 1), 0.0)
        result[of_class] *= factor[bins[of_class]]
        report[name] = Flattened(
            effective_sample_size_before=tally(weight[used]).effective_sample_size,
            effective_sample_size_after=tally(result[used]).effective_sample_size,
            empty_bin_fraction=float(1 - filled.mean()),
        )
    return result, report


def _bins(events: Events, weight: Float64, training: Mask, flatten: Flatten) -> Int64:
    """Return the bin number of each event; the second spectator is binned separately in each bin of the first."""
    bins = np.zeros(len(events), np.int64)
    # as fractions of the sum of its class, so that all classes have equal weight
    size = np.abs(weight)
    class_sums = np.bincount(events.class_index, weights=np.where(training, size, 0.0))
    share = size / class_sums[events.class_index]
    for name in flatten.spectators:
        values = events.spectators[name]
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            message = (
                f"spectator {name!r} is {values[row]} at entry {events.entry[row]}; weights.flatten needs a number for "
                "every event: remove such events with `selection`"
            )
            raise InputError("weights.flatten", [Problem(events.files[events.file_index[row]], message)])
        finer = bins * flatten.bins
        for number in np.unique(bins):
            inside = bins == number
            edges = _quantiles(values[inside & training], share[inside & training], flatten.bins)
            finer[inside] += np.searchsorted(edges, values[inside])
        bins = finer
    return bins


def _quantiles(values: Float64, weight: Float64, bins: int) -> Float64:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weight[order])
    if not len(cumulative):
        return np.empty(0)
    # slightly below the quantile, so that rounding of the sum does not move an edge by one value
    targets = (np.arange(1, bins) / bins - 1e-12) * cumulative[-1]
    return np.asarray(values[order][np.minimum(np.searchsorted(cumulative, targets), len(cumulative) - 1)])
