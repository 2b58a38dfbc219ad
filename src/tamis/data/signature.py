"""The first bytes of a file: its format, and whether the file is complete."""

from __future__ import annotations

import struct
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT, PARQUET = b"root", b"PAR1"
_HEADER = 20
_LARGE = 1_000_000  # added to the version of a ROOT file with 64-bit offsets, which may be larger than 2 GB


def resolve_local_path(location: str) -> Path | None:
    """Return the path of a local file, also for a `file://` URL; None for other URLs.

    >>> str(resolve_local_path("file:///data/a%20b.root")), resolve_local_path("https://site/a.root")
    ('/data/a b.root', None)
    """
    if "://" not in location:
        return Path(location)
    parts = urlsplit(location)
    if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
        return None
    return Path(unquote(parts.path))


def find_signature_problem(path: Path, *, parquet: bool) -> str:
    """Return why a local file is not a complete Parquet or ROOT file; empty if it is, or if it does not exist."""
    if not path.is_file():
        return ""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER)
    if not size:
        return "is empty, and not a ROOT or Parquet file; copy or produce it again"
    if parquet and head.startswith(ROOT):
        return "is a ROOT file with the extension of a Parquet file; rename it to .root"
    if not parquet and head.startswith(PARQUET):
        return "is a Parquet file with another extension; rename it to .parquet"
    if not head.startswith(PARQUET if parquet else ROOT):
        formats = "Parquet" if parquet else "ROOT or Parquet"
        return f"is not a {formats} file: it begins with {head[:8]!r}; copy or produce it again"
    if parquet:
        return ""  # pyarrow checks the end
    end = read_root_end(head)
    if end is None:
        return f"is truncated: it has {size} bytes, fewer than the header of a ROOT file; copy it again"
    if end > size:
        return f"is truncated: it has {size:,} of {end:,} bytes; copy it again"
    return ""


def read_root_end(head: bytes) -> int | None:
    """Read the end of a ROOT file (`fEND`) from its first bytes; None if they are too few.

    The header is `root`, the version, the offset of the first record, and the end: in 64 bits if the version is above a
    million, else in 32 bits (https://root.cern/doc/master/classTFile.html).

    >>> read_root_end(b"root" + (62400).to_bytes(4) + (100).to_bytes(4) + (4000).to_bytes(4))
    4000
    """
    if len(head) < _HEADER - 4:
        return None
    version, _, end = struct.unpack_from(">iii", head, 4)
    if version < _LARGE:
        return int(end)
    return None if len(head) < _HEADER else int(struct.unpack_from(">q", head, 12)[0])
