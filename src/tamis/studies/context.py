"""The input of every study: the scored events of a run, and its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tamis.calibration import Calibration
from tamis.data.ensemble import ONE_NETWORK, EnsemblePlan
from tamis.random_streams import random_stream
from tamis.statistics.baselines import ScoredBaseline
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.training_range import TrainTestMasks
from tamis.statistics.units import Units

if TYPE_CHECKING:
    from tamis.classifier import Classifier

Value = TypeVar("Value")
FeatureArray = NDArray[np.floating[Any]]
FoldArray = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Decorrelation:
    """What the training made the signal score independent of.

    Args:
        spectators: their names.
        classes: names of the classes within which the score should be independent.
        method: name of the measure of the dependence.
        strength: its factor in the loss.
    """

    spectators: tuple[str, ...]
    classes: tuple[str, ...]
    method: str
    strength: float


@dataclass(frozen=True, eq=False)
class UsedEvents:
    """All used events: features, NaN if missing, [n_events, n_features], class, signed physics weight and unit.

    The masks tell which events are training and which are test; units are None if all events are independent.
    """

    names: tuple[str, ...]
    features: FeatureArray
    class_index: NDArray[np.int32]
    weight: NDArray[np.float64]
    masks: TrainTestMasks
    units: Units | None = None


@dataclass(frozen=True, eq=False)
class Rescoring:
    """The classifier and the features of the test events, to score these again: permuted, or by single members.

    Features are those of all used events, [n_used, n_features]; rows and folds those of the test events, [n_test].
    """

    classifier: Classifier
    features: FeatureArray
    rows: NDArray[np.int64]
    fold: FoldArray

    def take(self, events: NDArray[np.intp]) -> tuple[FeatureArray, FoldArray]:
        """Return the features and the folds of some test events, by their indices among the test events, [n]."""
        return self.features[self.rows[events]], self.fold[events]


TrainWithout = Callable[
    [Sequence[tuple[str, ...]], FeatureArray, FoldArray], Sequence[NDArray[np.floating[Any]] | None]
]
"""A function that trains the classifier again without each group of features, and scores events.

It takes the names of the features of each group (an empty group trains with all features, from other random numbers),
all features of the events to score, [n_events, n_features], and their folds, [n_events]. It returns the scores for each
group, [n_events, n_classes]; None if the network cannot be built without the group.
"""


@dataclass(frozen=True, eq=False)
class Context:
    """The data and options from which studies compute their results.

    Args:
        class_names: in the order of the scores.
        splits: the scored events of `training`, `validation` and `test`.
        plan: which member learned from, was validated on and scores which events.
        applied_calibration: the correction that is part of the scores; None if there is none.
        dropped_weight: for each class the sum of weights of the events that were dropped from the training, whose test
            events are then of another kind, [n_classes]; None if none was.
        signal: indices of the classes that are signal.
        events_per_weight: expected events for a sum of weights of one; None if it is not known: yields are then sums
            of weights.
        background_uncertainty: relative systematic uncertainty of each class that is background; one number for all
            classes.
        working_points: signal efficiencies at which results are quoted.
        has_densities: whether `reference` of the events holds the log-density of every class, not discriminants.
        used: all used events with their features; without them, the study of the inputs has no result.
        negative_fractions: fraction of the used events with a negative weight, of each sample that has any.
        baselines: classifiers of other kinds, with their scores of the test events.
        ablation: features that the classifier is trained again without: all, none, or the groups of correlated
            features that one of these names is in.
        train_without: trains the classifier again; None if that cannot be done.
        rescoring: computes scores of the test events again; without it, studies that need it have no result.
        decorrelation: what the training made the score independent of; None for nothing.
    """

    class_names: tuple[str, ...]
    splits: Mapping[str, ScoredEvents]
    seed: int = 0
    plan: EnsemblePlan = ONE_NETWORK
    applied_calibration: Calibration | None = None
    dropped_weight: NDArray[np.float64] | None = None
    signal: tuple[int, ...] = ()
    events_per_weight: float | None = None
    background_uncertainty: float | tuple[float, ...] = 0.0
    working_points: tuple[float, ...] = ()
    has_densities: bool = False
    used: UsedEvents | None = None
    negative_fractions: Mapping[str, float] = field(default_factory=dict)
    baselines: tuple[ScoredBaseline, ...] = ()
    rescoring: Rescoring | None = None
    ablation: bool | tuple[str, ...] = False
    train_without: TrainWithout | None = None
    decorrelation: Decorrelation | None = None
    _computed: dict[Callable[..., Any], tuple[Lock, list[Any]]] = field(
        default_factory=dict, init=False, repr=False
    )
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def once(self, compute: Callable[[Context], Value]) -> Value:
        """Return a value that several studies need; the first call computes it, concurrent calls wait for it.

        Example:
            >>> context = Context(("bkg", "sig"), {})
            >>> context.once(lambda context: len(context.class_names))
            2
        """
        with self._lock:
            lock, values = self._computed.setdefault(compute, (Lock(), []))
        with lock:
            if not values:
                values.append(compute(self))
        value: Value = values[0]
        return value

    def random_stream(self, *purpose: str) -> np.random.Generator:
        """Return a random number generator for a purpose, whose first name is that of the study."""
        return random_stream(self.seed, "evaluation", *purpose)
