"""From a classifier to the results of the studies: scores of every split, and the context of the studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tamis import studies
from tamis.arrays import Float32, Float64, Int64
from tamis.classifier import Classifier
from tamis.config import Config, LogDensity
from tamis.data.cutflow import Cutflow, round_exact_sum, sum_tallies
from tamis.data.events import Events
from tamis.data.split import SPLITS, TEST, TRAINING
from tamis.pipeline.preparation import Prepared, signal_indices
from tamis.pipeline.spectators import describe_decorrelation
from tamis.statistics.baselines import ScoredBaseline
from tamis.statistics.scored import ScoredEvents, units_of
from tamis.statistics.threads import in_two_threads
from tamis.statistics.training_range import TrainTestMasks
from tamis.studies.context import Context, Rescoring, TrainWithout, UsedEvents
from tamis.studies.performance.result import bootstrap_balanced, bootstrap_physics
from tamis.studies.shared import MEASURE_SPLIT


@dataclass(frozen=True)
class ScoredSplit:
    """The rows of the events of one split among the used events, [n], and their scores, [n, n_classes]."""

    rows: Int64
    scores: Float32


def score(classifier: Classifier, events: Events) -> dict[str, ScoredSplit]:
    """Compute the scores of all splits.

    Test events are scored by members that held them out, the others by members that did not.
    """
    plan, splits = classifier.plan, {}
    seen_fold = plan.choose_seen_fold(events)
    for number, name in enumerate(SPLITS):
        rows = np.flatnonzero(plan.select(number, events))
        fold = events.fold if number == TEST else seen_fold
        splits[name] = ScoredSplit(rows, classifier.scores(events.features[rows], fold[rows]))
    return splits


def build_context(
    config: Config,
    prepared: Prepared,
    classifier: Classifier,
    scored: Mapping[str, ScoredSplit],
    train_without: TrainWithout | None = None,
    *,
    baselines: Sequence[ScoredBaseline] = (),
) -> Context:
    """Build the context of the studies; `train_without` is None for a classifier that was read back."""
    events, test = prepared.events, scored[SPLITS[TEST]]
    luminosity, uncertainty = config.evaluation.luminosity, config.evaluation.background_uncertainty
    return Context(
        config.class_names,
        {name: _scored_events(prepared, name, split) for name, split in scored.items()},
        config.seed,
        plan=prepared.plan,
        applied_calibration=classifier.calibration,
        dropped_weight=compute_dropped_weight(config, prepared.cutflow),
        signal=signal_indices(config),
        events_per_weight=None if luminosity is None else luminosity.quoted / luminosity.of_weights,
        background_uncertainty=uncertainty
        if isinstance(uncertainty, float | int)
        else tuple(uncertainty.get(name, 0.0) for name in config.class_names),
        working_points=config.evaluation.working_points,
        negative_fractions={
            account.sample: account.used.negative / account.used.events
            for account in prepared.cutflow.samples
            if account.used.negative
        },
        rescoring=Rescoring(classifier, events.features, test.rows, events.fold[test.rows]),
        ablation=config.evaluation.ablation,
        train_without=train_without,
        has_densities=isinstance(config.evaluation.reference, LogDensity),
        used=used_events(config, prepared),
        baselines=tuple(baselines),
        decorrelation=describe_decorrelation(config),
    )


def evaluate(
    context: Context,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Compute the results of all studies, without the feature ablation.

    `progress` is called with the numbers of finished and of started computations.
    """
    with in_two_threads(progress) as pool:
        long, short = (
            [study for study in studies.STUDIES if study.takes_long == kind] for kind in (True, False)
        )
        results = {study.name: pool.submit(context.once, study.compute) for study in long}
        # several studies need the numbers of the splits, so these are computed before the shorter studies
        for compute_shared in (*MEASURE_SPLIT.values(), bootstrap_physics, bootstrap_balanced):
            pool.submit(context.once, compute_shared)
        results |= {study.name: pool.submit(context.once, study.compute) for study in short}
    return {study.name: results[study.name].result() for study in studies.STUDIES}


def train_test_masks(config: Config, prepared: Prepared) -> TrainTestMasks:
    """Return the training and test events of each member, and those that are compared as independent samples."""
    events, plan = prepared.events, prepared.plan
    return TrainTestMasks(
        tuple(
            (member.select(TRAINING, events), member.select(TEST, events)) for member in plan.first_members
        ),
        (plan.select_independent(TRAINING, events), plan.select_independent(TEST, events)),
        alike=compute_dropped_weight(config, prepared.cutflow) is None,
    )


def used_events(config: Config, prepared: Prepared) -> UsedEvents:
    """Return all used events with their features."""
    events = prepared.events
    return UsedEvents(
        tuple(feature.name for feature in config.features),
        events.features,
        events.class_index,
        events.weight,
        train_test_masks(config, prepared),
        units_of(events.class_index, events.event_id),
    )


def _scored_events(prepared: Prepared, name: str, split: ScoredSplit) -> ScoredEvents:
    """Return the events of one split with their scores, as the studies use them."""
    events, rows = prepared.events, split.rows
    compared = prepared.plan.select_independent(SPLITS.index(name), events)[rows]
    return ScoredEvents(
        scores=split.scores,
        class_index=events.class_index[rows],
        weight=events.weight[rows],
        class_weight=prepared.weighed.class_weights[events.class_index[rows]],
        reference={key: values[rows] for key, values in events.reference.items()},
        spectators={key: values[rows] for key, values in events.spectators.items()},
        event_id=events.event_id[rows],
        compared=None if compared.all() else compared,
        split=events.split[rows] if prepared.plan.is_cross_training and name == SPLITS[TEST] else None,
    )


def compute_dropped_weight(config: Config, cutflow: Cutflow) -> Float64 | None:
    """Return the sum of weights of each class that the policy for negative weights drops from the training."""
    if config.weights.negative != "drop":
        return None
    sums = np.zeros(len(config.class_names))
    for account in cutflow.samples:
        dropped = sum_tallies(account.dropped.values())
        sums[config.class_names.index(account.class_name)] += round_exact_sum(dropped.weights)
    return sums if sums.any() else None
