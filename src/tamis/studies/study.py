"""The type of every study: how a question is computed, plotted, reported and summarised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tamis.blocks import Block, Caption, Cell, Finding, Tile
from tamis.studies.context import Context

if TYPE_CHECKING:
    from tamis.figure_data import FigureData, Labels
    from tamis.plots.book import Drawing
    from tamis.plots.labels import FigureLabels

Result = TypeVar("Result")


@dataclass(frozen=True)
class Undefined:
    """The result of a study that cannot be computed for these events: the reason follows "because"."""

    reason: str


@dataclass(frozen=True)
class Study(Generic[Result]):
    """One question that a reviewer asks of a classifier, from the events to the page.

    The result is a frozen dataclass that `tamis.records` writes to `results/<name>.json` and reads back equal. It
    contains all numbers of the figures and the section, so that they can be made again without the events.

    Args:
        name: of the result's file and of the link to the section.
        compute: computes the result from the scored events; None if the question does not arise.
        takes_long: whether to start it before the other studies, so that it does not finish long after them.
        extend: adds numbers that require training networks again, on all cores; called when all studies have
            been computed. By default it returns the result unchanged.
        keys: returns the type and the description of each key of `metrics.json` that the study writes. In the source of
            a key, the name of the study stands for the object that `metrics` returns.
        metrics: returns the object that the keys are read from; by default the result.
        figures: returns the figures; nothing by default.
        captions: of the figures.
        data: returns the numbers that the figures show, as tables, with the labels of features and spectators.
        section: returns the blocks of the section, without its figures.
        tiles: returns the headline numbers at the top of the report.
        findings: returns the sentences at the top of the report, each with its traffic light.
        summary: returns lines for the terminal.
        comparison: returns the cells that `tamis compare` shows for each run, by the name of the quantity.
    """

    name: str
    title: str
    result: type[Result]
    compute: Callable[[Context], Result | Undefined | None]
    keys: Callable[[], Mapping[str, tuple[Any, Any]]]
    section: Callable[[Result], Iterable[Block]]
    metrics: Callable[[Result], Any] = lambda result: result
    takes_long: bool = False
    extend: Callable[[Context, Result], Result] = lambda _context, result: result
    figures: Callable[[Result, FigureLabels], Iterable[Drawing]] = lambda _result, _labels: ()
    captions: tuple[Caption, ...] = ()
    data: Callable[[Result, Labels], Iterable[FigureData]] = lambda _result, _labels: ()
    tiles: Callable[[Result], Iterable[Tile]] = lambda _result: ()
    findings: Callable[[Result], Iterable[Finding]] = lambda _result: ()
    summary: Callable[[Result], Iterable[str]] = lambda _result: ()
    comparison: Callable[[Result], Mapping[str, Cell]] = lambda _result: {}


def import_figures(module: str) -> Callable[[Any, FigureLabels], Iterable[Drawing]]:
    """Return the function `figures` of a module that is imported when the function is first called.

    Importing matplotlib takes longer than computing some studies, and most commands draw nothing.
    """

    def figures(result: Any, labels: FigureLabels) -> Iterable[Drawing]:
        drawings: Iterable[Drawing] = import_module(module).figures(result, labels)
        return drawings

    return figures


def import_keys(module: str) -> Callable[[], Mapping[str, tuple[Any, Any]]]:
    """Return a function that returns `KEYS` of a module, imported at the first call; pydantic is slow to import."""
    return lambda: import_module(module).KEYS
