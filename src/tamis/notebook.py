"""HTML representations for notebooks: small tables and curves, with all text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tamis.wording import format_metric

_WIDTH, _HEIGHT = 420, 110


def heading(text: str) -> str:
    """Format a heading.

    >>> heading("a < b")
    '<p><b>a &lt; b</b></p>'
    """
    return f"<p><b>{escape(text)}</b></p>"


def paragraph(text: str) -> str:
    """Format a paragraph."""
    return f"<p>{escape(text)}</p>"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a table; floating-point numbers have five significant digits, None is a dash.

    >>> table(["<x>"], [[0.123456]])
    '<table><thead><tr><th>&lt;x&gt;</th></tr></thead><tbody><tr><td>0.12346</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(cell: object) -> str:
    match cell:
        case None:
            return "\N{EN DASH}"
        case float():
            return f"{cell:z.5g}"
        case int():
            return f"{cell:,}"
        case _:
            return escape(str(cell))


def curves(lines: Mapping[str, tuple[Sequence[float], str]]) -> str:
    """Draw a small vector figure of curves; each has a name, values at the points 0, 1, ..., and a colour."""
    numbers = [value for values, _ in lines.values() for value in values]
    low, high = min(numbers), max(numbers)
    span = (high - low) or 1.0
    elements = []
    for position, (name, (values, colour)) in enumerate(lines.items()):
        step = (_WIDTH - 20) / max(len(values) - 1, 1)
        points = " ".join(
            f"{10 + step * number:.1f},{_HEIGHT - 10 - (_HEIGHT - 35) * (value - low) / span:.1f}"
            for number, value in enumerate(values)
        )
        paint, x = escape(colour), 10 + 110 * position
        elements.append(f'<polyline points="{points}" fill="none" stroke="{paint}" stroke-width="1.6"/>')
        elements.append(f'<text x="{x}" y="14" font-size="12" fill="{paint}">{escape(name)}</text>')
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img">{"".join(elements)}</svg>'


def run_summary(name: str, metrics: Mapping[str, Any]) -> str:
    """Format the most important numbers of `metrics.json` of a run of this name as HTML."""
    names = metrics["classes"]
    rows = [
        [split, sum(metrics[split]["events"].values())]
        + [
            None if value is None else format_metric(value)[0]
            for value in (
                *(metrics[split]["balanced"][quantity] for quantity in ("loss", "accuracy")),
                *(metrics[split]["auc"][class_name] for class_name in names),
            )
        ]
        for split in ("training", "validation", "test")
    ]
    test = metrics["overtraining"]["permutation_test"]
    columns = [
        "split",
        "events",
        "balanced loss",
        "balanced accuracy",
        *(f"AUC {class_name}" for class_name in names),
    ]
    sentence = "Areas have physics weights." if test is None else test["sentence"]
    return heading(f"tamis run {name}") + table(columns, rows) + paragraph(sentence)
