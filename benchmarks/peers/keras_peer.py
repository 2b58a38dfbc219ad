"""Keras 3 with its default training loop; the environment variable KERAS_BACKEND chooses what computes."""

from __future__ import annotations

import time
from typing import Any

import keras

from peers.workload import LEARNING_RATE, Timing, Workload


class EpochClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes when each epoch ends; from one end to the next is everything that an epoch costs."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.ends.append(time.perf_counter())


def time_epochs(workload: Workload, epochs: int) -> Timing:
    """Time `model.fit`, with the accuracy as the lecture has it; the first epoch is the warm-up."""
    *hidden, classes = workload.sizes[1:]
    layers = [keras.layers.Dense(nodes, activation="relu") for nodes in hidden]
    model = keras.Sequential(
        [keras.Input((workload.sizes[0],)), *layers, keras.layers.Dense(classes, activation="softmax")]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    clock = EpochClock()
    history = model.fit(
        workload.features,
        workload.one_hot(),
        batch_size=workload.batch_size,
        epochs=1 + epochs,
        verbose=0,
        callbacks=[clock],
    )
    seconds = tuple(end - start for start, end in zip(clock.ends, clock.ends[1:], strict=False))
    return Timing(seconds, float(history.history["loss"][-1]))
