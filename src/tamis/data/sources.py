"""From the names of files in a configuration to the files of each sample."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tamis.config.fields import check_place
from tamis.data.schema import SourceFile
from tamis.data.signature import local_path
from tamis.errors import InputError, Problem


def expand_files(sample: str, patterns: Sequence[str], folder: Path | str) -> list[SourceFile]:
    """Find the files of a sample as `find_files` does.

    Raises:
        InputError: a pattern matches no file, or a file is named twice.
    """
    found, problems = find_files(sample, patterns, folder)
    if problems:
        raise InputError("input files", problems)
    return found


def find_files(
    sample: str, patterns: Sequence[str], folder: Path | str
) -> tuple[list[SourceFile], list[Problem]]:
    """Find the files of a sample, in an order that does not depend on the list, and what is wrong with the names.

    Args:
        sample: name of the sample; empty where the files are of none.
        patterns: paths, globs or URLs.
        folder: where relative paths are looked up; may be a URL.

    Returns:
        Each file once, and a problem for each pattern that matches no file and each file that is named twice.
    """
    found: list[SourceFile] = []
    problems = []
    where = f"sample {sample}" if sample else ""
    root = _absolute(Path(folder))
    for pattern in patterns:
        try:
            paths = _matches(pattern, folder)
        except (OSError, ValueError, IndexError, RuntimeError) as error:
            # no permission, a name that is too long, an unknown ~user, or a pattern such as a**
            message = (
                f"{pattern!r} cannot be looked up ({error}); check the path, its permissions and the pattern"
            )
            problems.append(Problem(where, message))
            continue
        if not paths:
            problems.append(Problem(where, _nothing_found(_below(pattern, folder), folder)))
        found += [SourceFile(sample, path, _identity(path, folder, root)) for path in paths]
    places: dict[str, SourceFile] = {}
    for source in sorted(found, key=lambda source: source.identity):
        place = _place(source.path)
        if place in places:
            message = f"file {source.path!r} is named twice; its events would count twice"
            problems.append(Problem(where, message))
        places.setdefault(place, source)
    return list(places.values()), list(dict.fromkeys(problems))


def _nothing_found(place: str, folder: Path | str) -> str:
    data = local_path(str(folder))
    if (
        data is not None
        and not Path(data).exists()
        and place.startswith(f"{_absolute(Path(folder))}{os.sep}")
    ):
        return f"there is no folder {str(folder)!r}, where its files are looked up; mend `data` or --data"
    if local_path(place) is not None and Path(place).is_dir():
        return f"{place!r} is a folder; name its files, such as '{place.rstrip('/')}/*.root'"
    return f"no file matches {place!r}"


def _place(path: str) -> str:
    """Give where a file lies, the same for all its spellings."""
    local = local_path(path)
    return path if local is None else os.path.realpath(local)


def _below(pattern: str, folder: Path | str) -> str:
    """Give the path or URL of a name; only relative names are looked up in the folder."""
    if "://" in pattern:
        return pattern
    if "://" in str(folder):
        return f"{str(folder).rstrip('/')}/{pattern}"
    return str(_absolute(folder / Path(pattern).expanduser()))


def _matches(pattern: str, folder: Path | str) -> list[str]:
    place = check_place(_below(pattern, folder))
    if "://" in place:
        return [place]
    # links are kept: a file is known by the name that the user gave it, not by where its bytes lie
    path = Path(place)
    if path.is_file():
        return [str(path)]
    found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    return sorted(str(match) for match in found if match.is_file())


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


def _identity(path: str, folder: Path | str, root: Path) -> str:
    if "://" in path:
        return path.removeprefix(f"{str(folder).rstrip('/')}/")
    inside = Path(path)
    return inside.relative_to(root).as_posix() if inside.is_relative_to(root) else path
