"""Train into a run directory, with its lock and checkpoints; it is replaced as a whole at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tamis.arguments import check_kind
from tamis.config import Config
from tamis.errors import TrainingError
from tamis.files import remove_empty
from tamis.paths import to_path
from tamis.pipeline.callbacks import Callbacks, log_to_standard_error
from tamis.pipeline.checkpoints import Checkpoints, remove_checkpoints
from tamis.pipeline.resources import ResourceEstimate, check_resources
from tamis.pipeline.run import Run, check_config, train
from tamis.runs.layout import CHECKPOINTS
from tamis.runs.output import check_output, check_path, lock_run
from tamis.runs.provenance import now
from tamis.runs.read import read_provenance
from tamis.runs.write import check_executor, write_locked_run

if TYPE_CHECKING:
    from tamis.training.recipe import Custom


def run(
    config: Config,
    folder: Path | str,
    *,
    overwrite: bool = False,
    callbacks: Callbacks | None = None,
    custom: Custom | None = None,
    should_stop: Callable[[], str] = lambda: "",
    drawing: AbstractContextManager[Executor | None] | None = None,
    arguments: Sequence[str] = (),
) -> Run:
    """Read, train, evaluate and write the run directory, as `tamis train` does.

    No other process can write to the directory at the same time. Checkpoints are saved while it trains
    (`training.checkpoint_every`): the same call resumes a training that was stopped or killed. The directory is
    replaced as a whole at the end, so that a failure leaves the previous run.

    Args:
        config: from `load_config`.
        folder: the run directory.
        overwrite: whether a finished run, or checkpoints of another training, may be replaced.
        callbacks: functions that are called on the way; by default they write lines to the standard error, and
            `Callbacks()` writes nothing.
        custom: a loss and an optimizer in place of the configured ones.
        should_stop: called often during the training; a name that it returns, such as that of a signal, stops the
            training after its checkpoint is saved.
        drawing: the executor that draws the figures, for example a `concurrent.futures.ProcessPoolExecutor`; it is
            entered before the training. By default they are drawn in this process.
        arguments: the command line, for the provenance.

    Returns:
        The run with its events and its directory.

    Raises:
        StoppedError: the training was asked to stop, and its checkpoints are written.
        InputError: the input files do not match the configuration.
        TrainingError: the training diverged.
        RequestError: the folder cannot be written or holds something else, another process writes to it, or it holds
            checkpoints of another training.

    Example:
        >>> run(load_config("offshell.yaml"), "runs/offshell")  # doctest: +SKIP
    """
    check_config(config, "run")
    check_kind(callbacks, Callbacks, "callbacks of run")
    callbacks = callbacks or log_to_standard_error()
    folder, started = to_path(folder, "run"), now()
    checkpoints = folder.resolve() / CHECKPOINTS
    every = config.training.checkpoint_every
    saving = (
        None if every is None else Checkpoints(checkpoints, every, overwrite, should_stop, callbacks.note)
    )

    def check_disk(estimate: ResourceEstimate) -> None:
        """Refuse a training that does not fit on the disk."""
        estimate = estimate.on_disk_of(folder)
        callbacks.resources(estimate)
        check_resources(estimate)

    check_path(folder)
    with lock_run(folder):
        check_output(folder, overwrite=overwrite)
        with drawing if drawing is not None and config.report.figures else nullcontext() as executor:
            check_executor(executor, "drawing of run")
            with _remove_useless(checkpoints):
                observed = replace(callbacks, resources=check_disk)
                trained = train(config, observed, custom=custom, checkpoints=saving)
            callbacks.stage("figures and files")
            notes = write_locked_run(
                trained, folder, arguments, started, executor, callbacks.step, overwrite=overwrite
            )
    for note in notes:
        callbacks.note(note)
    return replace(trained, written_to=folder.absolute(), provenance=read_provenance(folder))


@contextmanager
def _remove_useless(checkpoints: Path) -> Iterator[None]:
    """Remove the checkpoints of a training that fails, unless the same command could resume from them.

    A diverged training would diverge again. One that fails before its first checkpoint has nothing to resume from: the
    empty folder is removed, and so is a new run directory.
    """
    existed = checkpoints.parent.exists()
    try:
        yield
    except TrainingError:
        with suppress(OSError):  # the error of the training is the one to report
            remove_checkpoints(checkpoints)
        raise
    finally:
        if checkpoints.is_dir() and not any(path.is_dir() for path in checkpoints.iterdir()):
            remove_checkpoints(checkpoints)
        if not existed:
            remove_empty(checkpoints.parent)
