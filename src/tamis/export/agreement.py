"""Compare an exported file with the classifier: one check for all formats.

Both compute in float32, so both are compared with a float64 computation of the same classifier on the same events. The
error of float32 arithmetic there is measured, and the error of an exported file may be a small multiple of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float32, Float64
from tamis.classifier import Classifier
from tamis.classifier.missing import sentinels_of
from tamis.classifier.reference import find_extremes
from tamis.data.split import NO_FOLD
from tamis.errors import ExportError
from tamis.export.evaluate import HALF_STEP, Disturbance, compute_scores
from tamis.export.lower import ClassifierGraph

Score = Callable[[Float32, NDArray[np.int32]], Float32]
"""Compute the scores of features as a user passes them, and of folds."""

EVENTS = 4096
"""Number of compared events, besides those with the lowest and the highest value of each feature."""
EVENTS_OF_VARIANT = 1024
"""Number of events that are compared again for each way to mark a missing value, and as events of an unknown fold."""
MOST_PRODUCTS = 3e10
"""Limit of products in the float64 computations, a few seconds; fewer events are compared for larger networks."""
FEWEST_EVENTS = 256
MULTIPLE = 4
"""Limit of the deviation of an exported file from float64, in units of that of the classifier."""
LEAST_ERROR = 4 * HALF_STEP
"""Error of a score between 0 and 1 whose logits are exact: an exponential, a sum, a quotient and the result."""
MOST_COST = 64
"""Deviation of the classifier, in units of rounding, above which the float64 computation must be another function."""
PAIRS, PAIRS_WITH_STEPS = 4, 8
"""Pairs of perturbed computations; more with quantizers, which amplify a rounding to a step."""


@dataclass(frozen=True)
class Agreement:
    """The agreement of an exported file with the classifier on some events: the largest deviations from float64.

    That of the classifier itself is due to computing in float32.
    """

    events: int
    difference: float
    float32_difference: float


@dataclass(frozen=True)
class ComparedEvents:
    """Events for a comparison: features, NaN if missing, [n, n_features], and folds, -1 if unknown, [n]."""

    features: Float32
    fold: NDArray[np.int32]

    def thinned(self, number: int) -> ComparedEvents:
        """Return at most this number of events, evenly spaced."""
        rows = _evenly_spaced(len(self.features), number)
        return ComparedEvents(self.features[rows], self.fold[rows])


@dataclass(frozen=True)
class _Variant:
    """Events with missing values marked in one way, as a user passes them, [n, n_features], and their folds, [n].

    They have scores in float64, [n, n_classes], and the effect of rounding on those of each event, [n].
    """

    features_as_passed: Float32
    fold: NDArray[np.int32]
    scores: Float64
    unit: Float64

    def units(self, scores: Float32) -> Float64:
        """Return the deviation of other scores of these events in units, [n]; infinity for NaN."""
        deviation = np.abs(scores - self.scores).max(axis=1, initial=0) / self.unit
        return np.where(np.isfinite(deviation), deviation, np.inf)


@dataclass(frozen=True)
class Reference:
    """Float64 scores of a sample, and the largest deviation of a score of the classifier from them.

    The cost is this deviation in units of the event, at least 1.
    """

    variants: tuple[_Variant, ...]
    cost: float
    difference: float


def _evenly_spaced(events: int, number: int) -> NDArray[np.int64]:
    return np.linspace(0, events - 1, min(number, events)).astype(np.int64)


def choose_events(features: Float32, fold: ArrayLike) -> ComparedEvents:
    """Choose events for the comparison: evenly spaced, and those with the lowest and the highest value of each feature.

    The features are NaN if missing, [n, n_features]; the fold is that of each event, [n], or of all events.
    """
    rows = np.unique(np.concatenate([_evenly_spaced(len(features), EVENTS), find_extremes(features)]))
    folds = np.broadcast_to(np.asarray(fold, np.int32), len(features))
    return ComparedEvents(features[rows], folds[rows])


def build_reference_events(classifier: Classifier) -> ComparedEvents:
    """Return the reference events of a classifier, and events that combine features of several of them."""
    features, fold = classifier.reference_features, classifier.reference_fold
    rng = np.random.default_rng(0)
    mixed = rng.integers(len(features), size=(EVENTS, features.shape[1]))
    rows = np.concatenate([np.arange(len(features)), rng.integers(len(features), size=EVENTS)])
    return ComparedEvents(np.concatenate([features, np.take_along_axis(features, mixed, axis=0)]), fold[rows])


def vary_missing_values(
    classifier: Classifier, sample: ComparedEvents
) -> Iterator[tuple[ComparedEvents, Float32]]:
    """Yield the events, NaN if missing, and their features as passed, for each way to mark missing values."""
    yield sample, sample.features
    allowed = np.array([feature.missing is not None for feature in classifier.features])
    if not allowed.any():
        return
    thinned = sample.thinned(EVENTS_OF_VARIANT)
    # every third value is made missing, shifted from event to event
    rows, columns = np.indices(thinned.features.shape)
    removed = allowed & ((rows + columns) % 3 == 0)
    for marks in _list_marks(classifier):
        missing = removed | np.isnan(thinned.features) & allowed
        features = np.where(missing, np.float32(np.nan), thinned.features)
        yield ComparedEvents(features, thinned.fold), np.where(missing, marks, thinned.features)


def _list_marks(classifier: Classifier) -> list[Float32]:
    """Return each way to mark a missing feature, one value for each feature."""
    sentinels = [sentinels_of(feature) or (np.nan,) for feature in classifier.features]
    most = max(len(values) for values in sentinels)
    listed = [[values[min(number, len(values) - 1)] for values in sentinels] for number in range(most)]
    plain = [[value] * len(sentinels) for value in (np.nan, np.inf, -np.inf)]
    return [np.array(row, np.float32) for row in (*listed, *plain)]


def measure_reference(classifier: Classifier, graph: ClassifierGraph, sample: ComparedEvents) -> Reference:
    """Compute the float64 scores of a sample with the graph of a classifier, and measure the errors of float32.

    Raises:
        ExportError: a required feature is missing, or the float64 computation differs from the classifier.
    """
    sample = sample.thinned(max(FEWEST_EVENTS, int(MOST_PRODUCTS / _count_products(graph))))
    samples = [sample]
    if classifier.plan.is_cross_training:  # events are also scored as events of an unknown fold
        thinned = sample.thinned(EVENTS_OF_VARIANT)
        samples.append(ComparedEvents(thinned.features, np.full_like(thinned.fold, NO_FOLD)))
    variants, costs, differences = [], [1.0], [0.0]
    for events, features_as_passed in (
        variation for sample in samples for variation in vary_missing_values(classifier, sample)
    ):
        variant = _measure_variant(graph, events, features_as_passed)
        if lacking := int(np.isnan(variant.scores).any(axis=1).sum()):
            raise ExportError(
                f"{lacking} of the {len(features_as_passed)} events for the comparison have no scores, because a "
                "feature without `missing` rule is missing; remove these events"
            )
        scores = classifier.scores(events.features, events.fold)
        variants.append(variant)
        costs.append(float(variant.units(scores).max(initial=0)))
        differences.append(float(np.abs(scores - variant.scores).max(initial=0)))
    if not max(costs) <= MOST_COST:
        raise ExportError(
            f"the scores of the classifier in 32 and in 64 bits differ by up to {max(differences):.2g}, more than by "
            "rounding; the file was not written. Please report it with the configuration"
        )
    return Reference(tuple(variants), max(costs), max(differences))


def compare(reference: Reference, score: Score, program: str) -> Agreement:
    """Compare the scores of an exported file with the float64 scores of the classifier.

    `score` computes the scores of the file, in the program that the message names. One that deviates by more than
    `MULTIPLE` times the error of the classifier is an `ExportError`.
    """
    events, largest = 0, 0.0
    most = MULTIPLE * reference.cost
    for variant in reference.variants:
        scores = score(variant.features_as_passed, variant.fold)
        deviation, units = np.abs(scores - variant.scores), variant.units(scores)
        if not (units <= most).all():
            worst = int(units.argmax())
            raise ExportError(
                f"the scores of {program} differ from those of the classifier for {int((units > most).sum())} of "
                f"{len(units)} events, by up to {deviation[worst].max():.2g}, but rounding in float32 explains only "
                f"{most * variant.unit[worst]:.2g}; the file was not written. Please report it with the configuration"
            )
        events += len(scores)
        largest = max(largest, float(deviation.max(initial=0)))
    return Agreement(events, largest, reference.difference)


def _measure_variant(graph: ClassifierGraph, events: ComparedEvents, features_as_passed: Float32) -> _Variant:
    scores = compute_scores(graph, events.features, events.fold)
    moved = np.zeros(len(scores))
    for pair in range(_count_pairs(graph)):
        for sign in (1, -1):
            disturbance = Disturbance(pair, sign)
            disturbed = compute_scores(graph, events.features, events.fold, disturbance=disturbance)
            moved = np.fmax(moved, np.abs(disturbed - scores).max(axis=1, initial=0))
    # all perturbations of an event can be small by chance
    typical = float(np.median(moved)) if len(moved) else 0.0
    return _Variant(features_as_passed, events.fold, scores, np.maximum(moved, typical / 4) + LEAST_ERROR)


def _count_pairs(graph: ClassifierGraph) -> int:
    has_steps = any(node.operation == "round" for network in graph.networks for node in network.nodes)
    return PAIRS_WITH_STEPS if has_steps else PAIRS


def _count_products(graph: ClassifierGraph) -> float:
    """Estimate the number of multiplications of all computations of an event."""
    matrices = sum(
        node.shape[-1] * network.shape(str(node.inputs[0]))[-1] * math.prod(node.shape[:-1])
        for network in graph.networks
        for node in network.nodes
        if node.operation == "affine"
    )
    return 2.0 * matrices * max(len(graph.document["copies"]), 1) * (2 * _count_pairs(graph) + 1)
