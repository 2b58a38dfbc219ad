"""Values that several studies need, each computed once: see `Context.once`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tamis.data.split import VALIDATION
from tamis.statistics.asimov import Requirements
from tamis.statistics.expected_significance import ExpectedSignificance, compute_expected_significance
from tamis.statistics.ranking import RankedScores
from tamis.statistics.roc import RocCurve, compute_roc_curves
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.split_metrics import MeasuredSplit, compute_split_metrics
from tamis.studies.context import Context

ExpectedEvents = Mapping[str, ScoredEvents | None]
"""The validation and the test events, scaled to the expected numbers of all used events; None if that fails."""


def build_requirements(context: Context, signal: Sequence[int]) -> Requirements:
    """Return the minimum background and its uncertainties, for the given signal classes."""
    uncertainty = context.background_uncertainty
    if isinstance(uncertainty, tuple):
        uncertainty = tuple(number for index, number in enumerate(uncertainty) if index not in signal)
    return Requirements(relative=uncertainty)


def scale_to_expected_events(context: Context) -> ExpectedEvents:
    """Scale the validation and the test events to the expected numbers of all used events of their classes.

    With cross-training all events are test events. Those that are validation events of other members choose cuts and
    bins, so that they are not counted among the test events here: the choice would bias the significance. A split is
    None if a class has no positive sum of weights.
    """
    splits, classes = dict(context.splits), len(context.class_names)

    def sum_weights(events: ScoredEvents) -> NDArray[np.float64]:
        return np.bincount(events.class_index, events.weight, classes).astype(np.float64)

    # with cross-training every event is a test event
    of_all = sum_weights(splits["test"])
    if not context.plan.is_cross_training:
        dropped = np.zeros(classes) if context.dropped_weight is None else context.dropped_weight
        of_all = dropped + np.sum([sum_weights(events) for events in splits.values()], axis=0)
    if splits["test"].split is not None:
        splits["test"] = splits["test"].take(splits["test"].split != VALIDATION)
    expected: dict[str, ScoredEvents | None] = {}
    for name in ("validation", "test"):
        of_split = sum_weights(splits[name])
        if (of_split > 0).all() and (of_all > 0).all():
            factors = (context.events_per_weight or 1.0) * of_all / of_split
            expected[name] = splits[name].reweighted(splits[name].weight * factors[splits[name].class_index])
        else:
            expected[name] = None
    return expected


def compute_significance(context: Context) -> ExpectedSignificance | None:
    """Compute the expected significance of the signal score: validation events choose, test events are counted.

    The result is None without a signal class, without a background, or if the expected events of a class are not known.
    """
    expected = context.once(scale_to_expected_events)
    validation, test = expected["validation"], expected["test"]
    if validation is None or test is None or not 0 < len(context.signal) < len(context.class_names):
        return None
    return compute_expected_significance(
        validation,
        test,
        context.signal,
        build_requirements(context, context.signal),
        events_per_weight=context.events_per_weight,
    )


def rank_test_scores(context: Context) -> RankedScores:
    """Return the scores of the test events, sorted for each class."""
    return RankedScores(context.splits["test"].scores)


def compute_test_curves(context: Context) -> tuple[RocCurve | None, ...]:
    """Return the ROC curve of each class against all others, of the test events; None if it is undefined."""
    test = context.splits["test"]
    return compute_roc_curves(context.once(rank_test_scores), test.class_index, test.weight)


def compute_training_metrics(context: Context) -> MeasuredSplit:
    """Return the numbers of the training events, and their errors to first order."""
    return compute_split_metrics(context.splits["training"])


def compute_validation_metrics(context: Context) -> MeasuredSplit:
    """Return the numbers of the validation events, and their errors to first order."""
    return compute_split_metrics(context.splits["validation"])


def compute_test_metrics(context: Context) -> MeasuredSplit:
    """Return the numbers of the test events, and their errors to first order."""
    return compute_split_metrics(context.splits["test"], context.once(rank_test_scores))


MEASURE_SPLIT = {
    "training": compute_training_metrics,
    "validation": compute_validation_metrics,
    "test": compute_test_metrics,
}
"""Functions that return the numbers of a split, by its name."""
