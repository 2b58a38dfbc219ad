"""What `tamis apply` shows: a live line on a terminal, nothing in a log, and a table at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tamis.apply import Listener, Outcome, Proof, Summary
from tamis.apply.scoring import MEANINGS
from tamis.cli.summary import plain_table, results_console
from tamis.errors import Problem, group_problems
from tamis.wording import counted

_MOST_ROWS = 30


@contextmanager
def applying() -> Iterator[Listener]:
    """Show on a terminal how far the work is; a log hears nothing before the end."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Listener()
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


def _live(progress: Progress) -> Listener:
    task = progress.add_task("scoring", total=1.0, note="")
    scored, files, lock = [0], [0], Lock()

    def note() -> str:
        return f"{scored[0]:,} entries, {files[0]:,} files"

    def advance(part: float, entries: int) -> None:
        with lock:
            scored[0] += entries
            progress.update(task, advance=part, note=note())

    def finished(_outcome: Outcome) -> None:
        with lock:
            files[0] += 1
            progress.update(task, note=note())

    return Listener(advance, finished)


def print_summary(summary: Summary, output: Path) -> None:
    """Print what became of the files; of many, those that failed or have warnings.

    Args:
        summary: what `apply_files` returned.
        output: the folder of the scores.
    """
    console = results_console()
    shown = [each for each in summary.outcomes if len(summary.outcomes) <= _MOST_ROWS or not each.done]
    if shown:
        console.print(_table(summary, shown))
    if len(shown) < len(summary.outcomes):
        console.print(f"({len(summary.outcomes) - len(shown):,} files with their scores are not listed)")
    errors = Console(stderr=True, highlight=False)
    for line in _grouped((each.file, text) for each in summary.outcomes for text in each.warnings):
        console.print(f"warning: {escape(line)}", soft_wrap=True)
    for line in _grouped(_failure(each) for each in summary.outcomes if each.status == "failed"):
        errors.print(f"failed: {escape(line)}", soft_wrap=True)
    for text in summary.notes:
        console.print(f"note: {escape(text)}", soft_wrap=True)
    console.print(_sentence(summary, output), soft_wrap=True)


def _failure(outcome: Outcome) -> tuple[str, str]:
    """Return the file and why it failed; no file where the reason names it elsewhere, as in `FILE:TREE: ...`."""
    message = outcome.problem.removeprefix(f"{outcome.file}: ")
    return "" if outcome.file in message else outcome.file, message


def _grouped(messages: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Write a line for each different message: its file, or how many files have it and the first of them.

    Args:
        messages: files and what is said of them.

    >>> list(_grouped([("a.root", "is empty"), ("b.root", "is odd"), ("c.root", "is empty")]))
    ['2 files: is empty (a.root; c.root)', 'b.root: is odd']
    """
    for group in group_problems([Problem(*each) for each in messages]):
        number = len(group.problems)
        yield (
            str(group.problems[0])
            if number == 1
            else f"{counted(number, 'file')}: {group.message} ({group.places})"
        )


def _table(summary: Summary, shown: list[Outcome]) -> Table:
    """Give one row for each file; reasons that never occur have no column."""
    reasons = [flag for flag in MEANINGS if summary.counts.get(str(flag.name).lower())]
    names = [str(flag.name).lower() for flag in reasons]
    table = plain_table(
        "Scores", ["file", "entries", "scored", *(name.replace("_", " ") for name in names), "status"]
    )
    for each in shown:
        entries = "?" if each.entries is None else f"{each.entries:,}"
        counts = [f"{each.counts[name]:,}" if each.counts else "" for name in ("scored", *names)]
        table.add_row(escape(each.file), entries, *counts, each.status)
    return table


def _sentence(summary: Summary, output: Path) -> str:
    found = summary.entries
    done = sum(1 for each in summary.outcomes if each.done)
    unknown = sum(1 for each in summary.outcomes if each.entries is None)
    uncounted = f" (and those of {counted(unknown, 'file')} that could not be scored)" if unknown else ""
    return (
        f"{done:,} of {len(summary.outcomes):,} files have their scores in {escape(str(output))}: "
        f"{found['in']:,} entries in = {found['out']:,} out + {found['lost']:,} lost{uncounted}."
    )


def print_proofs(proofs: Sequence[Proof]) -> None:
    """Print which scores belong to their inputs; of many, those that do not.

    Args:
        proofs: what `verify_files` returned.
    """
    console, errors = results_console(), Console(stderr=True, highlight=False)
    table = plain_table("Proof", ["scores", "entries", "scored again", "belongs"])
    shown = [each for each in proofs if len(proofs) <= _MOST_ROWS or not each.holds]
    for each in shown:
        entries = "?" if each.entries is None else f"{each.entries:,}"
        table.add_row(
            escape(each.output or each.file), entries, f"{each.rescored:,}", "yes" if each.holds else "no"
        )
    if shown:
        console.print(table)
    for line in _grouped((each.output or each.file, text) for each in proofs for text in each.findings):
        errors.print(escape(line), soft_wrap=True)
    for line in _grouped((each.output, text) for each in proofs for text in each.notes):
        console.print(f"note: {escape(line)}", soft_wrap=True)
    console.print(
        f"{sum(each.holds for each in proofs):,} of {len(proofs):,} belong to these files and this run."
    )
