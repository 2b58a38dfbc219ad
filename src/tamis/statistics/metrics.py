"""Loss, accuracy, areas under the ROC curves and confusion matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.statistics.arrays import (
    check_classes,
    check_positive_sum,
    check_weights,
    compute_event_losses,
    positive_sum,
    replace_undefined,
)
from tamis.statistics.influence import compute_influences
from tamis.statistics.ranking import RankedScores, compute_decision_shares, rank_scores


@dataclass(frozen=True)
class Metrics:
    """Performance of the scores on some events, with signed weights, so that fractions may leave [0, 1].

    Args:
        loss: weighted mean of -log(score of the true class), in nats.
        accuracy: weighted fraction of events whose highest score is that of the true class. An event with several equal
            highest scores counts for each in equal parts, so that the order of the classes does not matter.
        auc: for each class, the area under its ROC curve against all other classes; None if the class or the others
            have no positive sum of weights.
        confusion: for each true class, the weighted fractions of its events by the class with the highest score; a row
            sums to one. None for a class without a positive sum of weights.
        sum_of_weights: for each class.
        events: for each class.
    """

    loss: float
    accuracy: float
    auc: tuple[float | None, ...]
    confusion: tuple[tuple[float, ...] | None, ...]
    sum_of_weights: tuple[float, ...]
    events: tuple[int, ...]


def compute_metrics(
    scores: ArrayLike | RankedScores,
    class_index: ArrayLike,
    weight: ArrayLike,
    *,
    values: NDArray[np.float64] | None = None,
) -> Metrics:
    """Compute loss, accuracy, areas under the curve and confusion matrix.

    The loss is -sum_i w_i log p_i / sum_i w_i, with p_i the score of the true class of event i, at least the smallest
    normal 32-bit number. `values` are loss, accuracy and the area of each class if they are known from
    `compute_influences`, NaN if undefined, [2 + n_classes].

    Raises:
        TamisError: a score is not a probability, or the sum of all weights is not positive.

    >>> result = compute_metrics([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1], [1.0, 1.0, 2.0])
    >>> result.accuracy, result.auc
    (0.75, (1.0, 1.0))
    >>> result.confusion
    ((1.0, 0.0), (0.3333333333333333, 0.6666666666666666))
    """
    sorted_scores = rank_scores(scores)
    probabilities = sorted_scores.probabilities
    weights = check_weights(weight, len(probabilities))
    classes = check_classes(class_index, *probabilities.shape)
    check_positive_sum(weights, "metrics: the weights")
    chosen = sorted_scores.chosen
    if values is None:
        values = compute_influences(sorted_scores, classes, weights).value
    return Metrics(
        loss=values[0].item(),
        accuracy=values[1].item(),
        auc=tuple(replace_undefined(values[2:])),
        confusion=_confusion(chosen, classes, weights),
        sum_of_weights=tuple(float(weights[classes == index].sum()) for index in range(chosen.shape[1])),
        events=tuple(np.bincount(classes, minlength=chosen.shape[1]).tolist()),
    )


def compute_loss_and_accuracy_terms(
    probabilities: NDArray[np.float64], class_index: NDArray[np.integer], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the terms of the sums of weights, losses and correct decisions of each event, [3, n_events]."""
    correct = compute_decision_shares(probabilities)[np.arange(len(weight)), class_index]
    return np.stack([weight, weight * compute_event_losses(probabilities, class_index), weight * correct])


def _confusion(
    chosen: NDArray[np.float64], classes: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[tuple[float, ...] | None, ...]:
    rows: list[tuple[float, ...] | None] = []
    for index in range(chosen.shape[1]):
        of_class = classes == index
        total = positive_sum(weights[of_class])
        rows.append(None if total is None else tuple((weights[of_class] @ chosen[of_class] / total).tolist()))
    return tuple(rows)


def describe_loss_above_prior(balanced_loss: float | None, classes: int) -> str:
    """Return a warning if the loss is above that of the prior (equal scores for all classes), else an empty text.

    The loss is that of the test events with balanced weights; equal scores have the loss ln(classes).

    >>> describe_loss_above_prior(0.5, 2)
    ''
    """
    prior_loss = math.log(classes)
    if balanced_loss is None or not balanced_loss > prior_loss:
        return ""
    return (
        f"The network is worse than the prior: its balanced test loss is {balanced_loss:.4f}, that of equal scores for "
        f"all {classes} classes is {prior_loss:.4f}. Lower training.optimizer.learning_rate, or train longer."
    )
