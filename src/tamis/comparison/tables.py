"""The tables of a comparison: the numbers of each run, and their differences to the first run."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from tamis import studies
from tamis.blocks import Cell, Light, Table
from tamis.blocks.numbers import CHANCE, NOTHING, cell, count, metric, p_value, short
from tamis.comparison.result import LEVEL, WEIGHTINGS, Difference, PairComparison, RunComparison
from tamis.config.difference import DifferentValue
from tamis.pipeline.run import Run
from tamis.report.epochs import format_best_epochs


def build_numbers_table(comparison: RunComparison) -> Table:
    """Build the table of loss, accuracy and AUC of every run, with physics and with balanced weights."""
    rows = []
    for number, run in enumerate(comparison.runs):
        for weighting in WEIGHTINGS:
            metrics = run.metrics[weighting]
            values = (metrics.loss, metrics.accuracy, *metrics.auc)
            cells = map(metric, values, run.intervals[weighting])
            rows.append((Cell(run.name, float(number)), Cell(weighting), *cells))
    columns = ("run", "weights", "loss", "accuracy", *(f"AUC {name}" for name in comparison.class_names))
    caption = (
        f"On the same test events. Physics: signed physics weights. Balanced: times the class weights of "
        f"{comparison.runs[0].name}. The 68.3% interval is below each number. The intervals of the runs are "
        "correlated, because the events are the same: use the table of differences to judge whether runs differ."
    )
    return Table(columns, tuple(rows), caption, numeric=2)


def build_differences_table(comparison: RunComparison) -> Table:
    """Build the table of all differences to the first run, with their p-values."""
    several = len(comparison.pairs) > 1
    rows = tuple(
        (
            *((Cell(pair.second, float(number)),) if several else ()),
            Cell(difference.quantity_name),
            Cell(difference.weighting),
            metric(difference.first),
            metric(difference.second),
            cell(difference.difference, difference.interval, signed=True),
            p_value(difference.p_value, smallest=pair.smallest_p_value),
            _corrected_p_value(difference, pair),
        )
        for number, pair in enumerate(comparison.pairs)
        for difference in pair.differences
    )
    first = comparison.runs[0].name
    second = "this run" if several else comparison.runs[1].name
    headings = ("quantity", "weights", first, second, "difference", "p", "p, corrected")
    caption = (
        f"Differences to {first} with intervals from {comparison.pairs[0].bootstraps:,} bootstrap samples, "
        "the same for all runs. The corrected p-value is the probability that any of the "
        f"{comparison.pairs[0].compared:,} differences deviates as much by chance. Differences with a corrected "
        f"p-value of at most {LEVEL:g} are marked: a tick if the run is better than the first, a cross if it is "
        f"worse. {CHANCE}"
    )
    return Table(("run", *headings) if several else headings, rows, caption, numeric=3 if several else 2)


def _corrected_p_value(difference: Difference, pair: PairComparison) -> Cell:
    light: Light | None = ("good" if difference.gain > 0 else "bad") if difference.significant else None
    text = p_value(difference.corrected_p_value, smallest=pair.smallest_p_value).text
    return Cell(text, difference.corrected_p_value, light)


def build_studies_table(runs: Sequence[Run], names: Sequence[str]) -> Table:
    """Build the table of the quantities that studies compare, with a column for each run."""
    results_of_runs = [
        {study.name: study.comparison(result) for study, result in studies.defined_results(run.results)}
        for run in runs
    ]
    rows = []
    for number, study in enumerate(studies.STUDIES):
        cells_of_runs = [results.get(study.name, {}) for results in results_of_runs]
        for quantity in dict.fromkeys(quantity for cells in cells_of_runs for quantity in cells):
            cells = (cells.get(quantity, Cell(NOTHING)) for cells in cells_of_runs)
            rows.append((Cell(study.title, float(number)), Cell(quantity), *cells))
    caption = (
        "Test events of each run, as in its report, which has the definitions. Intervals have a coverage of 68.3%. "
        "They are not paired: use the table of differences to judge whether runs differ."
    )
    return Table(("study", "quantity", *names), tuple(rows), caption, numeric=2)


def build_training_table(runs: Sequence[Run], names: Sequence[str]) -> Table:
    """Build the table of the networks and their trainings."""
    rows = tuple(
        (
            Cell(name, float(number)),
            count(run.metrics["network"]["parameters"]),
            count(run.metrics["network"]["networks"]),
            Cell(
                format_best_epochs(run.history),
                fmean(member["best_epoch"] for member in run.metrics["history"]),
            ),
            count(run.provenance["splits"]["training"]),
        )
        for number, (name, run) in enumerate(zip(names, runs, strict=True))
    )
    columns = ("run", "parameters", "networks", "best epoch", "training events")
    caption = "The number of parameters is that of one network. With several networks the best epoch of each is listed."
    return Table(columns, rows, caption)


def build_configuration_table(differences: Sequence[DifferentValue], names: Sequence[str]) -> Table:
    """Build the table of the configuration keys whose values differ."""
    rows = tuple(
        (Cell(difference.path), *(Cell(value or NOTHING) for value in difference.values))
        for difference in differences
    )
    caption = "Including defaults. All keys that are not in this table are the same for all runs."
    return Table(("key", *names), rows, caption, numeric=len(names) + 1, wraps=True)


def build_provenance_table(runs: Sequence[Run], names: Sequence[str], links: Sequence[str]) -> Table:
    """Build the table of the provenance of each run; the link to its report is empty if it has none."""
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
    caption = "The name of a run links to its report, as long as this page and the run are not moved."
    return Table(columns, rows, caption, numeric=len(columns), wraps=True)
