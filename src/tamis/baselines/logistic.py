"""Logistic regression, by scikit-learn, on the inputs of the network."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from tamis.arrays import Features, Float32, Float64
from tamis.baselines.events import LabelledEvents
from tamis.network.preprocessing import Preprocessing

MOST_STEPS = 1000
"""Maximum number of iterations of the fit."""


@dataclass(frozen=True)
class Logistic:
    """A network without hidden layers: an offset, [n_classes], and a factor, [n_classes, inputs]."""

    preprocessing: Preprocessing
    offset: Float64
    factor: Float64
    converged: bool

    def scores(self, features: Features) -> Float32:
        """Compute class probabilities, [n, n_classes], from features, NaN if missing, [n, n_features]."""
        logits = self.preprocessing.apply(features).astype(np.float64) @ self.factor.T + self.offset
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def train_logistic(training: LabelledEvents, preprocessing: Preprocessing, classes: int) -> Logistic:
    """Fit a logistic regression with signed weights to events of all classes, with the preprocessing of the network.

    The penalty is half the sum of the squared factors of standardised inputs, relative to the sum of the losses with
    weights of mean one: it is negligible with many more events than inputs, and keeps the factors finite if a line
    separates the classes. Signed weights are unbiased, and stable with so few parameters.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    inputs = preprocessing.apply(training.features).astype(np.float64)
    size = np.abs(training.weight)
    centre = np.average(inputs, axis=0, weights=size)
    scale = np.sqrt(np.average(np.square(inputs - centre), axis=0, weights=size))
    # inputs that are constant up to rounding are not scaled
    scale = np.where(scale > 1e-6 * (1 + np.abs(centre)), scale, 1.0)
    model = LogisticRegression(C=1.0, max_iter=MOST_STEPS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit((inputs - centre) / scale, training.class_index, training.weight / training.weight.mean())
    converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    factor, offset = model.coef_ / scale, model.intercept_
    if classes == 2:  # scikit-learn returns the difference of the two classes
        factor, offset = np.vstack([0 * factor, factor]), np.append(0.0, offset)
    return Logistic(preprocessing, offset - factor @ centre, factor, converged)
