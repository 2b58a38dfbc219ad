"""The best classifier that can exist, where the densities of the classes are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.errors import TamisError
from tamis.evaluation.arrays import classes_of, finite_numbers, real_numbers
from tamis.evaluation.metrics import Metrics, measure
from tamis.evaluation.roc import RocCurve, roc_curve


@dataclass(frozen=True)
class DistanceToLimit:
    """A network beside the best possible classifier, on the same events.

    Args:
        network: the numbers of the network.
        limit: the numbers of the posterior probabilities.
    """

    network: Metrics
    limit: Metrics

    @property
    def loss(self) -> float:
        """Give the loss of the network minus that of the limit, in nats: what is left to gain."""
        return self.network.loss - self.limit.loss

    @property
    def auc(self) -> tuple[float | None, ...]:
        """Give the area of the limit minus that of the network for each class; None where undefined."""
        return tuple(
            None if best is None or found is None else best - found
            for best, found in zip(self.limit.auc, self.network.auc, strict=True)
        )


@dataclass(frozen=True, eq=False)
class DistanceToReference:
    """One score of a network beside a reference discriminant, on the same events.

    Args:
        network: the ROC curve of the network's score.
        reference: the ROC curve of the reference.
    """

    network: RocCurve
    reference: RocCurve

    @property
    def auc(self) -> float:
        """Give the area of the reference minus that of the network."""
        return self.reference.auc - self.network.auc


def posterior(log_density: ArrayLike, prior: ArrayLike) -> NDArray[np.float64]:
    """Turn the densities of an event into the probabilities of its classes, by Bayes' theorem.

    p(class | event) = prior_class density_class(event) / sum over classes of the same.

    Args:
        log_density: natural logarithm of each class's density at each event; the density of the event, in
            any unit that is the same for all classes; -inf where a class cannot give the event.
            Shape [n_events, n_classes].
        prior: share of each class, in any unit. Shape [n_classes].

    Returns:
        Probabilities that sum to one in each event. Shape [n_events, n_classes].

    Raises:
        TamisError: if a density is NaN or infinite, a prior is not positive, the shapes do not fit, or no
            class can give an event.

    Example:
        >>> posterior([[0.0, 0.0], [float("-inf"), 1.0]], [3.0, 1.0]).tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    density = real_numbers(log_density, "log density", dimensions=2)
    share = finite_numbers(prior, "prior")
    if len(share) != density.shape[1] or (share <= 0).any():
        raise TamisError(
            f"prior: expected {density.shape[1]} positive numbers, one for each class, found {share.tolist()}"
        )
    if np.isposinf(density).any():
        raise TamisError("log density: infinite densities have no posterior; expected numbers or -inf")
    impossible = np.isneginf(density).all(axis=1)
    if impossible.any():
        raise TamisError(
            f"log density: {np.count_nonzero(impossible)} events cannot come from any class (all are -inf), "
            f"the first is event {np.argmax(impossible)} (counted from 0)"
        )
    probabilities: NDArray[np.float64] = special.softmax(density + np.log(share), axis=1)
    return probabilities


def distance_to_limit(
    scores: ArrayLike,
    log_density: ArrayLike,
    prior: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
) -> DistanceToLimit:
    """Measure how far a network is from the best possible classifier.

    The loss of the limit is the smallest in expectation only if the prior is the share of each class in the
    sum of weights; a network that was trained on balanced classes is compared with equal priors and weights
    that balance the classes.

    Args:
        scores: softmax outputs of the network. Shape [n_events, n_classes].
        log_density: as for `posterior`. Shape [n_events, n_classes].
        prior: as for `posterior`. Shape [n_classes].
        class_index: true class. Shape [n_events].
        weight: signed physics weight. Shape [n_events].

    Raises:
        TamisError: if the density of an event is zero under its own class, or as `posterior` and `measure`.

    Example:
        >>> result = distance_to_limit([[0.5, 0.5]] * 2, [[1.0, 0.0], [0.0, 1.0]], [1, 1], [0, 1], [1, 1])
        >>> round(result.loss, 3), result.auc
        (0.38, (0.5, 0.5))
    """
    best = posterior(log_density, prior)
    classes = classes_of(class_index, *best.shape)
    own = real_numbers(log_density, "log density", dimensions=2)[range(len(classes)), classes]
    impossible = np.isneginf(own)
    if impossible.any():
        first = int(np.argmax(impossible))
        raise TamisError(
            f"log density: -inf under their own class for {np.count_nonzero(impossible)} of {len(own)} "
            f"events, the first is event {first} (counted from 0) of class {classes[first]}; "
            "the density that is called known did not make these events"
        )
    return DistanceToLimit(network=measure(scores, classes, weight), limit=measure(best, classes, weight))


def distance_to_reference(
    score: ArrayLike, reference: ArrayLike, is_signal: ArrayLike, weight: ArrayLike
) -> DistanceToReference:
    """Compare a score with a reference discriminant, of which only the order of events is known.

    Args:
        score: the network's score for the signal. Shape [n_events].
        reference: higher means more like signal, on any scale. Shape [n_events].
        is_signal: true for signal. Shape [n_events].
        weight: signed physics weight. Shape [n_events].

    Raises:
        TamisError: as `roc_curve`.

    Example:
        >>> distance_to_reference([0.1, 0.1], [-3.0, 5.0], [False, True], [1.0, 1.0]).auc
        0.5
    """
    return DistanceToReference(
        network=roc_curve(score, is_signal, weight), reference=roc_curve(reference, is_signal, weight)
    )
