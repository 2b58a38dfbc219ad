"""The page of several runs side by side, on the same test events: the command `tamis compare`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tamis.blocks import Block, Finding, Findings, Light, Page, PageSection, Picture, Text, Tile, Tiles
from tamis.blocks.numbers import metric, typeset
from tamis.comparison import tables
from tamis.comparison.compute import compare_runs
from tamis.comparison.events import ScoredRun, collect_scored_runs
from tamis.comparison.figures import (
    FEWEST_OF_RATIO,
    LossCurve,
    choose_run_styles,
    plot_losses_of_runs,
    plot_rocs_of_runs,
)
from tamis.comparison.result import PairComparison, RunComparison
from tamis.config import Config
from tamis.config.difference import DifferentValue, configuration_differences
from tamis.errors import RequestError
from tamis.files import write_text
from tamis.paths import check_writable, to_path, to_patterns
from tamis.pipeline.run import Run
from tamis.plots.book import svg_text
from tamis.plots.labels import class_styles
from tamis.random_streams import random_stream
from tamis.report.page import explain_labels
from tamis.report.rendering import render
from tamis.report.vector import inline_text
from tamis.runs.layout import REPORT
from tamis.runs.read import read_run
from tamis.statistics.roc import RocCurve, compute_roc_curves
from tamis.wording import counted, join_first, name_interval

_CHANGE_THE_LOSS = ("training.loss", "weights.", "split.", "samples")
"""Beginnings of the configuration keys that change the definition of the validation loss."""
_LISTED_KEYS = 6


def build_comparison_page(runs: Sequence[Run], comparison: RunComparison, folder: Path) -> Page:
    """Build the page of several runs, with links to their reports that are relative to the folder of the page."""
    names = [run.name for run in comparison.runs]
    against = names[1] if len(names) == 2 else f"{len(names) - 1} others"
    lead = (
        f"{', '.join(names[:-1])} and {names[-1]} on the same {comparison.events:,} test events. Differences are "
        "paired: statistical fluctuations that are common to all runs cancel. The intervals do not include how much "
        "another seed would change the networks."
        f"{explain_labels(runs[0].config)}"
    )
    footer = (
        "All numbers on this page are computed from the files of the runs. Each run has its own report and figures in "
        "its folder."
    )
    sections = list(_sections(runs, comparison, names, folder))
    return Page(f"{names[0]} against {against}", lead, sections, footer, tag="comparison")


def _sections(
    runs: Sequence[Run], comparison: RunComparison, names: Sequence[str], folder: Path
) -> Iterator[PageSection]:
    differences = configuration_differences([run.config for run in runs])
    classes = runs[0].config.signal_names or comparison.class_names
    summary = (
        Tiles(tuple(_tiles(comparison, classes))),
        Findings(tuple(_findings(comparison, differences))),
    )
    yield PageSection("summary", "Summary", summary)
    yield PageSection("differences", "Differences", (tables.build_differences_table(comparison),))
    roc_pictures = _roc_pictures(runs[0].config, comparison, classes)
    yield PageSection("performance", "Performance", (tables.build_numbers_table(comparison), *roc_pictures))
    studies_table = tables.build_studies_table(runs, names)
    if studies_table.rows:
        yield PageSection("studies", "Studies", (studies_table,))
    training = (tables.build_training_table(runs, names), _loss_picture(runs, names, differences))
    yield PageSection("training", "Training", training)
    configuration: Block = Text("The configurations are the same, defaults included.")
    if differences:
        configuration = tables.build_configuration_table(differences, names)
    yield PageSection("configuration", "Configuration", (configuration,))
    links = [_link_to_report(run, folder) for run in runs]
    yield PageSection("provenance", "Provenance", (tables.build_provenance_table(runs, names, links),))


def _tiles(comparison: RunComparison, classes: Sequence[str]) -> Iterator[Tile]:
    for run in comparison.runs:
        metrics, (interval, *_) = run.metrics["balanced"], run.intervals["balanced"]
        areas = zip(run.metrics["physics"].auc, run.intervals["physics"][2:], strict=True)
        areas_of_classes = dict(zip(comparison.class_names, areas, strict=True))
        notes = [
            f"AUC of {name}\N{NO-BREAK SPACE}{metric(*areas_of_classes[name]).text}"
            for name in classes
            if areas_of_classes[name][0] is not None
        ]
        note = "; ".join(["loss with balanced weights", *notes])
        loss = metric(metrics.loss, interval)
        yield Tile(run.name, loss.text, name_interval(loss.note), note)


def _findings(comparison: RunComparison, differences: Sequence[DifferentValue]) -> Iterator[Finding]:
    for pair in comparison.pairs:
        yield Finding(_choose_light(pair), f"{pair.second} against {pair.first}", typeset(pair.sentence))
    for note in comparison.notes:
        yield Finding("info", "Class weights", note)
    sentence = "The configurations are the same."
    if differences:
        keys = join_first([difference.path for difference in differences], _LISTED_KEYS)
        sentence = f"The configurations differ in {counted(len(differences), 'key')}: {keys}."
    yield Finding("info", "Configuration", sentence)


def _choose_light(pair: PairComparison) -> Light:
    if pair.better is not None:
        return "good" if pair.better == pair.second else "bad"
    return "look" if pair.significant else "info"


def _roc_pictures(config: Config, comparison: RunComparison, classes: Sequence[str]) -> Iterator[Picture]:
    styles = dict(zip(config.class_names, class_styles(config.class_names, config.class_labels), strict=True))
    names = [run.name for run in comparison.runs]
    for number, (name, curves) in enumerate(_roc_curves(comparison.aligned_runs, classes).items(), start=1):
        title = f"{styles[name].text} against all other classes"
        figure = plot_rocs_of_runs(curves, runs=choose_run_styles(names), title=title)
        sentence = (
            f"Score of {name} on the same test events with physics weights: the higher the rejection at a given signal "
            f"efficiency, the better. The lower panel shows the ratio to {names[0]}; above one is better. It has no "
            f"errors, and ends where fewer than about {FEWEST_OF_RATIO} background events pass: the table of "
            "differences shows whether a difference is significant."
        )
        yield _picture(f"roc_{number}", f"ROC curves of {name}", sentence, figure)


def _roc_curves(aligned_runs: Sequence[ScoredRun], classes: Sequence[str]) -> dict[str, list[RocCurve]]:
    """Compute the ROC curves of each class for all runs."""
    curves_by_class: dict[str, list[RocCurve]] = {name: [] for name in classes}
    for run in aligned_runs:
        curves = compute_roc_curves(run.events.scores, run.events.class_index, run.events.weight)
        for name, curve in zip(run.class_names, curves, strict=True):
            if name in curves_by_class and curve is not None:
                curves_by_class[name].append(curve)
    return {name: curves for name, curves in curves_by_class.items() if curves}


def _loss_picture(
    runs: Sequence[Run], names: Sequence[str], differences: Sequence[DifferentValue]
) -> Picture:
    curves = [
        [
            LossCurve(
                tuple(epoch["number"] for epoch in member["epochs"]),
                tuple(epoch["validation_loss"] for epoch in member["epochs"]),
                member["best_epoch"],
            )
            for member in run.history["members"]
        ]
        for run in runs
    ]
    figure = plot_losses_of_runs(curves, runs=choose_run_styles(names))
    sentence = "Loss of the validation events by epoch. The circle marks the epoch whose weights are used."
    keys = [difference.path for difference in differences if difference.path.startswith(_CHANGE_THE_LOSS)]
    if keys:
        sentence += (
            f" The runs differ in {', '.join(keys)}, so their losses cannot be compared with each other: each shows "
            "only how its own training went."
        )
    return _picture("losses", "Training curves", sentence, figure)


def _picture(name: str, title: str, sentence: str, figure: Figure) -> Picture:
    return Picture(name, title, sentence, inline_text(svg_text(figure), f"{name}-", title).svg)


def _link_to_report(run: Run, folder: Path) -> str:
    """Return the relative path to the report of a run; an empty text if it has none."""
    report = run.folder.resolve() / REPORT
    return Path(os.path.relpath(report, folder.resolve())).as_posix() if report.is_file() else ""


def write_comparison(
    folders: Sequence[Path | str], path: Path | str = "comparison.html", *, overwrite: bool = False
) -> RunComparison:
    """Compare the first run with each of the others, and write the page.

    Args:
        folders: directories of at least two finished runs.
        path: of the page; missing folders are created.
        overwrite: whether an existing file may be replaced.

    Returns:
        The statistics that the page shows.

    Raises:
        RequestError: there are fewer than two runs, a run is given twice, the page exists or cannot be written, or the
            test events of the runs are not the same.
        InputError: a folder is not a run directory, or one of its files was damaged or changed.
    """
    paths = [Path(folder) for folder in to_patterns(folders, "write_comparison")]
    path = to_path(path, "write_comparison")
    _check_folders(paths)
    _check_output(path, overwrite=overwrite)
    runs = [read_run(folder) for folder in paths]
    comparison = compare_runs(collect_scored_runs(runs), random_stream(runs[0].config.seed, "comparison"))
    page = render(build_comparison_page(runs, comparison, path.absolute().parent))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    return comparison


def _check_folders(folders: Sequence[Path]) -> None:
    if len(folders) < 2:
        raise RequestError(
            f"a comparison needs at least two runs, found {len(folders)}; give the directories of two finished runs"
        )
    resolved = [folder.resolve() for folder in folders]
    repeated = [str(folder) for folder in folders if resolved.count(folder.resolve()) > 1]
    if repeated:
        raise RequestError(f"a run is given twice: {', '.join(repeated)}; give each run once")


def _check_output(path: Path, *, overwrite: bool) -> None:
    check_writable(path, "choose another file with --output")
    if path.is_dir():
        raise RequestError(f"{path} is a folder; give the name of a file with --output")
    if path.suffix.lower() not in (".html", ".htm"):
        raise RequestError(f"{path} does not end in .html; give the name of a page with --output")
    if path.exists() and not overwrite:
        raise RequestError(f"{path} exists already; choose another name with --output, or use --overwrite")
