"""Figures of several runs: ROC curves with their ratio, and validation losses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tamis.arrays import Float64
from tamis.plots.labels import ClassStyle, compute_font_size, literal
from tamis.plots.legend import Entry, add_legend, compute_axis_top, compute_entry_width
from tamis.plots.style import LINE_STYLES, MARKERS, MUTED_COLOUR, colours, figure_style
from tamis.statistics.roc import RocCurve
from tamis.statistics.roc_outline import FEWEST_EVENTS, compute_least_efficiency, outline_roc
from tamis.wording import format_metric

FEWEST_OF_RATIO = 25
"""Background events of typical weight that must pass in both runs for their ratio to be drawn."""
_LEGEND_WIDTH = 4.2  # inches
_LEGEND_SIZE = 9.0  # points
_FEW_EPOCHS = 25
_RANDOM: dict[str, Any] = {"color": MUTED_COLOUR, "linewidth": 1.0, "linestyle": ":"}


@dataclass(frozen=True)
class LossCurve:
    """The validation loss of one training after each epoch, counted from 1, and the epoch whose weights are used."""

    epochs: tuple[int, ...]
    losses: tuple[float, ...]
    best: int


def choose_run_styles(names: Sequence[str]) -> tuple[ClassStyle, ...]:
    """Choose label, colour and line of each run; names that are equal after shortening get a number.

    >>> first, second = choose_run_styles(["old/demo", "new/demo"])
    >>> first.text, first.line, second.line
    ('old/demo', '-', '--')
    """
    texts = [literal(name) for name in names]
    if len(set(texts)) < len(texts):
        texts = [f"{number}: {text}" for number, text in enumerate(texts, start=1)]
    return tuple(
        ClassStyle(text, colour, MARKERS[index % len(MARKERS)], LINE_STYLES[index % len(LINE_STYLES)])
        for index, (text, colour) in enumerate(zip(texts, colours(len(names)), strict=True))
    )


@figure_style()
def plot_rocs_of_runs(curves: Sequence[RocCurve], *, runs: Sequence[ClassStyle], title: str) -> Figure:
    """Draw the ROC curve of one score for each run, and in a lower panel the rejections divided by those of the first.

    There is one curve for each run, on the same events. The title is the separated classes, safe to draw.
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    least = min(compute_least_efficiency(curve) for curve in curves)
    diagonal = np.geomspace(0.01, 1.0, 100)
    upper.plot(diagonal, 1 / diagonal, **_RANDOM)
    entries, size = _legend_entries(runs, [f"(AUC {format_metric(curve.auc)[0]})" for curve in curves])
    entries.append((Line2D([], [], **_RANDOM), "random choice"))
    # the curves fall to the right, so only the part below the legend, of axes of 5.6 inches, needs room
    legend_from = 1 - max(compute_entry_width(text, size) for _, text in entries) / 5.6
    highest, below = 5.0, 2.0
    for style, curve in zip(runs, curves, strict=True):
        points = outline_roc(curve, least=least).points
        signal, rejection = points.signal_efficiency, points.background_rejection
        upper.plot(signal, rejection, color=style.colour, linestyle=style.line)
        highest = max(highest, rejection.max(initial=1.0))
        below = max(below, rejection[signal > legend_from].max(initial=1.0))
    upper.set_yscale("log")
    upper.set_xlim(0.0, 1.0)
    upper.set_ylim(1.0, max(1.5 * highest, compute_axis_top(1.0, below, len(entries), height=3.9)))
    upper.set_ylabel("Background rejection (1 / efficiency)")
    upper.set_title(title, loc="left", fontsize=compute_font_size(title, 5.4, 10.0))
    _add_legend(upper, entries, size)
    _draw_ratios(lower, curves, runs, least * FEWEST_OF_RATIO / FEWEST_EVENTS)
    lower.set_xlabel("Signal efficiency")
    figure.align_ylabels()
    return figure


def _draw_ratios(axes: Axes, curves: Sequence[RocCurve], runs: Sequence[ClassStyle], least: float) -> None:
    axes.axhline(1.0, color=runs[0].colour, linestyle=runs[0].line)
    low, high = 0.98, 1.02
    for style, curve in zip(runs[1:], curves[1:], strict=True):
        signal, ratio = compute_rejection_ratio(curve, curves[0], least)
        axes.plot(signal, ratio, color=style.colour, linestyle=style.line)
        low, high = ratio.min(initial=low), ratio.max(initial=high)
    axes.set_ylim(low - 0.12 * (high - low), high + 0.12 * (high - low))
    axes.set_ylabel("Ratio to the first", loc="center", fontsize=10.0)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def compute_rejection_ratio(curve: RocCurve, first: RocCurve, least: float) -> tuple[Float64, Float64]:
    """Divide the background rejection of a curve by that of the first, at the same signal efficiencies, [n] each.

    There is no ratio below a background efficiency of `least` in one of them.

    >>> from tamis.statistics.roc import compute_roc_curve
    >>> first = compute_roc_curve([1.0, 3.0, 2.0, 4.0], [0, 0, 1, 1], [1.0, 1.0, 1.0, 1.0])
    >>> worse = compute_roc_curve([2.5, 3.0, 2.0, 4.0], [0, 0, 1, 1], [1.0, 1.0, 1.0, 1.0])
    >>> signal, ratio = compute_rejection_ratio(worse, first, 0.1)
    >>> bool(signal.min() > 0.5), set(ratio.tolist())
    (True, {0.5})
    """
    signal = np.linspace(0.01, 1.0, 199)
    background, first_background = _background_at(curve, signal), _background_at(first, signal)
    shown = (background >= least) & (first_background >= least)
    return signal[shown], first_background[shown] / background[shown]


def _background_at(curve: RocCurve, signal: Float64) -> Float64:
    # with signed weights the efficiency may decrease between two cuts: take the first cut that reaches each efficiency
    reached = np.maximum.accumulate(curve.signal_efficiency)
    return curve.background_efficiency[np.searchsorted(reached, signal - 1e-12)]


@figure_style()
def plot_losses_of_runs(curves: Sequence[Sequence[LossCurve]], *, runs: Sequence[ClassStyle]) -> Figure:
    """Draw the validation loss of each run by epoch, and mark the epochs whose weights are used.

    There is one curve for each network of each run.
    """
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for style, of_run in zip(runs, curves, strict=True):
        for curve in of_run:
            _draw_losses(axes, style, curve, faint=len(of_run) > 1)
    all_curves = [curve for of_run in curves for curve in of_run]
    longest = max((len(curve.epochs) for curve in all_curves), default=1)
    axes.set_xlim(0.5, max(1, longest) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    if longest <= _FEW_EPOCHS:
        axes.xaxis.minorticks_off()
    axes.ticklabel_format(axis="y", useOffset=False)
    _set_loss_range(axes, all_curves, legend_rows=len(runs))
    axes.set_xlabel("Epoch")
    axes.set_ylabel("Validation loss")
    notes = (
        f"(best epoch {of_run[0].best})" if len(of_run) == 1 else f"({len(of_run)} networks)"
        for of_run in curves
    )
    _add_legend(axes, *_legend_entries(runs, notes))
    return figure


def _draw_losses(axes: Axes, style: ClassStyle, curve: LossCurve, *, faint: bool) -> None:
    alpha, width = (0.6, 1.0) if faint else (1.0, 1.6)
    axes.plot(
        curve.epochs, curve.losses, color=style.colour, linestyle=style.line, alpha=alpha, linewidth=width
    )
    best_loss = [loss for epoch, loss in zip(curve.epochs, curve.losses, strict=True) if epoch == curve.best]
    axes.plot(
        [curve.best] * len(best_loss),
        best_loss,
        marker="o",
        markersize=6.5,
        markerfacecolor="white",
        markeredgecolor=style.colour,
        markeredgewidth=1.5,
        linestyle="",
        zorder=5,
    )


def _set_loss_range(axes: Axes, curves: Sequence[LossCurve], legend_rows: int) -> None:
    """Set the range of the axis, with room for the legend; large losses of the first epochs are not in it."""
    losses = np.array([loss for curve in curves for loss in curve.losses])
    # the losses of the first quarter of the epochs fall most
    starts = [min(len(curve.losses) - 1, max(1, len(curve.losses) // 4)) for curve in curves]
    later = np.array(
        [loss for curve, start in zip(curves, starts, strict=True) for loss in curve.losses[start:]]
    )
    if not len(losses) or not np.isfinite(losses).all():
        return
    low, high = float(later.min()), float(later.max())
    span = max(high - low, 1e-3 * abs(high), 1e-12)
    if losses.max() - low < 3 * span:
        high, span = float(losses.max()), max(float(losses.max()) - low, span)
    # a row of the legend is 0.178 inches high; the curves keep 2.6 inches
    legend_height = span * ((legend_rows + 1) * 0.178 + 0.1) / 2.6
    axes.set_ylim(low - 0.06 * span, high + 0.06 * span + legend_height)
    if losses.max() > high:
        note = "first epochs off the axis"
        axes.annotate(
            note, (0.98, 0.03), xycoords="axes fraction", ha="right", fontsize=9.0, color=MUTED_COLOUR
        )


def _legend_entries(runs: Sequence[ClassStyle], notes: Iterable[str]) -> tuple[list[Entry], float]:
    """Return the entries of the runs, and their font size."""
    entries: list[Entry] = [
        (Line2D([], [], color=style.colour, linestyle=style.line), f"{style.text}  {note}")
        for style, note in zip(runs, notes, strict=True)
    ]
    return entries, min(compute_font_size(text, _LEGEND_WIDTH, _LEGEND_SIZE) for _, text in entries)


def _add_legend(axes: Axes, entries: Sequence[Entry], size: float) -> None:
    add_legend(axes, entries, loc="upper right", fontsize=size, handlelength=2.6)
