"""Check the arrays that an evaluation takes, and bring them to 64 bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.errors import TamisError
from tamis.evaluation.units import Units, squared_sum

# A sum of signed weights below this share of the sum of their sizes is zero up to rounding.
ROUNDING = 1e-12
_NEAR_ONE = 1e-3
_SMALLEST = 1e-300


def real_numbers(values: ArrayLike, what: str, *, dimensions: int = 1) -> NDArray[np.float64]:
    """Return an array of 64-bit numbers without NaN.

    Args:
        values: real numbers (or booleans) of any width.
        what: the word for the values in an error.
        dimensions: how many axes the array must have.

    Raises:
        TamisError: if the values are not numbers, have another shape, or hold NaN.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TamisError(f"{what}: expected real numbers, found values of type {array.dtype}")
    if array.ndim != dimensions:
        raise TamisError(f"{what}: expected {dimensions} axes, found an array of shape {array.shape}")
    numbers = array.astype(np.float64)
    missing = np.isnan(numbers).any(axis=tuple(range(1, dimensions)))
    if missing.any():
        raise TamisError(
            f"{what}: NaN in {np.count_nonzero(missing)} of {len(array)} events, the first is event "
            f"{np.argmax(missing)} (counted from 0); find out which input gave it"
        )
    return numbers


def finite_numbers(values: ArrayLike, what: str, *, dimensions: int = 1) -> NDArray[np.float64]:
    """Return an array of finite 64-bit numbers; as `real_numbers`, and infinity is an error too."""
    array = real_numbers(values, what, dimensions=dimensions)
    infinite = np.count_nonzero(~np.isfinite(array))
    if infinite:
        raise TamisError(f"{what}: {infinite} of {array.size} values are infinite")
    return array


def weights_of(weight: ArrayLike, events: int, what: str = "weight") -> NDArray[np.float64]:
    """Return the signed physics weights, one finite number for each of `events` events."""
    array = finite_numbers(weight, what)
    same_length(array, events, what)
    return array


def classes_of(
    class_index: ArrayLike, events: int, classes: int, what: str = "class_index"
) -> NDArray[np.int64]:
    """Return the class of each event: integers from 0 to `classes` - 1.

    Raises:
        TamisError: if there is another number of events, or an index that no class has.
    """
    array = np.asarray(class_index)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TamisError(
            f"{what}: expected one integer for each event, found {array.dtype} of shape {array.shape}"
        )
    same_length(array, events, what)
    if array.size and (array.min() < 0 or array.max() >= classes):
        raise TamisError(
            f"{what}: expected class indices from 0 to {classes - 1}, found {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)


def same_length(array: NDArray[np.generic], events: int, what: str) -> None:
    """Raise a `TamisError` unless the array has one entry for each event."""
    if len(array) != events:
        raise TamisError(f"{what}: expected {events} events, found {len(array)}")


def probabilities_of(scores: ArrayLike, what: str = "scores") -> NDArray[np.float64]:
    """Return scores of shape [n_events, n_classes] that are probabilities.

    Raises:
        TamisError: if a score is not finite or is negative, or if the scores of an event do not sum to one
            (to 0.001, which lets 16-bit scores pass).
    """
    array = finite_numbers(scores, what, dimensions=2)
    wrong = (array < 0).any(axis=1) | (np.abs(array.sum(axis=1) - 1) > 1e-3)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise TamisError(
            f"{what}: expected probabilities that sum to one in each event; "
            f"event {first} (counted from 0) has {array[first].tolist()}"
        )
    return array


def positive_sum(weight: NDArray[np.float64]) -> float | None:
    """Return the sum of signed weights, or None where it is not positive beyond rounding.

    >>> positive_sum(np.array([2.0, -0.5]))
    1.5
    >>> positive_sum(np.array([0.1, 0.2, -0.3])) is None
    True
    """
    total = float(weight.sum())
    return total if total > ROUNDING * float(np.abs(weight).sum()) else None


def needed_sum(weight: NDArray[np.float64], what: str) -> float:
    """Return the sum of signed weights.

    Args:
        weight: of the events.
        what: the words for the computation, and whose weights they are, in an error.

    Raises:
        TamisError: if the sum is not positive beyond rounding.
    """
    total = positive_sum(weight)
    if total is None:
        raise TamisError(f"{what} must have a positive sum; found {weight.sum():g} in {len(weight)} events")
    return total


def effective_number(weight: NDArray[np.float64], units: Units | None = None) -> float:
    """Return (sum of weights)^2 / (sum of squared weights): how many unit weights tell as much.

    Args:
        weight: signed, [n_events].
        units: number of what each event belongs to, where several events vary together, [n_events]; the squares are
            then those of their sums.

    >>> effective_number(np.array([1.0, 1.0, 1.0, -1.0])), effective_number(np.ones(4), np.array([0, 0, 1, 1]))
    (1.0, 2.0)
    """
    squares = squared_sum(weight, units)
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Number values by rising size from one on, equal ones by the mean of their numbers, [n].

    >>> mean_ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist()
    [3.5, 1.0, 3.5, 2.0]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def class_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers that rise with the score of each class, also where scores near one were rounded.

    Scores of 32 bits near one are multiples of 6e-8, but the sum of the other scores of the event still tells how far
    they are from one. It ranks these events: so two classes give one order of events, each the reverse of the other.

    Args:
        scores: [n_events, n_classes].

    Returns:
        The score; from 0.999 on one over the sum of the others, [n_events, n_classes].

    >>> class_ranks(np.array([[1.0, 1e-9], [1.0, 1e-12], [0.25, 0.75]])).round(3).tolist()
    [[1000000000.0, 0.0], [1000000000000.0, 0.0], [0.25, 0.75]]
    """
    # the sum of the others, without the difference to the sum of all, which would be rounded
    rest = np.zeros_like(scores)
    rest[:, 1:] = np.cumsum(scores[:, :-1], axis=1)
    rest[:, :-1] += np.cumsum(scores[:, :0:-1], axis=1)[:, ::-1]
    return np.where(rest < _NEAR_ONE, 1 / np.maximum(rest, _SMALLEST), scores)


def signal_and_rest(scores: ArrayLike, signal: Sequence[int]) -> NDArray[np.float64]:
    """Return the sums of the scores of the other classes and of the signal classes, [n, 2].

    >>> signal_and_rest([[0.5, 0.25, 0.25]], [0, 2]).tolist()
    [[0.25, 0.75]]
    """
    columns = np.asarray(scores, np.float64)
    others = [index for index in range(columns.shape[1]) if index not in signal]
    return np.stack([columns[:, others].sum(axis=1), columns[:, list(signal)].sum(axis=1)], axis=1)


def signal_score(scores: ArrayLike, signal: Sequence[int]) -> NDArray[np.float64]:
    """Give the score for signal, [n], of the scores of all classes, [n, n_classes]: the sum of the signal classes'.

    >>> signal_score([[0.5, 0.25, 0.25]], [0, 2]).tolist()
    [0.75]
    """
    columns = np.asarray(scores, np.float64)[:, list(signal)]
    return np.asarray(np.clip(columns.sum(axis=1), 0, 1))


def none_where_undefined(numbers: ArrayLike) -> list[float | None]:
    """Write numbers as JSON can hold them: what is no finite number is None.

    >>> none_where_undefined([0.5, np.nan])
    [0.5, None]
    """
    return [value if np.isfinite(value) else None for value in np.asarray(numbers, np.float64).tolist()]
