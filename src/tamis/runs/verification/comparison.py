"""Comparisons of the contents of a run with their expected values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tamis.files import as_json
from tamis.wording import shorten

_ROUNDING = 1e-9  # relative difference of numbers: another processor adds in another order
_MOST_SENTENCES = 5


@dataclass(frozen=True)
class Comparison:
    """One kind of content of a run, compared with its expected value.

    Args:
        number: how many things were compared; 0 if the comparison was not possible.
        findings: differences, as sentences.
        notes: what could not be compared, and why.
    """

    what: str
    number: int
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def matches(self) -> bool | None:
        """Return whether there is no difference; None if nothing could be compared."""
        if self.findings:
            return False
        return True if self.number else None


@dataclass(frozen=True)
class Verification:
    """The comparisons of a run with its expected content, in the order of the table, and notes for the user."""

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Return whether everything that could be compared matches."""
        return not any(comparison.findings for comparison in self.comparisons)


def compare_document(what: str, name: str, written: Any, expected: Any) -> Comparison:
    """Compare the content of a JSON file of the run with the expected content; None if it cannot be read."""
    if written is None:
        return Comparison(what, 0, notes=(f"{name} cannot be read",))
    number, differences = compare_values(written, expected)
    return Comparison(what, number, few(differences, name))


def compare_values(written: Any, expected: Any, path: str = "") -> tuple[int, list[str]]:
    """Compare two values that consist of mappings, lists, texts and numbers; expected tuples and arrays count as lists.

    The result is the number of single values, and a sentence for each that differs by more than rounding.

    >>> compare_values({"loss": 0.5, "auc": [1, None]}, {"loss": 0.25, "auc": (1.0, None)})
    (3, ['loss is 0.5, not 0.25'])
    """
    expected = as_json(expected)
    return _count_leaves(expected), list(_differences(written, expected, path))


def _differences(written: Any, expected: Any, path: str) -> Iterator[str]:
    if isinstance(written, Mapping) and isinstance(expected, Mapping):
        for key in dict.fromkeys([*expected, *written]):
            inside = f"{path}.{key}" if path else str(key)
            if key not in written:
                yield f"{inside} is missing"
            elif key not in expected:
                yield f"{inside} is not expected"
            else:
                yield from _differences(written[key], expected[key], inside)
    elif isinstance(written, list) and isinstance(expected, list) and len(written) == len(expected):
        for index, pair in enumerate(zip(written, expected, strict=True)):
            yield from _differences(*pair, f"{path}[{index}]")
    elif not _are_equal(written, expected):
        yield f"{path} is {shorten(repr(written))}, not {shorten(repr(expected))}"


def _are_equal(written: Any, expected: Any) -> bool:
    values = (written, expected)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return written == expected or math.isclose(written, expected, rel_tol=_ROUNDING, abs_tol=_ROUNDING**2)
    return type(written) is type(expected) and bool(written == expected)


def _count_leaves(value: Any) -> int:
    if isinstance(value, Mapping):
        value = list(value.values())
    return sum(map(_count_leaves, value)) if isinstance(value, list) else 1


def few(sentences: list[str], subject: str = "") -> tuple[str, ...]:
    """Return the first sentences, and the number of the others.

    >>> few([f"a[{number}] is 1, not 2" for number in range(7)], "metrics.json")[-1]
    'metrics.json: 2 more differences'
    """
    prefix = f"{subject}: " if subject else ""
    listed = [prefix + sentence for sentence in sentences[:_MOST_SENTENCES]]
    n_more = len(sentences) - _MOST_SENTENCES
    if n_more > 0:
        listed.append(f"{prefix}{n_more:,} more {'difference' if n_more == 1 else 'differences'}")
    return tuple(listed)
