"""What the features look like: missing values, what gives the class away, what lies beyond the training events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tamis.data.survey import PURITY, Suspicion, class_purity, some_of_each_class, survey_column
from tamis.errors import TamisError
from tamis.evaluation.arrays import classes_of, positive_sum, same_length, weights_of
from tamis.evaluation.correlations import Correlations, Difference, correlate, largest_differences
from tamis.evaluation.overtraining import KolmogorovSmirnov, kolmogorov_smirnov
from tamis.evaluation.units import Units, squared_sum, units_of_rows

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

LEVEL = 0.01
"""Corrected p-value up to which the report warns of a feature."""
_NEGLIGIBLE = 1e-14


@dataclass(frozen=True, eq=False)
class Samples:
    """Which events are training and which are test.

    Args:
        networks: for each network (each fold) the events that it learned from, and those that it tests, [n] each.
        compared: training and test events of which none is in both, [n] each.
        alike: whether training and test events are chosen at random from the same events; then they are compared.
    """

    networks: tuple[tuple[Mask, Mask], ...]
    compared: tuple[Mask, Mask]
    alike: bool = True


@dataclass(frozen=True)
class Missing:
    """Missing values of one feature in one class.

    Args:
        events: number of events without a value.
        fraction: share of the sum of weights; None where that is not positive.
        error: standard deviation of the fraction.
    """

    events: int
    fraction: float | None
    error: float | None


@dataclass(frozen=True)
class Outside:
    """Test events beyond the smallest or largest value of the training events.

    Args:
        low: smallest value of the training events; with folds over all of them.
        high: largest value of the training events.
        events: number of test events outside of the range of what their network learned from.
        fraction: their share of the sum of weights of the test events that have a value; None where that is not
            positive.
        expected: number that is expected by chance, if training and test are chosen at random; None if they are not.
        p_value: probability of at least as many by chance; None where nothing is expected.
        extreme: the value that is furthest out; None where none is.
        beyond: how far that is from the range, in units of the range; None where none is, or the range is empty.
    """

    low: float
    high: float
    events: int
    fraction: float | None
    expected: float | None
    p_value: float | None
    extreme: float | None
    beyond: float | None


@dataclass(frozen=True)
class FeatureSurvey:
    """What was found of one feature.

    Args:
        name: of the feature.
        missing: by class, where any value is missing.
        purity: mean over the classes of the fraction of their events that this feature alone assigns rightly.
        outside: test events beyond the training events; None where the training has no value.
        compared: training against test for each class; None where a sum of weights is not positive.
        suspicions: what `tamis check` says of it.
    """

    name: str
    missing: Mapping[str, Missing]
    purity: float
    outside: Outside | None
    compared: Mapping[str, KolmogorovSmirnov | None]
    suspicions: tuple[Suspicion, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "missing": {name: vars(each) for name, each in self.missing.items()},
            "balanced_accuracy": self.purity,
            "identifies_class": self.purity >= PURITY,
            "outside": None if self.outside is None else vars(self.outside),
            "training_against_test": {
                name: None if each is None else vars(each) for name, each in self.compared.items()
            },
            "suspicions": [each.reason for each in self.suspicions],
        }


@dataclass(frozen=True)
class Inputs:
    """What was found of all features.

    Args:
        features: one after the other.
        correlations: of the training events, by class.
        contrast: correlations of all signal minus those of all background; None where there is not both.
        differences: pairs of features that differ most between classes.
    """

    features: tuple[FeatureSurvey, ...]
    correlations: Mapping[str, Correlations]
    contrast: Correlations | None
    differences: tuple[Difference, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what a person should look at; each list of tests has one correction for their number."""
        suspicions = [
            f"Feature {each.name!r} {said.reason}." for each in self.features for said in each.suspicions
        ]
        return (*suspicions, *self._differing(), *self._outside())

    @property
    def _compared(self) -> list[tuple[str, str, KolmogorovSmirnov]]:
        return [
            (feature.name, name, test)
            for feature in self.features
            for name, test in feature.compared.items()
            if test is not None
        ]

    def _corrected(self, feature: FeatureSurvey) -> dict[str, float | None]:
        """Give the smallest p-values of a feature, corrected for all tests of their kind."""
        compared = [test.p_value for name, _, test in self._compared if name == feature.name]
        beyond = None if feature.outside is None else feature.outside.p_value
        ranges = sum(each.outside is not None for each in self.features)
        return {
            "training_against_test": min(1.0, min(compared) * len(self._compared)) if compared else None,
            "outside": None if beyond is None else min(1.0, beyond * ranges),
        }

    def _differing(self) -> list[str]:
        tests = self._compared
        return [
            f"Feature {feature!r} is distributed differently in the training and the test events of {name}: distance "
            f"{test.distance:.3f}, {_chance(test.p_value, len(tests))}."
            for feature, name, test in tests
            if test.p_value * len(tests) <= LEVEL
        ]

    def _outside(self) -> list[str]:
        ranges = [(each.name, each.outside) for each in self.features if each.outside is not None]
        return [
            f"Feature {feature!r} is outside the range of the training events in {outside.events:,} test events, where "
            f"{outside.expected:.2g} are expected by chance ({_chance(outside.p_value, len(ranges))}); the furthest "
            f"value is {outside.extreme:g}."
            for feature, outside in ranges
            if outside.p_value is not None and outside.p_value * len(ranges) <= LEVEL
        ]

    def to_dict(self) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "features": [each.name for each in self.features],
            "by_feature": {
                each.name: {**each.to_dict(), "corrected_p_values": self._corrected(each)}
                for each in self.features
            },
            "correlations": {name: each.to_dict() for name, each in self.correlations.items()},
            "signal_minus_background": None if self.contrast is None else self.contrast.to_dict(),
            "largest_differences": [vars(each) for each in self.differences],
            "warnings": list(self.warnings),
        }


def _chance(p_value: float, tests: int) -> str:
    corrected = p_value * tests
    found = "p < 1e-06" if corrected < 1e-6 else f"p = {corrected:.2g}"
    return f"{found}, corrected for {tests} tests"


def survey_inputs(
    features: NDArray[np.floating[Any]],
    class_index: NDArray[np.int32],
    weight: Float64,
    samples: Samples,
    *,
    names: Sequence[str],
    class_names: Sequence[str],
    signal: Sequence[int] = (),
    units: Units | None = None,
) -> Inputs:
    """Look at every feature of the events, and at every pair of features of the training events.

    Args:
        features: missing values are NaN, [n_events, n_features].
        class_index: the true class, [n_events].
        weight: signed physics weight, [n_events].
        samples: which events are training and which are test.
        names: of the features.
        class_names: in the order of the class indices.
        signal: indices of the classes that are signal.
        units: number of what each event belongs to, where several events vary together, [n_events].

    Raises:
        TamisError: the arrays do not fit together.
    """
    if features.ndim != 2 or features.shape[1] != len(names):
        raise TamisError(f"inputs: expected [n_events, {len(names)}], found shape {features.shape}")
    weights = weights_of(weight, len(features))
    classes = classes_of(class_index, len(features), len(class_names)).astype(np.int32)
    for mask in (*samples.compared, *(each for pair in samples.networks for each in pair)):
        same_length(mask, len(features), "samples")
    learned = np.logical_or.reduce([training for training, _ in samples.networks])
    rows = {name: np.flatnonzero(learned & (classes == index)) for index, name in enumerate(class_names)}
    correlations = {
        name: correlate(features, weights, of_class, units=units) for name, of_class in rows.items()
    }
    events = _Events(
        classes,
        weights,
        samples,
        units,
        tuple(class_names),
        _of_class(np.ones(len(classes), np.bool_), classes, len(class_names)),
        tuple(_of_class(mask, classes, len(class_names)) for mask in samples.compared),
    )
    with ThreadPoolExecutor(max_workers=2) as pool:
        surveys = pool.map(partial(_survey, features, events), range(len(names)), names)
        found = tuple(surveys)
    return Inputs(
        found,
        correlations,
        _contrast(features, weights, correlations, np.flatnonzero(learned), classes, signal, units),
        largest_differences(correlations, names),
    )


@dataclass(frozen=True, eq=False)
class _Events:
    """What all features of the events share; rows are by class, `compared` those of training and test."""

    class_index: NDArray[np.int32]
    weight: Float64
    samples: Samples
    units: Units | None
    class_names: tuple[str, ...]
    rows: tuple[Rows, ...]
    compared: tuple[tuple[Rows, ...], ...]

    @cached_property
    def some(self) -> Rows:
        """Events of which the purity is known well enough (`some_of_each_class`)."""
        return some_of_each_class(self.class_index, len(self.class_names))


def _of_class(mask: Mask, class_index: NDArray[np.int32], classes: int) -> tuple[Rows, ...]:
    return tuple(np.flatnonzero(mask & (class_index == index)) for index in range(classes))


def _survey(features: NDArray[np.floating[Any]], events: _Events, column: int, name: str) -> FeatureSurvey:
    values = np.ascontiguousarray(features[:, column], np.float64)
    purity = class_purity(values[events.some], events.class_index[events.some], len(events.class_names))
    return FeatureSurvey(
        name,
        _missing(values, events),
        purity,
        count_outside(values, events.weight, events.samples, units=events.units),
        _compare(values, events) if events.samples.alike else dict.fromkeys(events.class_names),
        tuple(survey_column(name, values, purity)),
    )


def _missing(values: Float64, events: _Events) -> dict[str, Missing]:
    missing = ~np.isfinite(values)
    if not missing.any():
        return {}
    found = {}
    for name, rows in zip(events.class_names, events.rows, strict=True):
        inside, weight = missing[rows], events.weight[rows]
        total = positive_sum(weight)
        number = int(np.count_nonzero(inside))
        if total is None:
            found[name] = Missing(number, None, None)
            continue
        fraction = float(weight @ inside) / total
        of_units = squared_sum(weight * (inside - fraction), units_of_rows(events.units, rows))
        error = float(np.sqrt(of_units)) / total
        found[name] = Missing(number, fraction, error)
    return found


def _compare(values: Float64, events: _Events) -> dict[str, KolmogorovSmirnov | None]:
    """Compare training and test for each class; a missing value counts as the lowest."""
    complete = np.where(np.isfinite(values), values, -np.inf)
    found: dict[str, KolmogorovSmirnov | None] = {}
    for name, training, test in zip(events.class_names, *events.compared, strict=True):
        weights = events.weight[training], events.weight[test]
        defined = all(positive_sum(each) is not None for each in weights)
        found[name] = (
            kolmogorov_smirnov(
                complete[training],
                weights[0],
                complete[test],
                weights[1],
                units=(units_of_rows(events.units, training), units_of_rows(events.units, test)),
            )
            if defined
            else None
        )
    return found


def count_outside(
    values: Float64, weight: Float64, samples: Samples, *, units: Units | None = None
) -> Outside | None:
    r"""Count the test events whose value is below or above all of the training events.

    If n training and t test events were chosen at random, that many are expected by chance: the c lowest values are
    all of test events with probability C(t, c) / C(n + t, c), so the expected number below the training is the sum of
    this over the values, c being the number of events up to a value; for different values it is t / (n + 1). The
    p-value is that of different values, P(at most one of k + 1 events is training), which is too large where many
    events share the outermost value; with folds the smallest one counts, times their number.

    Where several events vary together, they are training or test as one: the events up to a value are then the units
    that have one there, and the p-value is that of the number of test units that have an event outside.

    Args:
        values: missing ones are NaN, [n_events].
        weight: signed physics weight, [n_events].
        samples: which events are training and which are test.
        units: number of what each event belongs to, where several events vary together, [n_events].

    Returns:
        None where no training event has a value.

    >>> training = np.array([True, True, False, False])
    >>> samples = Samples(((training, ~training),), (training, ~training))
    >>> found = count_outside(np.array([1.0, 2.0, 1.5, 7.0]), np.ones(4), samples)
    >>> found.events, found.extreme, found.beyond, round(found.expected, 3)
    (1, 7.0, 5.0, 1.333)
    """
    finite = np.isfinite(values)
    outside = np.zeros(len(values), np.bool_)
    tested = np.zeros(len(values), np.bool_)
    ends, expected, p_values = [], 0.0, []
    beyond = np.zeros(len(values))
    for learned, unseen in samples.networks:
        seen, test = np.flatnonzero(learned & finite), np.flatnonzero(unseen & finite)
        training = values[seen]
        tested[test] = True
        if not len(training):
            continue
        low, high = float(training.min()), float(training.max())
        ends.append((low, high))
        distance = np.maximum(low - values[test], values[test] - high)
        outside[test], beyond[test] = distance > 0, distance
        n_training, n_test, n_outside = (
            _count_units(units, rows) for rows in (seen, test, test[distance > 0])
        )
        p_values.append(_at_most_one(n_training, n_test, n_outside + 1))
        expected += _expected_outside(values, seen, test, units)
    if not ends:
        return None
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    total = positive_sum(weight[tested])
    furthest = int(np.argmax(np.where(outside, beyond, -1.0))) if outside.any() else None
    width = high - low
    return Outside(
        low,
        high,
        int(np.count_nonzero(outside)),
        None if total is None else float(weight[outside].sum()) / total,
        expected if samples.alike else None,
        min(1.0, float(min(p_values)) * len(p_values)) if samples.alike else None,
        None if furthest is None else float(values[furthest]),
        None if furthest is None or not width else float(beyond[furthest]) / width,
    )


def _count_units(units: Units | None, rows: Rows) -> int:
    return len(rows) if units is None else int(np.count_nonzero(np.bincount(units[rows])))


def _at_most_one(first: int, second: int, drawn: int) -> float:
    """Compute the probability that at most one of some drawn units is of the first kind.

    Args:
        first: number of units of the first kind.
        second: number of the others.
        drawn: without replacement.
    """
    none, one, all_ways = (
        special.gammaln(number + 1) - special.gammaln(chosen + 1) - special.gammaln(number - chosen + 1)
        for number, chosen in ((second, drawn), (second, drawn - 1), (first + second, drawn))
    )
    ways = (np.exp(none - all_ways) if drawn <= second else 0.0) + (
        first * np.exp(one - all_ways) if drawn <= second + 1 else 0.0
    )
    return min(float(ways), 1.0)


def _expected_outside(values: Float64, training: Rows, test: Rows, units: Units | None) -> float:
    """Give the number of test events outside of the training events that is expected if the two are exchanged."""
    if not len(test):
        return 0.0
    everything, n_test = np.concatenate([values[training], values[test]]), _count_units(units, test)
    expected = 0.0
    for side in (everything, -everything):
        lowest = side
        if units is not None:
            lowest = np.full(2 * int(units.max()) + 2, np.inf)
            np.minimum.at(lowest, np.append(2 * units[training], 2 * units[test] + 1), side)
            lowest = lowest[np.isfinite(lowest)]
        expected += _expected_below(side, lowest, n_test)
    return expected


def _expected_below(values: Float64, lowest: Float64, n_test: int) -> float:
    """Give the number of test events below all training events that is expected.

    Args:
        values: of training and test events, [n_events].
        lowest: the lowest value of each unit, [n_units].
        n_test: number of test units.
    """
    # the probability falls at least as fast as the powers of the test's share
    reach = min(int(np.log(_NEGLIGIBLE) / np.log(n_test / len(lowest))) + 1, len(lowest))
    smallest = np.partition(lowest, reach - 1)[:reach]
    ties = np.count_nonzero(lowest == smallest.max()) - np.count_nonzero(smallest == smallest.max())
    distinct, n_units = np.unique(smallest, return_counts=True)
    n_units[-1] += ties
    up_to, events = np.cumsum(n_units), len(lowest)
    counts = n_units
    if values is not lowest:
        inside = values[values <= distinct[-1]]
        counts = np.bincount(np.searchsorted(distinct, inside, side="right") - 1, minlength=len(distinct))
    counts, up_to = (numbers[up_to <= n_test] for numbers in (counts, up_to))
    logarithm = (
        special.gammaln(n_test + 1)
        - special.gammaln(n_test - up_to + 1)
        - special.gammaln(events + 1)
        + special.gammaln(events - up_to + 1)
    )
    return float(counts @ np.exp(logarithm))


def _contrast(
    features: NDArray[np.floating[Any]],
    weight: Float64,
    correlations: Mapping[str, Correlations],
    learned: NDArray[np.intp],
    class_index: NDArray[np.int32],
    signal: Sequence[int],
    units: Units | None,
) -> Correlations | None:
    """Subtract the correlations of all background from those of all signal."""
    groups = [list(signal), [index for index in range(len(correlations)) if index not in signal]]
    if not all(groups):
        return None
    of_signal, of_background = (
        list(correlations.values())[group[0]]
        if len(group) == 1
        else correlate(features, weight, learned[np.isin(class_index[learned], group)], units=units)
        for group in groups
    )
    return of_signal - of_background
