"""Training against test events, every comparison of the verdict on overtraining."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tamis.errors import TamisError
from tamis.evaluation.verdict import LEVEL, Comparison, Verdict
from tamis.plots.labels import ClassStyle, fitting_size, text_width
from tamis.plots.legend import Entry, add_legend
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, figure_style

_REGION_COLOUR = "#f6d5d9"
_LONGEST_LABEL = 2.4
_ROW = 0.32


@figure_style()
def plot_verdict(verdict: Verdict, *, class_names: Sequence[str], classes: Sequence[ClassStyle]) -> Figure:
    """Draw by how much training is better than test, with intervals, and the p-value of each comparison.

    The p-values are corrected for the number of comparisons. A row for the scores holds one point for the score of
    each class, in its colour.

    Args:
        verdict: what was compared.
        class_names: of the verdict, in the order of the styles.
        classes: how each class is shown.

    Raises:
        TamisError: if there is not one style for each class.
    """
    if len(class_names) != len(classes):
        raise TamisError(
            f"verdict: expected {len(class_names)} styles, one for each class, found {len(classes)}"
        )
    style_of = dict(zip(class_names, classes, strict=True))
    gaps = [each for each in verdict.comparisons if each.quantity != "score"]
    names = [_gap_name(each, style_of) for each in gaps]
    names += [f"scores of {style.text}" for style in classes]
    sizes = [fitting_size(text, _LONGEST_LABEL, 10.0) for text in names]
    margin = max(text_width(text, size) for text, size in zip(names, sizes, strict=True))
    height = _ROW * len(names)
    figure = Figure(figsize=(margin + 6.4, height + 1.2), layout="constrained")
    differences, chances = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1.0))
    _draw_differences(differences, gaps)
    _draw_chances(chances, verdict, gaps, class_names, classes)
    _name_rows(differences, chances, names, sizes, split=len(gaps) - 0.5)
    _add_legend(differences, classes, middle=(len(gaps) - 0.5 + len(names) - 0.5) / 2)
    figure.suptitle(
        verdict.headline,
        fontsize=fitting_size(verdict.headline, figure.get_figwidth() - 0.4, 11.0),
        color="#b3001b" if verdict.overtrained else TEXT_COLOUR,
    )
    return figure


def _gap_name(found: Comparison, style_of: dict[str, ClassStyle]) -> str:
    return f"AUC of {style_of[found.class_name].text}" if found.class_name is not None else found.quantity


def _draw_differences(axes: Axes, gaps: Sequence[Comparison]) -> None:
    axes.plot([0, 0], [-0.5, len(gaps) - 0.5], color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
    for row, each in enumerate(gaps):
        # a smaller loss is better
        sign = -1 if each.quantity == "loss" else 1
        if each.interval is not None:
            ends = [sign * end for end in each.interval]
            axes.plot(ends, [row, row], color=TEXT_COLOUR, linewidth=1.5)
        axes.plot(sign * each.difference, row, color=TEXT_COLOUR, marker="o", markersize=5.0)
    axes.set_xlabel("Training better than test by", loc="center", fontsize=10.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.1 * high), max(high, -0.1 * low))


def _draw_chances(
    axes: Axes,
    verdict: Verdict,
    gaps: Sequence[Comparison],
    class_names: Sequence[str],
    classes: Sequence[ClassStyle],
) -> None:
    smallest = 1 / (verdict.permutations + 1)
    axes.set_xscale("log")
    axes.axvspan(smallest / 2, LEVEL, color=_REGION_COLOUR, linewidth=0, zorder=0)
    for row, each in enumerate(gaps):
        axes.plot(each.corrected, row, color=TEXT_COLOUR, marker="o", markersize=5.0)
    rows = {name: len(gaps) + number for number, name in enumerate(class_names)}
    spread = np.linspace(-0.28, 0.28, len(classes)) if len(classes) > 1 else np.zeros(1)
    styles = dict(zip(class_names, zip(classes, spread.tolist(), strict=True), strict=True))
    for each in verdict.comparisons:
        if each.class_name is None or each.score is None:
            continue
        style, offset = styles[each.score]
        axes.plot(
            each.corrected, rows[each.class_name] + offset, color=style.colour, marker=style.marker, markersize=5.0,
            markeredgecolor="white", markeredgewidth=0.4,
        )  # fmt: skip
    axes.set_xlim(smallest / 2, 1.4)
    axes.set_xlabel("p-value, corrected", loc="center", fontsize=10.5)


def _name_rows(
    differences: Axes, chances: Axes, names: Sequence[str], sizes: Sequence[float], *, split: float
) -> None:
    differences.set_ylim(len(names) - 0.5, -0.5)
    differences.set_yticks(range(len(names)), names)
    for label, size in zip(differences.get_yticklabels(), sizes, strict=True):
        label.set_fontsize(size)
    for axes in (differences, chances):
        axes.tick_params(axis="y", which="both", length=0)
        axes.axhline(split, color=MUTED_COLOUR, linewidth=0.8)


def _add_legend(axes: Axes, classes: Sequence[ClassStyle], *, middle: float) -> None:
    """Explain the points where there are no differences to draw."""
    texts = [f"score for {style.text}" for style in classes]
    size = min(fitting_size(text, 2.6, 9.0) for text in texts)
    entries: list[Entry] = [
        (Line2D([], [], color=style.colour, marker=style.marker, linestyle=""), text)
        for style, text in zip(classes, texts, strict=True)
    ]
    entries.append((Patch(color=_REGION_COLOUR), f"overtrained: p <= {LEVEL:g}"))
    where = axes.get_yaxis_transform()
    add_legend(
        axes, entries, loc="center", fontsize=size, bbox_to_anchor=(0.5, middle), bbox_transform=where,
        labelspacing=0.25,
    )  # fmt: skip
