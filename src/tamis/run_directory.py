"""The run directory: everything that a training leaves behind, written as a whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tamis.classifier.precision import precision_problem
from tamis.config import dump_config
from tamis.data.split import PARTS, TEST
from tamis.errors import ExportError, TamisError
from tamis.figures import chapters_of
from tamis.files import complete_file, sha256, sync_folder, write_json, write_text
from tamis.pipeline.run import Run, check_trained
from tamis.plots.book import Chapter, check_names, draw_chapter, write_chapters
from tamis.provenance import (
    command_line,
    describe_branches,
    describe_inputs,
    describe_machine,
    now,
    with_own_hash,
)
from tamis.report.page import write_report
from tamis.run_folder import check_output
from tamis.run_reading import FINISHED


def write_run(
    run: Run,
    folder: Path | str,
    *,
    overwrite: bool = False,
    arguments: Sequence[str] = (),
    started: str = "",
    executor: Executor | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[str, ...]:
    """Write the run directory.

    Everything is written to a folder beside it and renamed at the end, so that a failure leaves what was there. A
    classifier that cannot be handed over as ONNX does not take the training with it: the run has no ONNX files then.

    Args:
        run: what the pipeline returned.
        folder: the run directory.
        overwrite: whether a finished run may be replaced.
        arguments: the command line, for the provenance.
        started: when the run began, for the provenance.
        executor: draws the figures while the other files are written, for example a
            `concurrent.futures.ProcessPoolExecutor`; by default they are drawn in this process. The files are the
            same.
        progress: called with how many groups of figures are drawn, and how many there are.

    Returns:
        What the user should know of: why there are no ONNX files, or where the rest of the run before still is.

    Raises:
        RequestError: as `check_output`, or the run was read back from its folder.
        TamisError: a process that draws figures was killed.
    """
    check_trained(run, "write_run")
    folder = Path(folder).resolve()  # a link stays where it is; what it points to is replaced
    check_output(folder, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    unfinished.mkdir()
    try:
        chapters = _begin_figures(run, executor)
        _write_files(run, unfinished)
        onnx = _hand_over(run, unfinished / "model")
        if chapters:
            write_chapters(_finished(chapters, progress), unfinished / "figures", run.config.report.formats)
        provenance = _provenance(run, unfinished, arguments, started or now())
        write_json(unfinished / FINISHED, with_own_hash({**provenance, "onnx": onnx}))
        write_report(unfinished)
        left = _replace(folder, unfinished)
    except OSError as error:
        if error.errno is None or not str(error.filename).startswith(str(unfinished)):
            raise
        # the hidden name says nothing to a person
        named = str(error.filename).replace(str(unfinished), str(folder), 1)
        raise OSError(error.errno, error.strerror, named) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return (*((onnx["error"],) if "error" in onnx else ()), *left)


def _write_files(run: Run, folder: Path) -> None:
    write_text(folder / "config.yaml", dump_config(run.config))
    write_json(folder / "events.json", run.prepared.ledger.to_dict(run.config.class_names))
    write_json(folder / "history.json", run.history)
    write_json(folder / "metrics.json", run.metrics())
    search, names = run.evaluation.search, run.config.class_names
    if search is not None and not search.without_workspace(names):
        write_json(folder / "workspace.json", search.workspace(names))
    with complete_file(folder / "scores.parquet") as temporary:
        write_scores(run, temporary)
    run.classifier.save(folder / "model")


def _begin_figures(run: Run, executor: Executor | None) -> list[Callable[[], Chapter]]:
    """Hand the figures to the executor; return what gives each chapter of the book once it is drawn."""
    report = run.config.report
    if not report.figures:
        return []
    chapters = chapters_of(run)
    check_names([drawing for chapter in chapters for drawing in chapter])
    if executor is None:
        return [partial(draw_chapter, chapter, report.formats) for chapter in chapters]
    return [executor.submit(draw_chapter, chapter, report.formats).result for chapter in chapters]


def _finished(
    chapters: Sequence[Callable[[], Chapter]], progress: Callable[[int, int], None]
) -> list[Chapter]:
    finished = []
    try:
        for chapter in chapters:
            finished.append(chapter())
            progress(len(finished), len(chapters))
    except BrokenExecutor as error:
        raise TamisError(
            "a process that draws figures was killed, perhaps for lack of memory; run the same command again, with "
            "more memory or without figures (report.figures: false)"
        ) from error
    return finished


def _hand_over(run: Run, model: Path) -> dict[str, Any]:
    """Write the ONNX form of the classifier, and say how well it agrees on events of the run."""
    from tamis.deploy import export_onnx

    events = run.prepared.events
    if (problem := precision_problem(run.classifier)) is not None:
        return {"error": f"no ONNX file is written: {problem}"}
    try:
        features = events.features.astype(np.float32, copy=False)
        found = export_onnx(model, features, None if run.classifier.folds is None else events.fold)
    except ExportError as error:
        return {"error": str(error)}
    return {
        "compared_events": found.events,
        "largest_difference": found.difference,
        "float32_difference": found.float32_difference,
    }


def _replace(folder: Path, finished: Path) -> tuple[str, ...]:
    """Put the finished directory in place of what was there; until the last rename that can be put back.

    Returns:
        What is left of what was there, if it cannot be removed.
    """
    before = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.before")
    if folder.exists():
        folder.rename(before)
    try:
        finished.rename(folder)
    finally:
        # also where a signal ends the work
        if before.exists() and not folder.exists():
            before.rename(folder)
    rest = before.with_suffix(".part")  # which nobody takes for a run
    try:
        sync_folder(folder.parent)
        if before.exists():
            before.rename(rest)
            shutil.rmtree(rest)
    except OSError as error:
        left = next((each for each in (before, rest) if each.exists()), None)
        advice = "" if left is None else f", and remove {left}, what is left of the run before"
        reason = error.strerror or error
        return (f"{folder} is complete, but its disk failed then ({reason}): look whether it works{advice}",)
    return ()


def write_scores(run: Run, path: Path) -> None:
    """Write who each test event is, its class, its weights and its scores, as Parquet."""
    import pyarrow.parquet as pq

    pq.write_table(score_table(run), path, compression="zstd")


def score_table(run: Run) -> Any:
    """Give who each test event is, its class, its weights and its scores, as an Arrow table."""
    import pyarrow as pa

    events, part = run.prepared.events, run.parts[PARTS[TEST]]
    rows = part.rows
    classes = run.config.class_names
    factors = run.prepared.weighed.factors
    columns = {
        "id": events.identity[rows],
        "sample": _labels(events.samples, events.sample_index[rows]),
        "file": _labels(events.files, events.file_index[rows]),
        "entry": events.entry[rows],
        "class": _labels(classes, events.class_index[rows]),
        "weight": events.weight[rows],
        "training_factor": factors[events.class_index[rows]],
        **{f"score_{name}": part.scores[:, index] for index, name in enumerate(classes)},
        **({"fold": events.fold[rows]} if run.classifier.folds is not None else {}),
        **_baseline_columns(run),
        **{f"spectator_{name}": values[rows] for name, values in events.spectators.items()},
    }
    return pa.table(columns)


def _baseline_columns(run: Run) -> dict[str, np.ndarray[Any, Any]]:
    """Give the scores of the baselines, or the discriminant of the cuts."""
    columns = {}
    for each in run.baselines:
        if each.scores.ndim == 1:
            columns[f"baseline_{each.name}"] = each.scores
        else:
            names = [f"baseline_{each.name}_score_{name}" for name in run.config.class_names]
            columns.update(zip(names, each.scores.T, strict=True))
    return columns


def _labels(names: Sequence[str], index: np.ndarray[Any, Any]) -> Any:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(list(names)))


def _provenance(run: Run, folder: Path, arguments: Sequence[str], started: str) -> dict[str, Any]:
    schemas = [schema for each in run.prepared.inputs for schema in each.schemas]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "command": command_line(arguments),
        "started": started,
        "finished": now(),
        "seed": run.config.seed,
        "device": run.trained.device,
        **describe_machine(),
        "inputs": describe_inputs(schemas),
        "branches": describe_branches(
            (each.plan.scalars | each.plan.indexed, each.schemas) for each in run.prepared.inputs
        ),
        "parts": {name: len(part.rows) for name, part in run.parts.items()},
        "outputs": {str(path.relative_to(folder)): sha256(path) for path in files},
    }
