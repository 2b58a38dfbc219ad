"""The result of the study of the inputs, and its computation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64, Mask
from tamis.data.survey import PURITY, Suspicion, compute_class_purity, sample_each_class, survey_column
from tamis.errors import TamisError
from tamis.statistics.arrays import check_classes, check_length, check_weights, positive_sum
from tamis.statistics.correlations import (
    CorrelationDifference,
    Correlations,
    compute_correlations,
    find_largest_differences,
)
from tamis.statistics.distributions import Distribution, compute_feature_distributions
from tamis.statistics.overtraining import KolmogorovSmirnov, compute_kolmogorov_smirnov
from tamis.statistics.training_range import Outside, count_outside
from tamis.statistics.units import compute_squared_sum, select_units
from tamis.studies.context import Context, UsedEvents
from tamis.wording import counted, format_p_value

LEVEL = 0.01
"""Corrected p-value up to which the report warns of a feature."""


@dataclass(frozen=True)
class Missing:
    """Missing values of one feature in one class.

    Args:
        events: number of events without a value.
        fraction: share of the sum of weights; None if that is not positive.
        error: standard deviation of the fraction.
    """

    events: int
    fraction: float | None
    error: float | None


@dataclass(frozen=True)
class FeatureSurvey:
    """One feature; `keys.py` describes the fields."""

    name: str
    missing: Mapping[str, Missing]
    purity: float
    outside: Outside | None
    compared: Mapping[str, KolmogorovSmirnov | None]
    suspicions: tuple[Suspicion, ...]

    @property
    def identifies_class(self) -> bool:
        """Return whether this feature alone classifies nearly all events correctly."""
        return self.purity >= PURITY


@dataclass(frozen=True, eq=False)
class Survey:
    """All features, and how they are correlated; `keys.py` describes the fields."""

    features: tuple[FeatureSurvey, ...]
    correlations: Mapping[str, Correlations]
    contrast: Correlations | None
    differences: tuple[CorrelationDifference, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings; the p-values of each kind of test are corrected for their number."""
        suspicions = [
            f"Feature {feature.name!r} {suspicion.reason}."
            for feature in self.features
            for suspicion in feature.suspicions
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

    def corrected_p_values(self, feature: FeatureSurvey) -> dict[str, float | None]:
        """Return the smallest p-values of a feature, corrected for all tests of their kind; None without a test."""
        compared = [test.p_value for name, _, test in self._compared if name == feature.name]
        beyond = None if feature.outside is None else feature.outside.p_value
        ranges = sum(survey.outside is not None for survey in self.features)
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
        ranges = [(feature.name, feature.outside) for feature in self.features if feature.outside is not None]
        return [
            f"Feature {feature!r} is outside the range of the training events in {outside.events:,} test events, while "
            f"{outside.expected:.2g} are expected by chance ({_chance(outside.p_value, len(ranges))}); the furthest "
            f"value is {outside.extreme:g}."
            for feature, outside in ranges
            if outside.p_value is not None and outside.p_value * len(ranges) <= LEVEL
        ]

    def to_metrics(self) -> dict[str, Any]:
        """Return the values of the keys of `metrics.json`."""
        by_feature = {
            feature.name: {
                **vars(feature),
                "identifies_class": feature.identifies_class,
                "corrected_p_values": self.corrected_p_values(feature),
            }
            for feature in self.features
        }
        return {**vars(self), "by_feature": by_feature, "warnings": self.warnings}


@dataclass(frozen=True, eq=False)
class InputsResult:
    """The survey of the features, and the distributions of each in training and test events."""

    class_names: tuple[str, ...]
    survey: Survey
    distributions: tuple[Distribution, ...]


def _chance(p_value: float, tests: int) -> str:
    return f"{format_p_value(min(1.0, p_value * tests))}, corrected for {counted(tests, 'test')}"


Rows = NDArray[np.intp]


def compute_inputs(context: Context) -> InputsResult | None:
    """Survey the features of all used events; None without the features of the events."""
    used, class_names = context.used, context.class_names
    if used is None:
        return None
    survey = survey_inputs(used, class_names, context.signal)
    distributions = compute_feature_distributions(
        used.features,
        used.class_index,
        used.weight,
        *used.masks.compared,
        classes=len(class_names),
        units=used.units,
    )
    return InputsResult(class_names, survey, distributions)


def survey_inputs(used: UsedEvents, class_names: Sequence[str], signal: Sequence[int] = ()) -> Survey:
    """Survey every feature of the events, and every pair of features of the training events."""
    features, masks, classes = used.features, used.masks, len(class_names)
    if features.ndim != 2 or features.shape[1] != len(used.names):
        raise TamisError(f"inputs: expected [n_events, {len(used.names)}], found shape {features.shape}")
    weight = check_weights(used.weight, len(features))
    class_index = check_classes(used.class_index, len(features), classes).astype(np.int32)
    for mask in (*masks.compared, *(mask for pair in masks.members for mask in pair)):
        check_length(mask, len(features), "masks")
    used = replace(used, weight=weight, class_index=class_index)
    is_training = np.logical_or.reduce([training for training, _ in masks.members])
    correlations = {
        name: compute_correlations(features, weight, rows, units=used.units)
        for name, rows in zip(class_names, _of_class(is_training, class_index, classes), strict=True)
    }
    all_events = np.ones(len(features), np.bool_)
    rows, *compared = (_of_class(mask, class_index, classes) for mask in (all_events, *masks.compared))
    events = _EventsByClass(used, tuple(class_names), rows, tuple(compared))
    with ThreadPoolExecutor(max_workers=2) as pool:
        surveys = tuple(pool.map(partial(_survey, events), range(len(used.names)), used.names))
    contrast = _contrast(used, correlations, np.flatnonzero(is_training), signal)
    return Survey(surveys, correlations, contrast, find_largest_differences(correlations, used.names))


@dataclass(frozen=True, eq=False)
class _EventsByClass:
    """The events that all features share: rows of each class, of all events and of training and test events."""

    used: UsedEvents
    class_names: tuple[str, ...]
    rows: tuple[Rows, ...]
    compared: tuple[tuple[Rows, ...], ...]

    @cached_property
    def some(self) -> Rows:
        """Events of which the purity is known well enough (`sample_each_class`)."""
        return sample_each_class(self.used.class_index, len(self.class_names))


def _of_class(mask: Mask, class_index: NDArray[np.int32], classes: int) -> tuple[Rows, ...]:
    return tuple(np.flatnonzero(mask & (class_index == index)) for index in range(classes))


def _survey(events: _EventsByClass, column: int, name: str) -> FeatureSurvey:
    used = events.used
    values = np.ascontiguousarray(used.features[:, column], np.float64)
    purity = compute_class_purity(values[events.some], used.class_index[events.some], len(events.class_names))
    return FeatureSurvey(
        name,
        _missing(values, events),
        purity,
        count_outside(values, used.weight, used.masks, units=used.units),
        _compare(values, events) if used.masks.alike else dict.fromkeys(events.class_names),
        tuple(survey_column(name, values, purity)),
    )


def _missing(values: Float64, events: _EventsByClass) -> dict[str, Missing]:
    missing = ~np.isfinite(values)
    if not missing.any():
        return {}
    missing_by_class = {}
    for name, rows in zip(events.class_names, events.rows, strict=True):
        inside, weight = missing[rows], events.used.weight[rows]
        total = positive_sum(weight)
        number = int(np.count_nonzero(inside))
        if total is None:
            missing_by_class[name] = Missing(number, None, None)
            continue
        fraction = float(weight @ inside) / total
        of_units = compute_squared_sum(weight * (inside - fraction), select_units(events.used.units, rows))
        error = float(np.sqrt(of_units)) / total
        missing_by_class[name] = Missing(number, fraction, error)
    return missing_by_class


def _compare(values: Float64, events: _EventsByClass) -> dict[str, KolmogorovSmirnov | None]:
    """Compare training and test for each class; a missing value counts as the lowest."""
    complete, used = np.where(np.isfinite(values), values, -np.inf), events.used
    tests: dict[str, KolmogorovSmirnov | None] = dict.fromkeys(events.class_names)
    for name, training, test in zip(events.class_names, *events.compared, strict=True):
        weights = used.weight[training], used.weight[test]
        if all(positive_sum(weight) is not None for weight in weights):
            tests[name] = compute_kolmogorov_smirnov(
                complete[training],
                weights[0],
                complete[test],
                weights[1],
                units=(select_units(used.units, training), select_units(used.units, test)),
            )
    return tests


def _contrast(
    used: UsedEvents, correlations: Mapping[str, Correlations], training_rows: Rows, signal: Sequence[int]
) -> Correlations | None:
    """Subtract the correlations of all background from those of all signal."""
    groups = [list(signal), [index for index in range(len(correlations)) if index not in signal]]
    if not all(groups):
        return None
    of_class = used.class_index[training_rows]
    of_signal, of_background = (
        list(correlations.values())[group[0]]
        if len(group) == 1
        else compute_correlations(
            used.features, used.weight, training_rows[np.isin(of_class, group)], units=used.units
        )
        for group in groups
    )
    return of_signal - of_background
