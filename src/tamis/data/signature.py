"""What the first and the last bytes of a file say: what it is, and whether all of it is there."""

from __future__ import annotations

import struct
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT, PARQUET = b"root", b"PAR1"
_HEADER = 20
_LARGE = 1_000_000
"""Added to the version of a ROOT file whose places have 64 bits, since it may be larger than 2 GB."""


def local_path(place: str) -> Path | None:
    """Give the path of a file on this machine, also where it is spelt as a URL; None for other URLs.

    >>> str(local_path("file:///data/a%20b.root")), local_path("https://site/a.root")
    ('/data/a b.root', None)
    """
    if "://" not in place:
        return Path(place)
    parts = urlsplit(place)
    if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
        return None
    return Path(unquote(parts.path))


def signature_problem(path: Path, *, parquet: bool) -> str:
    """Say why a file cannot be what its name says; nothing where it can.

    Args:
        path: a file on this machine; one that is not there has no problem here.
        parquet: whether it is to be read as Parquet, not as ROOT.

    Raises:
        OSError: it may not be read.
    """
    if not path.is_file():
        return ""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER)
    if not size:
        return "is empty, and not a ROOT or Parquet file; copy or produce it again"
    if parquet:
        return _parquet_problem(head)
    return _root_problem(head, size)


def _parquet_problem(head: bytes) -> str:
    if head.startswith(PARQUET):
        return ""
    if head.startswith(ROOT):
        return "is a ROOT file with the name of a Parquet file; call it .root"
    return f"is not a Parquet file: it begins with {head[:8]!r}; copy or produce it again"


def _root_problem(head: bytes, size: int) -> str:
    if head.startswith(PARQUET):
        return "is a Parquet file, but its name does not say so; call it .parquet"
    if not head.startswith(ROOT):
        return f"is not a ROOT or Parquet file: it begins with {head[:8]!r}; copy or produce it again"
    end = root_end(head)
    if end is None:
        return f"has {size} bytes, fewer than the header of a ROOT file; it was cut, copy it again"
    if end > size:
        return f"is shorter than it says: it has {size:,} of {end:,} bytes; it was cut, copy it again"
    return ""


def root_end(head: bytes) -> int | None:
    """Read where a ROOT file ends (`fEND`) from its first bytes; None where they are too few.

    The header is `root`, the version, the place of the first record, and the end: in 64 bits where the version is above
    a million, else in 32 (https://root.cern/doc/master/classTFile.html).

    >>> root_end(b"root" + (62400).to_bytes(4) + (100).to_bytes(4) + (4000).to_bytes(4))
    4000
    """
    if len(head) < _HEADER - 4:
        return None
    version, _, end = struct.unpack_from(">iii", head, 4)
    if version < _LARGE:
        return int(end)
    return None if len(head) < _HEADER else int(struct.unpack_from(">q", head, 12)[0])
