"""How well does the classifier separate the classes?

Loss, accuracy and areas under the ROC curves of training, validation and test events have intervals; cuts on the scores
of the test events have signal efficiencies and background rejections.
"""

from __future__ import annotations

from collections.abc import Iterator

from tamis.blocks import Block, Caption, Cell, Finding, Table, Tile
from tamis.blocks.numbers import LIMIT_LEVEL, Interval, bound, count, metric, percent, rejection
from tamis.figure_data import Column, FigureData, Labels
from tamis.statistics.intervals import FEWEST
from tamis.statistics.metrics import describe_loss_above_prior
from tamis.statistics.roc import WorkingPoint
from tamis.studies.columns import NEGATIVE_EFFICIENCIES, build_roc_table, has_unusual_efficiencies
from tamis.studies.performance.result import PerformanceResult, compute_performance
from tamis.studies.study import Study, import_figures, import_keys
from tamis.wording import name_interval

CAPTIONS = (
    Caption(
        "roc",
        "ROC curves",
        "Each class against all others: the higher the background rejection at a given signal efficiency, the better. "
        "Efficiencies have the physics weights. A dashed line is the Bayes optimum, with the class priors that the "
        "network was trained with, or a reference discriminant. Steps at the left end are single events.",
    ),
    Caption(
        "confusion",
        "Confusion matrix",
        "Each row is a true class, normalised to one with the physics weights. The diagonal holds the events that are "
        "classified correctly.",
    ),
)


def section(result: PerformanceResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    yield _splits_table(result)
    yield _working_points_table(result)


def _splits_table(result: PerformanceResult) -> Table:
    """Return loss, accuracy and areas under the curve of every split, with physics and with balanced weights."""
    rows = []
    for number, (split, metrics) in enumerate(result.splits.items()):
        for weights, numbers in (("physics", metrics.physics), ("balanced", metrics.balanced)):
            intervals = result.intervals[split][weights]
            rows.append(
                (
                    Cell(split, float(number)),
                    Cell(weights),
                    count(sum(numbers.events)),
                    metric(numbers.loss, intervals.loss),
                    metric(numbers.accuracy, intervals.accuracy),
                    *(
                        metric(auc, interval)
                        for auc, interval in zip(numbers.auc, intervals.auc, strict=True)
                    ),
                )
            )
    caption = (
        "Physics: signed physics weights. Balanced: times the class weights of the training; the scores are "
        "probabilities for these weights. If the two differ, loss and accuracy with physics weights do not measure the "
        "quality of the scores, which would first have to be converted. The 68.3% interval below "
        "each number shows how much it varies with other events, not with another training. Intervals of the test "
        "events come from bootstrap samples if a class has fewer than 1000 effective events, all others from error "
        "propagation to first order."
    )
    if any(number.text and not number.note for row in rows for number in row[3:] if number.value is not None):
        caption += (
            f" There is no interval if a class, or all other classes together, have fewer than {FEWEST:g} effective "
            "events, or if a number is at its bound."
        )
    if result.cross_trained:
        caption += (
            " With cross-training an event counts as training or validation event with the score of one of the "
            "networks that saw it, chosen at random, and as test event with its out-of-fold score."
        )
    areas = (f"AUC {name}" for name in result.class_names)
    return Table(("split", "weights", "events", "loss", "accuracy", *areas), tuple(rows), caption, numeric=2)


def _working_points_table(result: PerformanceResult) -> Table:
    rows = tuple(
        (
            Cell(name),
            percent(point.signal_efficiency),
            metric(point.threshold),
            _background_efficiency(point),
            format_rejection(point),
        )
        for name, points in zip(result.class_names, result.working_points, strict=True)
        for point in points or ()
    )
    columns = ("class", "signal efficiency", "score at least", "background efficiency", "rejection")
    caption = (
        "Test events with physics weights; the background of a class are all other classes. Rejection is 1 / "
        "background efficiency. The 68.3% interval below it shows how much it varies with other test events: it "
        "includes the uncertainty of the cut at this signal efficiency. If no background event "
        "passes, the rejection is a lower limit at 95% confidence level. The signal efficiency exceeds its target if "
        "single events have much of the weight."
    )
    return Table(columns, rows, caption)


def _background_efficiency(point: WorkingPoint) -> Cell:
    limit = point.background_efficiency_limit
    if limit is not None:
        return Cell(f"{bound(100 * limit, upper=True)}%", limit, note=LIMIT_LEVEL)
    return percent(point.background_efficiency, 3)


def format_rejection(point: WorkingPoint) -> Cell:
    """Return a cell with the background rejection of a working point, or with its limit."""
    return rejection(
        point.background_rejection, point.background_rejection_interval, point.background_rejection_limit
    )


def comparison(result: PerformanceResult) -> dict[str, Cell]:
    """Return the background rejections of the signal classes, or of each class, with physics weights."""
    cells = {}
    for index in result.signal or range(len(result.class_names)):
        for point in result.working_points[index] or ():
            quantity = (
                f"background rejection at {100 * point.target:g}% efficiency of {result.class_names[index]}"
            )
            cells[quantity] = format_rejection(point)
    return cells


def tiles(result: PerformanceResult) -> Iterator[Tile]:
    """Return loss and accuracy of the test events, and the area of each signal class, or of each class."""
    # loss and accuracy of the weights for which the scores are probabilities
    balanced, of_balanced = result.splits["test"].balanced, result.intervals["test"]["balanced"]
    metrics, intervals = result.splits["test"].physics, result.intervals["test"]["physics"]
    note = "test events, balanced weights, for which the scores are probabilities"
    numbers: list[tuple[str, float | None, Interval, str]] = [
        ("Balanced loss", balanced.loss, of_balanced.loss, note),
        ("Balanced accuracy", balanced.accuracy, of_balanced.accuracy, note),
    ]
    numbers += [
        (
            f"AUC of {result.class_names[index]}",
            metrics.auc[index],
            intervals.auc[index],
            "against all other classes, physics weights",
        )
        for index in result.signal or range(len(result.class_names))
    ]
    for title, value, interval, below in numbers:
        number = metric(value, interval)
        yield Tile(title, number.text, name_interval(number.note), below)


def findings(result: PerformanceResult) -> Iterator[Finding]:
    """Return whether the network is worse than the prior, and which areas are above one."""
    for sentence in summary(result):
        yield Finding("bad", "Loss", sentence)
    areas = zip(result.class_names, result.splits["test"].physics.auc, strict=True)
    above_one = [f"{name} {area:.8g}" for name, area in areas if area is not None and area > 1]
    if above_one:
        yield Finding(
            "info",
            "Areas above one",
            f"Some areas under the curve are above one ({', '.join(above_one)}). With negative weights the estimate of "
            "an area close to one can exceed one by chance.",
        )


def summary(result: PerformanceResult) -> Iterator[str]:
    """Return a warning if the network is worse than equal scores for all classes."""
    sentence = describe_loss_above_prior(result.splits["test"].balanced.loss, len(result.class_names))
    if sentence:
        yield sentence


def figure_data(result: PerformanceResult, _labels: Labels) -> Iterator[FigureData]:
    """Return a table of the confusion matrix, and one of each ROC curve."""
    names = result.class_names
    confusion = result.splits["test"].physics.confusion
    columns = tuple(
        Column(
            "Share of the true class",
            [None if row is None else row[index] for row in confusion],
            qualifiers={"Highest score": name},
        )
        for index, name in enumerate(names)
    )
    description = (
        "Shares of the test events of each true class by the class with the highest score, with the physics weights of "
        "the events."
    )
    if has_unusual_efficiencies(share for row in confusion if row is not None for share in row):
        description = f"{description} {NEGATIVE_EFFICIENCIES}"
    yield FigureData("confusion", description, (Column("True class", names),), columns)
    for name, curve, best in zip(names, result.curves, result.best_curves, strict=True):
        for suffix, drawn, whose in (
            ("", curve, name), ("_best", best, f"the {result.best_curves_are} for {name}"),
        ):  # fmt: skip
            if drawn is not None:
                yield build_roc_table(
                    f"roc_{name}{suffix}",
                    f"ROC curve of {whose} against all other classes, of test events with physics weights; area "
                    f"{drawn.auc:.6g}.",
                    drawn,
                )


PERFORMANCE = Study(
    name="performance",
    title="Performance",
    result=PerformanceResult,
    compute=compute_performance,
    keys=import_keys(f"{__name__}.keys"),
    metrics=PerformanceResult.to_metrics,
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
    tiles=tiles,
    findings=findings,
    summary=summary,
    comparison=comparison,
)
