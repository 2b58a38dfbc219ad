"""The distributions of the features, one panel each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import AutoMinorLocator, MaxNLocator, NullLocator

from tamis.errors import TamisError
from tamis.evaluation.distributions import Distribution
from tamis.evaluation.histogram import Binning, Histogram
from tamis.plots.labels import ClassStyle, fitting_size
from tamis.plots.legend import Entry, add_legend, columns_that_fit
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, PlainTicks, figure_style

PANELS_PER_PAGE = 12
_LEGEND_SIZE = 10.0
_OUTSIDE_COLOUR = "#ededee"
_POINT_SIZE = 3.2


def plot_inputs(
    distributions: Sequence[Distribution], *, classes: Sequence[ClassStyle], features: Sequence[str]
) -> list[Figure]:
    """Draw the distribution of each feature for each class: training as lines, test as points, all of unit area.

    Args:
        distributions: of each feature, from `feature_distributions`.
        classes: how each class is shown.
        features: label of each axis, from `axis_label`.

    Returns:
        Pages of up to twelve panels, as `plot_input_page` draws them.

    Raises:
        TamisError: if there is not one label for each feature, or another number of classes.
    """
    return [
        plot_input_page(distributions[page], classes=classes, features=features[page])
        for page in input_pages(max(len(distributions), len(features)))
    ]


def input_pages(features: int) -> list[slice]:
    """Share features among pages of about equal length.

    >>> input_pages(13)
    [slice(0, 7, None), slice(7, 13, None)]
    """
    pages = np.array_split(np.arange(features), -(-features // PANELS_PER_PAGE)) if features else []
    return [slice(int(page[0]), int(page[-1]) + 1) for page in pages]


@figure_style()
def plot_input_page(
    distributions: Sequence[Distribution], *, classes: Sequence[ClassStyle], features: Sequence[str]
) -> Figure:
    """Draw the distributions of a few features.

    A panel shows the central 99% of every class; what lies outside is collected in the grey bins at its
    sides. Bands and bars are the square root of the sum of squared weights. Values that are not finite are
    missing, and the panel says how many.

    Args:
        distributions: of each feature; at least one.
        classes: how each class is shown.
        features: label of each axis, from `axis_label`.

    Raises:
        TamisError: if there is not one label for each feature, or another number of classes.
    """
    if len(distributions) != len(features):
        raise TamisError(
            f"inputs: expected a distribution for each of {len(features)} features, found {len(distributions)}"
        )
    if any(len(part) != len(classes) for each in distributions for part in (each.training, each.test)):
        raise TamisError(f"inputs: expected distributions of {len(classes)} classes")
    figure, panels, width = _page(len(features))
    outside = False
    for axes, distribution, label in zip(panels, distributions, features, strict=True):
        _name_axis(axes, label, _missing_note(distribution.missing), width=width)
        outside |= _draw_panel(axes, distribution, classes)
    _add_legend(figure, classes, outside=outside)
    return figure


def _page(panels: int) -> tuple[Figure, list[Axes], float]:
    """Lay out a page, and tell the width of a panel in inches."""
    columns = {1: 1, 2: 2, 4: 2}.get(panels, 3 if panels <= 9 else 4)
    rows = -(-panels // columns)
    size = (6.4, 5.0) if panels == 1 else (1.0 + 3.0 * columns, 0.9 + 2.55 * rows)
    figure = Figure(figsize=size, layout="constrained")
    figure.supylabel("Normalised to unit area", fontsize=11.5, color=TEXT_COLOUR)
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(panels)]
    return figure, axes, size[0] / columns - 0.5


def _draw_panel(axes: Axes, distribution: Distribution, classes: Sequence[ClassStyle]) -> bool:
    """Draw the distributions of one feature and tell whether some of it lies outside the range."""
    bins = distribution.bins
    if bins is None:
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=MUTED_COLOUR)
        axes.set(xticks=[], yticks=[])
        return False
    lowest, highest = 0.0, 0.0
    for draw, histograms in ((_draw_training, distribution.training), (_draw_test, distribution.test)):
        for histogram, style in zip(histograms, classes, strict=True):
            if histogram is None:
                continue
            draw(axes, histogram, style)
            highest = max(highest, float((histogram.density + histogram.uncertainty).max()))
            low = histogram.density - histogram.uncertainty
            lowest = min(lowest, float(low[histogram.density < 0].min(initial=0.0)))
    if highest > 0:
        axes.set_ylim(1.06 * lowest, 1.06 * highest)
    if lowest < 0:
        axes.axhline(0.0, color=MUTED_COLOUR, linewidth=0.7, zorder=0.5)
    _finish_axes(axes, bins)
    return bins.below or bins.above


def _draw_training(axes: Axes, histogram: Histogram, style: ClassStyle) -> None:
    low, high = histogram.density - histogram.uncertainty, histogram.density + histogram.uncertainty
    axes.stairs(high, histogram.edges, baseline=low, fill=True, color=style.colour, alpha=0.25, linewidth=0)
    axes.stairs(histogram.density, histogram.edges, color=style.colour, linestyle=style.line, linewidth=1.3)


def _draw_test(axes: Axes, histogram: Histogram, style: ClassStyle) -> None:
    axes.errorbar(
        histogram.centres,
        histogram.density,
        histogram.uncertainty,
        color=style.colour,
        marker=style.marker,
        markersize=_POINT_SIZE,
        linestyle="",
        elinewidth=0.8,
        markeredgecolor="white",
        markeredgewidth=0.25,
    )


def _finish_axes(axes: Axes, bins: Binning) -> None:
    axes.set_xlim(bins.edges[0], bins.edges[-1])
    for outside, first, last in ((bins.below, 0, 1), (bins.above, -2, -1)):
        if outside:
            axes.axvspan(bins.edges[first], bins.edges[last], color=_OUTSIDE_COLOUR, linewidth=0, zorder=0)
    for axis, whole in ((axes.xaxis, bins.whole), (axes.yaxis, False)):
        axis.set_major_locator(MaxNLocator(5, integer=whole))
        axis.set_minor_locator(NullLocator() if whole else AutoMinorLocator())
        axis.set_major_formatter(PlainTicks())


def _name_axis(axes: Axes, text: str, note: str, *, width: float) -> None:
    axes.set_xlabel(text, fontsize=fitting_size(text, width, 10.5), loc="center")
    axes.tick_params(labelsize=8.5)
    axes.set_title(note, loc="right", fontsize=8.5, color=MUTED_COLOUR, pad=3)


def _missing_note(missing: float) -> str:
    if not missing:
        return ""
    return "missing: < 0.1%" if missing < 0.001 else f"missing: {missing:.1%}"


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
        entries.append((Patch(color=_OUTSIDE_COLOUR), "all values outside the range"))
    width = figure.get_figwidth() - 0.4
    columns = columns_that_fit([text for _, text in entries], width, _LEGEND_SIZE)
    add_legend(figure, entries, loc="outside upper center", ncols=columns, fontsize=_LEGEND_SIZE)
