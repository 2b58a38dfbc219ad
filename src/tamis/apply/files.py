"""Scores beside the events of many files: each output appears as a whole, and one bad file does not stop the others."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from tamis.apply.before import look_before
from tamis.apply.copying import copied_columns, copied_types
from tamis.apply.inputs import (
    ChunkSize,
    Ends,
    Shard,
    find_inputs,
    output_names,
)
from tamis.apply.model import Model, read_model
from tamis.apply.notes import notes_on
from tamis.apply.outputs import Written, check_names, open_output, score_endings
from tamis.apply.own import without_scores
from tamis.apply.pair import Pair, Wish, make_pair, other_types, suspicions
from tamis.apply.scoring import Extent, Scored, count_flags, no_extent, score_chunks, score_columns
from tamis.apply.summary import Outcome, Status, Summary
from tamis.data.chunks import Chunk, read_ahead, read_chunks
from tamis.data.schema import FileSchema, SourceFile
from tamis.errors import InputError, Problem, RequestError, TamisError
from tamis.files import complete_file, write_json
from tamis.machine import cores, too_little_memory
from tamis.places import failure, obstacle
from tamis.run_reading import FINISHED

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Listener:
    """What a caller hears while files are scored, from several threads.

    Args:
        advance: called with the part of all work that was done, and the number of entries.
        finished: called with what became of a file.
    """

    advance: Callable[[float, int], None] = lambda _part, _entries: None
    finished: Callable[[Outcome], None] = lambda _outcome: None


class _StoppedError(TamisError):
    """The work was given up before this file was complete."""


@dataclass(frozen=True)
class _Work:
    """What the threads share.

    Args:
        model: what is applied.
        wish: how the scores are written.
        chunk: how much is read at a time.
        pool: where files are scored.
        threads: how many score.
        listener: hears what is done.
        stop: set when the work is given up.
        full: set when there is no space for further files.
    """

    model: Model
    wish: Wish
    chunk: ChunkSize
    pool: Executor
    threads: int
    listener: Listener
    stop: Event = field(default_factory=Event)
    full: Event = field(default_factory=Event)


@dataclass(frozen=True)
class _Task:
    """One file.

    Args:
        source: the input.
        output: its scores.
        share: its part of all work.
    """

    source: SourceFile
    output: Path
    share: float

    def outcome(self, status: Status, **known: Any) -> Outcome:
        """Say what became of the file."""
        return Outcome(self.source.path, str(self.output), status, **known)


def apply_files(
    run: Path | str,
    files: Sequence[str],
    output: Path | str,
    *,
    wish: Wish | None = None,
    selection: str | None = None,
    sample: str | None = None,
    tree: str | None = None,
    chunk: ChunkSize | None = None,
    shard: Shard | None = None,
    jobs: int | None = None,
    listener: Listener | None = None,
) -> Summary:
    """Write for each file one with the scores of its entries, row by row, and a summary.

    A file whose scores are there already, from the same model, input and settings, is not scored again.

    Args:
        run: a run directory, or a folder `model`.
        files: paths, globs or URLs.
        output: the folder of the scores.
        wish: format, sentinel and the like.
        selection: an expression that takes the place of that of the samples.
        sample: the sample whose selection and tree are taken.
        tree: the tree that is read.
        chunk: how much of a file is read at a time; no result depends on it.
        shard: the share of the files that is scored.
        jobs: number of threads that score; one for each core by default.
        listener: hears what is done.

    Returns:
        What became of each file; it also stands in `summary.json`.

    Raises:
        RequestError: the request cannot be fulfilled for any file.
        InputError: the run cannot be read.
    """
    wish = wish or Wish()
    model = read_model(run, selection=selection, sample=sample, tree=tree)
    if wish.unseen and model.folds is None:
        raise RequestError("--unseen is for classifiers with folds, and this one has none; leave it out")
    tasks, found = plan_tasks(model, files, Path(output), wish, shard)
    suffix = "" if shard is None else f"-{shard.number}-of-{shard.of}"
    place = Path(output) / f"summary{suffix}.json"
    _check_summary(place)
    threads = jobs or cores()
    with ThreadPoolExecutor(max_workers=threads) as pool:
        work = _Work(model, wish, chunk or ChunkSize(), pool, threads, listener or Listener())
        outcomes = _run(work, tasks, min(threads, max(len(tasks), 1)))
    summary = Summary(model.digest, outcomes, (*model.notes, *found, *notes_on(model, outcomes)))
    summary.check()
    write_json(place, summary.to_dict())
    return summary


def _check_summary(path: Path) -> None:
    """Refuse to replace a file that is no summary of tamis.

    Raises:
        RequestError: it is something else.
    """
    if not path.exists():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not (isinstance(found, dict) and {"model", "entries", "files"} <= found.keys()):
        raise RequestError(f"{path} is no summary of tamis and would be replaced; choose another --output")


def plan_tasks(
    model: Model, files: Sequence[str], output: Path, wish: Wish, shard: Shard | None = None
) -> tuple[tuple[_Task, ...], tuple[str, ...]]:
    """Name the output of every file, and choose the share.

    Returns:
        What there is to do, and what the user should know.

    Raises:
        RequestError: an output would take the place of an input, or the folder cannot be made.
    """
    form = wish.form or "ttree"
    if not wish.copy:  # the format of a copy is known when its input was looked into
        check_names(score_columns(model.classifier.class_names), form)

    def outputs_of(sources: Sequence[SourceFile]) -> list[Path]:
        tree = model.tree if model.tree_is_wish and isinstance(model.tree, str) else None
        names = output_names(sources, score_endings(sources, form, copy=wish.copy, tree=tree))
        return [output.absolute() / name for name in names]

    sources, notes = without_scores(find_inputs(files), outputs_of)
    outputs = outputs_of(sources)
    inputs = {os.path.realpath(source.path) for source in sources}
    for path in outputs:
        if os.path.realpath(path) in inputs:
            raise RequestError(
                f"{path} is one of the inputs and would be overwritten; choose another --output"
            )
    pairs = list(zip(sources, outputs, strict=True))
    chosen = pairs if shard is None else pairs[shard.number :: shard.of]
    _make_folder(output)
    sizes = [_size(source) for source, _ in chosen]
    total = sum(sizes)
    tasks = (_Task(source, path, size / total) for (source, path), size in zip(chosen, sizes, strict=True))
    return tuple(tasks), notes


def _make_folder(folder: Path) -> None:
    run = next((each for each in (folder, *folder.absolute().parents) if (each / FINISHED).is_file()), None)
    if run is not None:
        raise RequestError(
            f"{folder} is in the directory of a run, {run}, which holds its own files alone; choose another --output"
        )
    reason = obstacle(folder / "summary.json")
    if reason:
        raise RequestError(f"{folder} cannot be made or written to: {reason}; choose another --output")
    folder.mkdir(parents=True, exist_ok=True)


def _size(source: SourceFile) -> int:
    path = Path(source.path)
    return 1 + (path.stat().st_size if "://" not in source.path and path.is_file() else 0)


def _run(work: _Work, tasks: Sequence[_Task], workers: int) -> tuple[Outcome, ...]:
    with ThreadPoolExecutor(max_workers=workers) as crew:
        running = [crew.submit(_finish, work, task) for task in tasks]
        try:
            return tuple(each.result() for each in running)
        finally:
            # an interruption, or a defect: nobody begins another file, and what is half-done is removed
            work.stop.set()


def _finish(work: _Work, task: _Task) -> Outcome:
    outcome = _attempt(work, task)
    if outcome.status != "written":
        work.listener.advance(task.share, 0)
    work.listener.finished(outcome)
    return outcome


def _attempt(work: _Work, task: _Task) -> Outcome:
    if work.full.is_set() or work.stop.is_set():
        return task.outcome("not tried", problem="the work was given up before")
    entries = None
    try:
        pair = make_pair(work.model, task.source, work.wish)
        entries = pair.schema.entries
        before = look_before(pair, task.output)
        if before.kept is not None:
            return _keep(task, before.kept)
        return _with_damage(_score(work, task, pair), before.damage)
    except (TamisError, OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            work.full.set()
        return task.outcome("failed", entries=entries, problem=_explain(error, task.output))


def _explain(error: Exception, output: Path) -> str:
    match error:
        case InputError():
            return "; ".join(map(str, error.problems))
        case OSError():
            return failure(error, "" if error.filename else str(output))
        case MemoryError():
            return f"{too_little_memory()}; use a smaller --chunk"
        case _:
            return str(error)


def _keep(task: _Task, found: Written) -> Outcome:
    """Say that scores from before are kept."""
    return task.outcome(
        "kept",
        entries=found.entries,
        rows=found.entries,
        counts=found.counts,
        networks=found.metadata["networks"],
        warnings=tuple(found.metadata.get("warnings", ())),
        hashed=found.is_hashed,
    )


def _with_damage(outcome: Outcome, damage: str) -> Outcome:
    if not damage:
        return outcome
    said = f"the scores that were there were of no use and were written again: {damage}"
    return replace(outcome, warnings=(*outcome.warnings, said))


def _score(work: _Work, task: _Task, pair: Pair) -> Outcome:
    """Read, score and write one file; the output has its name when all of it is on the disk."""
    scoring, schema = pair.scoring, pair.schema
    copied = copied_types(schema, scoring.types, pair.form) if pair.copy else {}
    read = scoring.branches | frozenset(copied)
    ends, tally = Ends(scoring.branches), _Tally(no_extent(len(scoring.model.features)))
    before = pair.belongs(ends)["input"]
    task.output.parent.mkdir(parents=True, exist_ok=True)
    chunks = ends.watch(read_chunks(schema, read, work.chunk.rows_of(schema, read)))
    types = {**copied, **scoring.types}
    with (
        complete_file(task.output) as temporary,
        open_output(temporary, pair.form, types, schema.entries, pair.tree) as output,
        closing(read_ahead(chunks)) as ahead,
    ):
        for chunk, scored in score_chunks(_until(work, ahead), scoring, work.pool, work.threads):
            output.extend({**copied_columns(chunk.columns, copied, schema.where), **scored.columns})
            tally.add(scored)
            work.listener.advance(task.share * chunk.length / schema.entries, chunk.length)
        selected = tally.rows - tally.counts["not_selected"]
        found = suspicions(scoring, tally.extent, tally.counts["scored"], selected) if tally.rows else ()
        warnings = (*other_types(scoring, schema), *found)
        metadata = pair.metadata(ends, tally.counts, tally.networks, warnings)
        _check_unchanged(before, metadata["input"], schema)
        output.finish(metadata)
    return task.outcome(
        "written",
        entries=schema.entries,
        rows=tally.rows,
        counts=metadata["counts"],
        networks=metadata["networks"],
        warnings=warnings,
    )


@dataclass
class _Tally:
    """Counts what happened to the entries of one file."""

    extent: Extent
    counts: Counter[str] = field(default_factory=lambda: Counter(count_flags(np.empty(0, np.uint8))))
    networks: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def add(self, scored: Scored) -> None:
        self.extent += scored.extent
        self.rows += len(scored.columns["flag"])
        self.counts.update(count_flags(scored.columns["flag"]))
        if "network" in scored.columns:
            numbers, counts = np.unique(scored.columns["network"], return_counts=True)
            self.networks.update(
                {str(number): int(count) for number, count in zip(numbers, counts, strict=True)}
            )


def _until(work: _Work, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        if work.stop.is_set():
            raise _StoppedError("the work was given up before this file was complete")
        yield chunk


def _check_unchanged(before: Mapping[str, Any], after: Mapping[str, Any], schema: FileSchema) -> None:
    if any(before[key] != after[key] for key in ("bytes", "modified_ns")):
        raise InputError(
            "input file", [Problem(schema.where, "was changed while it was read; score it again")]
        )
