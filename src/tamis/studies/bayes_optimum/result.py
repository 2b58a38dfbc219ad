"""The result of the study of the Bayes optimum, and its computation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tamis.statistics.arrays import compute_class_ranks, positive_sum
from tamis.statistics.bayes_optimum import OptimumComparison, compare_with_optimum, compute_posterior
from tamis.statistics.ranking import RankedScores
from tamis.statistics.roc import compute_roc_curve, compute_roc_curves
from tamis.statistics.roc_outline import RocOutline, outline_roc
from tamis.statistics.scored import ScoredEvents
from tamis.studies.context import Context
from tamis.studies.shared import rank_test_scores
from tamis.studies.study import Undefined


@dataclass(frozen=True)
class DiscriminantComparison:
    """Areas of a discriminant of a class and of the network's score, on the test events with the physics weights."""

    class_name: str
    auc: float
    network_auc: float

    @property
    def auc_deficit(self) -> float:
        """Area of the discriminant minus that of the network."""
        return self.auc - self.network_auc


@dataclass(frozen=True)
class BayesOptimumResult:
    """The network beside the best possible classifier, or beside given discriminants.

    Args:
        optimum: comparison with balanced weights, if the densities of all classes are known; None otherwise.
        discriminants: comparison for each class that has a discriminant.
        curves: ROC curves of the optimum or of the discriminants with the physics weights, by class; None if there
            is none, or where it is not defined. The optimum has the priors that the network was trained with.
    """

    class_names: tuple[str, ...]
    optimum: OptimumComparison | None
    discriminants: tuple[DiscriminantComparison, ...]
    curves: tuple[RocOutline | None, ...]

    @property
    def curve_name(self) -> str:
        """Name of the curves in figures."""
        return "reference" if self.optimum is None else "Bayes optimum"

    def to_metrics(self) -> dict[str, Any]:
        """Return the values of the keys of `metrics.json`."""
        discriminants = {comparison.class_name: comparison for comparison in self.discriminants}
        return {"optimum": self.optimum, "discriminants": discriminants}


def compute_bayes_optimum(context: Context) -> BayesOptimumResult | Undefined | None:
    """Compare the network with the optimum or with the discriminants of the test events.

    The result is None without a reference; Undefined if a class has no positive sum of weights.

    Raises:
        TamisError: the arrays do not fit together, or the density of an event is zero under its own class.
    """
    test, names = context.splits["test"], context.class_names
    if not test.reference:
        return None
    if any(positive_sum(test.weight[test.class_index == index]) is None for index in range(len(names))):
        return Undefined("the weights of a class of the test events have no positive sum")
    if not context.has_densities:
        return _discriminants(test, names)
    return _densities(context.once(rank_test_scores), test, names)


def _densities(scores: RankedScores, test: ScoredEvents, names: tuple[str, ...]) -> BayesOptimumResult:
    log_density = np.stack([test.reference[name] for name in names], axis=1)
    balanced = test.balanced_weight
    prior = np.bincount(test.class_index, balanced, len(names)).astype(np.float64)
    # with several backgrounds the priors change the order of the events: the network learned these ones
    optimum = RankedScores(compute_posterior(log_density, prior))
    comparison = compare_with_optimum(
        scores, log_density, prior, test.class_index, balanced, units=test.units, optimum=optimum
    )
    curves = compute_roc_curves(optimum, test.class_index, test.weight)
    return BayesOptimumResult(
        names, comparison, (), tuple(None if curve is None else outline_roc(curve) for curve in curves)
    )


def _discriminants(test: ScoredEvents, names: tuple[str, ...]) -> BayesOptimumResult:
    ranks = compute_class_ranks(test.scores.astype(np.float64))
    comparisons: list[DiscriminantComparison] = []
    curves: dict[str, RocOutline] = {}
    for name, values in test.reference.items():
        index = names.index(name)
        is_class = test.class_index == index
        curve = compute_roc_curve(values, is_class, test.weight)
        network = compute_roc_curve(ranks[:, index], is_class, test.weight)
        comparisons.append(DiscriminantComparison(name, curve.auc, network.auc))
        curves[name] = outline_roc(curve)
    return BayesOptimumResult(names, None, tuple(comparisons), tuple(map(curves.get, names)))
