"""What can go wrong, as one small family: each error says the rule, what was found and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TamisError(Exception):
    """The work failed; the command ends with exit status 1."""

    exit_status = 1


class RequestError(TamisError):
    """The request was wrong (arguments, configuration or input); the command ends with exit status 2."""

    exit_status = 2


class ExpressionError(RequestError):
    """An expression cannot be read, or names what does not exist."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where.

    Args:
        where: a path inside the configuration (`samples[1].weight`), or a file, tree and branch.
        message: what was found, what was expected and what to do.
        line: the line of the configuration file, where there is one.
    """

    where: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        """Give one line: `where (line n): message`."""
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.where}{line}: {self.message}" if self.where else self.message


class ProblemsError(RequestError):
    """Several problems that are reported together.

    Args:
        title: what was being read.
        problems: all that was found, in the order of the input.
    """

    def __init__(self, title: str, problems: Sequence[Problem]) -> None:
        """Join the problems into one message."""
        self.title = title
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{title}: {count}", *(f"  {problem}" for problem in problems)]))


class ConfigurationError(ProblemsError):
    """The configuration breaks a rule; no input file was opened."""


class InputError(ProblemsError):
    """The input files do not hold what the configuration asks for."""


class TrainingError(TamisError):
    """The training could not give a usable network."""


class StoppedError(TamisError):
    """The work was stopped from outside, and the same command goes on with it.

    The exit status is the one that HTCondor's manual takes for "a checkpoint was written".
    """

    exit_status = 85


class ExportError(TamisError):
    """The classifier could not be handed over in another form that gives the same scores."""


class UntranslatableError(ExportError):
    """A form of the hand-over has no words for a part of the classifier."""
