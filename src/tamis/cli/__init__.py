"""The command `tamis`: each command loads, validates, calls and writes."""

from tamis.cli.commands import main

__all__ = ["main"]
