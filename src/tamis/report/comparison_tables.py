"""The tables of a comparison: what each run reaches, and by how much it differs from the first one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tamis.config.difference import DifferentValue
from tamis.evaluation.comparison import LEVEL, MIXTURES, Difference, RunComparison, RunNumbers
from tamis.report.blocks import Cell, Light, Table
from tamis.report.epochs import kept_epochs
from tamis.report.numbers import CHANCE, cell, count, p_value, short
from tamis.report.tables import rejection_cell
from tamis.run_reading import FinishedRun

_NOTHING = "\N{EN DASH}"


def numbers_table(comparison: RunComparison) -> Table:
    """Loss, accuracy and areas under the curve of every run, in both mixtures."""
    rows = tuple(
        (Cell(run.name, float(number)), Cell(mixture), *_numbers(run, mixture))
        for number, run in enumerate(comparison.runs)
        for mixture in MIXTURES
    )
    columns = ("run", "mixture", "loss", "accuracy", *(f"AUC {name}" for name in comparison.class_names))
    caption = (
        f"On the same test events. Physics: signed physics weights. Learned: times the training factors of "
        f"{comparison.runs[0].name}. Below each number stands its 68.3% interval; intervals of several runs "
        "overlap because of events that are common to all, so differences are judged in the table above."
    )
    return Table(columns, rows, caption, numeric=2)


def _numbers(run: RunNumbers, mixture: str) -> Iterator[Cell]:
    metrics = run.metrics[mixture]
    values = (metrics.loss, metrics.accuracy, *metrics.auc)
    for value, interval in zip(values, run.intervals[mixture], strict=True):
        yield cell(value, interval)


def differences_table(comparison: RunComparison) -> Table:
    """Every difference to the first run, with the probability that it is chance."""
    several = len(comparison.pairs) > 1
    rows = tuple(
        (
            *((Cell(pair.second, float(number)),) if several else ()),
            Cell(_quantity(each)),
            Cell(each.mixture),
            _plain(each.first, each),
            _plain(each.second, each),
            cell(each.difference, each.interval, signed=True),
            _probability(each.p_value, pair.bootstraps),
            _corrected(each, pair.bootstraps),
        )
        for number, pair in enumerate(comparison.pairs)
        for each in pair.differences
    )
    first = comparison.runs[0].name
    own = "its own" if several else comparison.runs[1].name
    words = ("quantity", "mixture", first, own, "difference", "p", "p, corrected")
    caption = (
        f"Differences to {first} with their 68.3% intervals from {comparison.pairs[0].bootstraps} bootstrap samples, "
        "which draw every event equally often for all runs. The corrected p-value is the probability that any of the "
        f"{comparison.pairs[0].compared} differences deviates as much by chance; up to {LEVEL:g} it is marked: a tick "
        f"where the run is better than the first, a cross where it is worse. {CHANCE}"
    )
    return Table(("run", *words) if several else words, rows, caption, numeric=3 if several else 2)


def _quantity(difference: Difference) -> str:
    return f"AUC of {difference.class_name}" if difference.quantity == "auc" else difference.quantity


def _plain(value: float, difference: Difference) -> Cell:
    """Write a value with the digits that its difference supports."""
    return Cell(cell(value, difference.interval).text, value)


def _probability(value: float, bootstraps: int) -> Cell:
    least = 1 / (bootstraps + 1)
    text = f"\N{LESS-THAN OR EQUAL TO} {least:.2g}" if value <= least else p_value(value).text
    return Cell(text, value)


def _corrected(difference: Difference, bootstraps: int) -> Cell:
    light: Light | None = ("good" if difference.gain > 0 else "bad") if difference.significant else None
    return Cell(_probability(difference.corrected, bootstraps).text, difference.corrected, light)


def rejections_table(
    runs: Sequence[FinishedRun], names: Sequence[str], classes: Sequence[str]
) -> Table | None:
    """Background rejections at the working points, as each run quotes them.

    Args:
        runs: as they were read.
        names: what they are called.
        classes: whose scores are cut on.
    """
    found = [
        {
            (name, point["target"]): point
            for name in classes
            for point in run.metrics["working_points"].get(name) or ()
        }
        for run in runs
    ]
    wanted = sorted(
        {key for of_run in found for key in of_run}, key=lambda key: (classes.index(key[0]), key[1])
    )
    if not wanted:
        return None
    rows = tuple(
        (Cell(name, float(number)), *(_rejection(of_run.get(key)) for key in wanted))
        for number, (name, of_run) in enumerate(zip(names, found, strict=True))
    )
    columns = ("run", *(f"{name} at {100 * target:g}%" for name, target in wanted))
    caption = (
        "Background rejection, one over the efficiency for all other classes, where the score of the class keeps the "
        "given part of it; with physics weights and 68.3% bootstrap intervals, from the metrics of each run."
    )
    return Table(columns, rows, caption)


def _rejection(point: Mapping[str, Any] | None) -> Cell:
    return Cell(_NOTHING) if point is None else rejection_cell(point)


def training_table(runs: Sequence[FinishedRun], names: Sequence[str]) -> Table:
    """What each training was, and whether it is overtrained."""
    rows = tuple(
        (
            Cell(name, float(number)),
            count(run.metrics["network"]["parameters"]),
            count(run.metrics["network"]["networks"]),
            Cell(
                kept_epochs(run.history),
                float(run.metrics["history"]["best_epoch"]),
            ),
            count(run.provenance["parts"]["training"]),
            _overtraining(run.metrics["overtraining"]["verdict"]),
        )
        for number, (name, run) in enumerate(zip(names, runs, strict=True))
    )
    columns = ("run", "parameters", "networks", "epoch kept", "training events", "overtrained")
    caption = "Parameters are those of one network; with several networks the epochs are those of each."
    return Table(columns, rows, caption)


def _overtraining(verdict: Mapping[str, Any] | None) -> Cell:
    if verdict is None:
        return Cell("not judged", light="info")
    return Cell("yes", light="bad") if verdict["overtrained"] else Cell("no sign", light="good")


def configuration_table(rows: Sequence[DifferentValue], names: Sequence[str]) -> Table:
    """Every place where the configurations differ."""
    cells = tuple((Cell(row.path), *(Cell(value or _NOTHING) for value in row.values)) for row in rows)
    caption = "Defaults included; what is not in this table is the same for all."
    return Table(("place", *names), cells, caption, numeric=len(names) + 1, wraps=True)


def provenance_table(runs: Sequence[FinishedRun], names: Sequence[str], links: Sequence[str]) -> Table:
    """Where each run came from.

    Args:
        runs: as they were read.
        names: what they are called.
        links: where the page of each is, seen from this page; empty where there is none.
    """
    rows = tuple(
        (
            Cell(name, float(number), link=link),
            Cell(run.provenance["finished"].replace("T", " ").removesuffix("+00:00")),
            Cell(run.provenance["packages"]["tamis"]),
            Cell(run.provenance["device"]),
            short(run.metrics["timing"]["train_seconds"], 3),
            Cell(run.provenance["system"]),
            Cell(str(run.provenance["seed"])),
            Cell(run.provenance["command"]),
        )
        for number, (name, run, link) in enumerate(zip(names, runs, links, strict=True))
    )
    columns = ("run", "finished (UTC)", "tamis", "device", "training [s]", "system", "seed", "command")
    caption = (
        "The name of a run leads to its own report, as long as this page and the run stay where they are."
    )
    return Table(columns, rows, caption, numeric=len(columns), wraps=True)
