"""The numbers of each member beside those of the ensemble."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from tamis.plots.book import Drawing
from tamis.plots.labels import ClassStyle, FigureLabels, compute_font_size
from tamis.plots.style import MUTED_COLOUR, SHADE_COLOUR, TEXT_COLOUR, PlainTicks, figure_style
from tamis.studies.stability.result import MemberNumbers, StabilityResult

_COLUMNS = 4


def figures(result: StabilityResult, labels: FigureLabels) -> list[Drawing]:
    """Return the figures of the study."""
    return [Drawing("stability", plot_stability, {"result": result, "classes": labels.classes})]


@figure_style()
def plot_stability(result: StabilityResult, *, classes: Sequence[ClassStyle]) -> Figure:
    """Draw loss, accuracy and areas under the curve of each member, with those of the ensemble as a band.

    Bars and the band are standard deviations from the finite number of test events. Without folds all points have the
    same events, so that they move together and differ by less than their bars.
    """
    panels: list[tuple[str, str, str, int | None]] = [
        ("Loss", TEXT_COLOUR, "loss", None),
        ("Accuracy", TEXT_COLOUR, "accuracy", None),
    ]
    panels += [
        (f"AUC of {style.text}", style.colour, "auc", index)
        for index, (style, area) in enumerate(zip(classes, result.ensemble.auc, strict=True))
        if area is not None
    ]
    columns = 3 if len(panels) in (5, 6) else min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    height = 1.0 + 0.26 * (len(result.members) + 1)
    figure = Figure(figsize=(1.2 + 2.5 * columns, rows * height), layout="constrained")
    # with one member in each fold, no scores are averaged
    has_averages = any(spread.gain is not None for spread in result.spreads)
    names = [*result.member_names, "ensemble" if has_averages else "all test events"]
    for number, (title, colour, quantity, index) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        points = [_point(member, quantity, index) for member in result.members]
        for row, (value, error) in enumerate(points):
            if value is not None:
                axes.errorbar(
                    value, row, xerr=error, color=colour, marker="o", markersize=4.5, elinewidth=1.1
                )
        _draw_ensemble(axes, _point(result.ensemble, quantity, index), len(points), colour)
        _finish(axes, names if number % columns == 0 else [""] * len(names), title)
    return figure


def _point(member: MemberNumbers, quantity: str, index: int | None) -> tuple[float | None, float | None]:
    value, error = getattr(member, quantity), getattr(member, f"{quantity}_error")
    return (value, error) if index is None else (value[index], error[index])


def _draw_ensemble(axes: Axes, point: tuple[float | None, float | None], row: int, colour: str) -> None:
    value, error = point
    if value is None:
        return
    axes.axvline(value, color=MUTED_COLOUR, linewidth=0.9, zorder=0.6)
    if error is not None:
        axes.axvspan(value - error, value + error, color=SHADE_COLOUR, linewidth=0, zorder=0.5)
    axes.errorbar(value, row, xerr=error, color=colour, marker="D", markersize=5.5, elinewidth=1.6)


def _finish(axes: Axes, names: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axhline(len(names) - 1.5, color=MUTED_COLOUR, linewidth=0.6)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0, labelsize=9.0)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(PlainTicks(useOffset=False))
    axes.tick_params(axis="x", labelsize=8.5)
    axes.set_xlabel(title, fontsize=compute_font_size(title, 2.2, 10.5), loc="center")
