"""The section of a report about classifiers of other kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tamis.report.blocks import Block, Cell, Finding, Table, Text
from tamis.report.numbers import CHANCE, cell, percent, short, significant, with_interval

Numbers = Mapping[str, Any]
FAR_BEHIND = 1.25
"""Ratio of the areas above the curves from which the network is far behind a baseline."""


def baselines_section(metrics: Numbers) -> list[Block]:
    """Give the tables of the baselines; nothing where there are none."""
    baselines = metrics.get("baselines")
    if not baselines:
        return []
    notes = [f"{name}: {note}." for name, each in baselines.items() for note in each["notes"]]
    boxes = [box for each in baselines.values() for box in each["boxes"] or ()]
    text = (
        "Other classifiers, trained on the same events and not tuned. Differences are network "
        f"minus baseline on the same test events, with paired 68.3% intervals. {CHANCE} {' '.join(notes)}"
    )
    return [Text(text.strip()), _results(baselines), *([_boxes(boxes)] if boxes else [])]


def baselines_findings(metrics: Numbers) -> Iterator[Finding]:
    """Judge whether the network is better than each baseline, by the area under the curve of the signal score."""
    for name, each in metrics.get("baselines", {}).items():
        signal = each["signal"]
        value, interval = with_interval(signal["difference"], signal["difference_interval"], signed=True)
        # one standard deviation is no verdict: zero must lie outside of twice the interval
        low, high = (2 * edge - signal["difference"] for edge in signal["difference_interval"] or (-1.0, 1.0))
        said = f"network minus baseline in the AUC of the signal: {value} {interval}"
        if high < 0 and 1 - (signal["auc"] + signal["difference"]) > FAR_BEHIND * (1 - signal["auc"]):
            yield Finding(
                "bad",
                f"Baseline {name}",
                f"The network is far behind it: {said}. The training failed, or its settings do not fit these events.",
            )
        elif high < 0:
            yield Finding("look", f"Baseline {name}", f"It is better than the network: {said}.")
        elif low > 0:
            yield Finding("good", f"Baseline {name}", f"The network is better: {said}.")
        else:
            yield Finding("info", f"Baseline {name}", f"These events do not tell which is better: {said}.")


def _results(baselines: Numbers) -> Table:
    columns = (
        "baseline", "AUC of the signal", "difference", "balanced loss", "difference", "seconds of training",
    )  # fmt: skip
    return Table(columns, tuple(_result(name, each) for name, each in baselines.items()))


def _result(name: str, each: Numbers) -> tuple[Cell, ...]:
    signal, balanced = each["signal"], each["balanced"]
    area = (
        cell(signal["auc"], signal["interval"]),
        cell(signal["difference"], signal["difference_interval"], signed=True),
    )
    loss = (cell(None), cell(None))
    if balanced is not None:
        difference = balanced["difference"]
        loss = (
            cell(balanced["loss"], balanced["intervals"]["loss"]),
            cell(difference["loss"], difference["intervals"]["loss"], signed=True),
        )
    return Cell(name), *area, *loss, short(each["train_seconds"], 3)


def _boxes(boxes: list[Numbers]) -> Table:
    in_folds = any(box["fold"] is not None for box in boxes)
    columns = ("fold", "target", "cuts", "signal", "background", "rejection")
    first = 0 if in_folds else 1
    caption = (
        "The best rectangular cuts that were found on training events for each target of the signal efficiency, and "
        "what they keep of the test events, with the physics weights."
    )
    return Table(columns[first:], tuple(_box(box)[first:] for box in boxes), caption, numeric=3 - first)


def _box(box: Numbers) -> tuple[Cell, ...]:
    return (
        Cell(str(box["fold"]), box["fold"]),
        percent(box["target"]),
        Cell("; ".join(_cut(cut) for cut in box["cuts"]) or "no cut"),
        percent(box["signal_efficiency"]),
        percent(box["background_efficiency"], 3),
        short(box["background_rejection"]),
    )


def _cut(cut: Numbers) -> str:
    low, name, high = (cut[key] for key in ("low", "feature", "high"))
    if low is None:
        return f"{name} \N{LESS-THAN OR EQUAL TO} {significant(high)}"
    if high is None:
        return f"{name} \N{GREATER-THAN OR EQUAL TO} {significant(low)}"
    relation = "\N{LESS-THAN OR EQUAL TO}"
    return f"{significant(low)} {relation} {name} {relation} {significant(high)}"
