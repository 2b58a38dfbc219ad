"""The command `tamis`: each command loads, validates, calls and writes."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, as `tamis.cli.commands.main`; an interruption while that is loaded shows no traceback."""
    try:
        from tamis.cli.commands import main as run
    except KeyboardInterrupt:
        sys.stderr.write("tamis: interrupted\n")
        raise SystemExit(130) from None
    run(arguments)
