"""The result of a comparison of runs: the numbers of each run, and the differences with their p-values."""

from __future__ import annotations

from dataclasses import dataclass, field

from tamis.comparison.events import ScoredRun
from tamis.statistics.metrics import Metrics
from tamis.wording import format_p_value, format_with_interval, name_interval

Range = tuple[float, float] | None

LEVEL = 0.05
"""Corrected p-value up to which a difference is called significant."""
WEIGHTINGS = ("physics", "balanced")
"""Physics weights, and physics weights times the class weights of the first run."""


@dataclass(frozen=True)
class Difference:
    """One quantity of two runs on the same events.

    Args:
        weighting: `physics` or `balanced`.
        quantity: `loss`, `accuracy` or `auc`.
        class_name: the class of the area under the curve; None for the other quantities.
        difference: second minus first.
        interval: 68.3% bootstrap interval of the difference, from the same bootstrap samples for both runs.
        p_value: two-sided probability of such a difference by chance, for this quantity alone.
        corrected_p_value: probability that any difference of the comparison deviates as much by chance.
    """

    weighting: str
    quantity: str
    class_name: str | None
    first: float
    second: float
    difference: float
    interval: Range
    p_value: float
    corrected_p_value: float

    @property
    def quantity_name(self) -> str:
        """The quantity in words, such as `AUC of signal`."""
        return f"AUC of {self.class_name}" if self.quantity == "auc" else self.quantity

    @property
    def gain(self) -> float:
        """Improvement of the second run over the first; negative if it is worse."""
        return -self.difference if self.quantity == "loss" else self.difference

    @property
    def significant(self) -> bool:
        """Return whether the corrected p-value is at most `LEVEL`."""
        return self.corrected_p_value <= LEVEL and self.difference != 0

    def describe(self, second: str) -> str:
        """Format the difference as a clause; `second` is the name of the second run."""
        name = f"{self.quantity_name} with {self.weighting} weights"
        if self.difference == 0:
            return f"the {name} is the same"
        direction = "lower" if self.difference < 0 else "higher"
        size, _ = format_with_interval(abs(self.difference), self.interval)
        _, interval = format_with_interval(self.difference, self.interval, signed=True)
        named = f" ({name_interval(interval)})" if interval else ""
        return f"the {name} is {size} {direction} for {second}{named}"


@dataclass(frozen=True)
class PairComparison:
    """The first run against another one.

    Args:
        differences: every quantity that is defined in both.
        compared: number of differences of the whole comparison, for which the p-values are corrected.
        identical: whether every event has the same scores in both runs.
    """

    first: str
    second: str
    differences: tuple[Difference, ...]
    compared: int
    bootstraps: int
    identical: bool

    @property
    def smallest_p_value(self) -> float:
        """The smallest p-value that the bootstrap samples can give."""
        return 1 / (self.bootstraps + 1)

    @property
    def significant(self) -> tuple[Difference, ...]:
        """The significant differences, with the headline first and then by rising p-value."""
        headline, significant = self.headline, [number for number in self.differences if number.significant]
        significant.sort(
            key=lambda number: (number is not headline, number.corrected_p_value, number.p_value)
        )
        return tuple(significant)

    @property
    def better(self) -> str | None:
        """Name of the run that is better in every significant difference; None if there is no such run."""
        gains = {difference.gain > 0 for difference in self.significant}
        return None if len(gains) != 1 else self.second if gains.pop() else self.first

    @property
    def headline(self) -> Difference:
        """Difference of the balanced loss, which the training minimises."""
        return next(
            difference
            for difference in self.differences
            if (difference.weighting, difference.quantity) == ("balanced", "loss")
        )

    @property
    def sentence(self) -> str:
        """Result in one sentence that can be quoted."""
        if self.identical:
            return f"Every event has the same scores in {self.first} and {self.second}."
        significant = self.significant
        if not significant:
            closest = min(self.differences, key=lambda difference: difference.corrected_p_value)
            return (
                f"No significant difference between {self.first} and {self.second} ({self._format_p(closest)}): "
                f"{self.headline.describe(self.second)}."
            )
        if self.better is None:
            worst = next(difference for difference in significant if difference.gain < 0)
            best = next(difference for difference in significant if difference.gain > 0)
            return (
                f"Neither {self.first} nor {self.second} is better in everything: {self._clause(worst)}, but "
                f"{self._clause(best)}."
            )
        worse = self.first if self.better == self.second else self.second
        return (
            f"{self.better} is better than {worse} ({self._format_p(significant[0])}): "
            f"{significant[0].describe(self.second)}."
        )

    def _clause(self, difference: Difference) -> str:
        return f"{difference.describe(self.second)} ({self._format_p(difference)})"

    def _format_p(self, difference: Difference) -> str:
        p_value = format_p_value(difference.corrected_p_value, smallest=self.smallest_p_value)
        return f"{p_value}, corrected for {self.compared:,} comparisons"


@dataclass(frozen=True)
class RunNumbers:
    """Metrics of a run, and 68.3% intervals to first order of loss, accuracy and each area, by weighting."""

    name: str
    metrics: dict[str, Metrics]
    intervals: dict[str, tuple[Range, ...]]


@dataclass(frozen=True)
class RunComparison:
    """Several runs on the same test events.

    Args:
        class_names: in the order of the first run.
        notes: a sentence for each run whose scores were converted to the class weights of the first run.
        aligned_runs: their events in the same order, with these scores.
    """

    class_names: tuple[str, ...]
    events: int
    runs: tuple[RunNumbers, ...]
    pairs: tuple[PairComparison, ...]
    notes: tuple[str, ...]
    aligned_runs: tuple[ScoredRun, ...] = field(compare=False, repr=False)
