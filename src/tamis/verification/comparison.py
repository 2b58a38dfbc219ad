"""What was compared, and what does not match."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

ROUNDING = 1e-9
"""By how much a number may differ, as a fraction of it: another processor adds in another order."""
_MOST_SAID = 5


@dataclass(frozen=True)
class Comparison:
    """One kind of thing that a run holds, compared with what it should be.

    Args:
        what: was compared.
        number: of what was compared; 0 where nothing could be.
        findings: what does not match.
        notes: what could not be compared, and why.
    """

    what: str
    number: int
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def matches(self) -> bool | None:
        """Whether all matches; None where nothing could be compared."""
        if self.findings:
            return False
        return True if self.number else None


@dataclass(frozen=True)
class Verification:
    """What became of a finished run.

    Args:
        comparisons: in the order in which a reader looks at them.
        notes: what else there is to know.
    """

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether all that could be compared matches."""
        return not any(each.findings for each in self.comparisons)


def compare_values(written: Any, expected: Any, place: str = "") -> tuple[int, list[str]]:
    """Compare two values that are made of mappings, lists, texts and numbers.

    Args:
        written: as it was read from JSON.
        expected: as it was computed; tuples and arrays count as lists.
        place: of the values, for the sentences.

    Returns:
        How many single values were compared, and a sentence for each that differs by more than rounding.

    >>> compare_values({"loss": 0.5, "auc": [1, None]}, {"loss": 0.25, "auc": (1.0, None)})
    (3, ['loss is 0.5, not 0.25'])
    """
    differences = list(_differences(written, _plain(expected), place))
    number = sum(1 for _ in _leaves(_plain(expected)))
    return number, differences


def _differences(written: Any, expected: Any, place: str) -> Iterator[str]:
    if isinstance(written, Mapping) and isinstance(expected, Mapping):
        for key in dict.fromkeys([*expected, *written]):
            inside = f"{place}.{key}" if place else str(key)
            if key not in written:
                yield f"{inside} is not there"
            elif key not in expected:
                yield f"{inside} is there, but nothing gives it"
            else:
                yield from _differences(written[key], expected[key], inside)
    elif isinstance(written, list) and isinstance(expected, list) and len(written) == len(expected):
        for index, pair in enumerate(zip(written, expected, strict=True)):
            yield from _differences(*pair, f"{place}[{index}]")
    elif not _alike(written, expected):
        yield f"{place} is {_short(written)}, not {_short(expected)}"


def _alike(written: Any, expected: Any) -> bool:
    numbers = [isinstance(each, int | float) and not isinstance(each, bool) for each in (written, expected)]
    if all(numbers):
        return written == expected or math.isclose(written, expected, rel_tol=ROUNDING, abs_tol=ROUNDING**2)
    return type(written) is type(expected) and bool(written == expected)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(value: Any) -> Any:
    """Give a value as JSON would give it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list):
        yield value
        return
    for each in value:
        yield from _leaves(each)


def few(sentences: list[str], subject: str = "") -> tuple[str, ...]:
    """Keep the first sentences, and say how many more there are.

    >>> few([f"a[{number}] is 1, not 2" for number in range(7)], "metrics.json")[-1]
    'metrics.json: 2 more differences'
    """
    before = f"{subject}: " if subject else ""
    said = [before + each for each in sentences[:_MOST_SAID]]
    left = len(sentences) - _MOST_SAID
    if left > 0:
        said.append(f"{before}{left:,} more {'difference' if left == 1 else 'differences'}")
    return tuple(said)
