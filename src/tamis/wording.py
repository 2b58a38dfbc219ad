"""Numbers and names as messages write them."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from itertools import islice

_LONGEST = 60
_MOST_CHOICES = 1000


def counted(number: int, thing: str) -> str:
    """Write a number of things.

    >>> counted(1, "event"), counted(1200, "event")
    ('1 event', '1,200 events')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def size(number: float) -> str:
    """Write a number of bytes.

    >>> size(3 * 2**30), size(1.5e6)
    ('3.0 GiB', '1.4 MiB')
    """
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if number >= unit:
            return f"{number / unit:.{1 if number < 10 * unit else 0}f} {name}"
    return f"{number / 2**10:.0f} KiB"


def is_clean(text: str) -> bool:
    r"""Say whether text can be written and read again: without control characters and halves of characters.

    >>> is_clean("two words"), is_clean("two\nlines")
    (True, False)
    """
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def close_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Find the names that are spelled most like another one, whatever their case.

    >>> close_names("PT", ["eta", "pt", "mass"])
    ['pt']
    """
    spellings: dict[str, list[str]] = {}
    for each in known:
        spellings.setdefault(each.lower(), []).append(each)
    close = difflib.get_close_matches(name.lower(), list(spellings), n=most)
    return [each for spelling in close for each in spellings[spelling]][:most]


def suggest(found: str, known: Iterable[str], most: int = 1) -> str:
    """Name the nearest valid spellings, if any are near.

    Args:
        found: the word that is not valid.
        known: the words that are.
        most: how many are named.

    Returns:
        `; did you mean 'x'?`, or nothing.

    Example:
        >>> suggest("balnce", ["balance", "negative"])
        "; did you mean 'balance'?"
        >>> suggest("colour", ["balance", "negative"])
        ''
    """
    near = close_names(found[:_LONGEST], islice(known, _MOST_CHOICES), most)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
