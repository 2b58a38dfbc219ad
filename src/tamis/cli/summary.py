"""The summary of a finished run in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from tamis.blocks.numbers import metric
from tamis.cli.tables import build_cutflow_table, plain_table, print_lines, results_console
from tamis.pipeline.run import Run
from tamis.report.epochs import format_epochs
from tamis.statistics.roc import WorkingPoint
from tamis.studies import defined_results
from tamis.studies.bayes_optimum.result import BayesOptimumResult
from tamis.studies.performance import format_rejection
from tamis.studies.performance.result import PerformanceResult


def print_run(run: Run, folder: Path, seconds: float) -> None:
    """Print the cutflow, the most important numbers, and the path of the run directory."""
    console = results_console()
    timing = run.metrics["timing"]
    console.print(build_cutflow_table(run.prepared.cutflow, run.class_names))
    print_lines(console, (*run.prepared.duplicates, *flattening(run), *overflow(run)), "note: ")
    console.print()
    console.print(metrics_table(run.results))
    console.print()
    console.print(class_table(run.results["performance"], run.config.evaluation.working_points))
    lines = [line for study, result in defined_results(run.results) for line in study.summary(result)]
    lines += [
        f"Trained on {timing['device']} in {timing['train_seconds']:.1f} s ({timing['events_per_second']:,.0f} "
        f"events/s). {format_epochs(run.history)}",
        f"Wrote {folder} ({seconds:.0f} s in all).",
    ]
    print_lines(console, lines)


def overflow(run: Run) -> list[str]:
    """Warn of inputs that the fixed-point format of the first layer cannot hold."""
    return [
        f"{name}: {100 * fraction:.2g}% of the training events are outside the range of the quantized layer's input; "
        "give it more integer bits (network.layers[0].input.integer)."
        for name, fraction in run.metrics["network"]["overflow"].items()
    ]


def flattening(run: Run) -> list[str]:
    """Describe the cost of flattening in effective training events."""
    flatten = run.config.weights.flatten
    if flatten is None:
        return []
    named = " and ".join(flatten.spectators)
    sentences = []
    for name, change in run.prepared.weighed.flattened.items():
        empty = change.empty_bin_fraction
        sentences.append(
            f"{name} is flattened in {named}: {change.effective_sample_size_after:,.0f} of "
            f"{change.effective_sample_size_before:,.0f} effective training events are left"
            f"{f'; it has no events in {100 * empty:.0f}% of the bins' if empty else ''}."
        )
    return sentences


def metrics_table(results: Mapping[str, Any]) -> Table:
    """Build the table of loss and accuracy of each split, with balanced weights (as in the training) first."""
    table = plain_table(
        "Results", ["split", "balanced loss", "balanced accuracy", "physics loss", "physics accuracy"]
    )
    for name, metrics in results["performance"].splits.items():
        cells = []
        for weights, numbers in (("balanced", metrics.balanced), ("physics", metrics.physics)):
            intervals = results["performance"].intervals[name][weights]
            cells += [metric(numbers.loss, intervals.loss), metric(numbers.accuracy, intervals.accuracy)]
        table.add_row(name, *(number.text for number in cells))
    result = results["bayes_optimum"]
    if isinstance(result, BayesOptimumResult) and result.optimum is not None:
        optimum, intervals = result.optimum.optimum, result.optimum.intervals
        best = (metric(optimum.loss, intervals.loss), metric(optimum.accuracy, intervals.accuracy))
        table.add_row("Bayes optimum", *(number.text for number in best))
    return table


def class_table(performance: PerformanceResult, working_points: Sequence[float]) -> Table:
    """Build the table of the area under the ROC curve and the background rejections of each class."""
    headings = [f"1/background at {point:g}" for point in working_points]
    table = plain_table("Each class against the others, on test events", ["class", "AUC", *headings])
    areas, intervals = (
        performance.splits["test"].physics.auc,
        performance.intervals["test"]["physics"].auc,
    )
    for name, area, interval, points in zip(
        performance.class_names, areas, intervals, performance.working_points, strict=True
    ):
        if points is None:
            table.add_row(
                escape(name), "undefined: the sum of weights of the class or of all others is not positive"
            )
            continue
        table.add_row(escape(name), metric(area, interval).text, *(_rejection(point) for point in points))
    return table


def _rejection(point: WorkingPoint) -> str:
    """Format a rejection, or its lower limit with 95% confidence if no background event passes."""
    if point.background_rejection is None and point.background_rejection_limit is None:
        return "no background"
    rejection = format_rejection(point)
    return (
        rejection.text if point.background_rejection_limit is None else f"{rejection.text} ({rejection.note})"
    )
