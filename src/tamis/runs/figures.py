"""Draw the figures of a run from its results and its history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tamis.config import Config
from tamis.config.events import Variable
from tamis.data.ensemble import name_members
from tamis.errors import RequestError, TamisError
from tamis.figure_data import ColumnLabel, FigureData, write_figure_data
from tamis.paths import check_writable
from tamis.pipeline.run import Run, check_run
from tamis.plots.book import BOOK, Chapter, Drawing, check_names, draw_chapter, write_chapters
from tamis.plots.experiment import ExperimentLabel
from tamis.plots.history import plot_history
from tamis.plots.labels import FigureLabels, axis_label, class_styles
from tamis.studies import defined_results
from tamis.training.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Figures of a chapter. A chapter embeds fonts, which takes a tenth of a second, but few chapters leave processes idle.
_LARGE_FIGURES = 2
_FIGURES = 6


def plot_run(run: Run) -> dict[str, Figure]:
    """Plot every figure of a run.

    Args:
        run: from `tamis.train`, `tamis.run` or `tamis.read_run`.

    Returns:
        Figures by name, in the order of the book.

    Raises:
        RequestError: the argument is not a run.
    """
    check_run(run, "plot_run")
    return {drawing.name: drawing.draw() for chapter in chapters_of(run) for drawing in chapter}


def chapters_of(run: Run) -> list[tuple[Drawing, ...]]:
    """Return the drawings of a run in chapters, in the order of the book; one process draws a chapter.

    The drawings hold histograms and curves, not events: they have a few megabytes and can be sent to other processes.
    """
    labels = _figure_labels(run.config)
    studies = [
        drawing for study, result in defined_results(run.results) for drawing in study.figures(result, labels)
    ]
    drawings = [*_draw_histories(run), *studies]
    check_names(drawings)
    chapters = []
    for large, size in ((True, _LARGE_FIGURES), (False, _FIGURES)):  # large ones take longest and are first
        figures = [drawing for drawing in drawings if drawing.large == large]
        chapters += [tuple(figures[first : first + size]) for first in range(0, len(figures), size)]
    return chapters


def _draw_histories(run: Run) -> list[Drawing]:
    members = run.history["members"]
    names = name_members([member["fold"] for member in members])
    return [
        Drawing(
            "_".join(["history", *name.replace(",", "").split()]),
            plot_history,
            {"history": History.from_dict(member)},
        )
        for name, member in zip(names, members, strict=True)
    ]


def _figure_labels(config: Config) -> FigureLabels:
    def axes(columns: Sequence[Variable]) -> dict[str, str]:
        return {column.name: axis_label(column.name, column.label, column.unit) for column in columns}

    return FigureLabels(
        class_styles(config.class_names, config.class_labels),
        features={column.name: axis_label(column.name, column.label) for column in config.features},
        feature_axes=axes(config.features),
        spectators=axes(config.spectators),
    )


def begin_figures(
    run: Run,
    executor: Executor | None = None,
    *,
    formats: Collection[str] = ("svg",),
    label: ExperimentLabel | None = None,
) -> list[Callable[[], Chapter]]:
    """Submit the figures of a run to an executor, and return a function for each chapter, which waits for it.

    Without an executor, a chapter is drawn when its function is called.
    """
    chapters = chapters_of(run)
    if executor is None:
        return [partial(draw_chapter, chapter, formats, label) for chapter in chapters]
    return [executor.submit(draw_chapter, chapter, formats, label).result for chapter in chapters]


def finish_figures(
    chapters: Sequence[Callable[[], Chapter]],
    folder: Path,
    *,
    formats: Collection[str] = ("svg",),
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Path, ...]:
    """Wait for the figures from `begin_figures`, and write the files; a `TamisError` if a process was killed."""
    drawn = []
    try:
        for chapter in chapters:
            drawn.append(chapter())
            progress(len(drawn), len(chapters))
    except BrokenExecutor as error:
        raise TamisError(
            "a process that draws figures was killed, perhaps for lack of memory; run the same command again, with "
            "more memory or without figures (report.figures: false)"
        ) from error
    return write_chapters(drawn, folder, formats)


def write_figures(
    run: Run,
    folder: Path,
    *,
    formats: Collection[str] = ("svg",),
    label: ExperimentLabel | None = None,
    data: bool = False,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Draw the figures of a run again into another folder, with a label, in `pdf` or `png` in addition to SVG.

    With `data` the numbers in the figures are written too, as CSV and as tables for HEPData. The folder must be empty,
    unless its files are replaced (`overwrite`).

    Raises:
        RequestError: the folder is inside a run directory, is not empty, or cannot be written.
    """
    check_writable(folder / BOOK, "choose another folder (--output)", name=folder)
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise RequestError(
            f"{folder} is not empty; choose another folder, or replace its files (--overwrite)"
        )
    files = finish_figures(begin_figures(run, formats=formats, label=label), folder, formats=formats)
    if data:
        tables = tables_of(run)
        comment = f"The figures of the classifier {run.config.name}."
        files += write_figure_data(tables, folder, comment=comment)
    return files


def tables_of(run: Run) -> Iterator[FigureData]:
    """Return the numbers that the figures show, with the labels and units of the configuration."""
    labels = {
        column.name: ColumnLabel(column.label or "", column.unit or "")
        for column in (*run.config.features, *run.config.spectators)
    }
    for study, result in defined_results(run.results):
        yield from study.data(result, labels)
