"""The numbers that are quoted first: loss, accuracy, areas under the curve and confusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.calibration import SMALLEST_SCORE as SMALLEST_SCORE
from tamis.evaluation.arrays import (
    classes_of,
    needed_sum,
    none_where_undefined,
    positive_sum,
    weights_of,
)
from tamis.evaluation.ranking import RankedScores, chosen_shares, ranked
from tamis.evaluation.roc import roc_curves


@dataclass(frozen=True)
class Metrics:
    """How well the scores of one part of the split (or of any events) tell the classes apart.

    All is weighted with the signed physics weights, so shares may leave [0, 1] where many are negative.

    Args:
        loss: weighted mean of -log(score of the true class), in nats.
        accuracy: weighted share of events whose highest score is that of the true class. An event with
            several equal highest scores counts for each in equal parts, so the order of classes is of no
            matter.
        auc: for each class, the area under its ROC curve against all other classes. None where the class or
            the rest has no positive sum of weights.
        confusion: for each true class, the weighted shares of its events by the class with the highest
            score; a row sums to one. None for a class without a positive sum of weights.
        sum_of_weights: for each class.
        events: for each class.
    """

    loss: float
    accuracy: float
    auc: tuple[float | None, ...]
    confusion: tuple[tuple[float, ...] | None, ...]
    sum_of_weights: tuple[float, ...]
    events: tuple[int, ...]

    def to_dict(self, class_names: Sequence[str]) -> dict[str, object]:
        """Give the numbers as JSON takes them, with class names in the place of class indices.

        Args:
            class_names: in the order of the class indices.
        """
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "auc": dict(zip(class_names, self.auc, strict=True)),
            "confusion": [None if row is None else list(row) for row in self.confusion],
            "sum_of_weights": dict(zip(class_names, self.sum_of_weights, strict=True)),
            "events": dict(zip(class_names, self.events, strict=True)),
        }


def measure(
    scores: ArrayLike | RankedScores,
    class_index: ArrayLike,
    weight: ArrayLike,
    *,
    values: NDArray[np.float64] | None = None,
) -> Metrics:
    """Measure loss, accuracy, areas under the curve and confusion.

    The loss is -sum_i w_i log p_i / sum_i w_i, where p_i is the score of the true class of event i, not
    below the smallest normal 32-bit number.

    Args:
        scores: softmax outputs. Shape [n_events, n_classes].
        class_index: true class of each event. Shape [n_events].
        weight: signed physics weight. Shape [n_events].
        values: loss, accuracy and the area of each class (NaN where it is not defined), where they are known from
            `find_influences`. Shape [2 + n_classes].

    Raises:
        TamisError: if the arrays do not fit together, a score is not a probability, or the sum of all
            weights is not positive.

    Example:
        >>> result = measure([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1], [1.0, 1.0, 2.0])
        >>> result.accuracy, result.auc
        (0.75, (1.0, 1.0))
        >>> result.confusion
        ((1.0, 0.0), (0.3333333333333333, 0.6666666666666666))
    """
    sorted_scores = ranked(scores)
    probabilities = sorted_scores.probabilities
    weights = weights_of(weight, len(probabilities))
    classes = classes_of(class_index, *probabilities.shape)
    total = needed_sum(weights, "metrics: the weights")
    chosen = sorted_scores.chosen
    if values is None:
        curves = roc_curves(sorted_scores, classes, weights)
        values = np.array(
            [
                float(weights @ event_losses(probabilities, classes)) / total,
                float(weights @ chosen[np.arange(len(weights)), classes]) / total,
                *(np.nan if curve is None else curve.auc for curve in curves),
            ]
        )
    return Metrics(
        loss=values[0].item(),
        accuracy=values[1].item(),
        auc=tuple(none_where_undefined(values[2:])),
        confusion=_confusion(chosen, classes, weights),
        sum_of_weights=tuple(float(weights[classes == index].sum()) for index in range(chosen.shape[1])),
        events=tuple(np.bincount(classes, minlength=chosen.shape[1]).tolist()),
    )


def event_losses(probabilities: NDArray[np.float64], class_index: NDArray[np.integer]) -> NDArray[np.float64]:
    """Compute the cross-entropy of each event, [n_events], of its scores, [n_events, n_classes]."""
    of_true_class = probabilities[np.arange(len(probabilities)), class_index]
    losses: NDArray[np.float64] = -np.log(np.maximum(of_true_class, SMALLEST_SCORE))
    return losses


def loss_and_accuracy_sums(
    probabilities: NDArray[np.float64], class_index: NDArray[np.integer], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute what each event adds to the sums of weights, of losses and of right decisions, [3, n_events].

    Args:
        probabilities: [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: signed weight, [n_events].
    """
    correct = chosen_shares(probabilities)[np.arange(len(weight)), class_index]
    return np.stack([weight, weight * event_losses(probabilities, class_index), weight * correct])


def _confusion(
    chosen: NDArray[np.float64], classes: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[tuple[float, ...] | None, ...]:
    rows: list[tuple[float, ...] | None] = []
    for index in range(chosen.shape[1]):
        of_class = classes == index
        total = positive_sum(weights[of_class])
        shares = None if total is None else (weights[of_class] @ chosen[of_class]) / total
        rows.append(None if shares is None else tuple(shares.tolist()))
    return tuple(rows)


def worse_than_guessing(balanced_loss: float | None, classes: int) -> str:
    """Say in a sentence that equal scores for all classes would have a smaller loss; nothing where they would not.

    Args:
        balanced_loss: of the test events, every class with the same sum of weights.
        classes: how many there are; equal scores have the loss ln(classes).

    >>> worse_than_guessing(0.5, 2)
    ''
    """
    guess = math.log(classes)
    if balanced_loss is None or not balanced_loss > guess:
        return ""
    return (
        f"The network is worse than guessing: its balanced loss in test is {balanced_loss:.4f}, and equal scores for "
        f"all {classes} classes have {guess:.4f}. Lower training.optimizer.learning_rate, or train longer."
    )
