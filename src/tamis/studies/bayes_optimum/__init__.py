"""How much is left to gain?

If the density of every class is known, as in a toy simulation, the best possible classifier is known too. The study
compares the network with it, or with discriminants that the configuration names for some classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tamis.blocks import Block, Cell, Finding, Table, Tile
from tamis.blocks.numbers import Interval, cell, metric, typeset, with_interval
from tamis.statistics.bayes_optimum import OptimumComparison
from tamis.studies.bayes_optimum.result import (
    BayesOptimumResult,
    DiscriminantComparison,
    compute_bayes_optimum,
)
from tamis.studies.study import Study, import_keys
from tamis.wording import format_change, format_metric, name_interval

_Row = tuple[str, float | None, float | None, float | None, Interval]


def section(result: BayesOptimumResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    if result.optimum is not None:
        yield _optimum_table(result.optimum, result.class_names)
    if result.discriminants:
        yield _discriminants_table(result.discriminants)


def _optimum_table(comparison: OptimumComparison, class_names: Sequence[str]) -> Table:
    network, optimum, intervals = comparison.network, comparison.optimum, comparison.intervals
    areas = zip(class_names, network.auc, optimum.auc, comparison.auc_deficit, intervals.auc, strict=True)
    rows: tuple[_Row, ...] = (
        ("balanced loss", network.loss, optimum.loss, comparison.excess_loss, intervals.loss),
        (
            "balanced accuracy",
            network.accuracy,
            optimum.accuracy,
            optimum.accuracy - network.accuracy,
            intervals.accuracy,
        ),
        *((f"AUC {name}", area, best, deficit, interval) for name, area, best, deficit, interval in areas),
    )
    caption = (
        "The Bayes optimum is the classifier with the smallest expected loss: the posterior probability of each class, "
        "with the share of the class in the balanced weights of the test events as its prior. To gain: how much lower "
        "the loss, and how much higher accuracy and AUC of the optimum are, with the 68.3% interval for the finite "
        "number of events. On a finite number of events a classifier can exceed the optimum by chance."
    )
    cells = tuple(
        (
            Cell(name),
            *(metric(number) for number in (value, best)),
            cell(difference, interval, signed=True),
        )
        for name, value, best, difference, interval in rows
    )
    return Table(("quantity", "network", "Bayes optimum", "to gain"), cells, caption)


def _discriminants_table(comparisons: Sequence[DiscriminantComparison]) -> Table:
    rows = tuple(
        (
            Cell(comparison.class_name),
            metric(comparison.network_auc),
            metric(comparison.auc),
            cell(comparison.auc_deficit, signed=True),
        )
        for comparison in comparisons
    )
    caption = "Area of each class against all others, on test events with the physics weights."
    return Table(("class", "AUC network", "AUC discriminant", "difference"), rows, caption)


def tiles(result: BayesOptimumResult) -> Iterator[Tile]:
    """Return the excess of the balanced loss."""
    if result.optimum is not None:
        value, interval = with_interval(
            result.optimum.excess_loss, result.optimum.intervals.loss, signed=True
        )
        note = "balanced loss above the Bayes optimum, which has the smallest expected loss"
        yield Tile("Excess loss", value, name_interval(interval), note)


def findings(result: BayesOptimumResult) -> Iterator[Finding]:
    """Return how far the loss is from that of the optimum."""
    if result.optimum is not None:
        yield Finding("info", "Excess loss", typeset(_describe_excess(result.optimum)))


def _describe_excess(comparison: OptimumComparison) -> str:
    interval = comparison.intervals.loss
    excess, (best, _) = (
        format_change(comparison.excess_loss, interval),
        format_metric(comparison.optimum.loss),
    )
    return (
        f"The balanced loss minus that of the Bayes optimum ({best}), the classifier with the smallest expected loss, "
        f"is {excess}."
    )


def summary(result: BayesOptimumResult) -> Iterator[str]:
    """Return the excess over the optimum and the difference to discriminants, for the terminal."""
    if result.optimum is not None:
        yield _describe_excess(result.optimum)
    for comparison in result.discriminants:
        yield (
            f"Discriminant for {comparison.class_name}: AUC {format_metric(comparison.auc)[0]}, "
            f"{comparison.auc_deficit:+z.4f} compared with the network."
        )


BAYES_OPTIMUM = Study(
    name="bayes_optimum",
    title="Bayes optimum",
    result=BayesOptimumResult,
    compute=compute_bayes_optimum,
    keys=import_keys(f"{__name__}.keys"),
    metrics=BayesOptimumResult.to_metrics,
    section=section,
    tiles=tiles,
    findings=findings,
    summary=summary,
)
