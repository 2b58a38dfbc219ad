"""What a command shows while it runs: a live line on a terminal, a few plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tamis.cli.drawing import drawing_processes
from tamis.cli.stopping import Stop
from tamis.cli.streams import print_message
from tamis.config import Config
from tamis.files import folders_for, locked
from tamis.pipeline.checkpoints import Checkpoints, useful_checkpoints
from tamis.pipeline.needs import Needs, check_needs
from tamis.pipeline.watch import Watch, describe_epoch, log_stages
from tamis.provenance import now
from tamis.run_folder import check_output, check_place, lock_of, recover
from tamis.run_reading import CHECKPOINTS
from tamis.training.history import Epoch


def train_and_write(config: Config, folder: Path, *, overwrite: bool) -> None:
    """Train with progress, write the run directory and print the summary.

    Args:
        config: the configuration.
        folder: the run directory.
        overwrite: whether a run that is there may be replaced.
    """
    # here, because they take a second to import, and every command that shows progress imports this module
    from tamis.cli.summary import print_run
    from tamis.pipeline.run import train
    from tamis.run_directory import write_run

    started, clock = now(), time.perf_counter()
    check_place(folder)
    busy = f"{folder} is being written by {{}}; wait for it, or choose another folder with --output"
    with folders_for(folder), locked(lock_of(folder), busy=busy), Stop() as stop, watching() as watch:
        # before the look at what is there: it may come back, and what is left over goes in any case
        recover(folder)
        check_output(folder, overwrite=overwrite)
        watch = replace(
            watch,
            stage=_stoppable(watch, stop, keeps=config.training.checkpoint_every is not None),
            needs=_room_for(folder),
        )
        with drawing_processes() if config.report.figures else nullcontext() as executor:
            with useful_checkpoints(folder.resolve() / CHECKPOINTS):
                run = train(config, watch, checkpoints=_checkpoints(config, folder, stop, anew=overwrite))
            watch.stage("figures and files")
            arguments = ["tamis", *sys.argv[1:]]
            notes = write_run(
                run,
                folder,
                overwrite=overwrite,
                arguments=arguments,
                started=started,
                executor=executor,
                progress=watch.step,
            )
    print_run(run, folder, time.perf_counter() - clock, notes)


def _room_for(folder: Path) -> Callable[[Needs], None]:
    """Give what says how much a training needs, and refuses one that has no room on the disk."""

    def needs(found: Needs) -> None:
        there = found.on_disk_of(folder)
        print_message(there.sentence)
        check_needs(there)

    return needs


def _stoppable(watch: Watch, stop: Stop, *, keeps: bool) -> Callable[[str], None]:
    """Give what is called at the beginning of each stage: what was asked to stop does not begin another."""

    def stage(name: str) -> None:
        stop.begin(waits=name == "training" and keeps)
        watch.stage(name)

    return stage


def _checkpoints(config: Config, folder: Path, stop: Stop, *, anew: bool) -> Checkpoints | None:
    every = config.training.checkpoint_every
    if every is None:
        return None
    place = folder.resolve() / CHECKPOINTS
    return Checkpoints(place, every, anew, stop.asked, print_message)


@contextmanager
def watching() -> Iterator[Watch]:
    """Show on the standard error what a command is busy with; the standard output holds results alone."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield log_stages(print_message)
        return
    with Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    ) as progress:
        yield _live(progress)


def _live(progress: Progress) -> Watch:
    tasks: dict[str, TaskID] = {}
    reached: dict[int, int] = {}

    def stage(name: str) -> None:
        if tasks:
            last = progress.tasks[-1]
            progress.update(last.id, total=last.total or 1, completed=last.total or 1)
        tasks[name] = progress.add_task(name, total=None, note="")
        reached.clear()

    def read(total: int, done: int) -> None:
        progress.update(tasks["reading"], total=total, advance=done, note=f"{total:,} entries")

    def epoch(member: int, members: int, result: Epoch) -> None:
        reached[member] = result.number
        progress.update(
            progress.tasks[-1].id,
            total=result.planned * members,
            completed=sum(reached.values()),
            note=describe_epoch(member, members, result),
        )

    def step(done: int, total: int) -> None:
        progress.update(progress.tasks[-1].id, total=total, completed=done, note=f"{done} of {total} parts")

    return Watch(stage, read, epoch, step)
