"""The events of an estimator: an order that follows from what they are, training factors, validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.config.wording import describe
from tamis.data.split import scramble

if TYPE_CHECKING:
    from tamis.training.batches import WeightedInputs

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Features = Float32 | Float64
Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class LabelledEvents:
    """Events in an order that follows from what they are.

    Args:
        identity: hashes of class and features, ascending, [n].
        features: NaN where missing, [n, n_features]; float64 where 32 bits do not resolve one of them, else float32.
        class_index: the true class, [n].
        weight: weight in the loss, [n].
    """

    identity: NDArray[np.uint64]
    features: Features
    class_index: Int32
    weight: Float64

    def __len__(self) -> int:
        """Give the number of events."""
        return len(self.weight)

    @classmethod
    def of(
        cls, features: Features, class_index: Int32, weight: Float64, *, one_batch: int = 0
    ) -> LabelledEvents:
        """Order the events, and leave out those of weight zero.

        So the order of the rows does not change a bit of any result; and in one batch, neither does writing an
        event twice instead of giving it weight 2.

        Args:
            features: float32, NaN where missing, [n, n_features].
            class_index: the true class, [n].
            weight: sample weights, [n].
            one_batch: up to so many events, equal events become one, with the sum of their weights.

        Example:
            >>> rows = np.array([[7.0], [5.0], [7.0]], np.float32)
            >>> events = LabelledEvents.of(rows, np.zeros(3, np.int32), np.ones(3), one_batch=100)
            >>> sorted(zip(events.features[:, 0].tolist(), events.weight.tolist()))
            [(5.0, 1.0), (7.0, 2.0)]
        """
        identity = _identities(features, class_index)
        order = np.lexsort((weight, identity))
        identity, weight = identity[order], weight[order]
        if 0 < len(order) <= one_batch:
            first = np.flatnonzero(np.append(True, identity[1:] != identity[:-1]))
            order, identity, weight = order[first], identity[first], np.add.reduceat(weight, first)
        return cls(identity, features[order], class_index[order], weight).take(weight != 0)

    def take(self, rows: NDArray[np.bool_]) -> LabelledEvents:
        """Choose some events."""
        return LabelledEvents(
            self.identity[rows], self.features[rows], self.class_index[rows], self.weight[rows]
        )

    def balanced(self, factors: object, classes: NDArray[Any]) -> LabelledEvents:
        """Multiply the weights with the training factors of the classes.

        Args:
            factors: `balanced`, a mapping of labels to factors, or None.
            classes: the labels, [n_classes].

        Raises:
            ValueError: the weights of a class have no positive sum, or the factors cannot be used.
        """
        sums = np.bincount(self.class_index, weights=self.weight, minlength=len(classes))
        for label, total in zip(classes.tolist(), sums, strict=True):
            if not total > 0:
                raise ValueError(
                    f"the sample weights of the class {label!r} sum to {total:g}; expected a positive sum: "
                    "mend the weights, or leave the class out of y"
                )
        factor = _class_factors(factors, classes.tolist(), sums.astype(np.float64))
        return replace(self, weight=self.weight * factor[self.class_index])

    def draw(self, fraction: float | None, *, seed: int) -> NDArray[np.bool_]:
        """Choose a fraction of each class for validation; equal events stay together.

        Of each class at least one event is chosen, and at least one is not.

        Args:
            fraction: from 0 to 1; None chooses nothing.
            seed: another number gives another choice.
        """
        chosen = np.zeros(len(self), np.bool_)
        if fraction is None:
            return chosen
        position = scramble(self.identity ^ scramble(np.full(1, seed, np.uint64)))
        for number in np.unique(self.class_index):
            own = self.class_index == number
            positions = np.unique(position[own])
            count = min(max(round(fraction * len(positions)), 1), len(positions) - 1)
            if count:
                chosen |= own & (position <= positions[count - 1])
        return chosen

    def with_positive_sum(self, part: str) -> LabelledEvents:
        """Give these events, whose weights have a positive sum.

        Args:
            part: what they are for.

        Raises:
            ValueError: the sum is not positive.
        """
        if self.weight.sum() > 0:
            return self
        raise ValueError(
            f"the weights of the {len(self)} {part} events sum to {self.weight.sum():g}; expected a positive sum: "
            "use more events, or another validation_fraction"
        )

    def weighted_inputs(self, inputs: Float32) -> WeightedInputs:
        """Give what the training loop takes.

        Args:
            inputs: the preprocessed features, [n, inputs].
        """
        from tamis.training.batches import WeightedInputs

        return WeightedInputs(inputs, self.class_index, self.weight)


def _identities(features: Features, class_index: Int32) -> NDArray[np.uint64]:
    """Hash each event's class and features; all NaN are alike, and so are 0 and -0."""
    identity = scramble(class_index.astype(np.uint64))
    for column in features.T:
        alike = np.where(np.isnan(column), column.dtype.type(np.nan), column + column.dtype.type(0))
        identity = scramble(identity ^ alike.view(np.uint32 if alike.dtype == np.float32 else np.uint64))
    return identity


def _class_factors(factors: object, labels: list[Any], sums: Float64) -> Float64:
    match factors:
        case None:
            return np.ones(len(labels))
        case "balanced":
            return np.asarray(sums.sum() / len(labels) / sums)
        case Mapping():
            return _factors_of_labels(factors, labels)
        case _:
            expected = "expected balanced, a mapping of labels to factors, or None"
            raise ValueError(f"class_weight: {expected}; found {describe(factors)}")


def _factors_of_labels(factors: Mapping[Any, float], labels: list[Any]) -> Float64:
    unknown = [label for label in factors if label not in labels]
    if unknown:
        raise ValueError(f"class_weight: there is no class {unknown[0]!r}; the classes are {labels}")
    values = np.array([factors.get(label, 1.0) for label in labels], np.float64)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"class_weight: expected factors above 0, found {dict(factors)}")
    return values
