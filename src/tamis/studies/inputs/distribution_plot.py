"""The distributions of the features, one panel each."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import AutoMinorLocator, MaxNLocator, NullLocator

from tamis.errors import TamisError
from tamis.plots.labels import ClassStyle, compute_font_size
from tamis.plots.layout import choose_grid
from tamis.plots.legend import Entry
from tamis.plots.style import MUTED_COLOUR, SHADE_COLOUR, TEXT_COLOUR, PlainTicks, figure_style
from tamis.statistics.distributions import Distribution
from tamis.statistics.histogram import Binning
from tamis.studies.figure_parts import add_top_legend, mark_empty

_LEGEND_SIZE = 10.0
_POINT_SIZE = 3.2


@figure_style()
def plot_input_page(
    distributions: Sequence[Distribution], *, classes: Sequence[ClassStyle], features: Sequence[str]
) -> Figure:
    """Draw the distributions of at least one feature, each with its label of the axis from `axis_label`.

    A panel shows the central 99% of every class; the grey bins at its sides contain all values outside. Bands and bars
    are the square root of the sum of squared weights. The title is the fraction of missing values.

    Raises:
        TamisError: if there is not one label for each feature, or another number of classes.
    """
    if len(distributions) != len(features):
        raise TamisError(
            f"inputs: expected a distribution for each of {len(features)} features, found {len(distributions)}"
        )
    if any(
        len(split) != len(classes)
        for distribution in distributions
        for split in (distribution.training, distribution.test)
    ):
        raise TamisError(f"inputs: expected distributions of {len(classes)} classes")
    figure, panels, width = _page(len(features))
    outside = False
    for axes, distribution, label in zip(panels, distributions, features, strict=True):
        axes.set_xlabel(label, fontsize=compute_font_size(label, width, 10.5), loc="center")
        axes.tick_params(labelsize=8.5)
        if distribution.missing:
            fraction = "< 0.1%" if distribution.missing < 0.001 else f"{distribution.missing:.1%}"
            axes.set_title(f"missing: {fraction}", loc="right", fontsize=8.5, color=MUTED_COLOUR, pad=3)
        outside |= _draw_panel(axes, distribution, classes)
    _add_legend(figure, classes, outside=outside)
    return figure


def _page(panels: int) -> tuple[Figure, list[Axes], float]:
    """Build a page; return the figure, its panels and the width of a panel in inches."""
    columns, rows = choose_grid(panels)
    size = (6.4, 5.0) if panels == 1 else (1.0 + 3.0 * columns, 0.9 + 2.55 * rows)
    figure = Figure(figsize=size, layout="constrained")
    figure.supylabel("Normalised to unit area", fontsize=11.5, color=TEXT_COLOUR)
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(panels)]
    return figure, axes, size[0] / columns - 0.5


def _draw_panel(axes: Axes, distribution: Distribution, classes: Sequence[ClassStyle]) -> bool:
    """Draw the distributions of one feature; return whether some values are outside the range."""
    bins = distribution.bins
    if bins is None:
        mark_empty(axes)
        return False
    lowest, highest = 0.0, 0.0
    for histograms, is_training in ((distribution.training, True), (distribution.test, False)):
        for histogram, style in zip(histograms, classes, strict=True):
            if histogram is None:
                continue
            edges, density, error = histogram.edges, histogram.density, histogram.uncertainty
            low, high = density - error, density + error
            if is_training:
                axes.stairs(high, edges, baseline=low, fill=True, color=style.colour, alpha=0.25, linewidth=0)
                axes.stairs(density, edges, color=style.colour, linestyle=style.line, linewidth=1.3)
            else:
                axes.errorbar(
                    histogram.centres, density, error, color=style.colour, marker=style.marker, markersize=_POINT_SIZE,
                    linestyle="", elinewidth=0.8, markeredgecolor="white", markeredgewidth=0.25,
                )  # fmt: skip
            highest = max(highest, float(high.max()))
            lowest = min(lowest, float(low[density < 0].min(initial=0.0)))
    if highest > 0:
        axes.set_ylim(1.06 * lowest, 1.06 * highest)
    if lowest < 0:
        axes.axhline(0.0, color=MUTED_COLOUR, linewidth=0.7, zorder=0.5)
    _finish_axes(axes, bins)
    return bins.below or bins.above


def _finish_axes(axes: Axes, bins: Binning) -> None:
    axes.set_xlim(bins.edges[0], bins.edges[-1])
    for outside, first, last in ((bins.below, 0, 1), (bins.above, -2, -1)):
        if outside:
            axes.axvspan(bins.edges[first], bins.edges[last], color=SHADE_COLOUR, linewidth=0, zorder=0)
    for axis, integer in ((axes.xaxis, bins.is_integer), (axes.yaxis, False)):
        axis.set_major_locator(MaxNLocator(5, integer=integer))
        axis.set_minor_locator(NullLocator() if integer else AutoMinorLocator())
        axis.set_major_formatter(PlainTicks())


def _add_legend(figure: Figure, classes: Sequence[ClassStyle], *, outside: bool) -> None:
    entries: list[Entry] = [
        (Line2D([], [], color=style.colour, linestyle=style.line, marker=style.marker), style.text)
        for style in classes
    ]
    entries += [
        (Line2D([], [], color=MUTED_COLOUR), "training"),
        (Line2D([], [], color=TEXT_COLOUR, marker="o", markersize=_POINT_SIZE, linestyle=""), "test"),
    ]
    if outside:
        entries.append((Patch(color=SHADE_COLOUR), "all values outside the range"))
    add_top_legend(figure, entries, _LEGEND_SIZE)
