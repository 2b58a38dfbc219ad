"""From a classifier to its evaluation: scores of every part, and every number that is quoted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier
from tamis.config import Config, LogDensity
from tamis.data.events import Events
from tamis.data.ledger import Ledger, exact_float, total
from tamis.data.split import (
    PARTS,
    TEST,
    TRAINING,
    VALIDATION,
    folds_that_saw,
    rows_of_part,
)
from tamis.evaluation.arrays import positive_sum
from tamis.evaluation.evaluation import SearchPlan, evaluate_classifier
from tamis.evaluation.importance import EVENTS as ENOUGH_EVENTS
from tamis.evaluation.importance import Importance, permutation_importance
from tamis.evaluation.inputs import Inputs, Samples, survey_inputs
from tamis.evaluation.reaction import EVENTS as REACTION_EVENTS
from tamis.evaluation.reaction import measure_reaction
from tamis.evaluation.results import Evaluation
from tamis.evaluation.scored import ScoredEvents, units_of
from tamis.evaluation.stability import Unseen
from tamis.evaluation.threads import Steps, in_two_threads
from tamis.pipeline.preparation import Prepared, signal_indices
from tamis.random_streams import random_stream


@dataclass(frozen=True)
class ScoredPart:
    """The events of one part, with what the classifier says of them.

    Args:
        rows: which of the used events they are, [n].
        scores: [n, n_classes].
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def score(classifier: Classifier, events: Events) -> dict[str, ScoredPart]:
    """Compute the scores of all parts; with folds, what tests an event never saw it, and what trained on it did."""
    if classifier.folds is None:
        scores = classifier.scores(events.features)
        rows = [np.flatnonzero(events.part == number) for number in range(len(PARTS))]
        return {name: ScoredPart(each, scores[each]) for name, each in zip(PARTS, rows, strict=True)}
    seen_by = folds_that_saw(events.identity, events.fold, classifier.folds.number)
    seen = classifier.scores(events.features, seen_by)
    unseen = classifier.scores(events.features, events.fold)
    learned = {number: np.flatnonzero(events.part == number) for number in (TRAINING, VALIDATION)}
    parts = {PARTS[number]: ScoredPart(rows, seen[rows]) for number, rows in learned.items()}
    return {**parts, PARTS[TEST]: ScoredPart(np.arange(len(events)), unseen)}


def weigh_features(
    config: Config, classifier: Classifier, prepared: Prepared, test: ScoredPart
) -> tuple[Importance, ...]:
    """Measure what each feature is worth, on test events in the mixture that the network learned."""
    generator = random_stream(config.seed, "evaluation", "importance")
    rows = enough_rows(test.rows, generator)
    events = prepared.events.take(rows)
    weight = events.weight * prepared.weighed.factors[events.class_index]
    if positive_sum(weight) is None:
        return ()
    fold = None if classifier.folds is None else events.fold
    found = permutation_importance(
        lambda features: classifier.scores(features, fold),
        events.features,
        events.class_index,
        weight,
        classifier.feature_names,
        generator,
        units=units_of(events.class_index, events.identity),
    )
    return _with_reactions(found, classifier, events, weight, generator)


def _with_reactions(
    found: tuple[Importance, ...],
    classifier: Classifier,
    events: Events,
    weight: NDArray[np.float64],
    generator: np.random.Generator,
) -> tuple[Importance, ...]:
    """Add how strongly the scores react to the features, of as many events as that needs."""
    rows = generator.permutation(len(events))[:REACTION_EVENTS]
    events, weight = events.take(rows), weight[rows]
    if positive_sum(weight) is None:
        return found
    sensitivity = classifier.sensitivity(events.features, None if classifier.folds is None else events.fold)
    names = classifier.feature_names
    reactions = measure_reaction(
        sensitivity,
        events.features,
        events.class_index,
        weight,
        [[names.index(name) for name in each.features] for each in found],
        units=units_of(events.class_index, events.identity),
    )
    return tuple(replace(each, reaction=reaction) for each, reaction in zip(found, reactions, strict=True))


def enough_rows(rows: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Choose as many events as the importance of features needs, by chance where there are more."""
    if len(rows) <= ENOUGH_EVENTS:
        return rows
    return np.asarray(generator.choice(rows, ENOUGH_EVENTS, replace=False))


def score_alone(classifier: Classifier, events: Events, test: ScoredPart) -> tuple[Unseen, ...]:
    """Let each of several networks score the test events that it never saw, by fold where there are folds."""
    members = classifier.members
    if len(members) == 1:
        return ()
    found = []
    for fold in dict.fromkeys(member.fold for member in members):
        inside = np.ones(len(test.rows), np.bool_) if fold is None else events.fold[test.rows] == fold
        rows = test.rows[inside]
        features, class_index, weight = events.features[rows], events.class_index[rows], events.weight[rows]
        alone = tuple(
            # with the correction of the average, where there is one: that is what is applied
            replace(classifier, members=(member,)).scores(
                features, None if fold is None else np.full(len(rows), fold)
            )
            for member in members
            if member.fold == fold
        )
        together = ScoredEvents(
            test.scores[inside], class_index, weight, np.ones(len(rows)), identity=events.identity[rows]
        )
        found.append(Unseen(together, alone, fold))
    return tuple(found)


def evaluate(
    config: Config,
    prepared: Prepared,
    classifier: Classifier,
    scored: Mapping[str, ScoredPart],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Evaluation:
    """Compute all results of a classifier from the events and their scores.

    With cross-training an event is training for one network and test for another. Training and test are compared
    as independent samples, so the training's events are of the even folds there, and the test's of the odd.

    Args:
        config: the configuration.
        prepared: the events.
        classifier: the trained classifier.
        scored: the events of each part, with their scores.
        progress: called with how many parts of the evaluation are done, and how many were begun.
    """
    test, steps = scored[PARTS[TEST]], Steps(progress)
    with in_two_threads(steps) as submit:
        importance = submit(weigh_features, config, classifier, prepared, test)
        inputs = submit(look_at_inputs, config, prepared)
        evaluation = evaluate_classifier(
            {name: scored_events(config, prepared, name, part) for name, part in scored.items()},
            config.class_names,
            working_points=config.evaluation.working_points,
            densities=isinstance(config.evaluation.reference, LogDensity),
            plan=search_plan(config),
            alone=score_alone(classifier, prepared.events, test),
            left_out=left_out(config, prepared.ledger),
            seed=config.seed,
            steps=steps,
        )
    return replace(evaluation, importance=importance.result(), inputs=inputs.result())


def samples(config: Config, prepared: Prepared) -> Samples:
    """Tell which events each network learned from and which it tests, and which are compared as training and test."""
    events, folds = prepared.events, config.split.folds
    members = (None,) if folds is None else range(folds.number)
    learned, unseen = (
        [rows_of_part(events.part, events.fold, part, member) for member in members]
        for part in (TRAINING, TEST)
    )
    networks = tuple(zip(learned, unseen, strict=True))
    compared = networks[0]
    if folds is not None:
        compared = (events.part == TRAINING) & (events.fold % 2 == 0), events.fold % 2 == 1
    return Samples(networks, compared, alike=left_out(config, prepared.ledger) is None)


def look_at_inputs(config: Config, prepared: Prepared) -> Inputs:
    """Survey the features of all used events."""
    events = prepared.events
    return survey_inputs(
        events.features,
        events.class_index,
        events.weight,
        samples(config, prepared),
        names=[feature.name for feature in config.features],
        class_names=config.class_names,
        signal=signal_indices(config),
        units=units_of(events.class_index, events.identity),
    )


def scored_events(config: Config, prepared: Prepared, name: str, part: ScoredPart) -> ScoredEvents:
    """Put together what an evaluation needs of the events of one part."""
    events, rows = prepared.events, part.rows
    return ScoredEvents(
        scores=part.scores,
        class_index=events.class_index[rows],
        weight=events.weight[rows],
        factor=prepared.weighed.factors[events.class_index[rows]],
        reference={key: values[rows] for key, values in events.reference.items()},
        spectators={key: values[rows] for key, values in events.spectators.items()},
        identity=events.identity[rows],
        compared=None if config.split.folds is None else events.fold[rows] % 2 == (name == PARTS[TEST]),
    )


def left_out(config: Config, ledger: Ledger) -> NDArray[np.float64] | None:
    """Give the sum of weights that the policy for negative weights left out of the training, by class."""
    if config.weights.negative != "drop":
        return None
    sums = np.zeros(len(config.class_names))
    for each in ledger.samples:
        dropped = total(each.dropped.values())
        sums[config.class_names.index(each.class_name)] += exact_float(dropped.weights)
    return sums if sums.any() else None


def _uncertainties(config: Config) -> float | tuple[float, ...]:
    """Return the relative uncertainty of all backgrounds, or that of each class (zero for a signal)."""
    given = config.evaluation.background_uncertainty
    return (
        given
        if isinstance(given, float | int)
        else tuple(given.get(name, 0.0) for name in config.class_names)
    )


def search_plan(config: Config) -> SearchPlan:
    """Give what a search with the signal score would look like."""
    luminosity = config.evaluation.luminosity
    return SearchPlan(
        signal=signal_indices(config),
        events_per_weight=None if luminosity is None else luminosity.quoted / luminosity.of_weights,
        background_uncertainty=_uncertainties(config),
    )
