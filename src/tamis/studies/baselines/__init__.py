"""Is a network needed at all?

Classifiers of other kinds are trained on the same events and compared with the network on the same test events. If
one of them is as good, or better, the network is not needed, or not trained well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tamis.blocks import Block, Caption, Cell, Finding, Light, Table, Text
from tamis.blocks.numbers import CHANCE, cell, metric, percent, short, significant, typeset, with_interval
from tamis.figure_data import FigureData, Labels
from tamis.statistics.baselines import BoxOfCuts, Cut
from tamis.studies.baselines.result import BaselineComparison, BaselinesResult, compute_baselines
from tamis.studies.columns import build_roc_table
from tamis.studies.study import Study, import_figures, import_keys
from tamis.wording import format_change, format_metric, name_interval

FAR_BEHIND = 1.25
"""Ratio of the areas above the curves from which the network is far behind a baseline."""
LABELS = {"xgboost": "XGBoost", "logistic": "logistic regression", "cuts": "cuts"}

CAPTIONS = (
    Caption(
        "roc_baselines",
        "ROC curves of the signal score",
        "The network (solid) and the baselines (dash-dotted) on the same test events: if the solid line is not above "
        "the others, the network is not needed. A dashed line is the Bayes optimum, with the class priors that the "
        "network was trained with, or a reference discriminant.",
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
    if any(baseline.signal.background_ratios for baseline in result.baselines):
        yield _ratios_table(result.baselines)
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
            metric(number.value, number.interval),
            cell(number.difference, number.difference_interval, signed=True),
        )
    ]
    undefined = [cell(None)] * (4 - len(cells))
    return Cell(baseline.name), *cells, *undefined, short(baseline.seconds, 3)


def _ratios_table(baselines: Sequence[BaselineComparison]) -> Table:
    targets = [ratio.target for ratio in baselines[0].signal.background_ratios]
    columns = ("baseline", *(f"at {_percentage(target)}" for target in targets))
    rows = tuple(
        (
            Cell(baseline.name),
            *(cell(ratio.ratio, ratio.interval) for ratio in baseline.signal.background_ratios),
        )
        for baseline in baselines
    )
    caption = (
        "Background of the network divided by that of the baseline, after cuts with the same signal efficiency "
        "(physics weights): below one, the network has the larger rejection. Cuts of a baseline with few different "
        "scores may have a larger efficiency than the requested one; the network is then compared at that one. "
        "Intervals (68.3%) are paired."
    )
    return Table(columns, rows, caption)


def _percentage(efficiency: float) -> str:
    return f"{100 * efficiency:z.3g}%"


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
        short(box.background_rejection, 3),
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
    """Return whether the network is better than each baseline, by the area and by the background after cuts."""
    for baseline in result.baselines:
        auc = baseline.signal.auc
        low, high = _widen(auc.difference, auc.difference_interval or (-math.inf, math.inf))
        backgrounds = describe_backgrounds(baseline)
        is_lower, is_higher = (f"the {way} rejection" in backgrounds for way in ("lower", "higher"))
        light: Light
        if high < 0 and 1 - (auc.value + auc.difference) > FAR_BEHIND * (1 - auc.value) and not is_higher:
            light = "bad"
            statement = (
                "The training failed, or its settings do not suit these events: the network has a much smaller AUC of "
                "the signal than the baseline"
            )
        elif high < 0:
            light, statement = "look", "The network has a smaller AUC of the signal than the baseline"
        elif low > 0:
            light = "look" if is_lower else "info" if "lower" in backgrounds else "good"
            statement = "The network has a larger AUC of the signal than the baseline"
        else:
            light = "look" if is_lower else "info"
            statement = "The AUC of the signal of network and baseline is not significantly different"
        difference = typeset(format_change(auc.difference, auc.difference_interval))
        sentence = f"{statement}, network minus baseline {difference}{backgrounds}."
        yield Finding(light, f"Baseline {baseline.name}", sentence)


def describe_backgrounds(baseline: BaselineComparison) -> str:
    """Describe where the rejections contradict the areas of network and baseline, as the end of a sentence."""
    by_statement: dict[str, list[str]] = {}
    auc = baseline.signal.auc
    lowest_area, highest_area = _widen(auc.difference, auc.difference_interval or (-math.inf, math.inf))
    for point in baseline.signal.background_ratios:
        if point.ratio is None or point.interval is None:
            continue
        edges = [math.log(edge) for edge in point.interval]
        low, high = _widen(math.log(point.ratio), edges)
        if low > 0 and highest_area >= 0:
            statement = "the lower rejection"
        elif high < 0 and lowest_area <= 0:
            statement = "the higher rejection"
        elif edges[0] > 0 and highest_area >= 0:
            statement = "a lower rejection, not significantly,"
        else:
            continue
        ratio, interval = with_interval(point.ratio, point.interval)
        by_statement.setdefault(statement, []).append(
            f"{_percentage(point.signal_efficiency)} signal efficiency ({ratio} times the background, "
            f"{name_interval(interval)})"
        )
    return "".join(
        f"; the network has {statement} at {', '.join(points)}" for statement, points in by_statement.items()
    )


def _widen(value: float, interval: Sequence[float]) -> tuple[float, float]:
    """Return the interval with twice its width: one standard deviation decides nothing."""
    low, high = interval
    return 2 * low - value, 2 * high - value


def summary(result: BaselinesResult) -> Iterator[str]:
    """Return the performance of each baseline, and the difference of the network, for the terminal."""
    for baseline in result.baselines:
        area = baseline.signal.auc
        reached = [f"AUC {format_metric(area.value, area.interval)[0]} for the signal"]
        differs = [f"{format_change(area.difference, area.difference_interval)} in AUC"]
        if baseline.balanced is not None:
            loss = baseline.balanced.loss
            reached.append(f"balanced loss {format_metric(loss.value, loss.interval)[0]}")
            differs.append(f"{format_change(loss.difference, loss.difference_interval)} in loss")
        numbers = f"{', '.join(reached)}; the network differs by {' and '.join(differs)}"
        sentence = f"Baseline {baseline.name}: {numbers}{describe_backgrounds(baseline)}."
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
