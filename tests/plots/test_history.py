"""The figure of a training: curves, chosen epoch and axes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from tamis.plots.history import plot_history
from tamis.training.history import Epoch, History


def history(epochs: int, scale: float = 1.0, best: int = 1, reason: str = "all epochs are done") -> History:
    losses = [0.4 + scale * np.exp(-number / 3) for number in range(1, epochs + 1)]
    return History(
        epochs=tuple(
            Epoch(number, loss, 1 - loss / 2, loss + 0.02, 0.98 - loss / 2, learning_rate=1e-3, seconds=0.1)
            for number, loss in enumerate(losses, start=1)
        ),
        best=best,
        reason=reason,
    )


def texts_of_legend(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_legend_and_reason() -> None:
    figure = plot_history(history(60, best=40, reason="no better $validation_loss for 20 epochs"))
    assert texts_of_legend(figure) == ["training", "validation", "best epoch: 40"]
    assert figure.axes[1].get_title(loc="right") == r"ended: no better \$validation_loss for 20 epochs"


def test_curves_hold_the_epochs_and_the_chosen_one_is_marked() -> None:
    trained = history(30, best=12)
    loss, accuracy = plot_history(trained).axes
    for axes, attribute in ((loss, "loss"), (accuracy, "accuracy")):
        _, training, validation, chosen = axes.lines
        assert training.get_xdata() == pytest.approx(range(1, 31))
        assert training.get_ydata() == pytest.approx(
            [vars(epoch)[f"training_{attribute}"] for epoch in trained.epochs]
        )
        expected = [vars(epoch)[f"validation_{attribute}"] for epoch in trained.epochs]
        assert validation.get_ydata() == pytest.approx(expected)
        assert (chosen.get_xdata(), chosen.get_ydata()) == ([12], [expected[11]])
    assert (loss.get_ylabel(), accuracy.get_ylabel(), accuracy.get_xlabel()) == ("Loss", "Accuracy", "Epoch")
    assert accuracy.get_title(loc="right") == "ended: all epochs are done"


@pytest.mark.parametrize(("scale", "kind"), [(0.5, "linear"), (50.0, "log")])
def test_a_loss_over_decades_has_a_logarithmic_axis(scale: float, kind: str) -> None:
    loss, accuracy = plot_history(history(40, scale)).axes
    assert (loss.get_yscale(), accuracy.get_yscale()) == (kind, "linear")


def test_negative_losses_stay_linear() -> None:
    # Negative weights allow them.
    assert plot_history(history(40, -5.0)).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("epochs", [0, 1, 2, 26])
def test_any_number_of_epochs_has_whole_ticks(epochs: int) -> None:
    ticks = plot_history(history(epochs)).axes[1].get_xticks()
    assert ticks == pytest.approx(np.rint(ticks))


def test_losses_that_are_not_finite_are_gaps() -> None:
    broken = history(3)
    epochs = (*broken.epochs[:2], Epoch(3, np.nan, 0.5, np.inf, 0.5, 1e-3, 0.1))
    figure = plot_history(History(epochs, best=1, reason="the loss is not finite"))
    figure.draw_without_rendering()
    assert np.isfinite(figure.axes[0].get_ylim()).all()


def test_a_first_epoch_far_away_does_not_press_the_others_into_a_line() -> None:
    losses = [0.9, *(0.30 - 0.001 * number for number in range(9))]
    epochs = tuple(
        Epoch(number, loss, 1 - loss, loss + 0.005, 0.99 - loss, learning_rate=1e-3, seconds=0.1)
        for number, loss in enumerate(losses, start=1)
    )
    loss, accuracy = plot_history(History(epochs, best=10, reason="all")).axes
    low, high = loss.get_ylim()
    assert low < 0.292
    assert 0.305 < high < 0.4
    assert [text.get_text() for text in loss.texts] == [
        "epoch 1: training 0.9, validation 0.905 (off the axis)"
    ]
    assert [text.get_text() for text in accuracy.texts] == [
        "epoch 1: training 0.1, validation 0.09 (off the axis)"
    ]
    # every point is still drawn
    assert list(loss.lines[1].get_ydata()) == losses
