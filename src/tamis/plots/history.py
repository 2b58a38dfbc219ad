"""Loss and accuracy of a training by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from tamis.plots.labels import compute_font_size
from tamis.plots.legend import Entry, add_legend
from tamis.plots.style import MUTED_COLOUR, SIX_COLOURS, TEXT_COLOUR, figure_style
from tamis.training.history import History

TRAINING_COLOUR = SIX_COLOURS[0]
VALIDATION_COLOUR = SIX_COLOURS[2]
_FEW_EPOCHS = 25
_FOCUS_FROM = 6
_BEST: dict[str, Any] = {
    "marker": "o",
    "markersize": 7,
    "markerfacecolor": "white",
    "markeredgecolor": TEXT_COLOUR,
    "markeredgewidth": 1.4,
    "linestyle": "",
    "zorder": 5,
}


@figure_style()
def plot_history(history: History) -> Figure:
    """Draw loss and accuracy of training and validation events against the epoch, and mark the best epoch.

    The axis of the loss is logarithmic if the loss changes by more than a factor of ten.
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    epochs = history.epochs
    numbers = [epoch.number for epoch in epochs]
    training, validation = [e.training_loss for e in epochs], [e.validation_loss for e in epochs]
    _draw_curves(loss, numbers, training, validation, history.best)
    finite = [value for value in (*training, *validation) if np.isfinite(value)]
    if finite and min(finite) > 0 and max(finite) > 10 * min(finite):
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        loss.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        loss.yaxis.set_minor_formatter(NullFormatter())
    else:
        _focus(loss, training, validation)
    training, validation = [e.training_accuracy for e in epochs], [e.validation_accuracy for e in epochs]
    _draw_curves(accuracy, numbers, training, validation, history.best)
    _focus(accuracy, training, validation)
    loss.set_ylabel("Loss")
    accuracy.set_ylabel("Accuracy")
    figure.align_ylabels()
    accuracy.set_xlabel("Epoch")
    accuracy.set_xlim(0.5, max(1, len(epochs)) + 0.5)
    accuracy.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    if len(epochs) <= _FEW_EPOCHS:
        # with few epochs, minor ticks would be at fractions of an epoch
        loss.xaxis.minorticks_off()
        accuracy.xaxis.minorticks_off()
    entries: list[Entry] = [
        (Line2D([], [], color=TRAINING_COLOUR), "training"),
        (Line2D([], [], color=VALIDATION_COLOUR, linestyle="--"), "validation"),
        (Line2D([], [], **_BEST), f"best epoch: {history.best}"),
    ]
    add_legend(loss, entries, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)
    note = f"ended: {history.reason}".replace("$", r"\$")
    accuracy.set_title(note, loc="right", fontsize=compute_font_size(note, 5.4, 9.0), color=MUTED_COLOUR)
    return figure


def _draw_curves(
    axes: Axes, numbers: Sequence[int], training: Sequence[float], validation: Sequence[float], best: int
) -> None:
    marker = "o" if len(numbers) <= _FEW_EPOCHS else ""
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.axvline(best, color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
    axes.plot(numbers, training, marker=marker, color=TRAINING_COLOUR)
    axes.plot(numbers, validation, marker=marker, color=VALIDATION_COLOUR, linestyle="--")
    best_values = [value for number, value in zip(numbers, validation, strict=True) if number == best]
    axes.plot([best] * len(best_values), best_values, **_BEST)


def _focus(axes: Axes, training: Sequence[float], validation: Sequence[float]) -> None:
    """Exclude the steep fall of the first epochs from the range of the axis, with a note of their values."""
    start = max(1, len(training) // 10)
    later = np.array([*training[start:], *validation[start:]])
    everything = np.array([*training, *validation])
    if len(training) < _FOCUS_FROM or not np.isfinite(everything).all():
        return
    span = max(np.ptp(later), 1e-3 * np.abs(later).max(), 1e-12)
    low, high = later.min() - 0.3 * span, later.max() + 0.3 * span
    if np.ptp(everything) < 3 * span or (everything.min() >= low and everything.max() <= high):
        return
    axes.set_ylim(low, high)
    outside = [
        f"{name} {values[0]:.3g}"
        for name, values in (("training", training), ("validation", validation))
        if not low <= values[0] <= high
    ]
    if outside:
        side = 0.94 if everything.max() > high else 0.06
        axes.annotate(
            f"epoch 1: {', '.join(outside)} (off the axis)",
            (0.98, side),
            xycoords="axes fraction",
            ha="right",
            va="top" if side > 0.5 else "bottom",
            fontsize=9.0,
            color=MUTED_COLOUR,
        )
