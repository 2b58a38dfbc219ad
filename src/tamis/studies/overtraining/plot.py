"""The figures of the study of overtraining."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tamis.errors import TamisError
from tamis.plots.book import Drawing
from tamis.plots.labels import ClassStyle, FigureLabels, compute_font_size, with_sign
from tamis.plots.legend import Entry, add_legend, compute_axis_top
from tamis.plots.style import MUTED_COLOUR, REGION_COLOUR, TEXT_COLOUR, WARNING_COLOUR, figure_style
from tamis.statistics.distributions import Distribution
from tamis.statistics.histogram import Histogram
from tamis.statistics.overtraining import KolmogorovSmirnov
from tamis.studies.figure_parts import fit_names, name_rows
from tamis.studies.overtraining.permutation import LEVEL, ComparedQuantity, PermutationTest
from tamis.studies.overtraining.result import OvertrainingResult
from tamis.wording import format_p_value


def figures(result: OvertrainingResult, labels: FigureLabels) -> Iterator[Drawing]:
    """Return the figures of the study."""
    test = result.permutation_test
    smallest = test.smallest_p_value if isinstance(test, PermutationTest) else None
    for column, name in enumerate(result.class_names):
        arguments = {
            "distribution": result.distributions[column],
            "classes": labels.classes,
            "column": column,
            "tests": result.tests_of_score(column),
            "smallest": smallest,
        }
        yield Drawing(f"score_{name}", plot_scores, arguments)
    if isinstance(test, PermutationTest):
        arguments = {"test": test, "class_names": result.class_names, "classes": labels.classes}
        yield Drawing("overtraining", plot_permutation_test, arguments)


_MOST_FILLED = 3
_DECADES = 6
_LEGEND_SIZE = 9.0


@figure_style()
def plot_scores(
    distribution: Distribution,
    *,
    classes: Sequence[ClassStyle],
    column: int,
    tests: Sequence[KolmogorovSmirnov | None],
    smallest: float | None = None,
) -> Figure:
    """Draw one score for every true class: training as lines, test as points, all of unit area.

    `column` is the class whose score it is. `tests` compare training and test for each true class; `smallest` is the
    p-value that permutations can give, None if the p-values are not of permutations.

    Raises:
        TamisError: if the distribution has another number of classes.
    """
    if len(distribution.training) != len(classes) or len(distribution.test) != len(classes):
        raise TamisError(f"score: expected distributions of {len(classes)} classes")
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    for style, training, test in zip(classes, distribution.training, distribution.test, strict=True):
        if training is not None:
            if len(classes) <= _MOST_FILLED:
                axes.stairs(
                    training.density, training.edges, fill=True, color=style.colour, alpha=0.2, linewidth=0
                )
            axes.stairs(training.density, training.edges, color=style.colour, linestyle=style.line)
        if test is not None:
            positive = test.density > 0
            axes.errorbar(
                test.centres[positive], test.density[positive], test.uncertainty[positive], color=style.colour,
                marker=style.marker, linestyle="", elinewidth=1.1, markeredgecolor="white", markeredgewidth=0.4,
            )  # fmt: skip
    axes.set_xlim(0.0, 1.0)
    _leave_room(axes, (*distribution.training, *distribution.test), rows=len(classes))
    text = f"Score for {classes[column].text}"
    axes.set_xlabel(text, fontsize=compute_font_size(text, 5.0, 11.5))
    axes.set_ylabel("Normalised to unit area")
    _add_legends(axes, classes, tests, smallest)
    return figure


def _leave_room(axes: Axes, histograms: Sequence[Histogram | None], rows: int) -> None:
    """Set the logarithmic axis so that the data stay below the legend, and rare bins stay visible."""
    # not a bin in which weights of both signs cancel
    known = [
        histogram.density[histogram.density > 0.5 * histogram.uncertainty]
        for histogram in histograms
        if histogram is not None
    ]
    positive = np.concatenate([[1.0], *known])
    highest = float(positive.max())
    lowest = max(float(positive.min()) / 2, highest * 10.0**-_DECADES)
    axes.set_ylim(lowest, compute_axis_top(lowest, highest, rows, height=4.7))


def _add_legends(
    axes: Axes,
    classes: Sequence[ClassStyle],
    tests: Sequence[KolmogorovSmirnov | None],
    smallest: float | None,
) -> None:
    texts = [
        f"{style.text}  ({_describe(test, smallest)})" for style, test in zip(classes, tests, strict=True)
    ]
    size = min(compute_font_size(text, 3.9, _LEGEND_SIZE) for text in texts)
    entries: list[Entry] = [
        (Line2D([], [], color=style.colour, linestyle=style.line, marker=style.marker), text)
        for style, text in zip(classes, texts, strict=True)
    ]
    axes.add_artist(add_legend(axes, entries, loc="upper left", fontsize=size))
    key: list[Entry] = [
        (Line2D([], [], color=MUTED_COLOUR), "training"),
        (Line2D([], [], color=TEXT_COLOUR, marker="o", linestyle=""), "test"),
    ]
    add_legend(axes, key, loc="upper right")


def _describe(test: KolmogorovSmirnov | None, smallest: float | None) -> str:
    if test is None:
        return "not compared"
    return f"KS {test.distance:.3f}, {with_sign(format_p_value(test.p_value, smallest=smallest))}"


_LONGEST_LABEL = 2.4
_ROW = 0.32


@figure_style()
def plot_permutation_test(
    test: PermutationTest, *, class_names: Sequence[str], classes: Sequence[ClassStyle]
) -> Figure:
    """Draw by how much training is better than test, with intervals, and the p-value of each comparison.

    The p-values are corrected for the number of comparisons. A row for the scores holds one point for the score of
    each class, in its colour.

    Raises:
        TamisError: if there is not one style for each class.
    """
    if len(class_names) != len(classes):
        raise TamisError(
            f"overtraining test: expected {len(class_names)} styles, one for each class, found {len(classes)}"
        )
    gaps = [gap for gap in test.comparisons if gap.quantity != "score"]
    names = [
        gap.quantity
        if gap.class_name is None
        else f"AUC of {classes[class_names.index(gap.class_name)].text}"
        for gap in gaps
    ]
    names += [f"scores of {style.text}" for style in classes]
    sizes, margin = fit_names(names, _LONGEST_LABEL, 10.0)
    figure = Figure(figsize=(margin + 6.4, _ROW * len(names) + 1.2), layout="constrained")
    differences, chances = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1.0))
    _draw_differences(differences, gaps)
    _draw_chances(chances, test, gaps, class_names, classes)
    differences.set_ylim(len(names) - 0.5, -0.5)
    name_rows(differences, range(len(names)), names, sizes)
    for axes in (differences, chances):
        axes.axhline(len(gaps) - 0.5, color=MUTED_COLOUR, linewidth=0.8)
    _add_legend(differences, classes, middle=(len(gaps) - 0.5 + len(names) - 0.5) / 2)
    headline = with_sign(test.headline)
    figure.suptitle(
        headline,
        fontsize=compute_font_size(headline, figure.get_figwidth() - 0.4, 11.0),
        color=WARNING_COLOUR if test.overtrained else TEXT_COLOUR,
    )
    return figure


def _draw_differences(axes: Axes, gaps: Sequence[ComparedQuantity]) -> None:
    axes.plot([0, 0], [-0.5, len(gaps) - 0.5], color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
    for row, gap in enumerate(gaps):
        # a smaller loss is better
        sign = -1 if gap.quantity == "loss" else 1
        if gap.interval is not None:
            edges = [sign * edge for edge in gap.interval]
            axes.plot(edges, [row, row], color=TEXT_COLOUR, linewidth=1.5)
        axes.plot(sign * gap.difference, row, color=TEXT_COLOUR, marker="o", markersize=5.0)
    axes.set_xlabel("Training better than test by", loc="center", fontsize=10.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.1 * high), max(high, -0.1 * low))


def _draw_chances(
    axes: Axes,
    test: PermutationTest,
    gaps: Sequence[ComparedQuantity],
    class_names: Sequence[str],
    classes: Sequence[ClassStyle],
) -> None:
    smallest = test.smallest_p_value
    axes.set_xscale("log")
    axes.axvspan(smallest / 2, LEVEL, color=REGION_COLOUR, linewidth=0, zorder=0)
    for row, gap in enumerate(gaps):
        axes.plot(gap.corrected_p_value, row, color=TEXT_COLOUR, marker="o", markersize=5.0)
    spread = np.linspace(-0.28, 0.28, len(classes)) if len(classes) > 1 else np.zeros(1)
    for comparison in test.comparisons:
        if comparison.class_name is None or comparison.score is None:
            continue
        row, score = class_names.index(comparison.class_name), class_names.index(comparison.score)
        axes.plot(
            comparison.corrected_p_value, len(gaps) + row + float(spread[score]), color=classes[score].colour,
            marker=classes[score].marker, markersize=5.0, markeredgecolor="white", markeredgewidth=0.4,
        )  # fmt: skip
    axes.set_xlim(smallest / 2, 1.4)
    axes.set_xlabel("p-value, corrected", loc="center", fontsize=10.5)


def _add_legend(axes: Axes, classes: Sequence[ClassStyle], *, middle: float) -> None:
    """Draw the legend in the empty part of the panel, beside the rows of the scores."""
    texts = [f"score for {style.text}" for style in classes]
    size = min(compute_font_size(text, 2.6, 9.0) for text in texts)
    entries: list[Entry] = [
        (Line2D([], [], color=style.colour, marker=style.marker, linestyle=""), text)
        for style, text in zip(classes, texts, strict=True)
    ]
    entries.append((Patch(color=REGION_COLOUR), with_sign(f"overtrained: p <= {LEVEL:g}")))
    transform = axes.get_yaxis_transform()
    add_legend(
        axes, entries, loc="center", fontsize=size, bbox_to_anchor=(0.5, middle), bbox_transform=transform,
        labelspacing=0.25,
    )  # fmt: skip
