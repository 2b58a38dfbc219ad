"""Numbers and names as messages write them."""

from __future__ import annotations

import difflib
import math
import struct
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


def value(number: float) -> str:
    """Write the value of a column so that it is the same when it is read again, in 64 bits or in the 32 that it has.

    >>> value(-999.0), value(20180103.0), value(-999.9000244140625), value(91.18761234)
    ('-999', '20180103', '-999.9', '91.18761234')
    """

    def same(text: str) -> bool:
        return float(text) == number or (_in_32_bits(number) == number == _in_32_bits(float(text)))

    return next((text for digits in (6, 9) if same(text := f"{number:.{digits}g}")), repr(number))


def _in_32_bits(number: float) -> float:
    if abs(number) > 3.4e38:
        return number
    return float(struct.unpack("f", struct.pack("f", number))[0])


def limits(low: float, high: float, digits: int = 6) -> tuple[str, str]:
    """Write the two ends of a range, with enough digits to tell them apart.

    >>> limits(-4.17804123, 4.38), limits(1600000000.5, 1600000060.25)
    (('-4.17804', '4.38'), ('1600000000.5', '1600000060.2'))
    """
    size, width = max(abs(low), abs(high)), high - low
    if 0 < width < size < math.inf:
        digits = max(digits, min(math.ceil(math.log10(size / width)) + 3, 17))
    return f"{low:.{digits}g}", f"{high:.{digits}g}"


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
