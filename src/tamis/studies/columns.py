"""Columns and tables that the figure data of several studies have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from tamis.figure_data import Column, ColumnLabel, FigureData, Value
from tamis.statistics.distributions import Distribution
from tamis.statistics.histogram import Histogram
from tamis.statistics.roc_outline import RocOutline

STATISTICAL = "statistical"
UNLABELLED = ColumnLabel()
NEGATIVE_EFFICIENCIES = "With negative weights some efficiencies are below zero or above one."
"""A remark in the description of tables that contain such efficiencies."""


def build_bin_column(
    name: str, bins: Sequence[tuple[float, float]], label: ColumnLabel = UNLABELLED
) -> Column:
    """Return a column of bins; its values are the middles."""
    middles = [(low + high) / 2 for low, high in bins]
    return Column(name, middles, unit=label.unit, label=label.text, edges=bins)


def build_error_column(
    name: str,
    values: Sequence[Value],
    errors: Sequence[float | None],
    *,
    label: str = STATISTICAL,
    qualifiers: dict[str, str] | None = None,
) -> Column:
    """Return a column of values with standard deviations; those that are not finite are not known."""
    sizes = [
        None if error is None or not math.isfinite(error) else (float(error), float(error))
        for error in errors
    ]
    return Column(name, values, errors={label: sizes}, qualifiers=qualifiers or {})


def build_interval_column(
    name: str,
    numbers: Sequence[tuple[float | None, Sequence[float] | None]],
    qualifiers: dict[str, str] | None = None,
) -> Column:
    """Return a column of values with 68.3% intervals, written as distances below and above the value."""
    sizes = [
        None if value is None or interval is None else (value - interval[0], interval[1] - value)
        for value, interval in numbers
    ]
    values = [value for value, _ in numbers]
    return Column(name, values, errors={"68.3% interval": sizes}, qualifiers=qualifiers or {})


def build_density_column(
    histogram: Histogram | None, bins: int, qualifiers: dict[str, str], label: ColumnLabel = UNLABELLED
) -> Column:
    """Return the densities of a histogram with their errors; an empty column without a histogram.

    `label` is that of the axis, on whose unit the density depends.
    """
    unit = f"1 / {label.unit}" if label.unit else ""
    if histogram is None:
        return Column("Density", [None] * bins, unit, qualifiers=qualifiers)
    density, errors = histogram.density.tolist(), histogram.uncertainty.tolist()
    return replace(build_error_column("Density", density, errors, qualifiers=qualifiers), unit=unit)


def build_distribution_table(
    table: str,
    description: str,
    axis: str,
    distribution: Distribution,
    class_names: Sequence[str],
    label: ColumnLabel = UNLABELLED,
) -> FigureData:
    """Return the densities of training and test events of each class, in the bins of a distribution."""
    bins = [] if distribution.bins is None else list(pairwise(distribution.bins.edges.tolist()))
    columns = tuple(
        build_density_column(histogram, len(bins), {"Class": name, "Split": split}, label)
        for split, histograms in (("training", distribution.training), ("test", distribution.test))
        for name, histogram in zip(class_names, histograms, strict=True)
    )
    return FigureData(table, description, (build_bin_column(axis, bins, label),), columns)


def build_roc_table(
    table: str,
    description: str,
    curve: RocOutline,
    *,
    signal: str = "Signal efficiency",
    background: str = "Background rejection (1 / background efficiency)",
) -> FigureData:
    """Return the points of a ROC curve, with a remark if negative weights make efficiencies unusual."""
    efficiencies, rejections = (
        column.tolist() for column in (curve.points.signal_efficiency, curve.points.background_rejection)
    )
    unusual = has_unusual_efficiencies([*efficiencies, *(1 / rejection for rejection in rejections)])
    return FigureData(
        table,
        f"{description} {NEGATIVE_EFFICIENCIES}" if unusual else description,
        (Column(signal, efficiencies),),
        (Column(background, rejections),),
    )


def has_unusual_efficiencies(efficiencies: Iterable[float]) -> bool:
    """Return whether an efficiency is outside [0, 1] by more than rounding."""
    return any(not -1e-9 <= efficiency <= 1 + 1e-9 for efficiency in efficiencies)
