"""Runs side by side on the same test events: which is better, by how much, and whether that is chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tamis.errors import RequestError
from tamis.evaluation.metrics import Metrics, measure
from tamis.evaluation.parts import FirstOrder, measure_to_first_order
from tamis.evaluation.ranking import RankedScores
from tamis.evaluation.resampling import Counts, Resampler, interval, resample
from tamis.evaluation.same_events import ScoredRun, in_one_mixture, same_events

Float64 = NDArray[np.float64]
Range = tuple[float, float] | None

BOOTSTRAPS = 400
"""Bootstrap samples; the smallest p-value that they can give is one in one more."""
LEVEL = 0.05
"""Corrected p-value up to which a difference is called significant."""
MIXTURES = ("physics", "learned")
"""With the physics weights, and with the physics weights times the training factors of the first run."""


@dataclass(frozen=True)
class Difference:
    """One quantity of two runs on the same events.

    Args:
        mixture: `physics` or `learned`.
        quantity: `loss`, `accuracy` or `auc`.
        class_name: the class of the area under the curve.
        first: value of the first run.
        second: value of the second run.
        difference: second minus first.
        interval: 68.3% bootstrap interval of the difference, with the same bootstrap samples for both.
        p_value: probability that a difference of this size, of either sign, is chance; of this quantity alone.
        corrected: probability that any difference of the whole comparison deviates as much by chance.
    """

    mixture: str
    quantity: str
    class_name: str | None
    first: float
    second: float
    difference: float
    interval: Range
    p_value: float
    corrected: float

    @property
    def name(self) -> str:
        """The quantity for people."""
        quantity = f"AUC of {self.class_name}" if self.quantity == "auc" else self.quantity
        return f"{quantity} in the {self.mixture} mixture"

    @property
    def gain(self) -> float:
        """By how much the second run is better; negative where it is worse."""
        return -self.difference if self.quantity == "loss" else self.difference

    @property
    def significant(self) -> bool:
        """Whether chance alone would hardly give the difference."""
        return self.corrected <= LEVEL and self.difference != 0

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON takes it."""
        return {**vars(self), "significant": self.significant}


@dataclass(frozen=True)
class PairComparison:
    """The first run against another one.

    Args:
        first: name of the first run.
        second: name of the other run.
        differences: every quantity that is defined in both.
        compared: number of differences in the whole comparison, for which the p-values are corrected.
        bootstraps: number of bootstrap samples.
        identical: whether both give every event the same scores.
    """

    first: str
    second: str
    differences: tuple[Difference, ...]
    compared: int
    bootstraps: int
    identical: bool

    @property
    def better(self) -> str | None:
        """Name of the run that is better in every significant difference; None where there is none, or both are."""
        gains = {each.gain > 0 for each in self.differences if each.significant}
        return None if len(gains) != 1 else self.second if gains.pop() else self.first

    @property
    def headline(self) -> Difference:
        """The loss in the learned mixture, which is what a training makes small."""
        wanted = ("learned", "loss")
        return next(each for each in self.differences if (each.mixture, each.quantity) == wanted)

    @property
    def sentence(self) -> str:
        """The verdict in one sentence that can be quoted."""
        if self.identical:
            return f"{self.first} and {self.second} give every event the same scores."
        significant = sorted(
            (each for each in self.differences if each.significant),
            key=lambda each: (each is not self.headline, each.corrected, each.p_value),
        )
        if not significant:
            closest = min(self.differences, key=lambda each: each.corrected)
            return (
                f"No significant difference of {self.first} and {self.second} ({self._sure(closest)}): "
                f"{_told(self.headline, self.second)}."
            )
        if self.better is None:
            first = next(each for each in significant if each.gain < 0)
            second = next(each for each in significant if each.gain > 0)
            return (
                f"Neither {self.first} nor {self.second} is better in everything: {_told(first, self.second)} "
                f"({self._sure(first)}), but {_told(second, self.second)} ({self._sure(second)})."
            )
        best = significant[0]
        worse = self.first if self.better == self.second else self.second
        return f"{self.better} is better than {worse} ({self._sure(best)}): {_told(best, self.second)}."

    def _sure(self, difference: Difference) -> str:
        # no bootstrap sample deviated as much: all that is known is that the p-value is not larger
        least = difference.corrected <= 1 / (self.bootstraps + 1)
        number = f"p {'<=' if least else '='} {difference.corrected:.2g}"
        return f"{number}, corrected for {self.compared} comparisons"

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON takes it."""
        return {
            "first": self.first,
            "second": self.second,
            "better": self.better,
            "identical": self.identical,
            "sentence": self.sentence,
            "differences": [each.to_dict() for each in self.differences],
        }


def _told(difference: Difference, second: str) -> str:
    """Say a difference as one sentence would."""
    if difference.difference == 0:
        return f"the {difference.name} is the same"
    low, high = difference.interval or (0.0, 0.0)
    # as many decimals as give half of the interval two digits
    digits = min(8, max(0, 1 - math.floor(math.log10((high - low) / 2)))) if high > low else 4
    size = f"{abs(difference.difference):.{digits}f}"
    way = "lower" if difference.difference < 0 else "higher"
    between = "" if difference.interval is None else f" [{low:+z.{digits}f}, {high:+z.{digits}f}]"
    return f"the {difference.name} is {size} {way} for {second}{between}"


@dataclass(frozen=True)
class RunNumbers:
    """The numbers of one run.

    Args:
        name: of the run.
        metrics: by mixture.
        intervals: 68.3% intervals to first order by mixture: of loss, accuracy, and the area of each class.
    """

    name: str
    metrics: dict[str, Metrics]
    intervals: dict[str, tuple[Range, ...]]

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything as JSON takes it."""
        found: dict[str, Any] = {"name": self.name}
        for mixture, metrics in self.metrics.items():
            loss, accuracy, *areas = self.intervals[mixture]
            auc = dict(zip(class_names, areas, strict=True))
            intervals = {"loss": loss, "accuracy": accuracy, "auc": auc}
            found[mixture] = {**metrics.to_dict(class_names), "intervals": intervals}
        return found


@dataclass(frozen=True)
class RunComparison:
    """Several runs on the same test events.

    Args:
        class_names: of the first run, for all.
        events: number of test events.
        runs: the numbers of each.
        pairs: the first run against each other one.
        notes: sentences about what was done to make the runs comparable.
    """

    class_names: tuple[str, ...]
    events: int
    runs: tuple[RunNumbers, ...]
    pairs: tuple[PairComparison, ...]
    notes: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict on each other run."""
        return tuple(pair.sentence for pair in self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON takes it."""
        return {
            "classes": list(self.class_names),
            "events": self.events,
            "level": LEVEL,
            "bootstraps": self.pairs[0].bootstraps,
            "comparisons": self.pairs[0].compared,
            "runs": [each.to_dict(self.class_names) for each in self.runs],
            "pairs": [each.to_dict() for each in self.pairs],
            "notes": list(self.notes),
        }


def compare_runs(
    runs: Sequence[ScoredRun], generator: Generator, *, bootstraps: int = BOOTSTRAPS
) -> RunComparison:
    r"""Compare the first run with each other one on the same test events.

    Every event is drawn equally often for all runs in a bootstrap sample, so that what is luck for all falls out of
    the differences (B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall 1993; Poisson
    numbers, as in `poisson_counts`). The p-value of a difference d is the fraction of bootstrap samples (with the
    events as they are among them) in which |d* - d| is not smaller than |d|. For the corrected one each difference is
    divided by its standard deviation over the samples, and the largest of all differences counts (P. Westfall and S.
    Young, "Resampling-based multiple testing", Wiley 1993): it holds for all quantities, mixtures and runs together.

    The comparison is of the networks as they are. How much another seed would change them is not in it.

    Args:
        runs: at least two, with different names.
        generator: where the random numbers come from.
        bootstraps: number of bootstrap samples.

    Raises:
        RequestError: there are fewer than two runs, two have the same name, or their test events are not the same;
            it says which run differs, and by how many events, classes or weights.
        TamisError: the weights of the events have no positive sum.
    """
    _check_names(runs)
    same, notes = in_one_mixture(same_events(runs))
    first, class_names = same[0], same[0].class_names
    weights = {"physics": first.events.weight, "learned": first.events.learned_weight}
    resamplers = [
        [Resampler(run.events.scores, run.events.class_index, weights[mixture]) for mixture in MIXTURES]
        for run in same
    ]
    sorted_scores = [RankedScores(run.events.scores, keep=False) for run in same]
    measured = [
        measure_to_first_order(run.events, [weights[each] for each in MIXTURES], scores)
        for run, scores in zip(same, sorted_scores, strict=True)
    ]
    drawn = _drawn(resamplers, first.events.units, bootstraps, generator)
    numbers = tuple(
        RunNumbers(
            run.name,
            {
                each: measure(scores, run.events.class_index, weights[each], values=found.value)
                for each, found in zip(MIXTURES, of_run, strict=True)
            },
            {each: _ranges(found) for each, found in zip(MIXTURES, of_run, strict=True)},
        )
        for run, scores, of_run in zip(same, sorted_scores, measured, strict=True)
    )
    return RunComparison(class_names, len(first.events), numbers, _pairs(same, measured, drawn), tuple(notes))


def _ranges(found: FirstOrder) -> tuple[Range, ...]:
    intervals = found.intervals()
    return (intervals.loss, intervals.accuracy, *intervals.auc)


def _check_names(runs: Sequence[ScoredRun]) -> None:
    names = [run.name for run in runs]
    if len(names) < 2:
        raise RequestError(f"a comparison needs at least two runs, found {len(names)}")
    if len(set(names)) < len(names):
        raise RequestError(f"the runs to compare need different names, found {', '.join(names)}")


def _drawn(
    resamplers: Sequence[Sequence[Resampler]],
    units: NDArray[np.intp] | None,
    bootstraps: int,
    generator: Generator,
) -> Float64:
    """Measure all runs with the same bootstrap samples, [bootstraps, runs, mixtures, quantities]."""
    events = resamplers[0][0]

    def measure(counts: Counts) -> Float64:
        of_runs = [
            np.stack([each.measure(counts).stacked() for each in of_run], axis=1) for of_run in resamplers
        ]
        return np.stack(of_runs, axis=1)

    return resample(measure, len(events), bootstraps, generator, units, sums=events.sums_of_choice)


def _pairs(
    runs: Sequence[ScoredRun], measured: Sequence[Sequence[FirstOrder]], drawn: Float64
) -> tuple[PairComparison, ...]:
    values = np.array([[each.value for each in of_run] for of_run in measured])
    known = np.array([each.known for each in measured[0]])  # the events of all runs are the same
    found = values[1:] - values[0]
    replicas = drawn[:, 1:] - drawn[:, :1]
    defined = np.isfinite(found)
    single, corrected = p_values_of_differences(found[defined], replicas[:, defined])
    p_values = np.full((2, *found.shape), np.nan)
    p_values[:, defined] = single, corrected
    quantities = [("loss", None), ("accuracy", None), *(("auc", name) for name in runs[0].class_names)]
    return tuple(
        PairComparison(
            runs[0].name,
            run.name,
            tuple(
                Difference(
                    mixture,
                    quantity,
                    class_name,
                    float(values[0, row, column]),
                    float(values[other, row, column]),
                    float(found[other - 1, row, column]),
                    interval(replicas[:, other - 1, row, column]) if known[row, column] else None,
                    *p_values[:, other - 1, row, column].tolist(),
                )
                for row, mixture in enumerate(MIXTURES)
                for column, (quantity, class_name) in enumerate(quantities)
                if defined[other - 1, row, column]
            ),
            compared=int(defined.sum()),
            bootstraps=len(drawn),
            identical=bool(np.array_equal(run.events.scores, runs[0].events.scores)),
        )
        for other, run in enumerate(runs[1:], start=1)
    )


def p_values_of_differences(found: Float64, replicas: Float64) -> tuple[Float64, Float64]:
    """Compute two-sided p-values of differences, each alone and corrected for there being several.

    Args:
        found: the differences, [differences].
        replicas: those of bootstrap samples, [bootstraps, differences]; what cannot be computed counts as large.

    Returns:
        The p-values and the corrected ones, [differences] each; 1 for a difference that is zero.

    >>> single, corrected = p_values_of_differences(np.array([2.0]), np.array([[1.5], [2.5], [5.0]]))
    >>> single.tolist(), corrected.tolist()
    ([0.5], [0.5])
    """
    deviation = np.nanstd(replicas, axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    chance = np.abs(replicas - found) / scale
    chance = np.where(np.isnan(chance), np.inf, chance)
    size = np.abs(found) / scale - 1e-9
    among = len(replicas) + 1
    single = (1 + np.count_nonzero(chance >= size, axis=0)) / among
    largest = chance.max(axis=1, initial=0.0)
    corrected = (1 + np.count_nonzero(largest[:, None] >= size, axis=0)) / among
    return np.where(found == 0, 1.0, single), np.where(found == 0, 1.0, corrected)
