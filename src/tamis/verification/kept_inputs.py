"""The input files of a run, as far as they are still there."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tamis.files import sha256
from tamis.verification.comparison import Comparison, few
from tamis.verification.record import RecordedInput


@dataclass(frozen=True)
class KeptInputs:
    """Whether the input files are those of the run.

    Args:
        comparison: what to say of them.
        folder: where relative names are looked up; None where no file has a relative name.
        usable: whether all of them are there and are the same.
    """

    comparison: Comparison
    folder: str | None
    usable: bool


def compare_inputs(inputs: Sequence[RecordedInput], data: Path | None) -> KeptInputs:
    """Compare size and hash of every input file with what the run says of it.

    Args:
        inputs: as the run lists them.
        data: the folder where relative names are looked up now; None where they have not moved.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:
        looked = list(pool.map(partial(_look, data=data), inputs))
    findings = [said for kind, said in looked if kind == "other"]
    notes = [said for kind, said in looked if kind == "unknown"]
    number = sum(kind != "unknown" for kind, _ in looked)
    usable = all(kind == "same" for kind, _ in looked) and bool(inputs)
    return KeptInputs(
        Comparison("input files", number, few(findings), few(notes)), _data_folder(inputs, data), usable
    )


def _look(each: RecordedInput, data: Path | None) -> tuple[str, str]:
    """Say whether a file is the same, another one, or one that nothing is known of."""
    if "://" in each.path:
        return "unknown", f"{each.path} is remote: its hash is not known, and it was not read again"
    place = Path(each.path)
    if data is not None and not Path(each.file).is_absolute():
        place = data / each.file
    if not place.is_file():
        where = "look at --data" if data is not None else "if it has moved, say where with --data"
        return "unknown", f"{place} is not there any more; {where}"
    size = place.stat().st_size
    if size != each.bytes:
        return "other", f"{place} has {size:,} bytes, and had {each.bytes:,} when the run was made"
    if sha256(place) != each.sha256:
        return "other", f"{place} was changed after the run was made"
    return "same", ""


def _data_folder(inputs: Sequence[RecordedInput], data: Path | None) -> str | None:
    if data is not None:
        return str(data.absolute())
    for each in inputs:
        if each.path != each.file and each.path.endswith(f"/{each.file}"):
            return each.path.removesuffix(f"/{each.file}") or "/"
    return None
