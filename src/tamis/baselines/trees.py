"""Boosted decision trees, by XGBoost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.baselines.events import LabelledEvents, sizes_of_weights
from tamis.data.precision import float32_offsets
from tamis.network.preprocessing import without_offset

if TYPE_CHECKING:
    from xgboost import Booster, QuantileDMatrix

MOST_TREES = 2000
"""Rounds of boosting at most; one round has a tree for each class, or one tree for two classes."""
PATIENCE = 30
"""Rounds without a lower validation loss after which the boosting ends."""
LEARNING_RATE = 0.1
DEPTH = 6
SUBSAMPLE = 0.8
"""Fraction of the events that each tree is grown with."""

VALUES_PER_THREAD = 500_000
"""Events times features that each processor core should get, for more cores to pay: they wait for each other often."""


@dataclass(frozen=True)
class Trees:
    """Boosted decision trees.

    Args:
        booster: the trees.
        rounds: how many rounds of boosting are used: those up to the lowest validation loss.
        offset: subtracted from the features in 64 bits, because XGBoost takes 32, [n_features]; None where these
            resolve all features.
    """

    booster: Booster
    rounds: int
    offset: NDArray[np.float64] | None = None

    def scores(self, features: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float32]:
        """Give the probability of each class, [n, n_classes], of features with NaN where missing, [n, n_features]."""
        narrow = without_offset(features, self.offset)
        predictions = self.booster.inplace_predict(narrow, iteration_range=(0, self.rounds), missing=np.nan)
        scores = np.asarray(predictions, np.float32)
        return np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores


def train_trees(
    training: LabelledEvents, validation: LabelledEvents, classes: int, *, seed: int, threads: int
) -> Trees:
    """Boost decision trees until the validation loss has not fallen for a while.

    The trees are grown on histograms and send a missing value to the side that fits better (T. Chen and C. Guestrin,
    arXiv:1603.02754). They cannot take negative weights, which could make the denominator of a leaf zero: they get
    absolute weights that keep the signed sum of each class.

    Args:
        training: the events to learn from.
        validation: the events that say when to stop.
        classes: how many classes there are.
        seed: of the events that each tree sees.
        threads: how many processor cores may be used; fewer are where they would mostly wait for each other.
    """
    from xgboost import train

    threads = threads_that_pay(training.features.size, threads)

    # a mean weight of one, so that the smallest leaf and the penalty mean the same for weights of any unit
    unit = float(sizes_of_weights(training).mean())
    offset = float32_offsets(training.features)
    events = _matrix(training, offset, unit, threads)
    evaluated = _matrix(validation, offset, unit, threads, events)
    booster = train(
        _settings(classes, seed, threads),
        events,
        MOST_TREES,
        evals=[(evaluated, "validation")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    return Trees(booster, booster.best_iteration + 1, offset)


def threads_that_pay(values: int, most: int) -> int:
    """Choose the number of processor cores for so many values.

    >>> threads_that_pay(60_000, 16), threads_that_pay(3_000_000, 16), threads_that_pay(3_000_000, 2)
    (1, 6, 2)
    """
    return min(max(values // VALUES_PER_THREAD, 1), most)


def _settings(classes: int, seed: int, threads: int) -> dict[str, Any]:
    several = {"objective": "multi:softprob", "num_class": classes, "eval_metric": "mlogloss"}
    two = {"objective": "binary:logistic", "eval_metric": "logloss"}
    return {
        **(several if classes > 2 else two),
        "tree_method": "hist",
        "learning_rate": LEARNING_RATE,
        "max_depth": DEPTH,
        "subsample": SUBSAMPLE,
        "seed": seed,
        "nthread": threads,
        "verbosity": 0,
    }


def _matrix(
    events: LabelledEvents,
    offset: NDArray[np.float64] | None,
    unit: float,
    threads: int,
    reference: QuantileDMatrix | None = None,
) -> QuantileDMatrix:
    from xgboost import QuantileDMatrix

    weight = sizes_of_weights(events) / unit
    return QuantileDMatrix(
        without_offset(events.features, offset),
        label=events.class_index,
        weight=weight,
        missing=np.nan,
        nthread=threads,
        ref=reference,
    )
