"""How much is left to gain?

If the density of every class is known, as in a toy simulation, the best possible classifier is known too. The study
compares the network with it, or with discriminants that the configuration names for some classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tamis.blocks import Block, Cell, Finding, Table
from tamis.blocks.numbers import minus, short
from tamis.statistics.bayes_optimum import OptimumComparison
from tamis.studies.bayes_optimum.result import (
    BayesOptimumResult,
    DiscriminantComparison,
    compute_bayes_optimum,
)
from tamis.studies.study import Study, import_keys

_Row = tuple[str, float | None, float | None, float | None]


def section(result: BayesOptimumResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    if result.optimum is not None:
        yield _optimum_table(result.optimum, result.class_names)
    if result.discriminants:
        yield _discriminants_table(result.discriminants)


def _optimum_table(comparison: OptimumComparison, class_names: Sequence[str]) -> Table:
    network, optimum = comparison.network, comparison.optimum
    areas = zip(class_names, network.auc, optimum.auc, comparison.auc_deficit, strict=True)
    rows = (
        ("loss", network.loss, optimum.loss, comparison.excess_loss),
        ("accuracy", network.accuracy, optimum.accuracy, optimum.accuracy - network.accuracy),
        *((f"AUC {name}", area, best, deficit) for name, area, best, deficit in areas),
    )
    caption = (
        "The Bayes optimum is the best possible classifier: the density of each class, divided by their sum. To gain: "
        "how much lower the loss, and how much higher accuracy and AUC could be. Test events with balanced weights, "
        "for which the optimum has the smallest loss."
    )
    return _table(("quantity", "network", "Bayes optimum", "to gain"), rows, caption)


def _discriminants_table(comparisons: Sequence[DiscriminantComparison]) -> Table:
    rows = (
        (comparison.class_name, comparison.network_auc, comparison.auc, comparison.auc_deficit)
        for comparison in comparisons
    )
    caption = "Area of each class against all others, on test events with the physics weights."
    return _table(("class", "AUC network", "AUC discriminant", "difference"), rows, caption)


def _table(columns: tuple[str, ...], rows: Iterable[_Row], caption: str) -> Table:
    cells = tuple(
        (Cell(name), short(network, 5), short(reference, 5), _signed(difference))
        for name, network, reference, difference in rows
    )
    return Table(columns, cells, caption)


def _signed(value: float | None) -> Cell:
    return short(None) if value is None else Cell(minus(f"{value:+z.4f}"), value)


def findings(result: BayesOptimumResult) -> Iterator[Finding]:
    """Return how far the loss is from the smallest possible one."""
    if result.optimum is not None:
        yield Finding(
            "info",
            "Excess loss",
            f"The loss differs by {minus(format(result.optimum.excess_loss, '+z.4f'))} from that of the Bayes optimum "
            f"({result.optimum.optimum.loss:.4f}), the smallest that any classifier can reach.",
        )


def summary(result: BayesOptimumResult) -> Iterator[str]:
    """Return the excess over the optimum and the difference to discriminants, for the terminal."""
    if result.optimum is not None:
        largest = max((area for area in result.optimum.auc_deficit if area is not None), default=0.0)
        yield (
            f"Excess over the Bayes optimum: {result.optimum.excess_loss:+z.4f} in loss, {largest:+z.4f} in AUC "
            "(largest of the classes)."
        )
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
    findings=findings,
    summary=summary,
)
