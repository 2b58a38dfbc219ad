"""Format numbers and names for messages."""

from __future__ import annotations

import difflib
import math
import struct
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

LEAST_P_VALUE = 0.001
"""p-value below which only this limit is written: no distribution is known so far out in its tail."""
LARGEST_P_VALUE = 0.99
"""p-value above which only this limit is written: "p = 1" reads like a certainty."""
_LONGEST = 60
_MOST_DECIMALS = 8
_METRIC_DECIMALS = 4
_MOST_CHOICES = 1000


def counted(number: int, thing: str) -> str:
    """Format a number of things.

    >>> counted(1, "event"), counted(1200, "event")
    ('1 event', '1,200 events')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def join_first(names: Iterable[str], most: int, *, separator: str = ", ") -> str:
    """Join the first names, and count the others.

    >>> join_first(["pt", "eta", "mass"], 2), join_first([], 2)
    ('pt, eta and 1 more', '')
    """
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


def format_p_value(number: float, *, smallest: float | None = None) -> str:
    """Format a p-value with its relation; one from permutations or simulations may be only an upper limit.

    `smallest` is the smallest p-value that these can have, corrected for the number of tests like `number`.

    >>> format_p_value(0.03127), format_p_value(1 / 401, smallest=1 / 401), format_p_value(1e-12), format_p_value(1.0)
    ('p = 0.0313', 'p <= 0.0025', 'p < 0.001', 'p > 0.99')
    """
    if number > LARGEST_P_VALUE:
        return f"p > {LARGEST_P_VALUE:g}"
    if smallest is None and number < LEAST_P_VALUE:
        return f"p < {LEAST_P_VALUE:g}"
    if smallest is not None and number <= smallest * (1 + 1e-9):
        unit = 10.0 ** (math.floor(math.log10(number)) - 2)
        # rounded up, so that the limit remains true
        return f"p <= {math.ceil(number / unit - 1e-9) * unit:.3g}"
    return f"p = {number:.3g}"


def format_value(number: float) -> str:
    """Format the value of a column so that it is read back equal, in its 64 or 32 bits.

    >>> format_value(-999.0), format_value(20180103.0), format_value(-999.9000244140625), format_value(91.18761234)
    ('-999', '20180103', '-999.9', '91.18761234')
    """

    def same(text: str) -> bool:
        return float(text) == number or (_in_32_bits(number) == number == _in_32_bits(float(text)))

    return next((text for digits in (6, 9) if same(text := f"{number:.{digits}g}")), repr(number))


def _in_32_bits(number: float) -> float:
    if abs(number) > 3.4e38:
        return number
    return float(struct.unpack("f", struct.pack("f", number))[0])


def format_range(low: float, high: float, digits: int = 6) -> tuple[str, str]:
    """Format the two ends of a range, with enough digits to distinguish them.

    >>> format_range(-4.17804123, 4.38), format_range(1600000000.5, 1600000060.25)
    (('-4.17804', '4.38'), ('1600000000.5', '1600000060.2'))
    """
    size, width = max(abs(low), abs(high)), high - low
    if 0 < width < size < math.inf:
        digits = max(digits, min(math.ceil(math.log10(size / width)) + 3, 17))
    return f"{low:.{digits}g}", f"{high:.{digits}g}"


def format_size(number: float) -> str:
    """Format a number of bytes.

    >>> format_size(3 * 2**30), format_size(1.5e6)
    ('3.0 GiB', '1.4 MiB')
    """
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if number >= unit:
            return f"{number / unit:.{1 if number < 10 * unit else 0}f} {name}"
    return f"{number / 2**10:.0f} KiB"


def count_decimals(interval: Sequence[float] | None, fallback: int = 4) -> int:
    """Return the number of decimals at which half of an interval has two significant digits.

    >>> count_decimals([0.9758, 0.9768]), count_decimals(None)
    (5, 4)
    """
    if interval is None or not interval[1] > interval[0]:
        return fallback
    half = (interval[1] - interval[0]) / 2
    return max(0, min(_MOST_DECIMALS, 1 - math.floor(math.log10(half))))


def format_with_interval(
    value: float, interval: Sequence[float] | None, *, signed: bool = False
) -> tuple[str, str]:
    """Format a number and its interval with the same decimals; an unknown interval is an empty text.

    >>> format_with_interval(0.0005, (-0.002, 0.003), signed=True), format_with_interval(1234.5, (347.2, 2100.0))
    (('+0.0005', '[-0.0020, +0.0030]'), ('1,234', '[347, 2,100]'))
    """
    form = f"{'+' if signed else ''}z,.{count_decimals(interval)}f"
    text = format(value, form)
    return (text, "") if interval is None else (text, f"[{interval[0]:{form}}, {interval[1]:{form}}]")


def format_metric(value: float, interval: Sequence[float] | None = None) -> tuple[str, str]:
    """Format a loss, an accuracy, an area or a score, and its interval, with the same digits in every place.

    There are four decimals, or more if two digits of the distance to 0 or 1, or one digit of half of the interval, need
    them.

    >>> format_metric(0.97631, (0.97582, 0.97683)), format_metric(0.999951)
    (('0.9763', '[0.9758, 0.9768]'), ('0.999951', ''))
    """
    distance = min(abs(value), abs(1 - value)) if value <= 1 else 1.0
    half = (interval[1] - interval[0]) / 2 if interval is not None else 0.0
    needed = [1 - math.floor(math.log10(distance))] if distance > 0 else []
    needed += [-math.floor(math.log10(half))] if half > 0 else []
    form = f"z,.{min(_MOST_DECIMALS, max(_METRIC_DECIMALS, *needed, 0))}f"
    text = format(value, form)
    return (text, "") if interval is None else (text, f"[{interval[0]:{form}}, {interval[1]:{form}}]")


def format_with_error(value: float, error: float | None, *, signed: bool = False) -> str:
    """Format a number and its standard deviation with the same decimals.

    >>> format_with_error(0.00274, 0.00134, signed=True), format_with_error(0.5, None)
    ('+0.0027 +- 0.0013', '0.5000')
    """
    if error is None:
        return format_with_interval(value, None, signed=signed)[0]
    interval = (value - error, value + error)
    text, _ = format_with_interval(value, interval, signed=signed)
    return f"{text} +- {error:,.{count_decimals(interval)}f}"


def format_change(difference: float, interval: Sequence[float] | None) -> str:
    """Format a difference in a sentence, with its interval if it is known.

    >>> format_change(0.0005, (-0.002, 0.003)), format_change(0.0005, None)
    ('+0.0005 (68.3% interval [-0.0020, +0.0030])', '+0.0005')
    """
    text, written = format_with_interval(difference, interval, signed=True)
    return f"{text} ({name_interval(written)})" if written else text


def name_interval(interval: str) -> str:
    """Return a formatted interval after its level; an empty text for none.

    >>> name_interval("[0.1, 0.3]")
    '68.3% interval [0.1, 0.3]'
    """
    return f"68.3% interval {interval}" if interval else ""


def is_clean(text: str) -> bool:
    r"""Return whether text can be written and read again: no control characters, no surrogates.

    >>> is_clean("two words"), is_clean("two\nlines")
    (True, False)
    """
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def find_close_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Find the known names that are most similar to a name, ignoring case.

    >>> find_close_names("PT", ["eta", "pt", "mass"])
    ['pt']
    """
    spellings: dict[str, list[str]] = {}
    for candidate in known:
        spellings.setdefault(candidate.lower(), []).append(candidate)
    close = difflib.get_close_matches(name.lower(), list(spellings), n=most)
    return [candidate for spelling in close for candidate in spellings[spelling]][:most]


def suggest(name: str, known: Iterable[str], most: int = 1) -> str:
    """Format a suggestion of the closest valid names, `; did you mean 'x'?`; an empty text if none is close.

    Example:
        >>> suggest("balnce", ["balance", "negative"])
        "; did you mean 'balance'?"
        >>> suggest("colour", ["balance", "negative"])
        ''
    """
    near = find_close_names(name[:_LONGEST], islice(known, _MOST_CHOICES), most)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def describe(value: object) -> str:
    """Return a short description of a wrong value.

    Example:
        >>> describe(True), describe(None), describe("32"), describe([1, 2]), describe(2.5)
        ('true', 'nothing', "the text '32'", 'a list', '2.5')
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {shorten(repr(value))}"
        case int() if abs(value) > 1e300:
            return "a very large number"  # Python does not write an int of thousands of digits in decimal
        case int() | float():
            return shorten(str(value))
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case _:
            return f"a Python {type(value).__name__}"


def shorten(text: str, longest: int = _LONGEST) -> str:
    """Cut the end of a long text.

    >>> shorten("pt > 20 && abs(eta) < 2.4", 12)
    'pt > 20 &...'
    """
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def expected_one_of(choices: Sequence[str], value: object) -> str:
    """Return the message for a value that is not one of a few words.

    Example:
        >>> expected_one_of(["classes", "none"], "clases")
        "expected one of classes, none; found the text 'clases'; did you mean 'classes'?"
    """
    words = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    hint = suggest(value, choices) if isinstance(value, str) else ""
    return f"expected {words}; found {describe(value)}{hint}"
