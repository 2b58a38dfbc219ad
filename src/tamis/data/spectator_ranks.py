"""The position of events in the distributions of spectators, from which a training decorrelates the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float32, Float64, Mask


def compute_ranks(values: Float64, group: NDArray[np.integer[Any]], reference: Mask) -> Float64:
    """Compute which fraction of the reference events of its group has a smaller value than an event, [n].

    Equal values count half. The ranks of the reference events are uniform between 0 and 1; they depend neither on the
    unit of the values nor on tails. An event whose group has no reference event has the rank 0.5.

    Args:
        values: finite, [n].
        group: number of the group of each event, [n].
        reference: which events are counted, [n].

    >>> values, group = np.array([5.0, 7.0, 1.0, 6.0]), np.array([0, 0, 0, 0])
    >>> compute_ranks(values, group, np.array([True, True, False, False])).tolist()
    [0.25, 0.75, 0.0, 0.5]
    """
    ranks = np.full(len(values), 0.5)
    for number in np.unique(group):
        inside = group == number
        ordered = np.sort(values[inside & reference])
        if len(ordered):
            below = np.searchsorted(ordered, values[inside], "left")
            not_above = np.searchsorted(ordered, values[inside], "right")
            ranks[inside] = (below + not_above) / (2 * len(ordered))
    return ranks


def compute_bin_numbers(
    columns: Sequence[Float64], class_index: NDArray[np.integer[Any]], reference: Mask, bins: int
) -> NDArray[np.int64]:
    """Divide the events of each class into bins of spectators with equal numbers of reference events.

    The second spectator is divided within each bin of the first, and so on. Equal values are in one bin.

    Returns:
        The number of the bin among those of the class, [n].

    >>> compute_bin_numbers([np.arange(4.0)], np.zeros(4, int), np.ones(4, bool), 2).tolist()
    [0, 0, 1, 1]
    """
    numbers = np.zeros(len(class_index), np.int64)
    for values in columns:
        group = np.unique(np.stack([class_index, numbers]), axis=1, return_inverse=True)[1].ravel()
        ranks = compute_ranks(values, group, reference)
        numbers = numbers * bins + np.minimum((ranks * bins).astype(np.int64), bins - 1)
    return numbers


def compute_coordinates(
    columns: Sequence[Float64],
    class_index: NDArray[np.integer[Any]],
    reference: Mask,
    *,
    bins: int | None = None,
) -> Float32:
    """Compute the coordinates of events for the penalty: a rank for each spectator, or the number of a bin.

    Args:
        columns: the spectators, finite, [n] each.
        class_index: the true class, [n].
        reference: the training events, whose ranks are uniform in each class, [n].
        bins: number of bins of each spectator; None computes ranks.

    Returns:
        [n, spectators], or [n, 1] for bins.
    """
    if bins is not None:
        return compute_bin_numbers(columns, class_index, reference, bins)[:, None].astype(np.float32)
    ranks = [compute_ranks(values, class_index, reference) for values in columns]
    return np.stack(ranks, axis=1).astype(np.float32)
