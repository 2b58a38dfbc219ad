"""Flattening: the same distribution of a spectator for all classes, so that it cannot be read off the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamis.config import Flatten
from tamis.data.events import Events
from tamis.data.ledger import tally
from tamis.data.split import TRAINING
from tamis.errors import InputError, Problem

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Flattened:
    """What flattening did to the training events of one class.

    Args:
        before: effective number of events before.
        after: effective number of events after; the difference is what flattening costs.
        empty: fraction of the bins in which the class has no positive sum of weights; its events there, if any, do
            not count in the loss.
    """

    before: float
    after: float
    empty: float


def flatten_weights(
    events: Events, weight: Float64, classes: Sequence[str], flatten: Flatten
) -> tuple[Float64, dict[str, Flattened]]:
    """Give every class the same distribution of the spectators, in bins.

    The bins hold the same weight of the training events of all classes, each class counting alike. In every bin a
    class's training weights are multiplied so that they sum to the same share of the class's sum.

    Args:
        events: with the spectators.
        weight: in the loss, [n].
        classes: names of the classes.
        flatten: which spectators, and how many bins.

    Returns:
        The weights, [n], and what happened to each class.

    Raises:
        InputError: a spectator is not a number in some event.
    """
    training = events.part == TRAINING
    bins = _bins(events, weight, training, flatten)
    count = flatten.bins ** len(flatten.spectators)
    result = weight.copy()
    report = {}
    for index, name in enumerate(classes):
        own = events.class_index == index
        used = own & training
        sums = np.bincount(bins[used], weights=weight[used], minlength=count)
        filled = sums > 0
        factor = np.where(filled, sums.sum() / count / np.where(filled, sums, 1), 0.0)
        result[own] *= factor[bins[own]]
        report[name] = Flattened(
            before=tally(weight[used]).effective_number,
            after=tally(result[used]).effective_number,
            empty=float(1 - filled.mean()),
        )
    return result, report


def _bins(
    events: Events, weight: Float64, training: NDArray[np.bool_], flatten: Flatten
) -> NDArray[np.int64]:
    """Number the bin of each event; the second spectator is divided anew in each bin of the first."""
    bins = np.zeros(len(events), np.int64)
    share = _shares(events, weight, training)
    for name in flatten.spectators:
        values = events.spectators[name]
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            message = (
                f"spectator {name!r} is {values[row]} at entry {events.entry[row]}; weights.flatten needs a number for "
                "every event: leave such events out with `selection`"
            )
            raise InputError("weights.flatten", [Problem(events.files[events.file_index[row]], message)])
        finer = bins * flatten.bins
        for number in np.unique(bins):
            inside = bins == number
            edges = _quantiles(values[inside & training], share[inside & training], flatten.bins)
            finer[inside] += np.searchsorted(edges, values[inside])
        bins = finer
    return bins


def _shares(events: Events, weight: Float64, training: NDArray[np.bool_]) -> Float64:
    """Return the share of each event in its class, so that every class counts alike; signs do not move edges."""
    size = np.abs(weight)
    sums = np.bincount(events.class_index, weights=np.where(training, size, 0.0))
    return np.asarray(size / sums[events.class_index])


def _quantiles(values: Float64, weight: Float64, bins: int) -> Float64:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    if not len(reached):
        return np.empty(0)
    wanted = (np.arange(1, bins) / bins - 1e-12) * reached[-1]
    return np.asarray(values[order][np.minimum(np.searchsorted(reached, wanted), len(reached) - 1)])
