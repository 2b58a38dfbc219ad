"""The exceptions of tamis. A message names the rule, the actual value and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tamis.wording import counted, join_first

_LISTED = 3  # number of files that are listed for a problem of many files
_LINES = 33  # number of different problems that are listed


class TamisError(Exception):
    """The work failed; the command ends with exit status 1."""

    exit_status = 1


class RequestError(TamisError):
    """The request was wrong (arguments, configuration or input); the command ends with exit status 2."""

    exit_status = 2


class ExpressionError(RequestError):
    """An expression cannot be read, or uses a branch that does not exist."""


@dataclass(frozen=True)
class Problem:
    """A problem, and its location.

    Args:
        where: a path inside the configuration (`samples[1].weight`), or a file, tree and branch.
        message: the actual value, the expected one and what to do.
    """

    where: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        """Return one line: `where (line n): message`, without the parts that are not known."""
        if not self.where:
            return self.message if self.line is None else f"line {self.line}: {self.message}"
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.where}{line}: {self.message}"


@dataclass(frozen=True)
class ProblemGroup:
    """Problems with the same message in different locations."""

    message: str
    problems: tuple[Problem, ...]

    @property
    def locations(self) -> str:
        """The first few locations, and the number of all others."""
        return join_first([problem.where for problem in self.problems], _LISTED, separator="; ")

    def lines(self) -> list[str]:
        """Return a single line, or one per problem of a few lines of a file, which all name their line."""
        if len(self.problems) <= _LISTED:
            if any(problem.line is not None or not problem.where for problem in self.problems):
                return [str(problem) for problem in self.problems]
            return [f"{self.locations}: {self.message}"]
        return [f"{len(self.problems):,} times: {self.message} ({self.locations})"]


def group_problems(problems: Sequence[Problem]) -> tuple[ProblemGroup, ...]:
    """Group problems with the same message, in the order in which they first occur.

    >>> groups = group_problems([Problem(f"{number}.root", "holds no tree") for number in range(5)])
    >>> groups[0].lines()
    ['5 times: holds no tree (0.root; 1.root; 2.root and 2 more)']
    """
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.message, []).append(problem)
    return tuple(ProblemGroup(message, tuple(members)) for message, members in groups.items())


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """Format problems as at most a hundred lines; problems with the same message are grouped."""
    groups = group_problems(problems)
    lines = [line for group in groups[:_LINES] for line in group.lines()]
    unnamed = sum(len(group.problems) for group in groups[_LINES:])
    return [*lines, f"and {unnamed:,} more problems"] if unnamed else lines


class ProblemsError(RequestError):
    """Several problems that are reported together, in the order of the input, below a title."""

    def __init__(self, title: str, problems: Sequence[Problem]) -> None:
        """Join the problems into one message, below a heading if there are several."""
        self.title = title
        self.problems = tuple(problems)
        lines = [
            f"{title}: {counted(len(problems), 'problem')}",
            *(f"  {line}" for line in problem_lines(problems)),
        ]
        super().__init__(f"{title}: {problems[0]}" if len(problems) == 1 else "\n".join(lines))


class ConfigurationError(ProblemsError):
    """The configuration is wrong; no input file was opened."""


class InputError(ProblemsError):
    """The input files do not fit the configuration."""


class TrainingError(TamisError):
    """The training did not lead to a usable network."""


class StoppedError(TamisError):
    """The work was stopped from outside, and the same command resumes it.

    The exit status is that of the HTCondor manual for "a checkpoint was written".
    """

    exit_status = 85


class ExportError(TamisError):
    """The classifier could not be exported to a file with the same scores."""


class UntranslatableError(ExportError):
    """A format cannot express a part of the classifier."""

    exit_status = 2
