"""Wrong requests: options that have no effect, and input files that do not exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tamis.errors import RequestError
from tamis.wording import counted


def refuse_what_outputs_say(given: Mapping[str, object]) -> None:
    """Refuse options of `tamis apply` that --verify does not look at.

    Args:
        given: options and their values; None or False where they were not given.

    Raises:
        RequestError: with all that were given.

    >>> refuse_what_outputs_say({"--copy": False, "--sentinel": None})
    """
    useless = [name for name, value in given.items() if value is not None and value is not False]
    if useless:
        raise RequestError(
            f"--verify takes selection, sentinel, format and the like from what the outputs say: leave out "
            f"{', '.join(useless)}"
        )


def refuse_missing_files(files: Iterable[str]) -> None:
    """Refuse local input files that do not exist.

    Args:
        files: paths or URLs, for example those that could not be scored.

    Raises:
        RequestError: some do not exist.

    >>> refuse_missing_files(["https://example.org/absent.root"])
    """
    from tamis.data.signature import local_path

    paths = [(file, local_path(file)) for file in files]
    missing = [file for file, path in paths if path is not None and not path.exists()]
    if missing:
        more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        verb = "does" if len(missing) == 1 else "do"
        raise RequestError(
            f"{counted(len(missing), 'input file')} {verb} not exist: {', '.join(missing[:3])}{more}; check the paths"
        )
