"""The events that a training yields; progress bars, checkpoints and signals are observers of this stream.

This module imports nothing heavy, so that observers can be defined without JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tamis.errors import TrainingError
from tamis.training.history import Epoch, History

if TYPE_CHECKING:
    from tamis.network.network import Network
    from tamis.training.state import TrainState


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Args:
        network: the network with the weights of the best epoch.
        history: all epochs, and the number of the best one.
        device: the devices of the training.
    """

    network: Network
    history: History
    device: str


@dataclass(frozen=True)
class TrainingStarted:
    """A training starts; nothing is compiled yet.

    Args:
        state: the state before the first step.
        resumed: whether the state comes from a checkpoint.
        damaged: the problem of each damaged checkpoint that was skipped.
    """

    state: TrainState
    resumed: bool = False
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChunkFinished:
    """A chunk of steps is finished, but not the epoch; the next step overwrites the arrays of the state."""

    state: TrainState


@dataclass(frozen=True)
class EpochFinished:
    """An epoch was trained and validated; the next step overwrites the arrays of the state."""

    state: TrainState

    @property
    def epoch(self) -> Epoch:
        """The results of the epoch."""
        return self.state.history.epochs[-1]


@dataclass(frozen=True)
class TrainingFinished:
    """A training has ended; this is the last event of its stream."""

    trained: Trained


Event = TrainingStarted | ChunkFinished | EpochFinished | TrainingFinished
EventStream = Generator[Event, None, None]
Observer = Callable[[Event], None]
"""Called with each event of a training, in its thread; an exception that it raises ends the training."""


def run_training(events: EventStream, *observers: Observer) -> Trained:
    """Run a training from `tamis.training.fit.fit` to its end, and call the observers with each event.

    Raises:
        TrainingError: the stream has no result.
    """
    with closing(events):  # ends the thread that shuffles events, also if an observer raises
        for event in events:
            for observe in observers:
                observe(event)
            if isinstance(event, TrainingFinished):
                return event.trained
    raise TrainingError("the training ended without a result")
