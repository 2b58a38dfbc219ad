"""Options that have no effect are refused, so that nobody believes that they had one."""

from __future__ import annotations

from collections.abc import Mapping

from tamis.errors import RequestError


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
