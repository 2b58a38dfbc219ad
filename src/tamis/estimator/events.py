"""The events of an estimator: an order by their content, class weights, and the choice of validation events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Features, Float64, Int32
from tamis.data.split import scramble
from tamis.estimator.parameters import convert_to_python
from tamis.wording import describe


@dataclass(frozen=True)
class OrderedEvents:
    """Events in an order that is a function of their content: by ascending hashes of class and features, [n].

    Features are NaN if missing, [n, n_features], and in 64 bits if 32 do not resolve one of them. The weight is that in
    the loss, [n].
    """

    content_hash: NDArray[np.uint64]
    features: Features
    class_index: Int32
    weight: Float64

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.weight)

    @classmethod
    def of(
        cls, features: Features, class_index: Int32, weight: Float64, *, one_batch: int = 0
    ) -> OrderedEvents:
        """Order the events, and remove those of weight zero, so that the order of the rows changes no bit of a result.

        If there are at most `one_batch` events, equal events become one, with the sum of their weights: then an event
        with weight 2 is equivalent to two rows, up to the last bit.

        >>> rows = np.array([[7.0], [5.0], [7.0]], np.float32)
        >>> events = OrderedEvents.of(rows, np.zeros(3, np.int32), np.ones(3), one_batch=100)
        >>> sorted(zip(events.features[:, 0].tolist(), events.weight.tolist()))
        [(5.0, 1.0), (7.0, 2.0)]
        """
        content_hash = _hash_content(features, class_index)
        order = np.lexsort((weight, content_hash))
        content_hash, weight = content_hash[order], weight[order]
        if 0 < len(order) <= one_batch:
            first = np.flatnonzero(np.append(True, content_hash[1:] != content_hash[:-1]))
            order, content_hash, weight = order[first], content_hash[first], np.add.reduceat(weight, first)
        return cls(content_hash, features[order], class_index[order], weight).take(weight != 0)

    def take(self, rows: NDArray[np.bool_]) -> OrderedEvents:
        """Select events."""
        return OrderedEvents(
            self.content_hash[rows], self.features[rows], self.class_index[rows], self.weight[rows]
        )

    def balanced(self, class_weight: object, classes: NDArray[Any]) -> OrderedEvents:
        """Multiply the weights by class weights: `balanced`, a mapping of labels to class weights, or None.

        Raises:
            ValueError: the weights of a class have no positive sum, or the class weights are invalid.
        """
        sums = np.bincount(self.class_index, weights=self.weight, minlength=len(classes))
        for label, total in zip(classes.tolist(), sums, strict=True):
            if not total > 0:
                raise ValueError(
                    f"the sample weights of the class {label!r} sum to {total:g}; expected a positive sum: "
                    "correct the weights, or remove the class from y"
                )
        factors = _compute_class_weights(class_weight, classes.tolist(), sums.astype(np.float64))
        return replace(self, weight=self.weight * factors[self.class_index])

    def draw(self, fraction: float | None, *, seed: int) -> NDArray[np.bool_]:
        """Draw a fraction of each class for validation, or nothing for None, [n]; equal events stay together.

        At least one event of each class is selected, and at least one is not.
        """
        selected = np.zeros(len(self), np.bool_)
        if fraction is None:
            return selected
        position = scramble(self.content_hash ^ scramble(np.full(1, seed, np.uint64)))
        for number in np.unique(self.class_index):
            of_class = self.class_index == number
            positions = np.unique(position[of_class])
            count = min(max(round(fraction * len(positions)), 1), len(positions) - 1)
            if count:
                selected |= of_class & (position <= positions[count - 1])
        return selected

    def check_sum(self, purpose: str) -> None:
        """Check that the weights have a positive sum, or raise a `ValueError`."""
        if not self.weight.sum() > 0:
            raise ValueError(
                f"the weights of the {len(self)} {purpose} events sum to {self.weight.sum():g}; expected a positive "
                "sum: use more events, or another validation_fraction"
            )


def _hash_content(features: Features, class_index: Int32) -> NDArray[np.uint64]:
    """Hash the class and the features of each event; all NaN have one hash, and so have 0 and -0."""
    content_hash = scramble(class_index.astype(np.uint64))
    for column in features.T:
        canonical = np.where(np.isnan(column), column.dtype.type(np.nan), column + column.dtype.type(0))
        bits = canonical.view(np.uint32 if canonical.dtype == np.float32 else np.uint64)
        content_hash = scramble(content_hash ^ bits)
    return content_hash


def _compute_class_weights(class_weight: object, labels: list[Any], sums: Float64) -> Float64:
    match class_weight:
        case None:
            return np.ones(len(labels))
        case "balanced":
            return np.asarray(sums.sum() / len(labels) / sums)
        case Mapping():
            factors = convert_to_python(class_weight)
            for label in factors:
                if label not in labels:
                    raise ValueError(f"class_weight: there is no class {label!r}; the classes are {labels}")
            weights = np.array([factors.get(label, 1.0) for label in labels], np.float64)
            if not (np.isfinite(weights) & (weights > 0)).all():
                raise ValueError(f"class_weight: expected factors above 0, found {factors}")
            return weights
        case _:
            expected = "expected balanced, a mapping of labels to factors, or None"
            raise ValueError(f"class_weight: {expected}; found {describe(class_weight)}")
