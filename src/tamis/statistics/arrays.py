"""Check arrays and convert them to 64 bits; small functions of weights and scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.calibration import SMALLEST_SCORE
from tamis.errors import TamisError
from tamis.statistics.units import Units, compute_squared_sum

# A sum of signed weights below this share of the sum of their sizes is zero up to rounding.
ROUNDING = 1e-12
# scores above one minus this are ranked by the sum of the other scores
_NEAR_ONE = 1e-3
_SMALLEST = 1e-300  # 1 / 0 is finite with it


def check_real_numbers(values: ArrayLike, name: str, *, dimensions: int = 1) -> NDArray[np.float64]:
    """Return real numbers (or booleans) of any width as an array of 64-bit numbers.

    Raises:
        TamisError: the values (`name` in the message) are not numbers, have another number of axes, or contain NaN.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TamisError(f"{name}: expected real numbers, found values of type {array.dtype}")
    if array.ndim != dimensions:
        raise TamisError(f"{name}: expected {dimensions} axes, found an array of shape {array.shape}")
    numbers = array.astype(np.float64)
    missing = np.isnan(numbers).any(axis=tuple(range(1, dimensions)))
    if missing.any():
        raise TamisError(
            f"{name}: NaN in {np.count_nonzero(missing)} of {len(array)} events, the first is event "
            f"{np.argmax(missing)} (counted from 0); find out which input causes it"
        )
    return numbers


def check_finite_numbers(values: ArrayLike, name: str, *, dimensions: int = 1) -> NDArray[np.float64]:
    """Return an array of finite 64-bit numbers: `check_real_numbers`, which also refuses infinity."""
    array = check_real_numbers(values, name, dimensions=dimensions)
    infinite = np.count_nonzero(~np.isfinite(array))
    if infinite:
        raise TamisError(f"{name}: {infinite} of {array.size} values are infinite")
    return array


def check_weights(weight: ArrayLike, events: int, name: str = "weight") -> NDArray[np.float64]:
    """Return the signed physics weights, one finite number for each of `events` events."""
    array = check_finite_numbers(weight, name)
    check_length(array, events, name)
    return array


def check_classes(
    class_index: ArrayLike, events: int, classes: int, name: str = "class_index"
) -> NDArray[np.int64]:
    """Return the class of each event: integers from 0 to `classes` - 1.

    Raises:
        TamisError: the number of events is another, or an index is not that of a class.
    """
    array = np.asarray(class_index)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TamisError(
            f"{name}: expected one integer for each event, found {array.dtype} of shape {array.shape}"
        )
    check_length(array, events, name)
    if array.size and (array.min() < 0 or array.max() >= classes):
        raise TamisError(
            f"{name}: expected class indices from 0 to {classes - 1}, found {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)


def check_length(array: NDArray[np.generic], events: int, name: str) -> None:
    """Raise a `TamisError` unless the array has one entry for each event."""
    if len(array) != events:
        raise TamisError(f"{name}: expected {events} events, found {len(array)}")


def check_probabilities(scores: ArrayLike, name: str = "scores") -> NDArray[np.float64]:
    """Return scores that are probabilities, [n_events, n_classes].

    Raises:
        TamisError: a score is negative or not finite, or the scores of an event do not sum to one (to 0.001, which
            accepts 16-bit scores).
    """
    array = check_finite_numbers(scores, name, dimensions=2)
    wrong = (array < 0).any(axis=1) | (np.abs(array.sum(axis=1) - 1) > 1e-3)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise TamisError(
            f"{name}: expected probabilities that sum to one in each event; "
            f"event {first} (counted from 0) has {array[first].tolist()}"
        )
    return array


def check_scored(
    scores: ArrayLike, class_index: ArrayLike, weight: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return probabilities, [n_events, n_classes], class and weight of each event, each of them checked."""
    probabilities = check_probabilities(scores)
    weights = check_weights(weight, len(probabilities))
    return probabilities, check_classes(class_index, *probabilities.shape), weights


def positive_sum(weight: NDArray[np.float64]) -> float | None:
    """Return the sum of signed weights, or None if it is not positive beyond rounding.

    >>> positive_sum(np.array([2.0, -0.5]))
    1.5
    >>> positive_sum(np.array([0.1, 0.2, -0.3])) is None
    True
    """
    total = float(weight.sum())
    return total if total > ROUNDING * float(np.abs(weight).sum()) else None


def check_positive_sum(weight: NDArray[np.float64], description: str) -> float:
    """Return the sum of signed weights.

    Raises:
        TamisError: it is not positive beyond rounding; the message begins with the description of the weights.
    """
    total = positive_sum(weight)
    if total is None:
        raise TamisError(
            f"{description} must have a positive sum; found {weight.sum():g} in {len(weight)} events"
        )
    return total


def compute_effective_sample_size(weight: NDArray[np.float64], units: Units | None = None) -> float:
    """Compute the effective sample size (Kish): (sum of weights)^2 / (sum of squared weights).

    The squares are those of the sums of the weights of each unit.

    >>> compute_effective_sample_size(np.array([1.0, 1.0, 1.0, -1.0]))
    1.0
    >>> compute_effective_sample_size(np.ones(4), units=np.array([0, 0, 1, 1]))
    2.0
    """
    squares = compute_squared_sum(weight, units)
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def compute_event_losses(
    probabilities: NDArray[np.float64], class_index: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Compute the cross-entropy of each event, [n_events], of its scores, [n_events, n_classes]."""
    of_true_class = probabilities[np.arange(len(probabilities)), class_index]
    losses: NDArray[np.float64] = -np.log(np.maximum(of_true_class, SMALLEST_SCORE))
    return losses


def compute_mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank values in rising order from 1; equal values share the mean of their ranks, [n].

    >>> compute_mean_ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist()
    [3.5, 1.0, 3.5, 2.0]
    """
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return ranks


def compute_class_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers that rise with the score of each class, also for scores near one that were rounded.

    32-bit scores near one are multiples of 6e-8, but the sum of the other scores of the event still resolves the
    distance from one. From 0.999 on the rank is one over that sum, so that with two classes the order of one class is
    exactly the reverse of the other, [n_events, n_classes].

    >>> compute_class_ranks(np.array([[1.0, 1e-9], [1.0, 1e-12], [0.25, 0.75]])).round(3).tolist()
    [[1000000000.0, 0.0], [1000000000000.0, 0.0], [0.25, 0.75]]
    """
    # sums from both sides: the sum of all scores minus this one would be rounded
    complement = np.zeros_like(scores)
    complement[:, 1:] = np.cumsum(scores[:, :-1], axis=1)
    complement[:, :-1] += np.cumsum(scores[:, :0:-1], axis=1)[:, ::-1]
    return np.where(complement < _NEAR_ONE, 1 / np.maximum(complement, _SMALLEST), scores)


def compute_signal_score(scores: ArrayLike, signal: Sequence[int]) -> NDArray[np.float64]:
    """Compute the signal score, the sum of the scores of the signal classes, [n_events].

    >>> compute_signal_score([[0.5, 0.25, 0.25]], [0, 2]).tolist()
    [0.75]
    """
    columns = np.asarray(scores, np.float64)[:, list(signal)]
    return np.asarray(np.clip(columns.sum(axis=1), 0, 1))


def replace_undefined(numbers: ArrayLike) -> list[float | None]:
    """Convert numbers for JSON: None instead of NaN and infinity.

    >>> replace_undefined([0.5, np.nan])
    [0.5, None]
    """
    return [value if np.isfinite(value) else None for value in np.asarray(numbers, np.float64).tolist()]
