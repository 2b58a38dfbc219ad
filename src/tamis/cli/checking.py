"""What `tamis check` prints: for people, and as JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tamis.check import CheckResult
from tamis.check.result import ClassRow, FeatureRow, SampleRow
from tamis.cli.summary import ledger_table, plain_table, results_console
from tamis.errors import problem_lines
from tamis.wording import limits

_MOST_ROWS = 40


def print_json(result: CheckResult) -> None:
    """Write the report as strict JSON to the standard output, and nothing else."""
    sys.stdout.write(json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")


def print_check(result: CheckResult) -> None:
    """Print what `tamis check` found, for people."""
    console = results_console()
    console.print(_files(result.samples))
    if result.ledger is not None:
        console.print()
        console.print(ledger_table(result.ledger, result.class_names))
    if result.classes:
        console.print()
        console.print(_weights(result.classes))
        if not result.read:
            console.print("(of the events that could be read)")
    _print_features(console, result)
    if result.needs is not None:
        console.print(f"\n{escape(result.needs.sentence)}", soft_wrap=True)
    notes = [f"{note.where}: {note.message}" if note.where else note.message for note in result.notes]
    for title, lines in (("Problems", problem_lines(result.problems)), ("Look at", notes)):
        if lines:
            console.print(f"\n[bold]{title}[/bold]")
            for line in lines:
                console.print(f"- {escape(line)}", soft_wrap=True)
    if not result.problems:
        console.print("\nNothing stands in the way of a training.")


def _files(samples: Sequence[SampleRow]) -> Table:
    """Show the files of each sample; of many samples those first that have files that cannot be used."""
    odd = any(row.unusable or row.empty for row in samples)
    columns = [
        "sample",
        "class",
        "files",
        *(["empty", "unusable"] if odd else []),
        "entries",
        "branches used",
    ]
    table = plain_table("Files", columns)
    shown = (
        sorted(samples, key=lambda row: not row.unusable)[:_MOST_ROWS]
        if len(samples) > _MOST_ROWS
        else samples
    )
    for row in shown:
        counts = [row.files, *([row.empty, row.unusable] if odd else []), row.entries]
        table.add_row(
            escape(row.name),
            escape(row.class_name),
            *(f"{count:,}" for count in counts),
            escape(_listed(row.branches)),
        )
    if len(shown) < len(samples):
        table.caption = f"{len(samples) - len(shown):,} more samples are not listed"
    return table


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _weights(classes: Sequence[ClassRow]) -> Table:
    table = plain_table(
        "Weights", ["class", "events", "sum of weights", "negative", "effective events", "heaviest event"]
    )
    for row in classes:
        everything = row.groups[0]
        table.add_row(
            escape(row.name),
            f"{everything.events:,}",
            f"{everything.sum_of_weights:,.6g}",
            f"{100 * everything.negative_fraction:.1f}%",
            f"{everything.effective_number:,.6g}",
            f"{100 * row.largest_share:.2g}%",
        )
    return table


def _print_features(console: Console, result: CheckResult) -> None:
    """Show the features; of many, those that something is said of."""
    if not result.features:
        return
    told = {note.where.removeprefix("feature ") for note in result.notes if note.where.startswith("feature ")}
    many = len(result.features) > _MOST_ROWS
    shown = [row for row in result.features if not many or row.missing or row.name in told]
    console.print()
    if shown:
        console.print(_features(shown))
    if len(shown) < len(result.features):
        console.print(f"({len(result.features) - len(shown):,} features without anything odd are not listed)")


def _features(rows: Sequence[FeatureRow]) -> Table:
    table = plain_table("Features", ["feature", "lowest", "highest", "missing", "of these infinite"])
    for row in rows:
        ends = ("", "")
        if row.lowest is not None and row.highest is not None:
            ends = limits(row.lowest, row.highest)
        table.add_row(escape(row.name), *ends, f"{row.missing:,}", f"{row.infinite:,}")
    return table
