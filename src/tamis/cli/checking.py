"""Output of `tamis check`, as tables for people and as JSON for programs, and of `tamis verify`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tamis.blocks.numbers import significant
from tamis.check import CheckResult
from tamis.check.result import ClassRow, SampleRow
from tamis.cli.tables import (
    build_cutflow_table,
    errors_console,
    format_sum,
    plain_table,
    print_lines,
    results_console,
)
from tamis.errors import problem_lines
from tamis.wording import format_range, join_first

if TYPE_CHECKING:
    from tamis.runs.verification import Verification

_MOST_ROWS = 40
_MOST_BRANCHES = 8
_ANSWERS = {True: "yes", False: "no", None: "not compared"}


def print_json(result: CheckResult) -> None:
    """Write only the report, as strict JSON, to the standard output."""
    sys.stdout.write(json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")


def print_check(result: CheckResult) -> None:
    """Print the result of `tamis check` for people."""
    console = results_console()
    console.print(_files(result.samples))
    if result.cutflow is not None:
        console.print()
        console.print(build_cutflow_table(result.cutflow, result.class_names))
    # without usable files there is no table, because zeros would look like empty files
    if any(row.groups[0].events for row in result.classes):
        console.print()
        console.print(_weights(result.classes))
        if not result.read:
            console.print("(only events that could be read)")
        _print_features(console, result)
    if result.resources is not None:
        console.print(f"\n{escape(result.resources.sentence)}", soft_wrap=True)
    notes = [f"{note.where}: {note.message}" if note.where else note.message for note in result.notes]
    for title, lines in (("Problems", problem_lines(result.problems)), ("Notes", notes)):
        if lines:
            console.print(f"\n[bold]{title}[/bold]")
            print_lines(console, lines, "- ")
    if not result.problems:
        advice = ", but read the notes first." if notes else ": ready for training."
        console.print(f"\nNo problems{advice}")


def _files(samples: Sequence[SampleRow]) -> Table:
    """Build the table of the files of each sample; of many samples, first those with unusable files."""
    odd = any(row.unusable or row.empty for row in samples)
    counted = ["files", *(["empty", "unusable"] if odd else []), "entries"]
    columns = ["sample", "class", *counted, "branches used"]
    table = plain_table("Files", columns, text=["class", "branches used"])
    many = len(samples) > _MOST_ROWS
    shown = sorted(samples, key=lambda row: not row.unusable)[:_MOST_ROWS] if many else samples
    for row in shown:
        counts = [f"{getattr(row, name):,}" for name in counted]
        branches = join_first(row.branches, _MOST_BRANCHES)
        table.add_row(escape(row.name), escape(row.class_name), *counts, escape(branches))
    if len(shown) < len(samples):
        table.caption = f"{len(samples) - len(shown):,} more samples are not listed"
    return table


def _weights(classes: Sequence[ClassRow]) -> Table:
    table = plain_table(
        "Weights", ["class", "events", "sum of weights", "negative", "effective events", "heaviest event"]
    )
    for row in classes:
        everything = row.groups[0]
        table.add_row(
            escape(row.name),
            f"{everything.events:,}",
            format_sum(everything.sum_of_weights),
            f"{100 * everything.negative_fraction:.1f}%",
            significant(everything.effective_sample_size),
            f"{100 * row.largest_share:.2g}%",
        )
    return table


def _print_features(console: Console, result: CheckResult) -> None:
    """Print the features; of many, only those with notes."""
    if not result.features:
        return
    noted = {
        note.where.removeprefix("feature ") for note in result.notes if note.where.startswith("feature ")
    }
    many = len(result.features) > _MOST_ROWS
    shown = [row for row in result.features if not many or row.missing or row.name in noted]
    table = plain_table("Features", ["feature", "lowest", "highest", "missing", "of these infinite"])
    for row in shown:
        ends = ("", "")
        if row.lowest is not None and row.highest is not None:
            ends = format_range(row.lowest, row.highest)
        table.add_row(escape(row.name), *ends, f"{row.missing:,}", f"{row.infinite:,}")
    console.print()
    if shown:
        console.print(table)
    if len(shown) < len(result.features):
        console.print(f"({len(result.features) - len(shown):,} features without notes are not listed)")


def print_verification(verification: Verification) -> None:
    """Print what matches, what differs, and what could not be compared."""
    console, comparisons = results_console(), verification.comparisons
    table = plain_table("Verification", ["what", "how many", "matches"])
    for comparison in comparisons:
        table.add_row(escape(comparison.what), f"{comparison.number:,}", _ANSWERS[comparison.matches])
    console.print(table)
    findings = (text for comparison in comparisons for text in comparison.findings)
    # a missing figure is a missing file, too
    print_lines(errors_console(), dict.fromkeys(findings), "does not match: ")
    notes = [*verification.notes, *(note for comparison in comparisons for note in comparison.notes)]
    print_lines(console, dict.fromkeys(notes), "note: ")
    answers = [comparison.matches for comparison in comparisons]
    n_skipped = answers.count(None)
    skipped = f"; {n_skipped} could not be compared" if n_skipped else ""
    console.print(f"{answers.count(True)} of {len(answers) - n_skipped} comparisons match{skipped}.")
