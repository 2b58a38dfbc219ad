"""What can go wrong, as one small family: each error says the rule, what was found and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NAMED = 3
"""Places that are named of a problem that many files have."""
_LINES = 33
"""Different problems that are written in full."""


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
        """Give one line: `where (line n): message`, or what is known of it."""
        if not self.where:
            return self.message if self.line is None else f"line {self.line}: {self.message}"
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.where}{line}: {self.message}"


@dataclass(frozen=True)
class ProblemGroup:
    """Problems that differ only in where they are.

    Args:
        message: what all of them say.
        problems: all of them.
    """

    message: str
    problems: tuple[Problem, ...]

    @property
    def places(self) -> str:
        """The first few places, and how many more there are."""
        first = "; ".join(problem.where for problem in self.problems[:_NAMED])
        more = len(self.problems) - _NAMED
        return f"{first} and {more:,} more" if more > 0 else first

    def lines(self) -> list[str]:
        """Give a line for each of a few problems, and one line for all of many."""
        if len(self.problems) <= _NAMED:
            return [str(problem) for problem in self.problems]
        return [f"{len(self.problems):,} times: {self.message} ({self.places})"]


def group_problems(problems: Sequence[Problem]) -> tuple[ProblemGroup, ...]:
    """Put problems together that say the same, in the order in which they first occur.

    >>> found = group_problems([Problem(f"{number}.root", "holds no tree") for number in range(5)])
    >>> found[0].lines()
    ['5 times: holds no tree (0.root; 1.root; 2.root and 2 more)']
    """
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.message, []).append(problem)
    return tuple(ProblemGroup(message, tuple(found)) for message, found in groups.items())


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """Write problems as lines for people: what a thousand files have in common is said once.

    Args:
        problems: in the order of the input.

    Returns:
        At most a hundred lines, of which the last says how many problems are not named.
    """
    groups = group_problems(problems)
    lines = [line for group in groups[:_LINES] for line in group.lines()]
    left = sum(len(group.problems) for group in groups[_LINES:])
    return [*lines, f"and {left:,} more problems"] if left else lines


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
        count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
        super().__init__("\n".join([f"{title}: {count}", *(f"  {line}" for line in problem_lines(problems))]))


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
    """A form of the hand-over has no words for a part of the classifier: that form cannot be had, whatever is tried."""

    exit_status = 2
