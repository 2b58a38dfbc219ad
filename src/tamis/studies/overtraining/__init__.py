"""Is the network better on the events that it was trained on?

A permutation test compares loss, accuracy, areas under the curve and score distributions of training and test events,
with one correction for all of them. Kolmogorov-Smirnov tests and histograms of each score show where they differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tamis.blocks import Block, Caption, Cell, Finding, Table, Text
from tamis.blocks.numbers import CHANCE, cell, metric, p_value, typeset
from tamis.figure_data import Column, FigureData, Labels
from tamis.statistics.p_values import SHARE_OF_FIRST
from tamis.studies.columns import build_distribution_table, build_interval_column
from tamis.studies.overtraining.permutation import LEVEL, ComparedQuantity, PermutationTest
from tamis.studies.overtraining.result import OvertrainingResult, compute_overtraining
from tamis.studies.study import Study, Undefined, import_figures, import_keys

PAIRED = (
    "Training and test are the same events, the training events, with two scores each: that of a member that learned "
    "from the event, and its out-of-fold score."
)
"""The training and test events of the test in a cross-training."""
CAPTIONS = (
    Caption(
        "score_",
        "Score of {}",
        "Training events (lines) and test events (points), normalised to unit area. They should agree; overtraining is "
        "one reason why they may differ. KS: largest distance between the two cumulative distributions, with the "
        "p-value from permutations, not corrected for the number of tests.",
    ),
    Caption(
        "overtraining",
        "Training against test",
        "All comparisons with their intervals. Overtraining moves the points to the right, where training is better "
        "than test.",
    ),
)


def section(result: OvertrainingResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    match result.permutation_test:
        case Undefined(reason):
            yield Text(f"Not tested, because {reason}.")
        case PermutationTest() as test:
            yield Text(typeset(test.sentence))
            yield _table(test)


def _table(test: PermutationTest) -> Table:
    rows = tuple(
        (
            Cell(_name_of(comparison)),
            metric(comparison.training),
            metric(comparison.test),
            cell(comparison.difference, comparison.interval, signed=comparison.quantity != "score"),
            p_value(comparison.p_value, smallest=test.smallest_p_value),
            replace(
                p_value(comparison.corrected_p_value, smallest=test.smallest_p_value),
                # a large p-value is no evidence: it has no mark
                light="bad" if comparison.corrected_p_value <= LEVEL else None,
            ),
        )
        for comparison in test.comparisons
    )
    columns = ("quantity", "training", "test", "difference", "p", "p, corrected")
    events = f"{PAIRED} " if test.paired else ""
    permuted = "the two scores of events" if test.paired else "training and test events"
    caption = (
        f"{events}{test.permutations} permutations of {permuted}, with balanced weights. The corrected "
        f"p-values share the significance level: {SHARE_OF_FIRST:.0%} of it are for the loss, the other "
        f"{1 - SHARE_OF_FIRST:.0%} for the largest deviation of all other quantities. Each is the probability that any "
        "quantity is as significant with its share by chance. One of at most 5% means overtraining; a large one only "
        "means that these events show none. Differences are training "
        "minus test; for the distribution of a score, the largest distance. "
        f"{CHANCE}"
    )
    return Table(columns, rows, caption)


def _name_of(comparison: ComparedQuantity) -> str:
    match comparison.quantity:
        case "score":
            return f"score of {comparison.score}, events of {comparison.class_name}"
        case "auc":
            return f"AUC of {comparison.class_name}"
        case quantity:
            return quantity


def findings(result: OvertrainingResult) -> Iterator[Finding]:
    """Return the result of the overtraining test."""
    match result.permutation_test:
        case Undefined(reason):
            yield Finding("info", "Overtraining", f"Not tested, because {reason}.")
        case PermutationTest() as test:
            yield Finding("bad" if test.overtrained else "good", "Overtraining", typeset(test.sentence))


def comparison(result: OvertrainingResult) -> dict[str, Cell]:
    """Return whether the classifier is overtrained."""
    test = result.permutation_test
    if isinstance(test, Undefined):
        return {"overtrained": Cell("not tested", light="info")}
    return {"overtrained": Cell("yes", light="bad") if test.overtrained else Cell("no sign", light="good")}


def summary(result: OvertrainingResult) -> Iterator[str]:
    """Return the line for the terminal."""
    if isinstance(result.permutation_test, PermutationTest):
        yield result.permutation_test.sentence


def figure_data(result: OvertrainingResult, _labels: Labels) -> Iterator[FigureData]:
    """Return a table of the distributions of each score, and one of the comparisons."""
    for name, distribution in zip(result.class_names, result.distributions, strict=True):
        description = (
            f"Distributions of the score for {name} in training and test events of each class, with physics weights, "
            "normalised to unit area."
        )
        yield build_distribution_table(
            f"score_{name}", description, f"Score for {name}", distribution, result.class_names
        )
    if isinstance(result.permutation_test, PermutationTest):
        test = result.permutation_test
        comparisons = test.comparisons
        qualifiers = {"Test": f"{test.permutations} permutations, at least 1/{test.permutations + 1}"}
        differences = build_interval_column(
            "Training minus test",
            [(comparison.difference, comparison.interval) for comparison in comparisons],
        )
        yield FigureData(
            "overtraining",
            "Quantities of training and test events with balanced weights; for the distribution of a score the largest "
            "distance.",
            (Column("Quantity", [comparison.description for comparison in comparisons]),),
            (
                differences,
                Column("p-value", [comparison.p_value for comparison in comparisons], qualifiers=qualifiers),
                Column(
                    "Corrected p-value",
                    [comparison.corrected_p_value for comparison in comparisons],
                    qualifiers=qualifiers,
                ),
            ),
        )


OVERTRAINING = Study(
    name="overtraining",
    title="Overtraining",
    result=OvertrainingResult,
    compute=compute_overtraining,
    keys=import_keys(f"{__name__}.keys"),
    metrics=OvertrainingResult.to_metrics,
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
    findings=findings,
    summary=summary,
    comparison=comparison,
)
