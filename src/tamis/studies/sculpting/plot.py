"""Distributions of a spectator after cuts on the score, and its mean against the score."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from tamis.errors import TamisError
from tamis.plots.book import Drawing
from tamis.plots.labels import ClassStyle, FigureLabels, compute_font_size, literal, with_sign
from tamis.plots.layout import choose_grid
from tamis.plots.legend import Entry
from tamis.plots.style import (
    LINE_STYLES,
    MUTED_COLOUR,
    SHADE_COLOUR,
    SIX_COLOURS,
    TEXT_COLOUR,
    WARNING_COLOUR,
    LineStyle,
    PlainTicks,
    figure_style,
)
from tamis.statistics.histogram import Histogram
from tamis.studies.figure_parts import add_top_legend, mark_empty
from tamis.studies.sculpting.result import Sculpting, SculptingResult

CUT_SHADES = LinearSegmentedColormap.from_list("cuts", [SIX_COLOURS[0], SIX_COLOURS[5]])
_WARNING = "\N{WARNING SIGN}"


def figures(result: SculptingResult, labels: FigureLabels) -> list[Drawing]:
    """Return the figures of the study, one for each spectator."""
    cuts = [f"signal efficiency {100 * point:g}%" for point in result.working_points]
    return [
        Drawing(
            f"sculpting_{name}",
            plot_sculpting,
            {
                "of_classes": [sculpting for sculpting in result.spectators if sculpting.spectator == name],
                "classes": labels.classes,
                "label": labels.spectators.get(name) or literal(name),
                "cuts": cuts,
            },
        )
        for name in result.names
    ]


@figure_style()
def plot_sculpting(
    of_classes: Sequence[Sculpting], *, classes: Sequence[ClassStyle], label: str, cuts: Sequence[str]
) -> Figure:
    """Draw one spectator for each class: its distribution before and after each cut, and its mean against the score.

    The slices of the score contain equal numbers of events and are drawn equally wide. A warning sign marks a class in
    which the spectator depends on the score.

    Args:
        of_classes: of one spectator, one for each class.
        classes: how each class is shown.
        label: of the spectator, from `axis_label`.
        cuts: description of each cut for the legend; safe to draw.

    Raises:
        TamisError: if there is not one result for each class, or another number of cuts.
    """
    if len(of_classes) != len(classes) or any(len(sculpting.after) != len(cuts) for sculpting in of_classes):
        raise TamisError(f"sculpting: expected results of {len(classes)} classes with {len(cuts)} cuts each")
    columns, rows = choose_grid(len(classes))
    figure = Figure(figsize=(0.4 + 3.4 * columns, 0.7 + 4.3 * rows), layout="constrained")
    places = figure.add_gridspec(2 * rows, columns, height_ratios=(1.7, 1.0) * rows)
    for index, (style, sculpting) in enumerate(zip(classes, of_classes, strict=True)):
        row, column = divmod(index, columns)
        shape, means = (figure.add_subplot(places[2 * row + lower, column]) for lower in (0, 1))
        _draw_shapes(shape, sculpting, cuts)
        _draw_means(means, sculpting, style)
        _name_axes(shape, means, label, first=column == 0)
        _name_block(shape, sculpting, style)
    _add_legend(figure, cuts)
    return figure


def _list_looks(count: int) -> list[tuple[str, LineStyle]]:
    """Return the colour and the line style of each cut."""
    # the last has the colour of the text, on light and on dark pages
    shades = [to_hex(CUT_SHADES(position)) for position in np.linspace(0, 1, max(count - 1, 0))]
    return list(zip([*shades, TEXT_COLOUR][:count], cycle(LINE_STYLES), strict=False))


def _draw_shapes(axes: Axes, sculpting: Sculpting, cuts: Sequence[str]) -> None:
    if sculpting.binning is None or sculpting.before is None:
        mark_empty(axes)
        return
    axes.stairs(sculpting.before.density, sculpting.before.edges, fill=True, color=SHADE_COLOUR, linewidth=0)
    drawn, undrawn = [sculpting.before], []
    columns = zip(sculpting.after, sculpting.shapes, _list_looks(len(cuts)), cuts, strict=True)
    for histogram, shape, (colour, line), text in columns:
        if histogram is None or shape is None:
            undrawn.append(text)
            continue
        low, high = histogram.density - histogram.uncertainty, histogram.density + histogram.uncertainty
        axes.stairs(high, histogram.edges, baseline=low, fill=True, color=colour, alpha=0.15, linewidth=0)
        axes.stairs(histogram.density, histogram.edges, color=colour, linewidth=1.3, linestyle=line)
        drawn.append(histogram)
    if undrawn:
        note = "\n".join(["too few events:", *undrawn])
        axes.text(
            0.97, 0.95, note, transform=axes.transAxes, ha="right", va="top", fontsize=8.0, color=MUTED_COLOUR
        )
    axes.set_xlim(sculpting.binning.edges[0], sculpting.binning.edges[-1])
    lowest, highest = _range(drawn)
    # room for the note above the lines
    axes.set_ylim(lowest, highest * (1 + 0.09 * (len(undrawn) + 1)) if undrawn else highest)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=sculpting.binning.is_integer))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PlainTicks())


def _range(drawn: Sequence[Histogram]) -> tuple[float, float]:
    """Compute the range of the axis: it shows every line, but not every error bar."""
    highest = max(float(histogram.density.max()) for histogram in drawn)
    lowest = min(0.0, *(float(histogram.density.min()) for histogram in drawn))
    return 1.06 * lowest, 1.15 * highest if highest > 0 else 1.0


def _draw_means(axes: Axes, sculpting: Sculpting, style: ClassStyle) -> None:
    slices = sculpting.slices
    if not slices:
        mark_empty(axes)
        return
    places = np.arange(len(slices)) + 0.5
    mean, error = np.array([(score_slice.mean, score_slice.error) for score_slice in slices]).T
    axes.errorbar(
        places, mean, error, np.full(len(slices), 0.5), color=style.colour, marker=style.marker, linestyle="",
        elinewidth=1.3, markeredgecolor="white", markeredgewidth=0.4,
    )  # fmt: skip
    axes.set_xlim(0, len(slices))
    edges = [*(score_slice.low for score_slice in slices), slices[-1].high]
    axes.set_xticks(range(len(edges)), [f"{edge:.2g}" for edge in edges])
    axes.tick_params(axis="x", which="minor", length=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(PlainTicks())


def _name_axes(shape: Axes, means: Axes, label: str, *, first: bool) -> None:
    shape.set_xlabel(label, fontsize=compute_font_size(label, 2.7, 10.5))
    means.set_xlabel("Slices of the signal score", fontsize=10.5)
    shape.tick_params(labelsize=8.5)
    means.tick_params(labelsize=8.0)
    if first:
        shape.set_ylabel("Unit area", fontsize=10.5)
        means.set_ylabel("Mean", fontsize=10.5)


def _name_block(axes: Axes, sculpting: Sculpting, style: ClassStyle) -> None:
    axes.set_title(
        style.text, loc="left", fontsize=compute_font_size(style.text, 2.7, 10.5), color=TEXT_COLOUR, pad=20
    )
    dependence, shift = sculpting.dependence, sculpting.shift
    if shift and shift.large and not (dependence and dependence.large):
        note = f"mean moves by {shift.size:.2f} standard deviations"
    elif dependence:
        note = f"distance correlation {dependence.distance_correlation:.2f} ({with_sign(dependence.chance)})"
    else:
        note = "dependence on the score not known"
    colour = WARNING_COLOUR if sculpting.warning else MUTED_COLOUR
    note = f"{_WARNING} {note}" if sculpting.warning else note
    axes.text(0.0, 1.03, note, transform=axes.transAxes, fontsize=8.5, color=colour, va="bottom")


def _add_legend(figure: Figure, cuts: Sequence[str]) -> None:
    entries: list[Entry] = [(Patch(color=SHADE_COLOUR), "all events")]
    for text, (colour, line) in zip(cuts, _list_looks(len(cuts)), strict=True):
        entries.append((Line2D([], [], color=colour, linestyle=line, linewidth=1.3), text))
    add_top_legend(figure, entries)
