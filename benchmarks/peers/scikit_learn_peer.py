"""scikit-learn's MLPClassifier: each call of `partial_fit` is one shuffled epoch."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier

from peers.workload import LEARNING_RATE, Timing, Workload, time_each


def time_epochs(workload: Workload, epochs: int) -> Timing:
    """Time epochs without penalty and early stopping; with two classes it trains one sigmoid output."""
    network = MLPClassifier(
        workload.sizes[1:-1],
        activation="relu",
        solver="adam",
        alpha=0.0,
        batch_size=workload.batch_size,
        learning_rate_init=LEARNING_RATE,
        early_stopping=False,
        random_state=1,
    )
    classes = np.arange(workload.sizes[-1])

    def train_epoch() -> float:
        network.partial_fit(workload.features, workload.labels, classes=classes)
        return float(network.loss_)

    return time_each(epochs, train_epoch)
