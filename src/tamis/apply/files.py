"""Score the events of many files: outputs are written atomically, and a bad file does not stop the work on the rest."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from tamis.apply.copying import select_copied_columns, select_copied_types
from tamis.apply.existing_output import find_other_scores, inspect_existing_output, prepare_replacement
from tamis.apply.folds import find_in_training
from tamis.apply.input_files import (
    ChunkSize,
    Shard,
    build_output_names,
    exclude_score_files,
    find_inputs,
    scan_input,
)
from tamis.apply.job import (
    ApplyOptions,
    BoundaryHashes,
    Job,
    build_job,
    find_changed_types,
    find_other_tree,
    find_suspicious_features,
)
from tamis.apply.model import Model, read_model
from tamis.apply.outputs import build_output_endings, check_column_names, open_score_file
from tamis.apply.scoring import ScoredTally, build_score_columns, score_chunks
from tamis.apply.summary import Outcome, Status, Summary, collect_notes
from tamis.arguments import check_callable, check_kind
from tamis.data.chunks import read_ahead, read_chunks
from tamis.data.schema import FileSchema, SourceFile
from tamis.errors import InputError, Problem, RequestError, TamisError
from tamis.files import complete_file, write_json
from tamis.machine import cores, explain_memory_error
from tamis.paths import check_writable, explain_os_error, to_path, to_patterns

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class ApplyCallbacks:
    """Functions that are called while files are scored, from several threads.

    `advance` takes the additional fraction of all work that is done, and its number of entries; `finished` an outcome.
    """

    advance: Callable[[float, int], None] = lambda _part, _entries: None
    finished: Callable[[Outcome], None] = lambda _outcome: None

    def __post_init__(self) -> None:
        """Check that both can be called."""
        check_callable(self.advance, "advance of ApplyCallbacks")
        check_callable(self.finished, "finished of ApplyCallbacks")


@dataclass(frozen=True)
class _Work:
    """State that the threads share; those of the pool score pieces of chunks."""

    model: Model
    options: ApplyOptions
    chunk: ChunkSize
    pool: Executor
    threads: int
    callbacks: ApplyCallbacks
    stop: Event = field(default_factory=Event)  # set when the work is interrupted
    full: Event = field(default_factory=Event)  # set when there is no disk space for further files


@dataclass(frozen=True)
class _Task:
    """One file to score, the path of its scores, and its fraction of all work."""

    source: SourceFile
    output: Path
    share: float

    def build_outcome(self, status: Status, **values: Any) -> Outcome:
        return Outcome(self.source.path, str(self.output), status, **values)


def apply_files(
    run: Path | str,
    files: Sequence[str],
    output: Path | str,
    *,
    options: ApplyOptions | None = None,
    selection: str | None = None,
    sample: str | None = None,
    tree: str | None = None,
    chunk: ChunkSize | None = None,
    shard: Shard | None = None,
    jobs: int | None = None,
    callbacks: ApplyCallbacks | None = None,
    overwrite: bool = False,
) -> Summary:
    """Write the scores of each file, one row per entry, and a summary.

    Files that already have scores from the same model, input and settings are not scored again.

    Args:
        run: a run directory, or a folder `model`.
        files: paths, globs or URLs.
        output: the folder of the scores.
        options: options of the score files.
        selection: an expression that replaces the selection of the samples.
        sample: the sample whose selection and tree are used.
        tree: the tree to read.
        chunk: how much of a file is read at a time; results do not depend on it.
        shard: the share of the files that is scored.
        jobs: number of threads; one per core by default.
        callbacks: called as the work proceeds.
        overwrite: whether scores of other settings are replaced, and those of another classifier in the folder removed.

    Returns:
        The outcome of each file, which is also written to `summary.json`.

    Raises:
        RequestError: the request is wrong for all files.
        InputError: the run cannot be read.
    """
    files, folder = to_patterns(files, "apply_files"), to_path(output, "apply_files")
    check_kind(options, ApplyOptions, "options of apply_files")
    check_kind(callbacks, ApplyCallbacks, "callbacks of apply_files")
    options = options or ApplyOptions()
    model = read_model(run, selection=selection, sample=sample, tree=tree)
    if options.unseen and not model.classifier.plan.is_cross_training:
        raise RequestError(
            "--unseen is for classifiers with folds, and this classifier has none; leave it out"
        )
    tasks, input_notes = _plan_tasks(model, files, folder, options, shard)
    outputs = [task.output for task in tasks]
    suffix = "" if shard is None else f"-{shard.number}-of-{shard.of}"
    summary_path = folder / f"summary{suffix}.json"
    previous = _read_summary(summary_path)
    other_scores = find_other_scores(model, options, folder, outputs)
    replaced_notes = prepare_replacement(other_scores, outputs, folder, overwrite=overwrite)
    threads = jobs or cores()
    with ThreadPoolExecutor(max_workers=threads) as pool:
        work = _Work(model, options, chunk or ChunkSize(), pool, threads, callbacks or ApplyCallbacks())
        # files have a pool of their own: a file waits for its pieces, which a shared pool could leave without a thread
        with ThreadPoolExecutor(max_workers=min(threads, max(len(tasks), 1))) as file_pool:
            running = [file_pool.submit(_finish, work, task) for task in tasks]
            try:
                outcomes = tuple(future.result() for future in running)
            finally:
                # after an interruption or a defect, no other file is started and incomplete outputs are removed
                work.stop.set()
    notes = (*model.notes, *input_notes, *replaced_notes)
    summary = Summary(model.digest, outcomes, (*notes, *collect_notes(model, outcomes)))
    summary.check()
    # the file describes the folder, to which an earlier call may have written the scores of other files
    all_outcomes = (*(() if previous is None else previous.remaining(summary)), *outcomes)
    of_folder = Summary(model.digest, all_outcomes, (*notes, *collect_notes(model, all_outcomes)))
    write_json(summary_path, of_folder.to_dict())
    return summary


def _read_summary(path: Path) -> Summary | None:
    """Read the summary of an earlier call, if there is one, and check that no other file would be replaced."""
    if not path.exists():
        return None
    try:
        return Summary.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RequestError(
            f"{path} was not written by this version of tamis and would be overwritten; move it, or choose another "
            "--output"
        ) from error


def _plan_tasks(
    model: Model, files: Sequence[str], output: Path, options: ApplyOptions, shard: Shard | None
) -> tuple[tuple[_Task, ...], tuple[str, ...]]:
    """Return the files of the share with their outputs, and notes for the user."""
    form = options.form or "ttree"
    if not options.copy:  # the format of a copy is only known after opening its input
        check_column_names(build_score_columns(model.classifier.class_names), form)

    def outputs_of(sources: Sequence[SourceFile]) -> list[Path]:
        tree = model.tree if model.tree_is_required and isinstance(model.tree, str) else None
        names = build_output_names(sources, build_output_endings(sources, form, copy=options.copy, tree=tree))
        return [output.absolute() / name for name in names]

    sources, notes = exclude_score_files(find_inputs(files), outputs_of)
    outputs = outputs_of(sources)
    inputs = {os.path.realpath(source.path) for source in sources}
    for path in outputs:
        if os.path.realpath(path) in inputs:
            raise RequestError(
                f"{path} is one of the inputs and would be overwritten; choose another --output"
            )
    all_files = list(zip(sources, outputs, strict=True))
    files_of_share = all_files if shard is None else all_files[shard.number :: shard.of]
    check_writable(output / "summary.json", "choose another --output", name=output)
    output.mkdir(parents=True, exist_ok=True)
    paths = [Path(source.path) for source, _ in files_of_share]
    sizes = [
        1 + (path.stat().st_size if path.is_file() else 0) for path in paths
    ]  # the size of a URL is unknown
    total = sum(sizes)
    tasks = (
        _Task(source, path, size / total) for (source, path), size in zip(files_of_share, sizes, strict=True)
    )
    return tuple(tasks), notes


def _finish(work: _Work, task: _Task) -> Outcome:
    outcome = _score_unless_stopped(work, task)
    if outcome.status != "written":
        work.callbacks.advance(task.share, 0)
    work.callbacks.finished(outcome)
    return outcome


def _score_unless_stopped(work: _Work, task: _Task) -> Outcome:
    if work.full.is_set() or work.stop.is_set():
        return task.build_outcome("not tried", problem="the disk is full, or tamis was interrupted")
    entries = None
    try:
        model = work.model
        schema = scan_input(task.source, model.tree, only=model.tree_is_required)
        entries = schema.entries
        job = build_job(model, schema, work.options)
        score_file, damage = inspect_existing_output(job, task.output)
        if score_file is not None:
            return task.build_outcome(
                "kept",
                entries=entries,
                rows=score_file.entries,
                counts=score_file.counts,
                networks=score_file.metadata["networks"],
                warnings=tuple(score_file.metadata.get("warnings", ())),
                hashed=score_file.is_hashed,
                trained=_is_of_training(model, schema),
            )
        outcome = _score(work, task, job)
        if not damage:
            return outcome
        warning = f"the existing scores were damaged and have been written again: {damage}"
        return replace(outcome, warnings=(*outcome.warnings, warning))
    except (TamisError, OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            work.full.set()
        problem, refused = _explain(error, task.output), isinstance(error, RequestError)
        return task.build_outcome("failed", entries=entries, problem=problem, refused=refused)


def _explain(error: Exception, output: Path) -> str:
    match error:
        case InputError():
            return "; ".join(map(str, error.problems))
        case OSError():
            return explain_os_error(error, "" if error.filename else str(output))
        case MemoryError():
            return f"{explain_memory_error()}; use a smaller --chunk"
        case _:
            return str(error)


def _score(work: _Work, task: _Task, job: Job) -> Outcome:
    """Read, score and write one file; the output gets its name only when it is complete."""
    scoring, schema = job.scoring, job.schema
    copied = select_copied_types(schema, scoring.types, job.form) if job.copy else {}
    branches = scoring.branches | frozenset(copied)
    boundaries = BoundaryHashes(scoring.branches)
    tally = ScoredTally.empty(len(scoring.model.features))
    before = job.describe_origin(boundaries)["input"]
    task.output.parent.mkdir(parents=True, exist_ok=True)
    chunks = boundaries.record(read_chunks(schema, branches, work.chunk.rows_of(schema, branches)))
    types = {**copied, **scoring.types}
    with (
        complete_file(task.output) as temporary,
        open_score_file(temporary, job.form, types, schema.entries, job.tree) as output,
        closing(read_ahead(chunks)) as ahead,
    ):
        for chunk, scored in score_chunks(ahead, scoring, work.pool, work.threads):
            if work.stop.is_set():
                raise TamisError("tamis was interrupted before this file was complete")
            output.extend({**select_copied_columns(chunk.columns, copied, schema.where), **scored.columns})
            tally.add(scored)
            work.callbacks.advance(task.share * chunk.length / schema.entries, chunk.length)
        warnings = find_other_tree(scoring.model, schema) + find_changed_types(scoring, schema)
        if tally.rows:
            selected = tally.rows - tally.counts["not_selected"]
            warnings += find_suspicious_features(scoring, tally.extent, tally.counts["scored"], selected)
        metadata = job.build_metadata(boundaries, tally.counts, tally.networks, warnings)
        if any(before[key] != metadata["input"][key] for key in ("bytes", "modified_ns")):
            problem = Problem(schema.where, "was modified while it was read; score it again")
            raise InputError("input file", [problem])
        output.finish(metadata)
    return task.build_outcome(
        "written",
        entries=schema.entries,
        rows=tally.rows,
        counts=metadata["counts"],
        networks=metadata["networks"],
        warnings=warnings,
        trained=_is_of_training(scoring.model, schema),
    )


def _is_of_training(model: Model, schema: FileSchema) -> bool:
    return find_in_training(schema.source.path, schema.entries, model.training) is not None
