"""How much is left to gain?

If the density of every class is known, as in a toy simulation, the best possible classifier is known too. The study
compares the network with it, or with discriminants that the configuration names for some classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tamis.blocks import Block, Cell, Finding, Table, Tile
from tamis.blocks.numbers import Interval, cell, typeset, with_interval
from tamis.statistics.bayes_optimum import OptimumComparison
from tamis.studies.bayes_optimum.result import (
    BayesOptimumResult,
    DiscriminantComparison,
    compute_bayes_optimum,
)
from tamis.studies.study import Study, import_keys
from tamis.wording import format_change, format_with_interval, name_interval

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
        "The Bayes optimum is the best possible classifier: the density of each class, divided by their sum. To gain: "
        "how much lower the loss, and how much higher accuracy and AUC could be, with the 68.3% interval for the "
        "finite number of events. Test events with balanced weights, for which the optimum has the smallest loss."
    )
    cells = tuple(
        (
            Cell(name),
            *(replace(cell(number, interval), note="") for number in (value, best)),
            cell(difference, interval, signed=True),
        )
        for name, value, best, difference, interval in rows
    )
    return Table(("quantity", "network", "Bayes optimum", "to gain"), cells, caption)


def _discriminants_table(comparisons: Sequence[DiscriminantComparison]) -> Table:
    rows = tuple(
        (
            Cell(comparison.class_name),
            cell(comparison.network_auc),
            cell(comparison.auc),
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
        note = "balanced loss above the Bayes optimum; 0 is the best possible"
        yield Tile("Excess loss", value, name_interval(interval), note)


def findings(result: BayesOptimumResult) -> Iterator[Finding]:
    """Return how far the loss is from the smallest possible one."""
    if result.optimum is not None:
        yield Finding("info", "Excess loss", typeset(_describe_excess(result.optimum)))


def _describe_excess(comparison: OptimumComparison) -> str:
    interval = comparison.intervals.loss
    excess, (best, _) = (
        format_change(comparison.excess_loss, interval),
        format_with_interval(comparison.optimum.loss, interval),
    )
    return (
        f"The balanced loss differs by {excess} from that of the Bayes optimum ({best}), the smallest that any "
        "classifier can reach."
    )


def summary(result: BayesOptimumResult) -> Iterator[str]:
    """Return the excess over the optimum and the difference to discriminants, for the terminal."""
    if result.optimum is not None:
        yield _describe_excess(result.optimum)
    for comparison in result.discriminants:
        yield (
            f"Discriminant for {comparison.class_name}: AUC {comparison.auc:.4f}, {comparison.auc_deficit:+z.4f} "
            "compared with the network."
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
