"""Write a run directory as a whole or not at all, and draw its figures and its page again."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from tamis.classifier.precision import precision_problem
from tamis.config import dump_config
from tamis.errors import ExportError, RequestError
from tamis.files import add_hash, complete_file, sha256, sync_folder, write_json, write_text
from tamis.paths import to_path
from tamis.pipeline.run import Run, check_run
from tamis.report.page import report_page
from tamis.report.rendering import render
from tamis.runs import layout
from tamis.runs.figures import begin_figures, finish_figures
from tamis.runs.output import check_output, check_path, lock_run
from tamis.runs.provenance import describe_run, now
from tamis.runs.read import check_run_folder, read_run
from tamis.runs.scores import score_table
from tamis.studies import write_results
from tamis.studies.discovery import DISCOVERY
from tamis.studies.discovery.result import DiscoveryResult


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

    No other process can write to the directory at the same time. All files are written to a folder beside it, which is
    renamed at the end: if anything fails, the previous run stays. A run whose classifier cannot be exported to ONNX is
    written without ONNX files.

    Args:
        run: from `tamis.train` or `tamis.run`.
        folder: the run directory.
        overwrite: whether a finished run may be replaced.
        arguments: the command line, for the provenance.
        started: when the run began, for the provenance.
        executor: draws the figures while the other files are written, for example a
            `concurrent.futures.ProcessPoolExecutor`; by default they are drawn in this process. The files are the
            same.
        progress: called with the number of chapters of figures that are drawn, and the number of all chapters.

    Returns:
        Messages for the user: why there are no ONNX files, or that the previous run could not be removed.

    Raises:
        RequestError: the folder cannot be replaced (see `check_output`), another process writes to it, or the run was
            read back from its directory.
        TamisError: a process that draws figures was killed.
    """
    check_run(run, "write_run")
    _ = run.training  # refuses a run that was read back, before anything is written
    check_executor(executor, "write_run")
    folder = to_path(folder, "write_run")
    check_path(folder)
    with lock_run(folder):
        return write_locked_run(run, folder, arguments, started, executor, progress, overwrite=overwrite)


def check_executor(executor: object, function: str) -> None:
    """Check that figures can be drawn by an executor or, without one, in this process."""
    if executor is not None and not isinstance(executor, Executor):
        raise RequestError(
            f"{function} takes an executor of concurrent.futures, not {type(executor).__name__}; leave it out to draw "
            "in this process"
        )


def write_locked_run(
    run: Run,
    folder: Path,
    arguments: Sequence[str],
    started: str,
    executor: Executor | None,
    progress: Callable[[int, int], None],
    *,
    overwrite: bool,
) -> tuple[str, ...]:
    """Write the run directory, whose lock the caller holds; otherwise as `write_run`."""
    folder = folder.resolve()  # a link stays where it is; its target is replaced
    check_output(folder, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(layout.UNFINISHED.format(name=folder.name, key=uuid.uuid4().hex))
    unfinished.mkdir()
    formats = run.config.report.formats
    try:
        chapters = begin_figures(run, executor, formats=formats) if run.config.report.figures else []
        _write_files(run, unfinished)
        onnx = _export_onnx(run, unfinished / layout.MODEL)
        if chapters:
            finish_figures(chapters, unfinished / layout.FIGURES, formats=formats, progress=progress)
        provenance = describe_run(run, unfinished, arguments, started or now())
        write_json(unfinished / layout.PROVENANCE, add_hash({**provenance, "onnx": onnx}))
        _write_page(unfinished)
        notes = _replace(folder, unfinished)
    except OSError as error:
        if error.errno is None or not str(error.filename).startswith(str(unfinished)):
            raise
        # the user does not know the hidden name
        path = str(error.filename).replace(str(unfinished), str(folder), 1)
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return (*((onnx["error"],) if "error" in onnx else ()), *notes)


def write_report(folder: Path | str, *, executor: Executor | None = None) -> Path:
    """Draw every figure of a run and write its page again, from the run directory alone.

    A run without figures gets them. `provenance.json` gets the hashes of the figures. No other process can write to the
    directory at the same time.

    Args:
        folder: the run directory.
        executor: draws the figures; by default they are drawn in this process.

    Returns:
        The path of the page.

    Raises:
        InputError: the folder is not a run directory, or one of its files was damaged or changed.
        RequestError: another process writes to the folder.
    """
    folder = to_path(folder, "write_report")
    check_run_folder(folder)
    with lock_run(folder):
        run = read_run(folder)
        formats = run.config.report.formats
        chapters = begin_figures(run, executor, formats=formats)
        files = finish_figures(chapters, run.folder / layout.FIGURES, formats=formats)
        outputs = run.provenance["outputs"]
        for path in {*(run.folder / layout.FIGURES).iterdir()} - {*files}:
            if f"{layout.FIGURES}/{path.name}" in outputs:
                path.unlink()  # a figure of another version of tamis
        outputs = {
            name: digest for name, digest in outputs.items() if not name.startswith(f"{layout.FIGURES}/")
        }
        outputs |= {f"{layout.FIGURES}/{path.name}": sha256(path) for path in files}
        provenance = {**run.provenance, "outputs": dict(sorted(outputs.items()))}
        write_json(run.folder / layout.PROVENANCE, add_hash(provenance))
        return _write_page(run.folder)


def _write_page(folder: Path) -> Path:
    path = folder / layout.REPORT
    write_text(path, render(report_page(read_run(folder))))
    return path


def _write_files(run: Run, folder: Path) -> None:
    import pyarrow.parquet as pq

    write_text(folder / layout.CONFIG, dump_config(run.config))
    write_json(folder / layout.CUTFLOW, run.cutflow)
    write_json(folder / layout.HISTORY, run.history)
    write_json(folder / layout.METRICS, run.metrics)
    write_results(folder / layout.RESULTS, run.results)
    discovery = run.results[DISCOVERY.name]
    if isinstance(discovery, DiscoveryResult) and not discovery.no_workspace_reason:
        write_json(folder / layout.WORKSPACE, discovery.workspace())
    with complete_file(folder / layout.SCORES) as temporary:
        pq.write_table(score_table(run.config, run.training), temporary, compression="zstd")
    run.classifier.save(folder / layout.MODEL)


def _export_onnx(run: Run, model: Path) -> dict[str, Any]:
    """Export the classifier to ONNX, and return the differences of the scores for events of the run."""
    from tamis.export import export_onnx

    events = run.prepared.events
    if (problem := precision_problem(run.classifier)) is not None:
        return {"error": f"no ONNX file is written: {problem}"}
    try:
        features = events.features.astype(np.float32, copy=False)
        comparison = export_onnx(model, features, events.fold)
    except ExportError as error:
        return {"error": str(error)}
    return {
        "compared_events": comparison.events,
        "largest_difference": comparison.difference,
        "float32_difference": comparison.float32_difference,
    }


def _replace(folder: Path, finished: Path) -> tuple[str, ...]:
    """Replace the previous run directory by the finished one; restore it if that fails. Tell if it stays."""
    previous = folder.with_name(layout.PREVIOUS.format(name=folder.name, key=uuid.uuid4().hex))
    if folder.exists():
        folder.rename(previous)
    try:
        finished.rename(folder)
    finally:
        # also if a signal interrupts the rename
        if previous.exists() and not folder.exists():
            previous.rename(folder)
    removed = previous.with_suffix(".part")  # a name that is not mistaken for a run
    try:
        sync_folder(folder.parent)
        if previous.exists():
            previous.rename(removed)
            shutil.rmtree(removed)
    except OSError as error:
        remains = next((path for path in (previous, removed) if path.exists()), None)
        advice = "" if remains is None else f", and remove {remains}, the rest of the previous run"
        reason = error.strerror or error
        return (f"{folder} is complete, but then its disk failed ({reason}): check that it works{advice}",)
    return ()
