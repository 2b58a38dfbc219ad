"""What `tamis verify` shows: a table of what was compared, and a sentence for all that does not match."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from tamis.cli.summary import plain_table, results_console
from tamis.verification import Verification

_ANSWERS = {True: "yes", False: "no", None: "not compared"}


def print_verification(found: Verification) -> None:
    """Print what matches, what does not, and what could not be compared.

    Args:
        found: what `verify_run` returned.
    """
    console, errors = results_console(), Console(stderr=True, highlight=False)
    table = plain_table("Verification", ["what", "how many", "matches"])
    for each in found.comparisons:
        table.add_row(escape(each.what), f"{each.number:,}", _ANSWERS[each.matches])
    console.print(table)
    for each in found.comparisons:
        for text in each.findings:
            errors.print(f"does not match: {escape(text)}", soft_wrap=True)
    for text in dict.fromkeys((*found.notes, *(note for each in found.comparisons for note in each.notes))):
        console.print(f"note: {escape(text)}", soft_wrap=True)
    console.print(_sentence(found))


def _sentence(found: Verification) -> str:
    answers = [each.matches for each in found.comparisons]
    compared = len(answers) - answers.count(None)
    left = answers.count(None)
    rest = f"; {left} could not be compared" if left else ""
    return f"{answers.count(True)} of {compared} comparisons match{rest}."
