"""Compare an exported form with the classifier: one check for all forms.

Neither float32 computation is the truth of the other, so both are compared with a float64 computation of the same
classifier on the same events. What float32 arithmetic costs there is measured, and an exported form may cost a small
multiple of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier
from tamis.classifier.missing import sentinels_of
from tamis.deploy.plain import plain_document
from tamis.deploy.plain_scores import Rounding, plain_scores64
from tamis.errors import ExportError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Score = Callable[[Float32, NDArray[np.int32]], Float32]
"""Compute the scores of features as a user passes them, and of folds."""

EVENTS = 4096
"""How many events are compared, beside those with the lowest and the highest value of each feature."""
EVENTS_OF_VARIANT = 1024
"""How many of them are compared again for each spelling of a missing value, and as events of an unknown fold."""
MOST_PRODUCTS = 3e10
"""Products that the float64 computations may take, some seconds; larger networks compare fewer events."""
FEWEST_EVENTS = 256
HALF_STEP = 2.0**-24
"""Largest relative error of a float32 rounding."""
MULTIPLE = 4
"""By how many times what float32 costs the classifier a form may deviate from float64."""
LEAST_ERROR = 4 * HALF_STEP
"""Error of a score between 0 and 1 whose logits are exact: an exponential, a sum, a quotient and the result."""
MOST_COST = 64
"""Cost of float32 above which the classifier and the float64 computation are two different functions."""
PAIRS, PAIRS_WITH_STEPS = 4, 8
"""Pairs of disturbed computations; more where a quantizer makes a step of a rounding."""
EDGE = 16 * HALF_STEP
"""Relative distance from the edge of a quantizer's step within which a float32 computation may be on either side."""


@dataclass(frozen=True)
class Comparison:
    """How well an exported form and the classifier agree.

    Args:
        events: how many were compared.
        difference: the largest deviation of a score of the form from float64.
        float32_difference: that of a score of the classifier itself, which computes in float32.
    """

    events: int
    difference: float
    float32_difference: float


@dataclass(frozen=True)
class Sample:
    """Events that are compared.

    Args:
        features: NaN where missing, [n, n_features].
        fold: of each event, -1 where unknown, [n].
    """

    features: Float32
    fold: NDArray[np.int32]

    def thinned(self, number: int) -> Sample:
        """Return at most so many of the events, spread over all."""
        rows = np.linspace(0, len(self.features) - 1, min(number, len(self.features))).astype(np.int64)
        return Sample(self.features[rows], self.fold[rows])


@dataclass(frozen=True)
class _Variant:
    """Events in one spelling, with their float64 scores.

    Args:
        given: features as a user passes them, [n, n_features].
        fold: of each event, [n].
        scores: in float64, [n, n_classes].
        unit: by how much roundings move the scores of each event, [n].
    """

    given: Float32
    fold: NDArray[np.int32]
    scores: Float64
    unit: Float64

    def units(self, scores: Float32) -> Float64:
        """Return the deviation of other scores of these events in units, [n]; infinity where one is not a number."""
        deviation = np.abs(scores - self.scores).max(axis=1, initial=0) / self.unit
        return np.where(np.isfinite(deviation), deviation, np.inf)


@dataclass(frozen=True)
class Reference:
    """Float64 scores of a sample, and what float32 costs the classifier there.

    Args:
        variants: the events in every spelling.
        cost: the largest deviation of the classifier from float64, in units of its event, at least 1.
        difference: the largest deviation of one of its scores.
    """

    variants: tuple[_Variant, ...]
    cost: float
    difference: float


def choose_events(features: Float32, fold: NDArray[np.int32] | None) -> Sample:
    """Choose events to compare: some of all, and those with the lowest and the highest value of each feature.

    Args:
        features: of all events, NaN where missing, [n, n_features].
        fold: of all events, [n].
    """
    spread = np.linspace(0, len(features) - 1, min(EVENTS, len(features))).astype(np.int64)
    present = ~np.isnan(features)
    lowest = np.where(present, features, np.inf).argmin(axis=0)
    highest = np.where(present, features, -np.inf).argmax(axis=0)
    rows = np.unique(np.concatenate([spread, lowest, highest]))
    folds = np.full(len(features), -1, np.int32) if fold is None else fold
    return Sample(features[rows], folds[rows])


def reference_events(classifier: Classifier) -> Sample:
    """Return the reference events of a classifier, and events whose features are those of several of them."""
    features, fold = classifier.reference_features, classifier.reference_fold
    if not len(fold):
        fold = np.full(len(features), -1, np.float32)
    rng = np.random.default_rng(0)
    mixed = rng.integers(len(features), size=(EVENTS, features.shape[1]))
    rows = np.concatenate([np.arange(len(features)), rng.integers(len(features), size=EVENTS)])
    return Sample(
        np.concatenate([features, np.take_along_axis(features, mixed, axis=0)]), fold[rows].astype(np.int32)
    )


def spell_out(classifier: Classifier, sample: Sample) -> Iterator[tuple[Sample, Float32]]:
    """Yield the events once for each way in which something can be missing, as a user would pass them.

    Args:
        classifier: whose rules for missing values count.
        sample: events, NaN where missing.

    Yields:
        The events as the classifier sees them, NaN where missing, and as the form is given them.
    """
    yield sample, sample.features
    allowed = np.array([feature.missing is not None for feature in classifier.features])
    if not allowed.any():
        return
    thinned = sample.thinned(EVENTS_OF_VARIANT)
    # every third value is taken away, others in each event
    rows, columns = np.indices(thinned.features.shape)
    away = allowed & ((rows + columns) % 3 == 0)
    for spelling in _spellings(classifier):
        missing = away | np.isnan(thinned.features) & allowed
        lacking = np.where(missing, np.float32(np.nan), thinned.features)
        yield Sample(lacking, thinned.fold), np.where(missing, spelling, thinned.features)


def _spellings(classifier: Classifier) -> list[Float32]:
    """Return each way to spell that a feature is missing, one value for each feature."""
    sentinels = [sentinels_of(feature) or (np.nan,) for feature in classifier.features]
    most = max(len(values) for values in sentinels)
    listed = [[values[min(number, len(values) - 1)] for values in sentinels] for number in range(most)]
    plain = [[value] * len(sentinels) for value in (np.nan, np.inf, -np.inf)]
    return [np.array(row, np.float32) for row in (*listed, *plain)]


def measure_reference(classifier: Classifier, sample: Sample) -> Reference:
    """Compute the float64 scores of a sample, and measure what float32 costs.

    Args:
        classifier: that was validated.
        sample: events, NaN where missing.

    Raises:
        ExportError: an event lacks what it needs, or the float64 computation is not that of the classifier.
    """
    document = _with_arrays(plain_document(classifier))
    sample = sample.thinned(max(FEWEST_EVENTS, int(MOST_PRODUCTS / _products(document))))
    # with folds, events are also scored as ones of an unknown fold
    thinned = sample.thinned(EVENTS_OF_VARIANT)
    unknown = Sample(thinned.features, np.full_like(thinned.fold, -1))
    samples = [sample] if classifier.folds is None else [sample, unknown]
    variants, costs, differences = [], [1.0], [0.0]
    for events, given in (pair for each in samples for pair in spell_out(classifier, each)):
        variant = _measure_variant(document, events, given)
        lacking = int(np.isnan(variant.scores).any(axis=1).sum())
        if lacking:
            raise ExportError(
                f"{lacking} of the {len(given)} events to compare lack a feature that has no `missing` rule: no form "
                "gives them scores; leave these events out"
            )
        scores = classifier.scores(events.features, None if classifier.folds is None else events.fold)
        variants.append(variant)
        costs.append(float(variant.units(scores).max(initial=0)))
        differences.append(float(np.abs(scores - variant.scores).max(initial=0)))
    if not max(costs) <= MOST_COST:
        raise ExportError(
            f"the classifier gives other scores in 32 bits than in 64, by up to {max(differences):.2g}, which is more "
            "than rounding does; this form was not written. Please report it with the configuration"
        )
    return Reference(tuple(variants), max(costs), max(differences))


def compare(reference: Reference, score: Score, program: str) -> Comparison:
    """Compare the scores of an exported form with the float64 scores of the classifier.

    Args:
        reference: what the classifier was measured to be.
        score: of the exported form.
        program: what computes the scores, for the message.

    Raises:
        ExportError: a score deviates by more than `MULTIPLE` times what float32 costs the classifier.
    """
    events, largest = 0, 0.0
    most = MULTIPLE * reference.cost
    for variant in reference.variants:
        scores = score(variant.given, variant.fold)
        units = variant.units(scores)
        if not (units <= most).all():
            raise ExportError(_disagreement(variant, scores, most, program))
        events += len(scores)
        largest = max(largest, float(np.abs(scores - variant.scores).max(initial=0)))
    return Comparison(events, largest, reference.difference)


def _disagreement(variant: _Variant, scores: Float32, most: float, program: str) -> str:
    units = variant.units(scores)
    worst = int(units.argmax())
    deviation = np.abs(scores[worst] - variant.scores[worst]).max()
    return (
        f"{program} gives {int((units > most).sum())} of {len(units)} events other scores than the classifier: one is "
        f"off by {deviation:.2g}, of which float32 explains {most * variant.unit[worst]:.2g}; this form was "
        "not written. Please report it with the configuration"
    )


class _Disturbance(Rounding):
    """Rounds the numbers of a network at random, as float32 does.

    Args:
        seed: of the random numbers.
        sign: +1, or -1 for the same roundings in the other direction.
    """

    def __init__(self, seed: int, sign: int) -> None:
        """Start the stream of random numbers."""
        self._rng, self._sign = np.random.Generator(np.random.SFC64(seed)), sign

    def of(self, values: Float64, size: Float64 | None = None) -> Float64:
        """Move numbers by up to half a float32 step of their size."""
        return values + self._noise(values if size is None else size, HALF_STEP)

    def before_steps(self, values: Float64) -> Float64:
        """Move the inputs of a quantizer as far as many roundings together could."""
        return values + self._noise(values, EDGE)

    def _noise(self, size: Float64, most: float) -> Float64:
        noise = self._rng.random(size.shape, np.float32)
        noise -= np.float32(0.5)
        noise *= np.float32(2 * self._sign * most)
        return noise * size


def _measure_variant(document: Mapping[str, Any], events: Sample, given: Float32) -> _Variant:
    scores = plain_scores64(document, events.features, events.fold)
    moved = np.zeros(len(scores))
    for pair in range(_pairs(document)):
        for sign in (1, -1):
            disturbed = plain_scores64(document, events.features, events.fold, _Disturbance(pair, sign))
            moved = np.fmax(moved, np.abs(disturbed - scores).max(axis=1, initial=0))
    # all draws can be small by chance
    typical = float(np.median(moved)) if len(moved) else 0.0
    return _Variant(given, events.fold, scores, np.maximum(moved, typical / 4) + LEAST_ERROR)


def _pairs(document: Mapping[str, Any]) -> int:
    layers = [layer for network in document["networks"] for layer in network["layers"]]
    return PAIRS_WITH_STEPS if any(layer["output_format"] is not None for layer in layers) else PAIRS


def _products(document: Mapping[str, Any]) -> float:
    """Estimate the products that all computations of an event take."""
    matrices = 0
    for network in document["networks"]:
        shared = sum(np.size(layer["weight"]) for layer in network["layers"]) * len(network["outputs"])
        matrices += shared + sum(np.size(output["weight"]) for output in network["outputs"])
    return 2.0 * matrices * max(len(document["copies"]), 1) * (2 * _pairs(document) + 1)


def _with_arrays(document: Any) -> Any:
    """Turn the matrices of a document into arrays, which takes longer than to score some events with them."""
    if isinstance(document, Mapping):
        return {key: _with_arrays(value) for key, value in document.items()}
    if isinstance(document, Sequence) and not isinstance(document, str) and document:
        if isinstance(document[0], float) or (isinstance(document[0], list) and _is_numeric(document[0])):
            return np.array(document)
        return [_with_arrays(value) for value in document]
    return document


def _is_numeric(values: Any) -> bool:
    while isinstance(values, list) and values:
        values = values[0]
    return isinstance(values, float)
