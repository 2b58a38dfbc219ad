"""Would another seed, or another fold, have given the same? The numbers of each network alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.evaluation.arrays import none_where_undefined, positive_sum
from tamis.evaluation.influence import Influences, find_influences, standard_errors
from tamis.evaluation.scored import ScoredEvents

Float64 = NDArray[np.float64]

LEVEL = 0.05
"""Corrected p-value up to which folds are said to differ by more than chance."""


@dataclass(frozen=True, eq=False)
class Unseen:
    """Events that some networks never saw, with what each of these networks says of them.

    Args:
        events: scored by the average of the networks.
        alone: the scores of each network, [n_events, n_classes] each.
        fold: of the events; None where there are no folds.
    """

    events: ScoredEvents
    alone: tuple[NDArray[np.floating[Any]], ...]
    fold: int | None = None


@dataclass(frozen=True)
class MemberNumbers:
    """The numbers of one network on events that it never saw, with the physics weights.

    Args:
        fold: of these events; None where there are no folds.
        loss: of the network alone.
        loss_error: its standard deviation from the finite number of events.
        accuracy: of the network alone.
        accuracy_error: its standard deviation.
        auc: of each class; None where it is not defined.
        auc_error: their standard deviations.
    """

    fold: int | None
    loss: float
    loss_error: float
    accuracy: float
    accuracy_error: float
    auc: tuple[float | None, ...]
    auc_error: tuple[float | None, ...]

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give the numbers as `metrics.json` holds them."""
        by_class = {
            name: dict(zip(class_names, getattr(self, name), strict=True)) for name in ("auc", "auc_error")
        }
        return {**vars(self), **by_class}


@dataclass(frozen=True)
class Spread:
    """How one number varies among the networks.

    Args:
        quantity: `loss`, `accuracy` or `auc`.
        class_name: the class of the area under the curve.
        mean: of the networks.
        deviation: their standard deviation.
        between_seeds: that of networks of one fold, of the training's chance alone; None where each fold has one.
        between_folds: that of the averages of the folds; None where there are no folds.
        lowest: the smallest number of a network.
        highest: the largest one.
        expected: deviation that the finite numbers of events in the folds explain; None where there are no folds.
        p_value: probability of folds at least as different if only their events differed; None where there are none.
        gain: by how much the average of the networks is better than a network is on average; None where no event has
            several networks.
        gain_error: standard deviation of the gain from the finite number of events.
    """

    quantity: str
    class_name: str | None
    mean: float
    deviation: float
    between_seeds: float | None
    between_folds: float | None
    lowest: float
    highest: float
    expected: float | None
    p_value: float | None
    gain: float | None
    gain_error: float | None


@dataclass(frozen=True)
class Stability:
    """How much the result depends on the seed and on the fold.

    Args:
        members: the numbers of each network, in the order of the classifier's.
        spreads: of the loss, the accuracy and the area under the curve of each class where it is defined everywhere.
    """

    members: tuple[MemberNumbers, ...]
    spreads: tuple[Spread, ...]

    @property
    def p_value(self) -> float | None:
        """The smallest p-value of the folds, corrected for the number of quantities; None without folds."""
        found = [each.p_value for each in self.spreads if each.p_value is not None]
        return min(1.0, min(found) * len(found)) if found else None

    @property
    def sentence(self) -> str:
        """The whole in words for people."""
        loss = next(each for each in self.spreads if each.quantity == "loss")
        said = (
            f"The {len(self.members)} networks alone have a loss of {loss.mean:.4f} on average, with a standard "
            f"deviation of {loss.deviation:.4f} ({loss.lowest:.4f} to {loss.highest:.4f})"
        )
        if loss.gain is not None:
            said += f"; their average gains {loss.gain:+.4f} +- {loss.gain_error:.4f}"
        if self.p_value is None:
            return f"{said}."
        differ = "by more than" if self.p_value <= LEVEL else "no more than"
        return f"{said}. The folds differ {differ} their finite numbers of events explain (p = {self.p_value:.2g})."

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "sentence": self.sentence,
            "p_value": self.p_value,
            "level": LEVEL,
            "members": [each.to_dict(class_names) for each in self.members],
            "spreads": [vars(each) for each in self.spreads],
        }


@dataclass(frozen=True, eq=False)
class _Group:
    """The numbers of one fold: those of each network, of their average, and the gain; errors beside them."""

    alone: Float64
    alone_error: Float64
    together: Float64
    together_error: Float64
    gain: Float64
    gain_error: Float64


def judge_stability(groups: Sequence[Unseen], class_names: Sequence[str]) -> Stability | None:
    """Compare the networks of a classifier: each alone, on events that it never saw.

    Networks of different seeds are tested with the same events, so that their deviation is that of the training. Folds
    have different events and differ by chance: with v the number of a fold (of the average of its networks) and e its
    error, the sum of (v - mean)^2 / e^2 follows a chi-square distribution if the networks of all folds are as good.

    Args:
        groups: the events of each fold; one group where there are no folds.
        class_names: in the order of the scores.

    Returns:
        None where there is one network, or where the weights of a fold have no positive sum.
    """
    count = sum(len(group.alone) for group in groups)
    if count < 2 or any(positive_sum(group.events.weight) is None for group in groups):
        return None
    found = [_measure(group) for group in groups]
    members = [
        _numbers(group.fold, value, error)
        for group, each in zip(groups, found, strict=True)
        for value, error in zip(each.alone, each.alone_error, strict=True)
    ]
    names = [("loss", None), ("accuracy", None), *(("auc", name) for name in class_names)]
    spreads = [_spread(quantity, name, index, found) for index, (quantity, name) in enumerate(names)]
    return Stability(tuple(members), tuple(each for each in spreads if each is not None))


def compare_folds(values: ArrayLike, errors: ArrayLike) -> float:
    """Give the probability that numbers with these errors are at least as different if they estimate the same.

    Args:
        values: [folds].
        errors: their standard deviations, [folds].

    >>> round(compare_folds([1.0, 3.0], [1.0, 1.0]), 4)
    0.1573
    """
    numbers, precision = np.asarray(values, np.float64), 1 / np.square(np.asarray(errors, np.float64))
    mean = precision @ numbers / precision.sum()
    return float(special.chdtrc(len(numbers) - 1, precision @ np.square(numbers - mean)))


def _measure(group: Unseen) -> _Group:
    events = group.events

    def find(scores: ArrayLike) -> Influences:
        return find_influences(scores, events.class_index, events.weight)

    units, together = events.units, find(events.scores)
    values, errors, mean = [], [], np.zeros_like(together.of_event)
    for scores in group.alone:
        each = find(scores)
        values.append(each.value)
        errors.append(standard_errors(each.of_event, units))
        mean += each.of_event / len(group.alone)
    # a loss is better where it is smaller
    sign = np.where(np.arange(len(together.value)) == 0, -1.0, 1.0)
    return _Group(
        np.array(values),
        np.array(errors),
        together.value,
        standard_errors(together.of_event, units),
        sign * (together.value - np.mean(values, axis=0)),
        standard_errors(together.of_event - mean, units),
    )


def _numbers(fold: int | None, value: Float64, error: Float64) -> MemberNumbers:
    areas, errors = (tuple(none_where_undefined(each[2:])) for each in (value, error))
    loss, accuracy = value[:2].tolist()
    return MemberNumbers(fold, loss, float(error[0]), accuracy, float(error[1]), areas, errors)


def _spread(quantity: str, name: str | None, index: int, found: Sequence[_Group]) -> Spread | None:
    values = np.concatenate([each.alone[:, index] for each in found])
    if not np.isfinite(values).all():
        return None
    of_folds, errors = (np.array([getattr(each, name)[index] for each in found]) for name in _TOGETHER)
    several = [each for each in found if len(each.alone) > 1]
    folds = len(found) > 1
    # without an error there is nothing to compare with
    known = folds and bool((errors > 0).all())
    gains, gain_errors = (np.array([getattr(each, name)[index] for each in several]) for name in _GAIN)
    return Spread(
        quantity,
        name,
        mean=float(values.mean()),
        deviation=float(values.std(ddof=1)),
        between_seeds=_within(index, several),
        between_folds=float(of_folds.std(ddof=1)) if folds else None,
        lowest=float(values.min()),
        highest=float(values.max()),
        expected=float(np.sqrt(np.mean(np.square(errors)))) if folds else None,
        p_value=compare_folds(of_folds, errors) if known else None,
        gain=float(gains.mean()) if several else None,
        gain_error=float(np.sqrt(np.square(gain_errors).sum())) / len(several) if several else None,
    )


def _within(index: int, several: Sequence[_Group]) -> float | None:
    """Give the deviation of networks of one fold, over all folds."""
    if not several:
        return None
    return float(np.sqrt(np.mean([each.alone[:, index].var(ddof=1) for each in several])))


_TOGETHER = ("together", "together_error")
_GAIN = ("gain", "gain_error")
