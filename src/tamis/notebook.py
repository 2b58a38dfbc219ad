"""How values show themselves in a notebook: small tables and curves, everything in them escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 420, 110


def heading(text: str) -> str:
    """Write a line that says what follows.

    >>> heading("a < b")
    '<p><b>a &lt; b</b></p>'
    """
    return f"<p><b>{escape(text)}</b></p>"


def paragraph(text: str) -> str:
    """Write a paragraph."""
    return f"<p>{escape(text)}</p>"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table; floating-point numbers get five significant digits, None a dash.

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
            return f"{cell:.5g}"
        case int():
            return f"{cell:,}"
        case _:
            return escape(str(cell))


def curves(lines: Mapping[str, tuple[Sequence[float], str]]) -> str:
    """Draw curves over the number of their points, as a small vector figure.

    Args:
        lines: by name: the values, and the colour.
    """
    numbers = [value for values, _ in lines.values() for value in values]
    low, high = min(numbers), max(numbers)
    span = (high - low) or 1.0
    drawn = []
    for place, (name, (values, colour)) in enumerate(lines.items()):
        step = (_WIDTH - 20) / max(len(values) - 1, 1)
        points = " ".join(
            f"{10 + step * number:.1f},{_HEIGHT - 10 - (_HEIGHT - 35) * (value - low) / span:.1f}"
            for number, value in enumerate(values)
        )
        paint, left = escape(colour), 10 + 110 * place
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{paint}" stroke-width="1.6"/>')
        drawn.append(f'<text x="{left}" y="14" font-size="12" fill="{paint}">{escape(name)}</text>')
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img">{"".join(drawn)}</svg>'


def run_summary(name: str, metrics: Mapping[str, Any]) -> str:
    """Show the numbers of a run that are quoted first.

    Args:
        name: of the run.
        metrics: as `metrics.json` holds them.
    """
    names = metrics["classes"]
    rows = [
        [part, sum(metrics[part]["events"].values()), metrics[part]["loss"], metrics[part]["accuracy"]]
        + [metrics[part]["auc"][each] for each in names]
        for part in ("training", "validation", "test")
    ]
    verdict = metrics["overtraining"]["verdict"]
    parts = [
        heading(f"tamis run {name}"),
        table(["part", "events", "loss", "accuracy", *(f"AUC {each}" for each in names)], rows),
        paragraph("Signed physics weights." if verdict is None else verdict["sentence"]),
    ]
    return "".join(parts)
