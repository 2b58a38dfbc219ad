"""The result of the study of feature importance, and its computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.random_streams import random_stream
from tamis.statistics import gradient_sensitivity
from tamis.statistics.arrays import positive_sum
from tamis.statistics.gradient_sensitivity import GradientSensitivity, compute_gradient_sensitivity
from tamis.statistics.importance import (
    EVENTS,
    PerformanceDrop,
    compare_influences,
    compute_permutation_importance,
)
from tamis.statistics.influence import compute_influences
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.split_metrics import find_known_numbers
from tamis.studies.context import Context, Rescoring
from tamis.studies.study import Undefined


@dataclass(frozen=True)
class FeatureImportance:
    """The importance of a group of features; `keys.py` describes the fields."""

    features: tuple[str, ...]
    permuted: PerformanceDrop
    gradient: GradientSensitivity | None = None
    ablated: PerformanceDrop | None = None


@dataclass(frozen=True)
class ImportanceResult:
    """The importance of the features for the network, on test events with balanced weights.

    Args:
        groups: groups of correlated features, by falling importance.
        retrained: loss of performance by training again with all features and another seed: the random part of a
            feature ablation; None if no ablation was requested.
    """

    class_names: tuple[str, ...]
    groups: tuple[FeatureImportance, ...]
    retrained: PerformanceDrop | None = None

    def to_metrics(self) -> dict[str, Any]:
        """Return the values of the keys of `metrics.json`."""
        groups = [vars(group.permuted) | vars(group) for group in self.groups]
        return {"groups": groups, "retrained": self.retrained}


def compute_importance(context: Context) -> ImportanceResult | Undefined | None:
    """Compute the importance of each feature for the trained network, on test events with balanced weights.

    There is none without a classifier; it is undefined if the weights of the test events have no positive sum.
    """
    rescoring, test = context.rescoring, context.splits["test"]
    if rescoring is None:
        return None
    generator = context.random_stream("importance")
    rows = choose_events(len(test), generator)
    events = test.take(rows)
    if positive_sum(events.balanced_weight) is None:
        return Undefined("the weights of the test events have no positive sum")
    features, fold = rescoring.take(rows)
    permuted = compute_permutation_importance(
        lambda changed: rescoring.classifier.scores(changed, fold),
        features,
        events.class_index,
        events.balanced_weight,
        rescoring.classifier.feature_names,
        generator,
        units=events.units,
    )
    groups = tuple(FeatureImportance(group.features, group.drop) for group in permuted)
    return ImportanceResult(context.class_names, _with_gradients(groups, rescoring, events, rows, generator))


def choose_events(number: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Choose as many events as the importance needs, at random if there are more; return their indices, [n]."""
    if number <= EVENTS:
        return np.arange(number)
    return np.asarray(generator.choice(number, EVENTS, replace=False))


def _with_gradients(
    groups: tuple[FeatureImportance, ...],
    rescoring: Rescoring,
    events: ScoredEvents,
    rows: NDArray[np.int64],
    generator: np.random.Generator,
) -> tuple[FeatureImportance, ...]:
    """Add the gradient sensitivity of each group, from a subset of the events."""
    chosen = generator.permutation(len(events))[: gradient_sensitivity.EVENTS]
    events = events.take(chosen)
    if positive_sum(events.balanced_weight) is None:
        return groups
    features, fold = rescoring.take(rows[chosen])
    names = rescoring.classifier.feature_names
    gradients = compute_gradient_sensitivity(
        rescoring.classifier.sensitivity(features, fold),
        features,
        events.class_index,
        events.balanced_weight,
        [[names.index(name) for name in group.features] for group in groups],
        units=events.units,
    )
    return tuple(replace(group, gradient=gradient) for group, gradient in zip(groups, gradients, strict=True))


def add_ablation(context: Context, result: ImportanceResult) -> ImportanceResult:
    """Add the feature ablation to the result, if the context requests it; a `TrainingError` if a training diverges."""
    groups = choose_ablated_groups(context.ablation, [group.features for group in result.groups])
    drops = compute_ablation(context, ((), *groups)) if groups else ()
    if not drops:
        return result
    retrained, *of_groups = drops
    ablated = dict(zip(groups, of_groups, strict=True))
    return replace(
        result,
        groups=tuple(replace(group, ablated=ablated.get(group.features)) for group in result.groups),
        retrained=retrained,
    )


def choose_ablated_groups(
    ablation: bool | Sequence[str], groups: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """Choose the groups with one of the named features; all groups if `ablation` is true, and none if it is false.

    >>> choose_ablated_groups(("b", "c"), [("a", "b"), ("c",), ("d",)])
    (('a', 'b'), ('c',))
    """
    if isinstance(ablation, bool):
        return tuple(groups) if ablation else ()
    return tuple(group for group in groups if set(ablation).intersection(group))


def compute_ablation(
    context: Context, groups: Sequence[tuple[str, ...]]
) -> tuple[PerformanceDrop | None, ...]:
    """Train the classifier again without each group of features, and compare it with the one that has all.

    An empty group trains with all features, from other random numbers. The loss of performance is that on test events
    with balanced weights; None if the network cannot be built without the group. There is none if the weights have no
    positive sum, or the context cannot train again.
    """
    rescoring, test = context.rescoring, context.splits["test"]
    if rescoring is None or context.train_without is None:
        return ()
    rows = choose_events(len(test), random_stream(context.seed, "ablation", "events"))
    events = test.take(rows)
    weight = events.balanced_weight
    if positive_sum(weight) is None:
        return ()
    before = compute_influences(events.scores, events.class_index, weight)
    known = find_known_numbers(events.class_index, weight, len(context.class_names), events.units)
    after = (
        None if scores is None else compute_influences(scores, events.class_index, weight)
        for scores in context.train_without(groups, *rescoring.take(rows))
    )
    return tuple(
        None if influences is None else compare_influences(before, influences, known, events.units)
        for influences in after
    )
