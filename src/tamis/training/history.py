"""The history of a training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tamis.notebook import curves, heading, table


@dataclass(frozen=True)
class Epoch:
    """One pass over the training events, and its results.

    Args:
        number: number of the epoch, counted from 1.
        training_loss: weighted mean over the training events, in nats, with the penalty of a decorrelation; computed
            for each event with the weights before its step, so that it lags behind the validation loss while the loss
            falls fast.
        training_accuracy: weighted fraction of training events whose highest score is that of the true class, computed
            like `training_loss`.
        validation_loss: weighted mean over the validation events, after the epoch, likewise with the penalty.
        validation_accuracy: weighted fraction of correctly classified validation events, after the epoch.
        learning_rate: rate of the last step of the epoch; None if a custom optimizer has its own.
        seconds: wall time of the epoch; that of the first one includes the compilation.
        events: number of training events in the epoch.
        planned: planned total number of epochs.
        validation_auc: area under the ROC curve of the validation events, mean over the classes one-versus-rest; None
            unless monitored.
        validation_significance: best Asimov significance of a cut on the signal score; None unless monitored.
    """

    number: int
    training_loss: float
    training_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float | None
    seconds: float
    events: int = 0
    planned: int = 0
    validation_auc: float | None = None
    validation_significance: float | None = None

    @property
    def events_per_second(self) -> float:
        """Training events per second of wall time."""
        return self.events / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class History:
    """The history of a training.

    Args:
        epochs: the epochs in the order of training.
        best: number of the epoch whose weights are the result; 0 if there is none yet.
        reason: why the training ended; empty while it continues.
    """

    epochs: tuple[Epoch, ...]
    best: int
    reason: str

    def to_dict(self) -> dict[str, object]:
        """Return the content of `history.json`.

        Example:
            >>> epoch = Epoch(1, 0.7, 0.5, 0.6, 0.6, learning_rate=1e-3, seconds=0.1)
            >>> History((epoch,), best=1, reason="all epochs done").to_dict()["best_epoch"]
            1
        """
        # values that are None are not written
        epochs = [
            {name: value for name, value in asdict(epoch).items() if value is not None}
            for epoch in self.epochs
        ]
        return {"epochs": epochs, "best_epoch": self.best, "stop_reason": self.reason}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> History:
        """Return the history that `to_dict` wrote."""
        # the learning rate is not written if a custom optimizer has its own
        epochs = (Epoch(**{"learning_rate": None, **epoch}) for epoch in content["epochs"])
        return cls(tuple(epochs), content["best_epoch"], content["stop_reason"])

    def _repr_html_(self) -> str:
        """Show the curves and the best epoch in a notebook."""
        best = self.epochs[max(self.best - 1, 0)]
        lines = {
            "training loss": ([epoch.training_loss for epoch in self.epochs], "#5790fc"),
            "validation loss": ([epoch.validation_loss for epoch in self.epochs], "#e42536"),
        }
        columns = ("epoch", "training loss", "validation loss", "training accuracy", "validation accuracy")
        row = [best.number, *(getattr(best, name.replace(" ", "_")) for name in columns[1:])]
        return heading(f"{len(self.epochs)} epochs: {self.reason}") + curves(lines) + table(columns, [row])


def summarise_history(member: Mapping[str, Any]) -> dict[str, Any]:
    """Summarise a member of `history.json` for `metrics.json`: its best epoch, and why its training ended.

    >>> summarise_history({"fold": 0, "seed": 1, "epochs": [{}, {}], "best_epoch": 2, "stop_reason": "all trained"})
    {'fold': 0, 'seed': 1, 'epochs': 2, 'best_epoch': 2, 'stop_reason': 'all trained'}
    """
    names = ("fold", "seed", "epochs", "best_epoch", "stop_reason")
    return {**{name: member.get(name) for name in names}, "epochs": len(member["epochs"])}
