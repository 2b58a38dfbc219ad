"""What cuts on the score do to a variable that the network never saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from tamis.errors import TamisError
from tamis.evaluation.histogram import Histogram
from tamis.evaluation.sculpting import SIGNS, Sculpting
from tamis.plots.labels import ClassStyle, fitting_size
from tamis.plots.legend import Entry, add_legend, columns_that_fit
from tamis.plots.panels import grid_of
from tamis.plots.style import LINE_STYLES, MUTED_COLOUR, TEXT_COLOUR, LineStyle, PlainTicks, figure_style

_BEFORE_COLOUR = "#d9dade"
_SHADES = LinearSegmentedColormap.from_list("cuts", ["#5790fc", "#7a21dd", "#1a1a1a"])
FEWEST_EVENTS = 20.0
"""Effective events of which a shape is drawn."""
WARNING_COLOUR = "#b3001b"
_LEAST_CHANCE = 1 / (1 + SIGNS)
"""The smallest p-value that there is."""
_WARNING = "\N{WARNING SIGN}"


@figure_style()
def plot_sculpting(
    found: Sequence[Sculpting], *, classes: Sequence[ClassStyle], label: str, cuts: Sequence[str]
) -> Figure:
    """Draw one spectator for each class: its distribution before and behind each cut, and its mean against the score.

    The slices of the score hold equal numbers of events and are drawn equally wide. A class
    whose spectator depends on the score is marked with a warning sign.

    Args:
        found: of one spectator, one for each class.
        classes: how each class is shown.
        label: of the spectator, from `axis_label`.
        cuts: what each cut is, for the legend; safe to draw.

    Raises:
        TamisError: if there is not one result for each class, or another number of cuts.
    """
    if len(found) != len(classes) or any(len(each.behind) != len(cuts) for each in found):
        raise TamisError(f"sculpting: expected results of {len(classes)} classes with {len(cuts)} cuts each")
    columns, rows = grid_of(len(classes))
    figure = Figure(figsize=(0.4 + 3.4 * columns, 0.7 + 4.3 * rows), layout="constrained")
    places = figure.add_gridspec(2 * rows, columns, height_ratios=(1.7, 1.0) * rows)
    for index, (style, each) in enumerate(zip(classes, found, strict=True)):
        row, column = divmod(index, columns)
        shape, means = (figure.add_subplot(places[2 * row + lower, column]) for lower in (0, 1))
        _draw_shapes(shape, each, cuts)
        _draw_means(means, each, style)
        _name_axes(shape, means, label, first=column == 0)
        _name_block(shape, each, style)
    _add_legend(figure, cuts)
    return figure


def _shades(count: int) -> list[str]:
    return [to_hex(_SHADES(place)) for place in np.linspace(0, 1, max(count, 1))]


def _lines(count: int) -> list[LineStyle]:
    return [LINE_STYLES[number % len(LINE_STYLES)] for number in range(count)]


def _draw_shapes(axes: Axes, found: Sculpting, cuts: Sequence[str]) -> None:
    if found.binning is None or found.before is None:
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=MUTED_COLOUR)
        axes.set(xticks=[], yticks=[])
        return
    axes.stairs(found.before.density, found.before.edges, fill=True, color=_BEFORE_COLOUR, linewidth=0)
    drawn, few = [found.before], []
    looks = zip(found.behind, _shades(len(cuts)), _lines(len(cuts)), cuts, strict=True)
    for histogram, colour, line, text in looks:
        if histogram is None or _effective(histogram) < FEWEST_EVENTS:
            few.append(text)
            continue
        low, high = histogram.density - histogram.uncertainty, histogram.density + histogram.uncertainty
        axes.stairs(high, histogram.edges, baseline=low, fill=True, color=colour, alpha=0.15, linewidth=0)
        axes.stairs(histogram.density, histogram.edges, color=colour, linewidth=1.3, linestyle=line)
        drawn.append(histogram)
    if few:
        note = "\n".join(["too few events:", *few])
        axes.text(
            0.97, 0.95, note, transform=axes.transAxes, ha="right", va="top", fontsize=8.0, color=MUTED_COLOUR
        )
    axes.set_xlim(found.binning.edges[0], found.binning.edges[-1])
    axes.set_ylim(_range(drawn))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=found.binning.whole))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PlainTicks())


def _effective(histogram: Histogram) -> float:
    """Give the effective number of events: one over the sum of the squared relative errors of the area."""
    squares = float(np.square(histogram.uncertainty * np.diff(histogram.edges)).sum())
    return 1 / squares if squares else 0.0


def _range(drawn: Sequence[Histogram]) -> tuple[float, float]:
    """Show every line; an error of a bin with a few events may leave the panel."""
    highest = max(float(each.density.max()) for each in drawn)
    lowest = min(0.0, *(float(each.density.min()) for each in drawn))
    return 1.06 * lowest, 1.15 * highest if highest > 0 else 1.0


def _draw_means(axes: Axes, found: Sculpting, style: ClassStyle) -> None:
    slices = found.slices
    if not slices:
        axes.text(0.5, 0.4, "no values", transform=axes.transAxes, ha="center", color=MUTED_COLOUR)
        axes.set(xticks=[], yticks=[])
        return
    places = np.arange(len(slices)) + 0.5
    mean, error = np.array([(each.mean, each.error) for each in slices]).T
    axes.errorbar(
        places, mean, error, np.full(len(slices), 0.5), color=style.colour, marker=style.marker, linestyle="",
        elinewidth=1.3, markeredgecolor="white", markeredgewidth=0.4,
    )  # fmt: skip
    axes.set_xlim(0, len(slices))
    edges = [*(each.low for each in slices), slices[-1].high]
    axes.set_xticks(range(len(edges)), [f"{edge:.2g}" for edge in edges])
    axes.tick_params(axis="x", which="minor", length=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(PlainTicks())


def _name_axes(shape: Axes, means: Axes, label: str, *, first: bool) -> None:
    shape.set_xlabel(label, fontsize=fitting_size(label, 2.7, 10.5))
    means.set_xlabel("Slices of the signal score", fontsize=10.5)
    shape.tick_params(labelsize=8.5)
    means.tick_params(labelsize=8.0)
    if first:
        shape.set_ylabel("Unit area", fontsize=10.5)
        means.set_ylabel("Mean", fontsize=10.5)


def _name_block(axes: Axes, found: Sculpting, style: ClassStyle) -> None:
    axes.set_title(
        style.text, loc="left", fontsize=fitting_size(style.text, 2.7, 10.5), color=TEXT_COLOUR, pad=20
    )
    note, colour = "dependence on the score not known", MUTED_COLOUR
    if found.dependence is not None:
        correlation, chance = found.dependence.distance_correlation, found.dependence.p_value
        mark = f"{_WARNING} " if found.dependence.large else ""
        colour = WARNING_COLOUR if found.dependence.large else MUTED_COLOUR
        relation = "<=" if chance <= _LEAST_CHANCE else "="
        note = f"{mark}distance correlation {correlation:.2f} (p {relation} {chance:.2g})"
    axes.text(0.0, 1.03, note, transform=axes.transAxes, fontsize=8.5, color=colour, va="bottom")


def _add_legend(figure: Figure, cuts: Sequence[str]) -> None:
    entries: list[Entry] = [(Patch(color=_BEFORE_COLOUR), "all events")]
    for text, colour, line in zip(cuts, _shades(len(cuts)), _lines(len(cuts)), strict=True):
        entries.append((Line2D([], [], color=colour, linestyle=line, linewidth=1.3), text))
    columns = columns_that_fit([text for _, text in entries], figure.get_figwidth() - 0.4, 9.0)
    add_legend(figure, entries, loc="outside upper center", ncols=columns, fontsize=9.0)
