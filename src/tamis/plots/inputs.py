"""The distributions of the features, one panel each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import AutoMinorLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from tamis.errors import TamisError
from tamis.evaluation.arrays import classes_of, weights_of
from tamis.evaluation.histogram import Binning, binning, fill, number_of_bins
from tamis.plots.labels import ClassStyle, fitting_size
from tamis.plots.legend import Entry, add_legend, columns_that_fit
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, PlainTicks, figure_style

PANELS_PER_PAGE = 12
_LEGEND_SIZE = 10.0
_OUTSIDE_COLOUR = "#ededee"

Part = tuple[NDArray[np.float64], NDArray[np.float64]]


@figure_style()
def plot_inputs(
    values: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    *,
    classes: Sequence[ClassStyle],
    features: Sequence[str],
) -> list[Figure]:
    """Draw the distribution of each feature for each class, weighted and of unit area.

    A panel shows the central 99% of every class; what lies outside is collected in the grey bins at its
    sides. Bands are the square root of the sum of squared weights. Values that are not finite are missing,
    and the panel says how many.

    Args:
        values: shape [n_events, n_features].
        class_index: true class. Shape [n_events].
        weight: signed physics weight. Shape [n_events].
        classes: how each class is shown.
        features: label of each axis, from `axis_label`.

    Returns:
        Pages of up to twelve panels.

    Raises:
        TamisError: if the arrays do not fit together.
    """
    columns = np.asarray(values, dtype=np.float64)
    if columns.ndim != 2 or columns.shape[1] != len(features):
        raise TamisError(
            f"inputs: expected values of shape [n_events, {len(features)}], found {columns.shape}"
        )
    weights = weights_of(weight, len(columns))
    indices = classes_of(class_index, len(columns), len(classes))
    of_class = [indices == index for index in range(len(classes))]
    pages = np.array_split(np.arange(len(features)), -(-len(features) // PANELS_PER_PAGE)) if features else []
    figures = []
    for page in pages:
        figure, panels, width = _page(len(page))
        outside = False
        for axes, feature in zip(panels, page, strict=True):
            column = columns[:, feature]
            finite = np.isfinite(column)
            parts = [(column[finite & mask], weights[finite & mask]) for mask in of_class]
            _name_axis(axes, features[feature], _missing_note(finite), width=width)
            outside |= _draw_panel(axes, parts, classes)
        _add_legend(figure, classes, outside=outside)
        figures.append(figure)
    return figures


def _page(panels: int) -> tuple[Figure, list[Axes], float]:
    """Lay out a page, and tell the width of a panel in inches."""
    columns = {1: 1, 2: 2, 4: 2}.get(panels, 3 if panels <= 9 else 4)
    rows = -(-panels // columns)
    size = (6.4, 5.0) if panels == 1 else (1.0 + 3.0 * columns, 0.9 + 2.55 * rows)
    figure = Figure(figsize=size, layout="constrained")
    figure.supylabel("Normalised to unit area", fontsize=11.5, color=TEXT_COLOUR)
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(panels)]
    return figure, axes, size[0] / columns - 0.5


def _draw_panel(axes: Axes, parts: Sequence[Part], classes: Sequence[ClassStyle]) -> bool:
    """Draw the distributions of one feature and tell whether some of it lies outside the range."""
    if not any(len(values) for values, _ in parts):
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=MUTED_COLOUR)
        axes.set(xticks=[], yticks=[])
        return False
    bins = binning([values for values, _ in parts], number_of_bins([weight for _, weight in parts]))
    lowest, highest = 0.0, 0.0
    for (values, weight), style in zip(parts, classes, strict=True):
        histogram = fill(values, weight, bins.edges)
        if histogram is None:
            continue
        low, high = histogram.density - histogram.uncertainty, histogram.density + histogram.uncertainty
        axes.stairs(high, bins.edges, baseline=low, fill=True, color=style.colour, alpha=0.25, linewidth=0)
        axes.stairs(histogram.density, bins.edges, color=style.colour, linestyle=style.line, linewidth=1.4)
        highest = max(highest, float(high.max()))
        lowest = min(lowest, float(low[histogram.density < 0].min(initial=0.0)))
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
            axes.axvspan(bins.edges[first], bins.edges[last], color=_OUTSIDE_COLOUR, linewidth=0, zorder=0)
    for axis, whole in ((axes.xaxis, bins.whole), (axes.yaxis, False)):
        axis.set_major_locator(MaxNLocator(5, integer=whole))
        axis.set_minor_locator(NullLocator() if whole else AutoMinorLocator())
        axis.set_major_formatter(PlainTicks())


def _name_axis(axes: Axes, text: str, note: str, *, width: float) -> None:
    axes.set_xlabel(text, fontsize=fitting_size(text, width, 10.5), loc="center")
    axes.tick_params(labelsize=8.5)
    axes.set_title(note, loc="right", fontsize=8.5, color=MUTED_COLOUR, pad=3)


def _missing_note(finite: NDArray[np.bool_]) -> str:
    missing = 1 - finite.mean() if len(finite) else 0.0
    if not missing:
        return ""
    return "missing: < 0.1%" if missing < 0.001 else f"missing: {missing:.1%}"


def _add_legend(figure: Figure, classes: Sequence[ClassStyle], *, outside: bool) -> None:
    entries: list[Entry] = [
        (Line2D([], [], color=style.colour, linestyle=style.line), style.text) for style in classes
    ]
    if outside:
        entries.append((Patch(color=_OUTSIDE_COLOUR), "all values outside the range"))
    width = figure.get_figwidth() - 0.4
    columns = columns_that_fit([text for _, text in entries], width, _LEGEND_SIZE)
    add_legend(figure, entries, loc="outside upper center", ncols=columns, fontsize=_LEGEND_SIZE)
