"""How important is each feature?

The study permutes the values of each feature between events, computes the gradient sensitivity of the scores, and, on
request, compares the network with networks that are trained without the feature (feature ablation).
"""

from __future__ import annotations

from collections.abc import Iterator

from tamis.blocks import Block, Caption, Cell, Table, Text
from tamis.blocks.numbers import cell, typeset
from tamis.figure_data import Column, FigureData, Labels
from tamis.statistics.arrays import replace_undefined
from tamis.studies.columns import build_interval_column
from tamis.studies.importance.result import (
    FeatureImportance,
    ImportanceResult,
    add_ablation,
    compute_importance,
)
from tamis.studies.study import Study, import_figures, import_keys
from tamis.wording import format_change

CAPTIONS = (
    Caption(
        "importance",
        "Feature importance",
        "Bars: increase of the loss when the values of a feature are permuted between events; the longer the bar, the "
        "more the network relies on the feature. Correlated features are permuted together. Diamonds, if there are "
        "any: increase of the loss of a network that is trained without the features (ablation). Markers in the second "
        "panel: decrease of the AUC of each class when the values are permuted. Lines: 68.3% intervals.",
    ),
)


def section(result: ImportanceResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    has_ablation = any(group.ablated is not None for group in result.groups)
    yield _table(result, has_ablation=has_ablation)
    if has_ablation and result.retrained is not None:
        change = typeset(format_change(result.retrained.loss, result.retrained.loss_interval))
        yield Text(
            "Ablation: increase of the loss when the network is retrained without the features. Retraining with all "
            f"features and another seed changes the loss by {change}: smaller effects are not significant."
        )


def _table(result: ImportanceResult, *, has_ablation: bool) -> Table:
    columns = (
        "features",
        "increase of the loss",
        "gradient sensitivity",
        *(["ablation"] if has_ablation else []),
        *(f"decrease of AUC {name}" for name in result.class_names),
    )
    rows = tuple(_row(group, has_ablation=has_ablation) for group in result.groups)
    caption = (
        "On test events with balanced weights. Below each number: its 68.3% interval. Loss and AUC: changes when the "
        "values of the features are permuted between events. Gradient sensitivity: change of log(score of "
        "the true class) when the features move by one standard deviation."
    )
    return Table(columns, rows, caption)


def _row(group: FeatureImportance, *, has_ablation: bool) -> tuple[Cell, ...]:
    permuted, gradient, ablated = group.permuted, group.gradient, group.ablated
    without = cell(None) if ablated is None else cell(ablated.loss, ablated.loss_interval, signed=True)
    return (
        Cell(", ".join(group.features)),
        cell(permuted.loss, permuted.loss_interval, signed=True),
        cell(None) if gradient is None else cell(gradient.loss, gradient.loss_interval),
        *([without] if has_ablation else []),
        *(
            cell(area, interval, signed=True)
            for area, interval in zip(replace_undefined(permuted.auc), permuted.auc_interval, strict=True)
        ),
    )


def figure_data(result: ImportanceResult, _labels: Labels) -> Iterator[FigureData]:
    """Return a table of the importance of each group of features."""
    groups = result.groups
    of_permuted = {"Method": "permutation of the features"}
    losses = [(group.permuted.loss, group.permuted.loss_interval) for group in groups]
    columns = [build_interval_column("Increase of the loss", losses, of_permuted)]
    if any(group.ablated is not None for group in groups):
        drops = [group.ablated for group in groups]
        of_ablated = [(None, None) if drop is None else (drop.loss, drop.loss_interval) for drop in drops]
        method = {"Method": "training without the features"}
        columns.append(build_interval_column("Increase of the loss", of_ablated, method))
    for index, name in enumerate(result.class_names):
        areas = [(group.permuted.auc[index], group.permuted.auc_interval[index]) for group in groups]
        columns.append(build_interval_column(f"Decrease of the AUC of {name}", areas, of_permuted))
    features = Column("Features", [", ".join(group.features) for group in groups])
    description = "Loss of performance without each group of features, on test events with balanced weights."
    yield FigureData("importance", description, (features,), tuple(columns))


IMPORTANCE = Study(
    name="importance",
    title="Feature importance",
    result=ImportanceResult,
    compute=compute_importance,
    keys=import_keys(f"{__name__}.keys"),
    takes_long=True,
    extend=add_ablation,
    metrics=ImportanceResult.to_metrics,
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
)
