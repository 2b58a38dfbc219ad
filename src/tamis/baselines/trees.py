"""Boosted decision trees, by XGBoost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tamis.arrays import Features, Float32, Float64
from tamis.baselines.events import LabelledEvents, compute_unsigned_weights
from tamis.data.precision import compute_float32_offsets
from tamis.network.preprocessing import subtract_offset

if TYPE_CHECKING:
    from xgboost import Booster, QuantileDMatrix

MOST_TREES = 2000
"""Maximum number of rounds of boosting; a round has a tree for each class, or one tree for two classes."""
PATIENCE = 30
"""Number of rounds without a lower validation loss after which the boosting ends."""
LEARNING_RATE = 0.1
DEPTH = 6
SUBSAMPLE = 0.8
"""Fraction of the events that each tree is trained on."""

VALUES_PER_THREAD = 500_000
"""Minimum number of values (events times features) per core: with fewer, the cores mostly wait for each other."""


@dataclass(frozen=True)
class Trees:
    """Boosted decision trees.

    Args:
        rounds: number of rounds of boosting up to the lowest validation loss.
        offset: subtracted from the features in 64 bits, because XGBoost uses 32, [n_features]; None if 32 bits resolve
            all features.
    """

    booster: Booster
    rounds: int
    offset: Float64 | None = None

    def scores(self, features: Features) -> Float32:
        """Compute class probabilities, [n, n_classes], from features, NaN if missing, [n, n_features]."""
        narrow = subtract_offset(features, self.offset)
        predictions = self.booster.inplace_predict(narrow, iteration_range=(0, self.rounds), missing=np.nan)
        scores = np.asarray(predictions, np.float32)
        return np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores


def train_trees(
    training: LabelledEvents, validation: LabelledEvents, classes: int, *, seed: int, threads: int
) -> Trees:
    """Boost decision trees until the validation loss stops decreasing.

    The trees use histograms, and send a missing value to the side that fits better (T. Chen and C. Guestrin,
    arXiv:1603.02754). Negative weights could make the denominator of a leaf zero: the trees use unsigned weights, see
    `compute_unsigned_weights`. The seed determines the events of each tree; `threads` is the maximum number of cores.
    """
    from xgboost import train

    threads = choose_threads(training.features.size, threads)
    # a mean weight of one, so that the smallest leaf and the penalty mean the same for weights of any unit
    unit = float(compute_unsigned_weights(training).mean())
    offset = compute_float32_offsets(training.features)
    events = _matrix(training, offset, unit, threads)
    evaluated = _matrix(validation, offset, unit, threads, events)
    objective = (
        {"objective": "multi:softprob", "num_class": classes, "eval_metric": "mlogloss"}
        if classes > 2
        else {"objective": "binary:logistic", "eval_metric": "logloss"}
    )
    settings = {
        **objective,
        "tree_method": "hist",
        "learning_rate": LEARNING_RATE,
        "max_depth": DEPTH,
        "subsample": SUBSAMPLE,
        "seed": seed,
        "nthread": threads,
        "verbosity": 0,
    }
    booster = train(
        settings,
        events,
        MOST_TREES,
        evals=[(evaluated, "validation")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    return Trees(booster, booster.best_iteration + 1, offset)


def choose_threads(values: int, most: int) -> int:
    """Choose the number of cores for a number of values (events times features).

    >>> choose_threads(60_000, 16), choose_threads(3_000_000, 16), choose_threads(3_000_000, 2)
    (1, 6, 2)
    """
    return min(max(values // VALUES_PER_THREAD, 1), most)


def _matrix(
    events: LabelledEvents,
    offset: Float64 | None,
    unit: float,
    threads: int,
    reference: QuantileDMatrix | None = None,
) -> QuantileDMatrix:
    from xgboost import QuantileDMatrix

    return QuantileDMatrix(
        subtract_offset(events.features, offset),
        label=events.class_index,
        weight=compute_unsigned_weights(events) / unit,
        missing=np.nan,
        nthread=threads,
        ref=reference,
    )
