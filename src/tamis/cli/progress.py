"""Progress of a command: a live line on a terminal, a few plain lines in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tamis.cli.streams import print_message
from tamis.pipeline.callbacks import Callbacks, describe_epoch, describe_step, log_stages
from tamis.training.history import Epoch


def live_progress() -> Progress | None:
    """Build the progress bars on the standard error; None if it is not a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    return Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )


@contextmanager
def show_progress() -> Iterator[Callbacks]:
    """Show the progress of a command on the standard error; the standard output holds results alone."""
    progress = live_progress()
    if progress is None:
        yield log_stages(print_message)
        return
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
        task = progress.tasks[-1]
        note = describe_step(task.description, done, total)
        progress.update(task.id, total=total, completed=done, note=note)

    with progress:
        yield Callbacks(stage, read, epoch, step, note=print_message)
