"""Which two classes are confused?

With three classes or more, the ROC curve of a class against all others does not show which of them is the most
difficult. The study separates each pair of classes by the ratio of their two scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tamis.blocks import Block, Caption, Cell, Table
from tamis.blocks.numbers import metric
from tamis.figure_data import Column, FigureData, Labels
from tamis.studies.columns import build_interval_column, build_roc_table
from tamis.studies.pairs.result import PairsResult, compute_pairs
from tamis.studies.study import Study, import_figures, import_keys

CAPTIONS = (
    Caption(
        "one_versus_one",
        "ROC, class against class",
        "Area under the ROC curve of each pair of classes, by the ratio of their two scores: with a low value the "
        "network confuses the two classes.",
    ),
    Caption(
        "one_versus_one_",
        "ROC of {} against each background",
        "The signal against one background at a time, by the ratio of their two scores: the lowest curve is the "
        "background that is hardest to reject.",
    ),
)


def section(result: PairsResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    names, areas = result.class_names, result.areas
    rows = tuple(
        (
            Cell(name),
            *(
                Cell("") if row == column else metric(areas.auc[row][column], areas.intervals[row][column])
                for column in range(len(names))
            ),
        )
        for row, name in enumerate(names)
    )
    caption = (
        "Area under the curve of the ratio of the two scores, on test events of these two classes. Below each: its "
        "68.3% interval."
    )
    yield Table(("class against", *names), rows, caption)


def figure_data(result: PairsResult, _labels: Labels) -> Iterator[FigureData]:
    """Return a table of the areas, and one for each curve."""
    names, areas = result.class_names, result.areas
    pairs = list(combinations(range(len(names)), 2))
    auc = build_interval_column(
        "AUC", [(areas.auc[row][column], areas.intervals[row][column]) for row, column in pairs]
    )
    yield FigureData(
        "one_versus_one",
        "Area under the curve of the ratio of the scores of two classes, on test events of these two.",
        (
            Column("Class", [names[row] for row, _ in pairs]),
            Column("Other class", [names[column] for _, column in pairs]),
        ),
        (auc,),
    )
    for pair in result.curves:
        signal, background = names[pair.signal], names[pair.background]
        yield build_roc_table(
            f"one_versus_one_{signal}_{background}",
            f"Rejection of {background} against the efficiency of {signal}, by the ratio of the two scores.",
            pair.curve,
            signal=f"Efficiency of {signal}",
            background=f"Rejection of {background} (1 / efficiency)",
        )


PAIRS = Study(
    name="pairs",
    title="One class against another",
    result=PairsResult,
    compute=compute_pairs,
    keys=import_keys(f"{__name__}.keys"),
    metrics=PairsResult.to_metrics,
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
)
