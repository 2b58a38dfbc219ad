"""What a training did, epoch by epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tamis.notebook import curves, heading, table


@dataclass(frozen=True)
class Epoch:
    """One pass over the training events, and what it led to.

    Args:
        number: counted from 1.
        training_loss: weighted mean over the training events, in nats; each event with the weights of the network
            before its step, so that it runs behind the validation loss while the network learns fast.
        training_accuracy: weighted share of training events whose highest score is right, likewise.
        validation_loss: the same as `training_loss` for the validation events.
        validation_accuracy: the same as `training_accuracy` for the validation events.
        learning_rate: of the last step of the epoch; None where an optimizer of the user's own sees to it.
        seconds: wall time of the epoch; the first one has the time to compile in it.
        events: training events in the epoch.
        planned: how many epochs there will be at most, as far as is known.
        validation_auc: area under the ROC curve of the validation events, mean over the classes one-versus-rest,
            where it is monitored.
        validation_significance: best Asimov significance of a cut on the signal score, where it is monitored.
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
    """A whole training.

    Args:
        epochs: in the order of training.
        best: number of the epoch whose weights were chosen.
        reason: why the training ended, as words for the user.
    """

    epochs: tuple[Epoch, ...]
    best: int
    reason: str

    def to_dict(self) -> dict[str, object]:
        """Give the history as JSON takes it.

        Example:
            >>> epoch = Epoch(1, 0.7, 0.5, 0.6, 0.6, learning_rate=1e-3, seconds=0.1)
            >>> History((epoch,), best=1, reason="all epochs done").to_dict()["best"]
            1
        """
        return {
            "epochs": [_measured(epoch) for epoch in self.epochs],
            "best": self.best,
            "reason": self.reason,
        }

    def _repr_html_(self) -> str:
        """Show the curves and the best epoch in a notebook."""
        chosen = self.epochs[max(self.best - 1, 0)]
        lines = {
            "training loss": ([each.training_loss for each in self.epochs], "#5790fc"),
            "validation loss": ([each.validation_loss for each in self.epochs], "#e42536"),
        }
        columns = ("epoch", "training loss", "validation loss", "training accuracy", "validation accuracy")
        row = [getattr(chosen, name.replace(" ", "_")) for name in columns[1:]]
        return (
            heading(f"{len(self.epochs)} epochs: {self.reason}")
            + curves(lines)
            + table(columns, [[chosen.number, *row]])
        )


def _measured(epoch: Epoch) -> dict[str, object]:
    return {name: value for name, value in asdict(epoch).items() if value is not None}
