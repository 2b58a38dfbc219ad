"""The input files of each sample, from the names in a configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from tamis.config.fields import check_location
from tamis.data.schema import SourceFile
from tamis.data.signature import resolve_local_path
from tamis.errors import InputError, Problem

WILDCARD = re.compile(r"[*?\[]")
"""Characters that make a path a pattern."""


def expand_files(sample: str, patterns: Sequence[str], folder: Path | str) -> list[SourceFile]:
    """Find the files of a sample as `find_files` does, and raise an `InputError` if it finds a problem."""
    sources, problems = find_files(sample, patterns, folder)
    if problems:
        raise InputError("input files", problems)
    return sources


def find_files(
    sample: str, patterns: Sequence[str], folder: Path | str
) -> tuple[list[SourceFile], list[Problem]]:
    """Find each file of a sample once, in an order that does not depend on that of the patterns: paths, globs or URLs.

    A sample without name is that of a list of files. Every pattern without a file and every file that is listed twice
    is a problem.
    """
    sources: list[SourceFile] = []
    problems = []
    where = f"sample {sample}" if sample else ""
    root = _absolute(Path(folder))
    for pattern in patterns:
        try:
            paths = _matches(pattern, folder)
        # no permission, a name that is too long, an unknown ~user, or a pattern such as a**
        except (OSError, ValueError, IndexError, RuntimeError) as error:
            message = (
                f"cannot search for {pattern!r} ({error}); check the path, its permissions and the pattern"
            )
            problems.append(Problem(where, message))
            continue
        if not paths:
            problems.append(Problem(where, _explain_no_match(_join(folder, pattern), folder)))
        sources += [SourceFile(sample, path, _file_key(path, folder, root)) for path in paths]
    by_real_path: dict[str, SourceFile] = {}
    for source in sorted(sources, key=lambda source: source.file_key):
        local = resolve_local_path(source.path)
        real_path = source.path if local is None else os.path.realpath(local)
        if real_path in by_real_path:
            message = f"file {source.path!r} is listed twice, and its events would count twice; list it once"
            problems.append(Problem(where, message))
        by_real_path.setdefault(real_path, source)
    return list(by_real_path.values()), list(dict.fromkeys(problems))


def _explain_no_match(path: str, folder: Path | str) -> str:
    data = resolve_local_path(str(folder))
    if data is not None and not Path(data).exists() and path.startswith(f"{_absolute(Path(folder))}{os.sep}"):
        return f"the data folder {str(folder)!r} does not exist; correct `data` or --data"
    if resolve_local_path(path) is not None and Path(path).is_dir():
        return f"{path!r} is a folder; give its files, such as '{path.rstrip('/')}/*.root'"
    if not WILDCARD.search(path):
        return f"file {path!r} does not exist; check the path"
    return f"no file matches {path!r}; check the pattern"


def _join(folder: Path | str, pattern: str) -> str:
    """Return the path or URL of a pattern, below the folder if it is relative."""
    if "://" in pattern:
        return pattern
    if "://" in str(folder):
        return f"{str(folder).rstrip('/')}/{pattern}"
    return str(_absolute(folder / Path(pattern).expanduser()))


def _matches(pattern: str, folder: Path | str) -> list[str]:
    path_or_url = check_location(_join(folder, pattern))
    if "://" in path_or_url:
        return [path_or_url]
    # links are not resolved: the key of a file, and so its event IDs, follow the name that the user gave it
    path = Path(path_or_url)
    if path.is_file():
        return [str(path)]
    return find_matching_files(path)


def find_matching_files(pattern: Path) -> list[str]:
    """Return the files that an absolute glob matches, sorted."""
    matches = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    return sorted(str(match) for match in matches if match.is_file())


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


def _file_key(path: str, folder: Path | str, root: Path) -> str:
    if "://" in path:
        return path.removeprefix(f"{str(folder).rstrip('/')}/")
    inside = Path(path)
    return inside.relative_to(root).as_posix() if inside.is_relative_to(root) else path
