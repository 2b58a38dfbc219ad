"""The expected discovery significance of the signal score: after cuts, and in the chosen bins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tamis.arrays import Float64
from tamis.errors import TamisError
from tamis.plots.book import Drawing
from tamis.plots.labels import ClassStyle, FigureLabels, compute_font_size
from tamis.plots.legend import Entry, add_legend, compute_axis_top, count_columns
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, LineStyle, figure_style
from tamis.statistics.bins import ScoreBinning
from tamis.statistics.cuts import Scan
from tamis.statistics.expected_significance import ExpectedSignificance
from tamis.studies.discovery.result import DiscoveryResult
from tamis.wording import format_metric, format_with_interval

_HATCH = "////"
_MOST_ABOVE_BULK = 4.0
"""Largest significance on the axis, in units of the value that nine in ten cuts do not exceed."""
_BAND: dict[str, Any] = {"alpha": 0.25, "linewidth": 0}
_LEGEND_SHARE = 0.36
"""Part of the axis of the significance that the legend has."""
_CUT_LINE: dict[str, Any] = {"color": TEXT_COLOUR, "linestyle": ":", "linewidth": 1.0}
_SIGNAL_LINE: dict[str, Any] = {"color": TEXT_COLOUR, "linestyle": "--", "linewidth": 1.4}


def figures(result: DiscoveryResult, labels: FigureLabels) -> Iterator[Drawing]:
    """Return the figures of the study."""
    yield Drawing("significance", plot_significance, {"expected": result.expected, "classes": labels.classes})
    if result.expected.binning is not None:
        yield Drawing("binning", plot_binning, {"expected": result.expected, "classes": labels.classes})


@figure_style()
def plot_significance(expected: ExpectedSignificance, *, classes: Sequence[ClassStyle]) -> Figure:
    """Draw the Asimov significance against the cut on the signal score, and the yields after the cut.

    Bands are one standard deviation of the finite simulation. The curve ends if too little background passes, and
    values far above the bulk, from the last background events, are not shown. The signal has the colour of its class
    (black if it is several classes), the sum of the backgrounds is grey.
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.5, 1.0))
    colour = _signal_colour(expected, classes)
    tops = _draw_significance(upper, expected, colour), _draw_yields(lower, expected.scan, colour)
    for axes, top in zip((upper, lower), tops, strict=True):
        if expected.cut is not None:
            # up to the legend
            axes.plot([expected.cut, expected.cut], [axes.get_ylim()[0], top], **_CUT_LINE)
    lower.set_xlim(0, 1)
    lower.set_xlabel("Cut on the signal score")
    upper.set_ylabel("Asimov significance")
    lower.set_ylabel(expected.yields_are.capitalize())
    figure.align_ylabels()
    return figure


def _signal_colour(expected: ExpectedSignificance, classes: Sequence[ClassStyle]) -> str:
    return classes[expected.signal[0]].colour if len(expected.signal) == 1 else TEXT_COLOUR


def _draw_significance(axes: Axes, expected: ExpectedSignificance, colour: str) -> float:
    """Draw the curves and the legend; return the upper end of the part of the axis below the legend."""
    scan = expected.scan
    known = np.isfinite(scan.significance)
    x, y, error = scan.thresholds[known], scan.significance[known], scan.significance_error[known]
    without_uncertainty = scan.without_uncertainty[known]
    highest = max(float((y + error).max(initial=0)), float(without_uncertainty.max(initial=0)))
    bulk = float(np.quantile(y, 0.9)) if len(y) else 0.0
    top = min(highest, _MOST_ABOVE_BULK * bulk) if bulk > 0 else highest
    low, high = np.clip(y - error, 0, top), np.minimum(y + error, top)
    axes.fill_between(x, low, high, color=colour, **_BAND)
    axes.plot(x, np.where(y <= top, y, np.nan), color=colour)
    shown = np.where(without_uncertainty <= top, without_uncertainty, np.nan)
    axes.plot(x, shown, color=MUTED_COLOUR, linestyle="--", linewidth=1.2)
    if highest > top:
        note = f"values above {top:.3g} are not shown; the largest is {highest:,.0f}"
        axes.text(0.98, 0.66, note, transform=axes.transAxes, ha="right", fontsize=8.5, color=MUTED_COLOUR)
    relative = expected.requirements.relative
    ranges = sorted(set(relative)) if isinstance(relative, tuple) else [relative]
    percentages = " to ".join(f"{100 * number:.3g}%" for number in dict.fromkeys((ranges[0], ranges[-1])))
    systematic = f", and {percentages} of each background" if ranges[-1] else ""
    entries: list[Entry] = [
        (Line2D([], [], color=colour), f"uncertainty of the background: statistical{systematic}"),
        (Patch(color=colour, **_BAND), "from the finite simulation (one standard deviation)"),
        (Line2D([], [], color=MUTED_COLOUR, linestyle="--", linewidth=1.2), "background known exactly"),
    ]
    if expected.cut is not None:
        entries.append((Line2D([], [], **_CUT_LINE), _cut_text(expected)))
    if not known.any():
        note = "no cut leaves enough background"
        axes.text(0.5, 0.3, note, transform=axes.transAxes, ha="center", color=MUTED_COLOUR)
    below = top or 1.0
    axes.set_ylim(0, below / (1 - _LEGEND_SHARE))
    add_legend(axes, entries, loc="upper left")
    return below


def _cut_text(expected: ExpectedSignificance) -> str:
    after, (cut, _) = expected.after_cut, format_metric(expected.cut or 0.0)
    if after is None or after.significance is None:
        return f"cut of {cut}, chosen on validation events"
    significance, _ = format_with_interval(after.significance, expected.intervals["cut"])
    return f"significance {significance} after a cut of {cut}, chosen on validation events"


def _draw_yields(axes: Axes, scan: Scan, signal_colour: str) -> float:
    """Draw the yields and the legend; return the upper end of the part of the axis below the legend."""
    axes.set_yscale("log")
    drawn: list[tuple[str, Float64, Float64, str, LineStyle]] = [
        ("signal", scan.signal, scan.signal_error, signal_colour, "-"),
        ("background", scan.background, scan.background_error, MUTED_COLOUR, "-."),
    ]
    positive = np.concatenate([values[values > 0] for _, values, *_ in drawn])
    lowest = max(float(positive.min(initial=1.0)), float(positive.max(initial=1.0)) * 1e-7) / 2
    entries: list[Entry] = []
    for text, values, error, colour, line in drawn:
        above = values > 0
        x, y, spread = scan.thresholds[above], values[above], error[above]
        axes.fill_between(
            x, np.maximum(y - spread, lowest), y + spread, color=colour, alpha=0.25, linewidth=0
        )
        axes.plot(x, y, color=colour, linestyle=line)
        entries.append((Line2D([], [], color=colour, linestyle=line), text))
    below = 1.5 * float(positive.max(initial=1.0))
    axes.set_ylim(lowest, compute_axis_top(lowest, below, 1, height=2.0))
    add_legend(axes, entries, loc="upper right", ncols=2)
    return below


@figure_style()
def plot_binning(expected: ExpectedSignificance, *, classes: Sequence[ClassStyle]) -> Figure:
    """Draw the chosen bins with the yields of all classes, and the significance of each bin below.

    The classes stand on top of each other, the signal above; the dashed line is the signal alone.

    Bins are drawn equally wide, because those with the most signal are narrow; the axis is labelled with their edges.

    Raises:
        TamisError: if there are no bins, or they are of another number of classes.
    """
    binning, yields = expected.binning, expected.yields
    if binning is None or yields is None:
        raise TamisError("binning: there are no bins, because there is not enough background for one")
    if len(yields.numbers) != len(classes):
        raise TamisError(f"binning: expected {len(classes)} classes, found {len(yields.numbers)}")
    numbers = np.array(yields.numbers)
    # from bottom to top: backgrounds by rising yield, then the signal
    order = sorted(
        range(len(numbers)), key=lambda index: (index in expected.signal, float(numbers[index].sum()))
    )
    hatches = [_HATCH if index in expected.signal else None for index in range(len(numbers))]
    texts = [*(style.text for style in classes), "signal alone", "background with its uncertainty"]
    size = min(compute_font_size(text, 2.6, 9.0) for text in texts)
    columns = count_columns(texts, 5.4, size)
    rows = -(-len(texts) // columns)
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
    lowest, highest = _stack(upper, binning, numbers, order, hatches, classes)
    upper.set_yscale("log")
    upper.set_ylim(lowest, compute_axis_top(lowest, highest, rows, height=3.8))
    upper.set_ylabel(f"{expected.yields_are.capitalize()} in the bin")
    entries: list[Entry] = [
        (Patch(facecolor=classes[index].colour, edgecolor="white", hatch=hatches[index]), texts[index])
        for index in reversed(order)
    ]
    entries.append((Line2D([], [], **_SIGNAL_LINE), texts[-2]))
    entries.append((Line2D([], [], color=TEXT_COLOUR, marker="|", linestyle="", markersize=8), texts[-1]))
    add_legend(upper, entries, loc="upper left", ncols=columns, fontsize=size)
    _draw_bins(lower, binning, _signal_colour(expected, classes), expected.intervals["bins"])
    return figure


def _stack(
    axes: Axes,
    binning: ScoreBinning,
    numbers: Float64,
    order: Sequence[int],
    hatches: Sequence[str | None],
    classes: Sequence[ClassStyle],
) -> tuple[float, float]:
    """Draw the classes on top of each other; return the lower end of the axis and the largest value."""
    edges = np.arange(numbers.shape[1] + 1, dtype=np.float64)
    below = np.zeros(numbers.shape[1])
    total = np.maximum(numbers, 0).sum(axis=0)
    filled = numbers[numbers > 0]
    lowest = max(float(filled.min(initial=total.max())), float(total.max()) * 1e-6) / 3
    for index in order:
        # a class with a negative yield does not shorten the blocks of other classes
        top = below + np.maximum(numbers[index], 0)
        axes.stairs(
            top, edges, baseline=np.maximum(below, lowest), fill=True, facecolor=classes[index].colour,
            edgecolor="white", linewidth=0.8, hatch=hatches[index],
        )  # fmt: skip
        below = top
    signal, background, error = np.array(
        [(counts.signal, counts.background, counts.background_error) for counts in binning.bins]
    ).T
    axes.stairs(signal, edges, baseline=None, **_SIGNAL_LINE)
    centres = (edges[1:] + edges[:-1]) / 2
    axes.errorbar(
        centres, background, error, color=TEXT_COLOUR, linestyle="", elinewidth=1.4, capsize=3, zorder=4
    )
    return lowest, float((total + error).max())


def _draw_bins(axes: Axes, binning: ScoreBinning, colour: str, interval: tuple[float, float] | None) -> None:
    edges = np.arange(len(binning.bins) + 1, dtype=np.float64)
    values = np.array([bin_counts.significance or 0.0 for bin_counts in binning.bins])
    axes.stairs(values, edges, fill=True, color=colour, **_BAND)
    axes.stairs(values, edges, color=colour, linewidth=1.6)
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0, 1.45 * (values.max(initial=0) or 1.0))
    axes.set_xticks(edges, [f"{edge:.3g}" for edge in binning.edges])
    axes.tick_params(axis="x", which="minor", length=0)
    if len(edges) > 8:
        axes.tick_params(axis="x", labelsize=8.5)
    axes.set_xlabel("Edges of the bins of the signal score")
    axes.set_ylabel("Significance")
    note = f"all bins together: {format_with_interval(binning.significance, interval)[0]}"
    axes.text(0.02, 0.93, note, transform=axes.transAxes, va="top", fontsize=9.0)
