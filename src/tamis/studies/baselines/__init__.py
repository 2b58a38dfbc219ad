"""Is a network needed at all?

Classifiers of other kinds are trained on the same events and compared with the network on the same test events. If
one of them is as good, or better, the network is not needed, or not trained well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tamis.blocks import Block, Caption, Cell, Finding, Table, Text
from tamis.blocks.numbers import CHANCE, cell, percent, short, significant, typeset
from tamis.figure_data import FigureData, Labels
from tamis.statistics.baselines import BoxOfCuts, Cut
from tamis.studies.baselines.result import BaselineComparison, BaselinesResult, compute_baselines
from tamis.studies.columns import build_roc_table
from tamis.studies.study import Study, import_figures, import_keys
from tamis.wording import format_change, format_with_interval

FAR_BEHIND = 1.25
"""Ratio of the areas above the curves from which the network is far behind a baseline."""
LABELS = {"xgboost": "XGBoost", "logistic": "logistic regression", "cuts": "cuts"}

CAPTIONS = (
    Caption(
        "roc_baselines",
        "ROC curves of the signal score",
        "The network (solid) and the baselines (dash-dotted) on the same test events: if the solid line is not above "
        "the others, the network is not needed. A dashed line is the Bayes optimum or a reference discriminant.",
    ),
)


def section(result: BaselinesResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    notes = [f"{baseline.name}: {note}." for baseline in result.baselines for note in baseline.notes]
    text = f"Other classifiers, trained on the same events without tuning. {' '.join(notes)}"
    yield Text(text.strip())
    columns = (
        "baseline", "AUC of the signal", "difference", "balanced loss", "difference", "training [s]",
    )  # fmt: skip
    caption = f"Differences are network minus baseline on the same test events, paired. {CHANCE}"
    yield Table(columns, tuple(_row(baseline) for baseline in result.baselines), caption)
    boxes = [box for baseline in result.baselines for box in baseline.boxes]
    if boxes:
        yield _boxes(boxes)


def _row(baseline: BaselineComparison) -> tuple[Cell, ...]:
    auc = baseline.signal.auc
    numbers = [auc] if baseline.balanced is None else [auc, baseline.balanced.loss]
    cells = [
        written
        for number in numbers
        for written in (
            cell(number.value, number.interval),
            cell(number.difference, number.difference_interval, signed=True),
        )
    ]
    undefined = [cell(None)] * (4 - len(cells))
    return Cell(baseline.name), *cells, *undefined, short(baseline.seconds, 3)


def _boxes(boxes: Sequence[BoxOfCuts]) -> Table:
    in_folds = any(box.fold is not None for box in boxes)
    columns = ("fold", "target", "cuts", "signal", "background", "rejection")
    first = 0 if in_folds else 1
    caption = (
        "Rectangular cuts, optimised on training events for each target of the signal efficiency, with their "
        "efficiencies for test events (physics weights)."
    )
    return Table(columns[first:], tuple(_box(box)[first:] for box in boxes), caption, numeric=3 - first)


def _box(box: BoxOfCuts) -> tuple[Cell, ...]:
    return (
        Cell(str(box.fold), box.fold),
        percent(box.target),
        Cell("; ".join(_cut(cut) for cut in box.cuts) or "no cut"),
        percent(box.signal_efficiency),
        percent(box.background_efficiency, 3),
        short(box.background_rejection),
    )


def _cut(cut: Cut) -> str:
    low = "" if cut.low is None else significant(cut.low)
    high = "" if cut.high is None else significant(cut.high)
    if not low:
        return f"{cut.feature} \N{LESS-THAN OR EQUAL TO} {high}"
    if not high:
        return f"{cut.feature} \N{GREATER-THAN OR EQUAL TO} {low}"
    return f"{low} \N{LESS-THAN OR EQUAL TO} {cut.feature} \N{LESS-THAN OR EQUAL TO} {high}"


def findings(result: BaselinesResult) -> Iterator[Finding]:
    """Return whether the network is better than each baseline, by the area under the curve of the signal score."""
    for baseline in result.baselines:
        auc = baseline.signal.auc
        # one standard deviation decides nothing: zero must lie outside of twice the interval
        low, high = (2 * edge - auc.difference for edge in auc.difference_interval or (-1.0, 1.0))
        difference = typeset(format_change(auc.difference, auc.difference_interval))
        numbers = f"AUC of the signal, network minus baseline, {difference}"
        title = f"Baseline {baseline.name}"
        if high < 0 and 1 - (auc.value + auc.difference) > FAR_BEHIND * (1 - auc.value):
            yield Finding(
                "bad",
                title,
                f"The baseline is much better than the network: {numbers}. The training failed, or its settings do "
                "not suit these events.",
            )
        elif high < 0:
            yield Finding("look", title, f"The baseline is better than the network: {numbers}.")
        elif low > 0:
            yield Finding("good", title, f"The network is better than the baseline: {numbers}.")
        else:
            yield Finding("info", title, f"There is no significant difference: {numbers}.")


def summary(result: BaselinesResult) -> Iterator[str]:
    """Return the performance of each baseline, and the difference of the network, for the terminal."""
    for baseline in result.baselines:
        area = baseline.signal.auc
        reached = [f"AUC {format_with_interval(area.value, area.interval)[0]} for the signal"]
        differs = [f"{format_change(area.difference, area.difference_interval)} in AUC"]
        if baseline.balanced is not None:
            loss = baseline.balanced.loss
            reached.append(f"balanced loss {format_with_interval(loss.value, loss.interval)[0]}")
            differs.append(f"{format_change(loss.difference, loss.difference_interval)} in loss")
        sentence = (
            f"Baseline {baseline.name}: {', '.join(reached)}; the network differs by {' and '.join(differs)}."
        )
        yield f"{sentence} Note: {'; '.join(baseline.notes)}." if baseline.notes else sentence


def figure_data(result: BaselinesResult, _labels: Labels) -> Iterator[FigureData]:
    """Return a table of each curve."""
    curves = [("network", "the network", result.network)]
    curves += [
        (baseline.name, LABELS.get(baseline.name, baseline.name), baseline.signal.curve)
        for baseline in result.baselines
    ]
    if result.optimum is not None:
        curves.append(("optimum", f"the {result.optimum_name}", result.optimum))
    for name, label, curve in curves:
        description = (
            f"Background rejection against signal efficiency for cuts on the signal score of {label}."
        )
        yield build_roc_table(f"roc_baselines_{name}", description, curve)


BASELINES = Study(
    name="baselines",
    title="Baselines",
    result=BaselinesResult,
    compute=compute_baselines,
    keys=import_keys(f"{__name__}.keys"),
    metrics=BaselinesResult.to_metrics,
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
    findings=findings,
    summary=summary,
)
