"""Output of `tamis apply`: a live line on a terminal, nothing in a log, and a table at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from rich.markup import escape
from rich.table import Table

from tamis.apply import ApplyCallbacks, Outcome, ScoreCheck, Summary
from tamis.apply.scoring import MEANINGS
from tamis.cli.progress import live_progress
from tamis.cli.tables import errors_console, plain_table, print_lines, results_console
from tamis.data.signature import resolve_local_path
from tamis.errors import Problem, RequestError, group_problems
from tamis.wording import counted, join_first

_MOST_ROWS = 30


@contextmanager
def show_apply_progress() -> Iterator[ApplyCallbacks]:
    """Show the progress on a terminal; a log gets nothing before the end."""
    progress = live_progress()
    if progress is None:
        yield ApplyCallbacks()
        return
    task = progress.add_task("scoring", total=1.0, note="")
    n_entries, n_files, lock = 0, 0, Lock()

    def add(fraction: float, entries: int, files: int) -> None:
        nonlocal n_entries, n_files
        with lock:
            n_entries, n_files = n_entries + entries, n_files + files
            note = f"{n_entries:,} entries, {counted(n_files, 'file')}"
            progress.update(task, advance=fraction, note=note)

    with progress:
        yield ApplyCallbacks(
            advance=lambda fraction, entries: add(fraction, entries, 0),
            finished=lambda _outcome: add(0.0, 0, 1),
        )


def print_summary(summary: Summary, output: Path) -> None:
    """Print the outcome of the files; if there are many, only of those that failed, and warnings."""
    console = results_console()
    many = len(summary.outcomes) > _MOST_ROWS
    shown = [outcome for outcome in summary.outcomes if not (many and outcome.done)]
    if shown:
        console.print(_table(summary, shown))
    if len(shown) < len(summary.outcomes):
        console.print(f"({len(summary.outcomes) - len(shown):,} files with their scores are not listed)")
    warnings = _grouped((outcome.file, text) for outcome in summary.outcomes for text in outcome.warnings)
    print_lines(console, warnings, "warning: ")
    failures = _grouped(_failure(outcome) for outcome in summary.outcomes if outcome.status == "failed")
    print_lines(errors_console(), failures, "failed: ")
    print_lines(console, summary.notes, "note: ")
    console.print(_sentence(summary, output), soft_wrap=True)


def _failure(outcome: Outcome) -> tuple[str, str]:
    """Return the file and why it failed; no file if the reason names it, as in `FILE:TREE: ...`."""
    message = outcome.problem.removeprefix(f"{outcome.file}: ")
    return "" if outcome.file in message else outcome.file, message


def _grouped(messages: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each distinct message of a file: the file, or the number of files and the first of them.

    >>> list(_grouped([("a.root", "is empty"), ("b.root", "is odd"), ("c.root", "is empty")]))
    ['2 files: is empty (a.root; c.root)', 'b.root: is odd']
    """
    for group in group_problems([Problem(*message) for message in messages]):
        if len(group.problems) == 1:
            yield str(group.problems[0])
        else:
            yield f"{counted(len(group.problems), 'file')}: {group.message} ({group.locations})"


def _table(summary: Summary, shown: list[Outcome]) -> Table:
    """Build a table with a row for each file, and columns for the flags that occur."""
    names = [name for flag in MEANINGS if summary.counts.get(name := str(flag.name).lower())]
    table = plain_table(
        "Scores", ["file", "entries", "scored", *(name.replace("_", " ") for name in names), "status"]
    )
    for outcome in shown:
        entries = "?" if outcome.entries is None else f"{outcome.entries:,}"
        counts = [f"{outcome.counts[name]:,}" if outcome.counts else "" for name in ("scored", *names)]
        table.add_row(escape(outcome.file), entries, *counts, outcome.status)
    return table


def _sentence(summary: Summary, output: Path) -> str:
    entries = summary.entries
    done = sum(outcome.done for outcome in summary.outcomes)
    unknown = sum(outcome.entries is None for outcome in summary.outcomes)
    uncounted = f" (not counted: the entries of {counted(unknown, 'file')})" if unknown else ""
    return (
        f"{done:,} of {len(summary.outcomes):,} files have their scores in {escape(str(output))}: "
        f"{entries['in']:,} entries in = {entries['out']:,} out + {entries['lost']:,} lost{uncounted}."
    )


def print_score_checks(checks: Sequence[ScoreCheck]) -> None:
    """Print which scores belong to their inputs; if there are many, only those that do not."""
    console = results_console()
    table = plain_table("Verification", ["scores", "entries", "scored again", "belongs"])
    shown = [check for check in checks if len(checks) <= _MOST_ROWS or not check.holds]
    for check in shown:
        entries = "?" if check.entries is None else f"{check.entries:,}"
        name, answer = escape(check.output or check.file), "yes" if check.holds else "no"
        table.add_row(name, entries, f"{check.rescored:,}", answer)
    if shown:
        console.print(table)
    findings = _grouped((check.output or check.file, text) for check in checks for text in check.findings)
    print_lines(errors_console(), findings)
    print_lines(console, _grouped((check.output, text) for check in checks for text in check.notes), "note: ")
    console.print(
        f"{sum(check.holds for check in checks):,} of {len(checks):,} belong to these files and this run."
    )


def check_files_exist(files: Iterable[str]) -> None:
    """Check that files exist, except URLs; raise a `RequestError` with those that do not exist.

    >>> check_files_exist(["https://example.org/absent.root"])
    """
    paths = [(file, resolve_local_path(file)) for file in files]
    missing = [file for file, path in paths if path is not None and not path.exists()]
    if missing:
        verb = "does" if len(missing) == 1 else "do"
        raise RequestError(
            f"{counted(len(missing), 'input file')} {verb} not exist: {join_first(missing, 3)}; check the paths"
        )
