"""The scored test events of runs, in the same order and with the same class weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamis.errors import Problem, ProblemsError, RequestError
from tamis.pipeline.run import Run
from tamis.statistics.scaling import convert_class_weights
from tamis.statistics.scored import ScoredEvents

_ROUNDING = 1e-9
"""Relative difference up to which two weights are the same."""


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """A run to compare: its test events with their IDs, and a name that differs for each run."""

    name: str
    class_names: tuple[str, ...]
    events: ScoredEvents


def collect_scored_runs(runs: Sequence[Run]) -> tuple[ScoredRun, ...]:
    """Return the scored test events of runs that were read from different directories, or raise a `RequestError`."""
    names = distinct_names([run.folder for run in runs])
    return tuple(ScoredRun(name, run.class_names, run.scores) for name, run in zip(names, runs, strict=True))


def distinct_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the last part of the path of each folder, with as many parts before it as make the names differ.

    Raises:
        RequestError: a folder is given twice.

    >>> distinct_names([Path("/runs/old/demo"), Path("/runs/new/demo")])
    ('old/demo', 'new/demo')
    """
    for parts in range(1, max((len(folder.parts) for folder in folders), default=1) + 1):
        names = tuple("/".join(folder.parts[-parts:]) for folder in folders)
        if len(set(names)) == len(names):
            return names
    raise RequestError(f"a run is given twice: {', '.join(map(str, folders))}; give each run once")


def align_events(runs: Sequence[ScoredRun]) -> tuple[ScoredRun, ...]:
    """Sort the test events of each run by event ID, class and weight, and the classes as in the first run.

    Events with the same ID, class and weight keep their order. Reference and spectators are dropped. A `RequestError`
    lists the differences of each run from the first.
    """
    first = _sort_events(runs[0], runs[0].class_names)
    sorted_runs, problems = [first], []
    for run in runs[1:]:
        if sorted(run.class_names) != sorted(first.class_names):
            message = f"its classes are {', '.join(run.class_names)}, not {', '.join(first.class_names)}"
        else:
            sorted_runs.append(_sort_events(run, first.class_names))
            message = _describe_difference(sorted_runs[-1], first)
        if message:
            problems.append(Problem(run.name, message))
    if problems:
        raise ProblemsError(f"these runs cannot be compared with {first.name}", problems)
    return tuple(sorted_runs)


def _event_ids(run: ScoredRun) -> NDArray[np.uint64]:
    if run.events.event_id is None:
        raise RequestError(f"{run.name}: its events have no IDs, so they cannot be compared")
    return run.events.event_id


def _sort_events(run: ScoredRun, class_names: tuple[str, ...]) -> ScoredRun:
    columns = [run.class_names.index(name) for name in class_names]
    events, event_id = run.events, _event_ids(run)
    class_index = np.argsort(columns).astype(np.int32)[events.class_index]
    order = np.lexsort((events.weight, class_index, event_id))
    sorted_events = ScoredEvents(
        scores=events.scores[order][:, columns],
        class_index=class_index[order],
        weight=events.weight[order],
        class_weight=events.class_weight[order],
        event_id=event_id[order],
    )
    return ScoredRun(run.name, class_names, sorted_events)


def _describe_difference(run: ScoredRun, first: ScoredRun) -> str:
    """Describe how sorted events differ from those of the first run: return an empty text if they do not."""
    first_ids, ids = _event_ids(first), _event_ids(run)
    total = f"{len(ids):,}"
    if not np.array_equal(first_ids, ids):
        return (
            f"it has other test events: {_count_missing(first_ids, ids):,} of the {len(first_ids):,} of {first.name} "
            f"are not among its {total}, and {_count_missing(ids, first_ids):,} of its events are not in {first.name}; "
            "train both on the same files with the same selection and split"
        )
    n_classes = np.count_nonzero(run.events.class_index != first.events.class_index)
    if n_classes:
        return (
            f"{n_classes:,} of the {total} test events have another class; give the samples the same classes"
        )
    tolerance = _ROUNDING * np.abs(first.events.weight)
    n_weights = np.count_nonzero(np.abs(run.events.weight - first.events.weight) > tolerance)
    if n_weights:
        return (
            f"{n_weights:,} of the {total} test events have another weight; give the samples the same weights "
            "(the class weights may differ)"
        )
    return ""


def _count_missing(required_ids: NDArray[np.uint64], ids: NDArray[np.uint64]) -> int:
    """Count the IDs that a sorted list lacks; an ID that is required twice must be in it twice."""
    values, counts = np.unique(required_ids, return_counts=True)
    available = np.searchsorted(ids, values, side="right") - np.searchsorted(ids, values, side="left")
    return int(np.maximum(counts - available, 0).sum())


def align_class_weights(runs: Sequence[ScoredRun]) -> tuple[tuple[ScoredRun, ...], tuple[str, ...]]:
    """Convert the scores of runs with other class weights to those of the first run, and tell which.

    Scores are probabilities for the class weights of their training. Without this step, a run would be better only
    because its training had the class weights that the events are weighted with. The runs are on the same events in the
    same order.
    """
    first = runs[0]
    first_weights = _class_weights(first)
    aligned_runs, notes = [first], []
    for run in runs[1:]:
        weights = _class_weights(run)
        if np.allclose(weights, first_weights, rtol=_ROUNDING, atol=0):
            aligned_runs.append(run)
            continue
        scores = convert_class_weights(run.events.scores, weights, first_weights).astype(np.float32)
        events = replace(run.events, scores=scores, class_weight=first.events.class_weight)
        aligned_runs.append(replace(run, events=events))
        notes.append(
            f"{run.name} was trained with other class weights than {first.name}; its scores were converted to those "
            f"of {first.name}."
        )
    return tuple(aligned_runs), tuple(notes)


def _class_weights(run: ScoredRun) -> NDArray[np.float64]:
    """Return the class weights; 1 for a class without events."""
    weights = np.ones(len(run.class_names))
    weights[run.events.class_index] = run.events.class_weight
    return weights
