"""The Bayes optimum: the best possible classifier, if the densities of the classes are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.errors import TamisError
from tamis.statistics.arrays import (
    check_classes,
    check_finite_numbers,
    check_real_numbers,
    check_weights,
)
from tamis.statistics.influence import compute_influences
from tamis.statistics.intervals import compute_half_widths, compute_intervals
from tamis.statistics.metrics import Metrics, compute_metrics
from tamis.statistics.ranking import RankedScores, rank_scores
from tamis.statistics.split_metrics import Intervals, find_known_numbers
from tamis.statistics.units import Units


@dataclass(frozen=True)
class OptimumComparison:
    """A network and the Bayes optimum (the posterior probabilities), on the same events.

    The intervals are of the excess loss, of the accuracy of the optimum minus that of the network, and of the deficit
    of each area, for the finite number of events, which are the same for both.
    """

    network: Metrics
    optimum: Metrics
    intervals: Intervals

    @property
    def excess_loss(self) -> float:
        """Loss of the network minus that of the optimum, in nats."""
        return self.network.loss - self.optimum.loss

    @property
    def auc_deficit(self) -> tuple[float | None, ...]:
        """AUC of the optimum minus that of the network, for each class; None if undefined."""
        return tuple(
            None if best is None or area is None else best - area
            for best, area in zip(self.optimum.auc, self.network.auc, strict=True)
        )


def compute_posterior(log_density: ArrayLike, prior: ArrayLike) -> NDArray[np.float64]:
    """Compute the posterior probabilities of the classes, [n_events, n_classes], by Bayes' theorem.

    p(class | event) = prior_class density_class(event) / sum over classes of the same. The natural logarithms of the
    densities, [n_events, n_classes], may have any unit that is the same for all classes, and are -inf if a class cannot
    produce the event; the priors, [n_classes], have any unit.

    Raises:
        TamisError: a density is NaN or infinite, a prior is not positive, the shapes do not fit, or no class can
            produce an event.

    >>> compute_posterior([[0.0, 0.0], [float("-inf"), 1.0]], [3.0, 1.0]).tolist()
    [[0.75, 0.25], [0.0, 1.0]]
    """
    density = check_real_numbers(log_density, "log density", dimensions=2)
    share = check_finite_numbers(prior, "prior")
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


def compare_with_optimum(
    scores: ArrayLike | RankedScores,
    log_density: ArrayLike,
    prior: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    *,
    units: Units | None = None,
    optimum: RankedScores | None = None,
) -> OptimumComparison:
    """Compare a network with the Bayes optimum of the given densities and priors (`compute_posterior`).

    Events of one unit vary together. `optimum` holds the scores of the optimum if they are known already.

    The optimum has the smallest expected loss only if the prior is the share of each class in the sum of weights: a
    network that was trained on balanced classes is compared with equal priors and balanced weights.

    Raises:
        TamisError: the density of an event is zero for its own class, or as for `compute_posterior`.

    >>> result = compare_with_optimum([[0.5, 0.5]] * 2, [[1.0, 0.0], [0.0, 1.0]], [1, 1], [0, 1], [1, 1])
    >>> round(result.excess_loss, 3), result.auc_deficit
    (0.38, (0.5, 0.5))
    """
    network = rank_scores(scores)
    optimum = optimum or RankedScores(compute_posterior(log_density, prior))
    n_classes = optimum.probabilities.shape[1]
    classes = check_classes(class_index, len(optimum.probabilities), n_classes)
    density_of_class = check_real_numbers(log_density, "log density", dimensions=2)[
        range(len(classes)), classes
    ]
    impossible = np.isneginf(density_of_class)
    if impossible.any():
        first = int(np.argmax(impossible))
        raise TamisError(
            f"log density: -inf under their own class for {np.count_nonzero(impossible)} of {len(density_of_class)} "
            f"events, the first is event {first} (counted from 0) of class {classes[first]}; "
            "these events were not generated from the given density"
        )
    weights = check_weights(weight, len(classes))
    influences = [compute_influences(ranked, classes, weights) for ranked in (network, optimum)]
    widths = compute_half_widths(influences[1].of_event - influences[0].of_event, units)
    known = find_known_numbers(classes, weights, n_classes, units)
    deficits = influences[1].value - influences[0].value
    deficits[0] *= -1  # the optimum has the smaller loss, and the larger accuracy and areas
    loss, accuracy, *areas = compute_intervals(deficits, widths, known)
    of_network, of_optimum = (
        compute_metrics(ranked, classes, weights, values=numbers.value)
        for ranked, numbers in zip((network, optimum), influences, strict=True)
    )
    return OptimumComparison(of_network, of_optimum, Intervals(loss, accuracy, tuple(areas)))
