"""The page of several runs side by side, on the same test events."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.config.difference import DifferentValue, configuration_differences
from tamis.errors import RequestError
from tamis.evaluation.comparison import PairComparison, RunComparison, compare_runs
from tamis.evaluation.roc import RocCurve, roc_curves
from tamis.evaluation.same_events import in_one_mixture, same_events
from tamis.files import LONGER_WHILE_WRITTEN, write_text
from tamis.places import obstacle
from tamis.plots.book import svg_text
from tamis.plots.labels import class_styles
from tamis.random_streams import random_stream
from tamis.report import comparison_tables as tables
from tamis.report.blocks import Block, Finding, Findings, Light, Page, Picture, Section, Text, Tile, Tiles
from tamis.report.numbers import typeset, with_interval
from tamis.report.page import REPORT
from tamis.report.rendering import render
from tamis.report.vector import inline_text
from tamis.run_reading import FINISHED, FinishedRun, read_run, scored_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tamis.plots.comparison import LossCurve

COMPARISON = "comparison.html"
"""Name of the page where no other is given."""
_OTHER_LOSSES = ("training.loss", "weights.", "split.", "samples")
"""Places of a configuration that change what a validation loss is the mean of."""


def write_comparison(
    folders: Sequence[Path], path: Path = Path(COMPARISON), *, overwrite: bool = False
) -> RunComparison:
    """Compare the first run with each other one, and write the page.

    Args:
        folders: of at least two finished runs.
        path: the file; missing folders are made.
        overwrite: whether a file that is there may be replaced.

    Returns:
        The statistics, as the page shows them.

    Raises:
        RequestError: there are fewer than two runs, one is given twice, the file is there or cannot be made, or the
            test events of the runs are not the same.
        InputError: a folder is not that of a finished run, or one of its files was damaged or changed.
    """
    _check_folders(folders)
    _check_output(path, overwrite=overwrite)
    runs = [read_run(folder) for folder in folders]
    _check_not_of_a_run(path, runs)
    comparison = compare_runs(scored_runs(runs), random_stream(runs[0].config.seed, "comparison"))
    page = render(comparison_page(runs, comparison, path.absolute().parent))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    return comparison


def _check_folders(folders: Sequence[Path]) -> None:
    if len(folders) < 2:
        raise RequestError(
            f"a comparison needs at least two runs, found {len(folders)}; give the directories of two finished runs"
        )
    places = [folder.resolve() for folder in folders]
    twice = [str(folder) for folder, place in zip(folders, places, strict=True) if places.count(place) > 1]
    if twice:
        raise RequestError(f"a run is given twice: {', '.join(twice)}; give each once")


def _check_output(path: Path, *, overwrite: bool) -> None:
    reason = obstacle(path, longer=LONGER_WHILE_WRITTEN)
    if reason:
        raise RequestError(f"{path} cannot be made: {reason}; choose another with --output")
    if path.is_dir():
        raise RequestError(f"{path} is a folder; give the name of a file with --output")
    if path.suffix.lower() not in (".html", ".htm"):
        raise RequestError(f"{path} is to be a page; give a name that ends in .html with --output")
    if path.exists() and not overwrite:
        raise RequestError(f"{path} exists already; choose another name with --output, or use --overwrite")


def _check_not_of_a_run(path: Path, runs: Sequence[FinishedRun]) -> None:
    for run in runs:
        own = {run.folder.resolve() / name for name in (*run.provenance["outputs"], FINISHED, REPORT)}
        if path.resolve() in own:
            raise RequestError(f"{path} is a file of the run {run.folder}; choose another name with --output")


def comparison_page(runs: Sequence[FinishedRun], comparison: RunComparison, folder: Path) -> Page:
    """Put the page of several runs together.

    Args:
        runs: as they were read, in the order of the comparison.
        comparison: their statistics.
        folder: where the page will lie, for the links to the pages of the runs.
    """
    names = [run.name for run in comparison.runs]
    against = names[1] if len(names) == 2 else f"{len(names) - 1} others"
    sections = [Section(*given) for given in _sections(runs, comparison, names, folder)]
    footer = (
        "Every number of this page follows from the files of the runs, whose own reports and figures lie in their "
        "folders."
    )
    title = f"{names[0]} against {against}"
    shown = [section for section in sections if section.blocks]
    return Page(title, _lead(comparison, names), shown, footer, tag="comparison")


def _lead(comparison: RunComparison, names: Sequence[str]) -> str:
    return (
        f"{', '.join(names[:-1])} and {names[-1]} on the same {comparison.events:,} test events. Differences are "
        "paired: what is luck for all runs falls out of them. The networks are compared as they are; how much another "
        "seed would change them is not in the intervals."
    )


def _sections(
    runs: Sequence[FinishedRun], comparison: RunComparison, names: Sequence[str], folder: Path
) -> Iterator[tuple[str, str, tuple[Block, ...]]]:
    different = configuration_differences([run.config for run in runs])
    shown = runs[0].config.signal_names or comparison.class_names
    rejections = tables.rejections_table(runs, names, shown)
    findings = Findings(tuple(_findings(comparison, different)))
    yield "summary", "Summary", (Tiles(tuple(_tiles(comparison, shown))), findings)
    yield "differences", "Differences", (tables.differences_table(comparison),)
    performance = [tables.numbers_table(comparison), *([] if rejections is None else [rejections])]
    yield "performance", "Performance", (*performance, *_roc_pictures(runs, names, shown))
    training = (tables.training_table(runs, names), _loss_picture(runs, names, different))
    yield "training", "Training", training
    yield "configuration", "Configuration", (_configuration(different, names),)
    links = [_link(run, folder) for run in runs]
    yield "provenance", "Provenance", (tables.provenance_table(runs, names, links),)


def _tiles(comparison: RunComparison, shown: Sequence[str]) -> Iterator[Tile]:
    for run in comparison.runs:
        metrics, (interval, *_) = run.metrics["learned"], run.intervals["learned"]
        areas = dict(zip(comparison.class_names, run.metrics["physics"].auc, strict=True))
        found = [
            f"AUC of {name}\N{NO-BREAK SPACE}{area:.4f}"
            for name in shown
            if (area := areas[name]) is not None
        ]
        note = "; ".join(["loss in the learned mixture", *found])
        yield Tile(run.name, *with_interval(metrics.loss, interval), note)


def _findings(comparison: RunComparison, different: Sequence[DifferentValue]) -> Iterator[Finding]:
    for pair in comparison.pairs:
        yield Finding(_light(pair), f"{pair.second} against {pair.first}", typeset(pair.sentence))
    for note in comparison.notes:
        yield Finding("info", "Mixture of classes", note)
    places = [row.path for row in different]
    sentence = "The configurations are the same."
    if places:
        number = "one place" if len(places) == 1 else f"{len(places)} places"
        more = f" and {len(places) - 6} more" if len(places) > 6 else ""
        sentence = f"The configurations differ in {number}: {', '.join(places[:6])}{more}."
    yield Finding("info", "Configuration", sentence)


def _light(pair: PairComparison) -> Light:
    """Mark a run by how it does against the first one."""
    if pair.better is not None:
        return "good" if pair.better == pair.second else "bad"
    return "look" if any(each.significant for each in pair.differences) else "info"


def _roc_pictures(
    runs: Sequence[FinishedRun], names: Sequence[str], shown: Sequence[str]
) -> Iterator[Picture]:
    from tamis.plots.comparison import FEWEST_OF_RATIO, plot_rocs_of_runs, run_styles

    class_names = runs[0].class_names
    labels = [section.label for section in runs[0].config.classes.values()]
    texts = dict(zip(class_names, (style.text for style in class_styles(class_names, labels)), strict=True))
    for number, (name, curves) in enumerate(_curves(runs, shown).items(), start=1):
        figure = plot_rocs_of_runs(
            curves, runs=run_styles(names), title=f"{texts[name]} against all other classes"
        )
        sentence = (
            f"Score of {name} on the same test events, physics weights: the higher the rejection at a signal "
            f"efficiency, the better. Below, the rejections over those of {names[0]}: above one is better. The ratio "
            f"is drawn where at least about {FEWEST_OF_RATIO} background events are left; it has no errors, the "
            "verdict is in the table of differences."
        )
        yield _picture(f"roc_{number}", f"ROC curves of {name}", sentence, figure)


def _curves(runs: Sequence[FinishedRun], shown: Sequence[str]) -> dict[str, list[RocCurve]]:
    """Give the curves of each class for all runs, of the same scores that the statistics compare."""
    same, _ = in_one_mixture(same_events(scored_runs(runs)))
    found: dict[str, list[RocCurve]] = {name: [] for name in shown}
    for run in same:
        events = run.events
        curves = roc_curves(events.scores, events.class_index, events.weight)
        for name, curve in zip(run.class_names, curves, strict=True):
            if name in found and curve is not None:
                found[name].append(curve)
    return {name: curves for name, curves in found.items() if curves}


def _loss_picture(
    runs: Sequence[FinishedRun], names: Sequence[str], different: Sequence[DifferentValue]
) -> Picture:
    from tamis.plots.comparison import plot_losses_of_runs, run_styles

    figure = plot_losses_of_runs([_losses(run.history) for run in runs], runs=run_styles(names))
    sentence = "Loss of the validation events by epoch; the circle is the epoch whose weights are kept."
    other = [row.path for row in different if row.path.startswith(_OTHER_LOSSES)]
    if other:
        sentence += (
            f" The runs differ in {', '.join(other)}: these losses are not of one kind and say only how each training "
            "went."
        )
    return _picture("losses", "Training curves", sentence, figure)


def _losses(history: Mapping[str, Any]) -> list[LossCurve]:
    from tamis.plots.comparison import LossCurve

    return [
        LossCurve(
            tuple(epoch["number"] for epoch in each["epochs"]),
            tuple(epoch["validation_loss"] for epoch in each["epochs"]),
            each["best"],
        )
        for each in history.get("members", [history])
    ]


def _picture(name: str, title: str, sentence: str, figure: Figure) -> Picture:
    return Picture(name, title, sentence, inline_text(svg_text(figure), f"{name}-", title).svg)


def _configuration(different: Sequence[DifferentValue], names: Sequence[str]) -> Block:
    if not different:
        return Text("The configurations are the same, defaults included.")
    return tables.configuration_table(different, names)


def _link(run: FinishedRun, folder: Path) -> str:
    """Give the way from the folder to the page of a run; nothing where it has none."""
    page = run.folder.resolve() / REPORT
    if not page.is_file():
        return ""
    return Path(os.path.relpath(page, folder.resolve())).as_posix()
