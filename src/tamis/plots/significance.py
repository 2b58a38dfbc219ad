"""What the signal score is worth in a search: the significance behind cuts, and the chosen bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from tamis.errors import TamisError
from tamis.evaluation.cuts import Scan
from tamis.evaluation.search import Search
from tamis.plots.labels import ClassStyle, fitting_size
from tamis.plots.legend import Entry, add_legend, columns_that_fit, top_with_room
from tamis.plots.style import MUTED_COLOUR, SIX_COLOURS, TEXT_COLOUR, figure_style

SIGNAL_COLOUR, BACKGROUND_COLOUR = SIX_COLOURS[2], SIX_COLOURS[0]
_HATCH = "////"
_SIGNAL_LINE: dict[str, Any] = {"color": TEXT_COLOUR, "linestyle": "--", "linewidth": 1.4}

Numbers = NDArray[np.float64]


@figure_style()
def plot_significance(search: Search) -> Figure:
    """Draw the Asimov significance against the cut on the signal score, and the yields behind the cut.

    Bands are one standard deviation of the finite simulation. The curve ends where too little background is left.

    Args:
        search: what the signal score is worth.
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.5, 1.0))
    _draw_significance(upper, search)
    _draw_yields(lower, search.scan)
    for axes in (upper, lower):
        if search.cut is not None:
            axes.axvline(search.cut, color=TEXT_COLOUR, linewidth=1.0, linestyle=":")
    lower.set_xlim(0, 1)
    lower.set_xlabel("Cut on the signal score")
    upper.set_ylabel("Asimov significance")
    lower.set_ylabel(search.yields_are.capitalize())
    figure.align_ylabels()
    return figure


def _draw_significance(axes: Axes, search: Search) -> None:
    scan = search.scan
    known = np.isfinite(scan.significance)
    x, y, error = scan.thresholds[known], scan.significance[known], scan.significance_error[known]
    axes.fill_between(x, np.maximum(y - error, 0), y + error, color=SIGNAL_COLOUR, alpha=0.25, linewidth=0)
    axes.plot(x, y, color=SIGNAL_COLOUR)
    axes.plot(x, scan.without_uncertainty[known], color=MUTED_COLOUR, linestyle="--", linewidth=1.2)
    tops = [float((y + error).max(initial=0)), float(scan.without_uncertainty[known].max(initial=0))]
    relative = search.requirements.relative
    ranges = sorted(set(relative)) if isinstance(relative, tuple) else [relative]
    numbers = " to ".join(f"{each:.3g}" for each in dict.fromkeys((ranges[0], ranges[-1])))
    systematic = f", and {numbers} of each class" if ranges[-1] else ""
    entries: list[Entry] = [
        (Line2D([], [], color=SIGNAL_COLOUR), f"uncertainty of the background: statistical{systematic}"),
        (
            Patch(color=SIGNAL_COLOUR, alpha=0.25, linewidth=0),
            "from the finite simulation (one standard deviation)",
        ),
        (Line2D([], [], color=MUTED_COLOUR, linestyle="--", linewidth=1.2), "background known exactly"),
    ]
    if search.cut is not None:
        entries.append((Line2D([], [], color=TEXT_COLOUR, linewidth=1.0, linestyle=":"), _cut_text(search)))
    if not known.any():
        axes.text(
            0.5,
            0.3,
            "no cut leaves enough background",
            transform=axes.transAxes,
            ha="center",
            color=MUTED_COLOUR,
        )
    # four rows of the legend above the curves
    axes.set_ylim(0, (max(tops) or 1.0) * 1.55)
    add_legend(axes, entries, loc="upper left")


def _cut_text(search: Search) -> str:
    behind = search.behind_cut
    chosen = f"cut chosen on validation events: {search.cut:.3g}"
    if behind is None or behind.significance is None:
        return chosen
    return f"{chosen}, significance {behind.significance:.3g}"


def _draw_yields(axes: Axes, scan: Scan) -> None:
    axes.set_yscale("log")
    drawn = [
        (scan.signal, scan.signal_error, SIGNAL_COLOUR, "-"),
        (scan.background, scan.background_error, BACKGROUND_COLOUR, "-."),
    ]
    positive = np.concatenate([values[values > 0] for values, *_ in drawn])
    lowest = max(float(positive.min(initial=1.0)), float(positive.max(initial=1.0)) * 1e-7) / 2
    for values, error, colour, line in drawn:
        above = values > 0
        x, y, spread = scan.thresholds[above], values[above], error[above]
        axes.fill_between(
            x, np.maximum(y - spread, lowest), y + spread, color=colour, alpha=0.25, linewidth=0
        )
        axes.plot(x, y, color=colour, linestyle=line)
    axes.set_ylim(lowest, top_with_room(lowest, 1.5 * float(positive.max(initial=1.0)), 1, height=2.0))
    entries: list[Entry] = [
        (Line2D([], [], color=SIGNAL_COLOUR), "signal"),
        (Line2D([], [], color=BACKGROUND_COLOUR, linestyle="-."), "background"),
    ]
    add_legend(axes, entries, loc="upper right", ncols=2)


@figure_style()
def plot_binning(search: Search, *, classes: Sequence[ClassStyle]) -> Figure:
    """Draw the chosen bins with the yields of all classes, and the significance of each bin below.

    The classes stand on top of each other, the signal above; the dashed line is the signal alone.

    Bins are drawn equally wide, because those with the most signal are narrow; their edges stand at the axis.

    Args:
        search: what the signal score is worth.
        classes: how each class is shown.

    Raises:
        TamisError: if there are no bins, or they are of another number of classes.
    """
    if search.binning is None or search.yields is None:
        raise TamisError("binning: there are no bins; there was not enough background for one")
    if len(search.yields.numbers) != len(classes):
        raise TamisError(f"binning: expected {len(classes)} classes, found {len(search.yields.numbers)}")
    texts = [*(style.text for style in classes), "signal alone", "background with its uncertainty"]
    size = min(fitting_size(text, 2.6, 9.0) for text in texts)
    columns = columns_that_fit(texts, 5.4, size)
    rows = -(-len(texts) // columns)
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
    lowest, highest = _stack(upper, search, classes)
    upper.set_yscale("log")
    upper.set_ylim(lowest, top_with_room(lowest, highest, rows, height=3.8))
    upper.set_ylabel(f"{search.yields_are.capitalize()} in the bin")
    add_legend(upper, _stack_entries(search, classes, texts), loc="upper left", ncols=columns, fontsize=size)
    _draw_bins(lower, search)
    return figure


def _order(search: Search) -> list[int]:
    """Give the classes from bottom to top: backgrounds by rising yield, then the signal."""
    numbers = np.array(search.yields.numbers if search.yields else ())
    return sorted(
        range(len(numbers)), key=lambda index: (index in search.signal, float(numbers[index].sum()))
    )


def _stack(axes: Axes, search: Search, classes: Sequence[ClassStyle]) -> tuple[float, float]:
    numbers = np.array(search.yields.numbers if search.yields else ())
    edges = np.arange(numbers.shape[1] + 1, dtype=np.float64)
    below = np.zeros(numbers.shape[1])
    total = np.maximum(numbers, 0).sum(axis=0)
    filled = numbers[numbers > 0]
    lowest = max(float(filled.min(initial=total.max())), float(total.max()) * 1e-6) / 3
    for index in _order(search):
        # a class with a negative yield takes nothing away from the others' blocks
        top = below + np.maximum(numbers[index], 0)
        style = classes[index]
        axes.stairs(
            top, edges, baseline=np.maximum(below, lowest), fill=True, facecolor=style.colour,
            edgecolor="white", linewidth=0.8, hatch=_HATCH if index in search.signal else None,
        )  # fmt: skip
        below = top
    counts = search.binning.bins if search.binning else ()
    signal = np.array([each.signal for each in counts])
    axes.stairs(signal, edges, baseline=None, **_SIGNAL_LINE)
    background = np.array([each.background for each in counts])
    error = np.array([each.background_error for each in counts])
    centres = (edges[1:] + edges[:-1]) / 2
    axes.errorbar(
        centres, background, error, color=TEXT_COLOUR, linestyle="", elinewidth=1.4, capsize=3, zorder=4
    )
    return lowest, float((total + error).max())


def _stack_entries(search: Search, classes: Sequence[ClassStyle], texts: Sequence[str]) -> list[Entry]:
    entries: list[Entry] = [
        (
            Patch(
                facecolor=classes[index].colour,
                edgecolor="white",
                hatch=_HATCH if index in search.signal else None,
            ),
            texts[index],
        )
        for index in reversed(_order(search))
    ]
    entries.append((Line2D([], [], **_SIGNAL_LINE), texts[-2]))
    entries.append((Line2D([], [], color=TEXT_COLOUR, marker="|", linestyle="", markersize=8), texts[-1]))
    return entries


def _draw_bins(axes: Axes, search: Search) -> None:
    binning = search.binning
    if binning is None:
        return
    edges = np.arange(len(binning.bins) + 1, dtype=np.float64)
    values = np.array([each.significance or 0.0 for each in binning.bins])
    axes.stairs(values, edges, fill=True, color=SIGNAL_COLOUR, alpha=0.25, linewidth=0)
    axes.stairs(values, edges, color=SIGNAL_COLOUR, linewidth=1.6)
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0, 1.45 * (values.max(initial=0) or 1.0))
    axes.set_xticks(edges, [f"{edge:.3g}" for edge in binning.edges])
    axes.tick_params(axis="x", which="minor", length=0)
    if len(edges) > 8:
        axes.tick_params(axis="x", labelsize=8.5)
    axes.set_xlabel("Edges of the bins of the signal score")
    axes.set_ylabel("Significance")
    note = f"all bins together: {binning.significance:.3g}"
    axes.text(0.02, 0.93, note, transform=axes.transAxes, va="top", fontsize=9.0)
