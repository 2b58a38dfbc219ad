"""Tables and lines for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tamis.data.cutflow import Cutflow
from tamis.data.split import SPLITS, TEST


def results_console() -> Console:
    """Return the standard output, wide enough for tables if it is not a terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=110)


def errors_console() -> Console:
    """Return the standard error."""
    return Console(stderr=True, highlight=False)


def print_lines(console: Console, lines: Iterable[str], prefix: str = "") -> None:
    """Print each text in a line that only the terminal breaks."""
    for line in lines:
        console.print(f"{prefix}{escape(line)}", soft_wrap=True)


def plain_table(title: str, columns: Sequence[str], text: Collection[str] = ()) -> Table:
    """Return a table without rows; the first column and those in `text` are texts, the others are numbers."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for number, column in enumerate(columns):
        # long text continues in the next line, because the end of a path distinguishes the files
        table.add_column(
            escape(column), justify="left" if number == 0 or column in text else "right", overflow="fold"
        )
    return table


def build_cutflow_table(cutflow: Cutflow, classes: Sequence[str]) -> Table:
    """Build the table of the cutflow of each class."""
    numbers = cutflow.to_dict(classes)
    splits = {name: name for name in SPLITS}
    if numbers["total"].get("folds"):
        # every used event is a test event, of the networks that were not trained on it
        splits = {**{name: name for name in SPLITS[:TEST]}, "tested out of fold": "used"}
    table = plain_table(
        "Events", ["class", "entries", "not selected", "dropped", *splits, "sum of weights", "negative"]
    )
    for name, row in (*numbers["classes"].items(), ("total", numbers["total"])):
        dropped = sum(policy["events"] for policy in row["dropped"].values())
        events = [row[key]["events"] for key in splits.values()]
        counts = (row["entries"], row["failed_selection"]["events"], dropped, *events)
        used = row["used"]
        weights = (format_sum(used["sum_of_weights"]), f"{100 * used['negative_fraction']:z.1f}%")
        table.add_row(escape(name), *(f"{count:,}" for count in counts), *weights)
    return table


def format_sum(number: float) -> str:
    """Write a sum of weights with six digits; from 100,000 without decimals."""
    return f"{number:,.0f}" if abs(number) >= 1e5 else f"{number:z,.6g}"
