"""Events that vary together count as one: copies of an event with a part of its weight each change no error.

Every function of the evaluation that gives an interval, an error, or a p-value stands in `LAWS`. A new one fails the
first test until it stands there too, or in `WITHOUT_ERRORS`.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import tamis.statistics
from tamis.calibration import Scaling
from tamis.comparison.compute import compare_runs
from tamis.comparison.events import ScoredRun
from tamis.network.sensitivity import Sensitivity
from tamis.statistics.arrays import compute_effective_sample_size
from tamis.statistics.asimov import Requirements
from tamis.statistics.baselines import compare_baselines
from tamis.statistics.bayes_optimum import compare_with_optimum
from tamis.statistics.bins import (
    choose_bins,
    compute_significance_influence,
    count_yields,
    fill_bins,
    find_bins,
)
from tamis.statistics.correlations import compute_correlations
from tamis.statistics.counts import Counts, count_above, count_inside, fill_categories
from tamis.statistics.cuts import best_significance, scan_cuts, tabulate_cuts
from tamis.statistics.distributions import (
    Distribution,
    compute_feature_distributions,
    compute_score_distributions,
)
from tamis.statistics.efficiency_interval import compute_efficiency_interval, cumulate_weights
from tamis.statistics.expected_significance import (
    ExpectedSignificance,
    compute_expected_significance,
    count_expected_significance,
)
from tamis.statistics.gradient_sensitivity import compute_gradient_sensitivity
from tamis.statistics.histogram import choose_number_of_bins, fill_histogram
from tamis.statistics.importance import compare_influences
from tamis.statistics.influence import compute_influences, compute_standard_errors
from tamis.statistics.intervals import (
    compute_degrees_of_freedom,
    compute_half_widths,
    has_area_interval,
    has_enough_events,
)
from tamis.statistics.negative_weights import count_negative, drop_negative_weights
from tamis.statistics.overtraining import compute_kolmogorov_smirnov, compute_kolmogorov_smirnov_tests
from tamis.statistics.pairs import compute_pair_areas
from tamis.statistics.reliability import compute_reliability
from tamis.statistics.resampling import Resampler, bootstrap, permute_labels, resample
from tamis.statistics.roc import compute_efficiency_limit
from tamis.statistics.scaling import compute_temperature_error
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.sculpting import (
    compute_chance_distance,
    compute_dependence,
    compute_shape_p_value,
    compute_slices,
)
from tamis.statistics.split_metrics import (
    compute_bootstrap_intervals,
    compute_first_order,
    compute_split_metrics,
)
from tamis.statistics.training_range import TrainTestMasks, count_outside
from tamis.studies.calibration import compute_calibration
from tamis.studies.context import Context, UsedEvents
from tamis.studies.cuts import compute_cuts
from tamis.studies.discovery import compute_discovery
from tamis.studies.inputs.result import survey_inputs
from tamis.studies.negative_weights import compute_negative_weights
from tamis.studies.negative_weights.result import compare_without_negative
from tamis.studies.overtraining import compute_overtraining
from tamis.studies.overtraining.permutation import compute_permutation_test
from tamis.studies.performance import compute_performance
from tamis.studies.sculpting import compute_sculpting
from tamis.studies.sculpting.result import measure_sculpting
from tamis.studies.stability.result import FoldScores, compare_members

COPIES = 4
NAMES = ("first", "second", "signal")
EDGES = (0.0, 0.25, 0.5, 1.0)
ENOUGH = Requirements(relative=0.1, background=1.0, effective_sample_size=5.0)


@dataclass(frozen=True)
class Events:
    """Events, whether several of them vary together, and what else the functions take."""

    scores: np.ndarray
    others: np.ndarray
    class_index: np.ndarray
    weight: np.ndarray
    features: np.ndarray
    gradients: np.ndarray
    units: np.ndarray | None
    is_test: np.ndarray

    @property
    def score(self) -> np.ndarray:
        return self.scores[:, 2]

    @property
    def is_signal(self) -> np.ndarray:
        return self.class_index == 2

    def scored(self, part: bool | None = None) -> ScoredEvents:
        """Give all events or those of a part; without units each has an identity of its own."""
        rows = np.ones(len(self.weight), np.bool_) if part is None else self.is_test == part
        identity = np.arange(len(self.weight)) if self.units is None else self.units
        return ScoredEvents(
            self.scores[rows],
            self.class_index[rows].astype(np.int32),
            self.weight[rows],
            np.array([1.0, 1.5, 0.7])[self.class_index[rows]],
            spectators={"mass": self.features[rows, 0]},
            event_id=identity[rows].astype(np.uint64),
        )

    def part_units(self, part: bool) -> np.ndarray | None:
        return None if self.units is None else self.units[self.is_test == part]


def once() -> Events:
    rng = np.random.default_rng(5)
    number = 600
    # slices of equal numbers of events begin at the same events where each is written several times
    class_index = np.arange(number) % 3
    is_test = np.arange(number) >= number // 2
    logits = rng.normal(size=(2, number, 3)) + 0.8 * np.eye(3)[class_index]
    scores = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    features = rng.normal(size=(number, 3)) + scores[0]
    features[:, 1:][rng.random((number, 2)) < 0.1] = np.nan
    weight = rng.uniform(0.5, 1.5, number) * np.where(rng.random(number) < 0.08, -1, 1)
    features[np.flatnonzero(is_test)[:2], 0] = 9.0
    # training and test differ a little, so that p-values are neither zero nor one
    scores[0][is_test] = 0.95 * scores[0][is_test] + 0.05 / 3
    return Events(
        scores[0], scores[1], class_index, weight, features, rng.normal(size=(number, 3, 3)), None, is_test
    )


def copied(events: Events, units: np.ndarray | None) -> Events:
    """Write every event several times with a part of its weight; the copies of all events are neighbours."""
    arrays = {
        name: np.repeat(values, COPIES, axis=0)
        for name, values in vars(events).items()
        if isinstance(values, np.ndarray)
    }
    return Events(**{**arrays, "weight": arrays["weight"] / COPIES, "units": units})


def generator() -> np.random.Generator:
    return np.random.default_rng(3)


@dataclass(frozen=True)
class Numbers:
    """What a function gives.

    Args:
        errors: in inverse proportion to the root of the number of independent events.
        p_values: of which at least one falls where events are counted several times.
        others: follow from errors in another way.
    """

    errors: Any = field(default_factory=list)
    p_values: Any = field(default_factory=list)
    others: Any = field(default_factory=list)

    def flat(self, name: str) -> np.ndarray:
        values = [np.ravel(np.asarray(value, np.float64)) for value in flatten(getattr(self, name))]
        return np.concatenate([np.empty(0), *values])


def flatten(values: Any) -> Iterator[Any]:
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from flatten(value)
    elif values is not None:
        yield values


def widths(intervals: Any) -> list[float]:
    """Give the widths of intervals, however deep they lie in tuples."""
    if intervals is None:
        return []
    if isinstance(intervals, tuple) and len(intervals) == 2 and all(np.isscalar(end) for end in intervals):
        return [intervals[1] - intervals[0]]
    return [width for interval in intervals for width in widths(interval)]


def of_counts(counts: Counts) -> Numbers:
    return Numbers(
        [counts.background_error, counts.signal_error, counts.effective_sample_size**-0.5],
        others=[counts.significance, counts.significance_error, *counts.powers[2:].sum(axis=1)],
    )


def joined(numbers: Any) -> Numbers:
    numbers = list(numbers)
    return Numbers(*([getattr(each, name) for each in numbers] for name in ("errors", "p_values", "others")))


def of_linear(events: Events) -> Numbers:
    influences = compute_influences(events.scores, events.class_index, events.weight)
    return Numbers(compute_standard_errors(influences.of_event, events.units))


def of_fill(events: Events) -> Numbers:
    return Numbers(
        fill_histogram(events.score, events.weight, np.array(EDGES), units=events.units).uncertainty
    )


def of_distributions(distributions: Iterable[Distribution]) -> Numbers:
    parts = [part for each in distributions for part in (*each.training, *each.test)]
    return Numbers([part.uncertainty for part in parts if part is not None])


def of_features(events: Events) -> Numbers:
    # bins of whole numbers do not depend on how often an event is written
    values = np.rint(np.nan_to_num(events.features))
    arrays = (values, events.class_index, events.weight, ~events.is_test, events.is_test)
    return of_distributions(compute_feature_distributions(*arrays, classes=3, units=events.units))


def of_scores(events: Events) -> Numbers:
    found = compute_score_distributions(events.scored(False), events.scored(True))
    # the number of bins follows from the events, too
    return Numbers(others=of_distributions(found).errors)


def of_number_of_bins(events: Events) -> Numbers:
    units = None if events.units is None else [events.units]
    return Numbers(others=choose_number_of_bins([events.weight], units))


def of_scan(events: Events) -> Numbers:
    scan = scan_cuts(events.score, events.is_signal, events.weight, ENOUGH, units=events.units)
    return Numbers(
        [scan.signal_error, scan.background_error], others=[scan.significance, scan.significance_error]
    )


def of_best_significance(events: Events) -> Numbers:
    # a signal at so high scores that the best cut keeps as little background as it may
    weight = np.where(events.is_signal, events.score**8, 1.0) * events.weight
    return Numbers(
        others=best_significance(events.scores, events.class_index, weight, [2], units=events.units)
    )


def of_choose_bins(events: Events) -> Numbers:
    return Numbers(
        others=choose_bins(events.score, events.is_signal, events.weight, ENOUGH, units=events.units)
    )


def of_fill_bins(events: Events) -> Numbers:
    found = fill_bins(EDGES, events.score, events.is_signal, events.weight, ENOUGH, units=events.units)
    return joined([*map(of_counts, found.bins), Numbers(others=found.significance)])


def of_influence(events: Events) -> Numbers:
    counts = fill_bins(EDGES, events.score, events.is_signal, events.weight, units=events.units).bins
    found = compute_significance_influence(
        counts, find_bins(events.score, EDGES), events.is_signal, events.weight, 0.1, units=events.units
    )
    return Numbers(others=found.interval)


def of_bin_yields(events: Events) -> Numbers:
    found = count_yields(EDGES, events.score, events.class_index, events.weight, 3, units=events.units)
    return Numbers(found.errors)


def of_cut_table(events: Events) -> Numbers:
    table = tabulate_cuts(events.scored(), [2], ENOUGH)
    return Numbers(table.background_error[:50], others=table.significance)


def of_smirnov(found: Any) -> Numbers:
    return Numbers(
        [found.training_effective_sample_size**-0.5, found.test_effective_sample_size**-0.5], found.p_value
    )


def of_kolmogorov_smirnov(events: Events) -> Numbers:
    (first, first_weight), (second, second_weight) = (
        (events.score[events.is_test == part], events.weight[events.is_test == part])
        for part in (False, True)
    )
    units = events.part_units(False), events.part_units(True)
    return of_smirnov(compute_kolmogorov_smirnov(first, first_weight, second, second_weight, units=units))


def of_overtraining_tests(events: Events) -> Numbers:
    found = compute_kolmogorov_smirnov_tests(events.scored(False), events.scored(True))
    return joined(of_smirnov(test) for tests in found for test in tests)


def of_temperature(events: Events) -> Numbers:
    scaling = Scaling((0.9, 0.9, 0.9), (0.0, 0.0, 0.0))
    return Numbers(
        compute_temperature_error(scaling, events.scores, events.class_index, events.weight, events.units)
    )


def of_reliability(found: Any) -> Numbers:
    of_bins = [
        [each.error, each.effective_sample_size**-0.5, max(each.expected_sample_size, 1e-9) ** -0.5]
        for each in found.bins
    ]
    return Numbers([*of_bins, found.error_by_chance], found.p_value)


def of_calibration(events: Events) -> Numbers:
    splits = {"validation": events.scored(False), "test": events.scored(True)}
    found = compute_calibration(Context(NAMES, splits))
    curves = [*found.balanced, *found.with_temperature, *found.physics]
    errors = [found.temperature_error, found.change_errors]
    # which bins count, and what replaces a weight that is not known, changes with the numbers
    return Numbers(errors, others=[[each.p_value, each.error_by_chance] for each in curves])


def of_slices(found: Any) -> list[Any]:
    return [[each.error, each.effective_sample_size**-0.5] for each in found]


def of_sculpting(events: Events) -> Numbers:
    found = measure_sculpting(
        {"mass": events.features[:, 0]},
        events.score,
        events.class_index,
        events.weight,
        NAMES[:1],
        [0.3],
        generator(),
        units=events.units,
    )
    return Numbers(
        [[of_slices(each.slices), 1 / each.shift.significance] for each in found],
        others=[[each.dependence.p_value, each.before.uncertainty] for each in found],
    )


def of_sculpted_run(events: Events) -> Numbers:
    found = compute_sculpting(Context(NAMES, {"test": events.scored()}, signal=(2,), working_points=(0.5,)))
    return Numbers([of_slices(each.slices) for each in found.spectators])


def of_dependence(events: Events) -> Numbers:
    found = compute_dependence(
        events.features[:, 0], events.score, events.weight, generator(), events=60, units=events.units
    )
    return Numbers(others=[found.p_value, found.events, found.distance_correlation])


def of_correlations(events: Events) -> Numbers:
    above = np.triu_indices(3, 1)
    return Numbers(compute_correlations(events.features, events.weight, units=events.units).error[above])


def masks_of(events: Events) -> TrainTestMasks:
    masks = ~events.is_test, events.is_test
    return TrainTestMasks((masks,), masks)


def of_outside(events: Events) -> Numbers:
    found = count_outside(events.features[:, 0], events.weight, masks_of(events), units=events.units)
    return Numbers(p_values=found.p_value)


def of_survey(events: Events) -> Numbers:
    arrays = events.features, events.class_index, events.weight, masks_of(events), events.units
    found = survey_inputs(UsedEvents(("a", "b", "c"), *arrays), NAMES, signal=[2])
    above = np.triu_indices(3, 1)
    errors = [each.error for feature in found.features for each in feature.missing.values()]
    matrices = [*found.correlations.values(), found.contrast]
    tests = [of_smirnov(test) for feature in found.features for test in feature.compared.values()]
    outside = Numbers(p_values=[feature.outside.p_value for feature in found.features])
    return joined([Numbers([*errors, *(each.error[above] for each in matrices)]), outside, *tests])


def of_expected_significance(found: ExpectedSignificance) -> Numbers:
    return Numbers(
        [found.scan.background_error, [found.after_cut.background_error, found.after_cut.signal_error]],
        others=[list(found.intervals.values()), found.by_categories],
    )


def of_negative(events: Events) -> Numbers:
    parts = [events.scored(False), events.scored(True)]
    positive = [drop_negative_weights(part) for part in parts]
    counted = [(compute_expected_significance(*pair, [2], ENOUGH), pair[1]) for pair in (parts, positive)]
    classes, changes = compare_without_negative(parts[1], NAMES, [0.5], (counted[0], counted[1]))
    shares = [
        [each.effective_sample_size**-0.5, each.effective_sample_size_without**-0.5]
        for each in classes.values()
    ]
    linear = [change.error for change in changes if change.quantity != "significance"]
    return Numbers(
        [shares, linear],
        others=[change.error for change in changes if change.quantity == "significance"],
    )


def of_negative_run(events: Events) -> Numbers:
    splits = {
        "training": events.scored(False),
        "validation": events.scored(False),
        "test": events.scored(True),
    }
    found = compute_negative_weights(Context(NAMES, splits, working_points=(0.5,)))
    return Numbers([change.error for change in found.changes])


def of_stability(events: Events) -> Numbers:
    groups = [
        FoldScores(events.scored(part), (rows := events.others[events.is_test == part], rows[:, ::-1]), fold)
        for fold, part in enumerate((False, True))
    ]
    found = compare_members(events.scored(), groups, NAMES)
    members = [*found.members, found.ensemble]
    errors = [[each.loss_error, each.accuracy_error, each.auc_error] for each in members]
    spreads = [[each.expected, each.gain_error] for each in found.spreads]
    return Numbers([errors, spreads], [each.p_value for each in found.spreads])


def of_intervals(found: Any) -> list[float]:
    return widths((found.loss, found.accuracy, found.auc))


def of_first_order(events: Events) -> Numbers:
    return Numbers(
        [of_intervals(found) for found in compute_split_metrics(events.scored()).intervals().values()]
    )


def of_bootstrap_intervals(events: Events) -> Numbers:
    return Numbers(of_intervals(compute_bootstrap_intervals(events.scored(), events.weight, generator())))


def of_working_point(events: Events) -> Numbers:
    kinds = cumulate_weights(events.score, events.is_signal, events.weight, events.units)
    intervals = [compute_efficiency_interval(*kinds, target) for target in (0.3, 0.5, 0.8)]
    return Numbers(others=[intervals, *(kind.at(np.linspace(0, 150, 20)) for kind in kinds)])


def of_bootstrap(events: Events) -> Numbers:
    resampler = Resampler(events.scores, events.class_index, events.weight)
    return Numbers(bootstrap(resampler, 200, generator(), events.units).std(axis=0))


def of_resample(events: Events) -> Numbers:
    sums = resample(
        lambda counts: (events.weight @ counts)[:, None], len(events.weight), 200, generator(), events.units
    )
    return Numbers(np.std(sums))


def of_permutations(events: Events) -> Numbers:
    labels = permute_labels(events.is_test, [np.arange(len(events.weight))], 200, generator(), events.units)
    return Numbers(np.std(events.weight @ labels))


def of_pairs(events: Events) -> Numbers:
    return Numbers(widths(compute_pair_areas(events.scored()).intervals))


def of_permutation_test(events: Events) -> Numbers:
    found = compute_permutation_test(
        events.scored(False), events.scored(True), NAMES, generator=generator(), permutations=99
    )
    return Numbers(
        widths([each.interval for each in found.comparisons]),
        [[each.p_value, each.corrected_p_value] for each in found.comparisons],
    )


def of_overtraining(events: Events) -> Numbers:
    splits = {"training": events.scored(False), "test": events.scored(True)}
    found = compute_overtraining(Context(NAMES, splits))
    comparisons = found.permutation_test.comparisons
    tests = [test for tests in found.smirnov_tests for test in tests]
    return Numbers(
        [
            widths([each.interval for each in comparisons]),
            [test.test_effective_sample_size**-0.5 for test in tests],
        ],
        [
            [[each.p_value, each.corrected_p_value] for each in comparisons],
            [test.p_value for test in tests],
        ],
        # their number of bins depends on the units
        of_distributions(found.distributions).errors,
    )


def of_baselines(events: Events) -> Numbers:
    _, (found,) = compare_baselines(events.scored(), {"other": events.others}, [2], [0.5])
    numbers = [found.signal.auc, found.physics.loss, found.balanced.accuracy, *found.physics.auc]
    return Numbers([widths((each.interval, each.difference_interval)) for each in numbers])


def of_runs(events: Events) -> Numbers:
    scored = events.scored()
    other = ScoredEvents(
        events.others, scored.class_index, scored.weight, scored.class_weight, event_id=scored.event_id
    )
    runs = [ScoredRun("first", NAMES, scored), ScoredRun("second", NAMES, other)]
    found = compare_runs(runs, generator(), bootstraps=200)
    (pair,) = found.pairs
    return Numbers(
        widths([each.interval for each in pair.differences]),
        [[each.p_value, each.corrected_p_value] for each in pair.differences],
    )


def of_exchanged(events: Events) -> Numbers:
    before, after = (
        compute_influences(scores, events.class_index, events.weight)
        for scores in (events.scores, events.others)
    )
    found = compare_influences(before, after, np.ones(5, np.bool_), events.units)
    return Numbers(widths((found.loss_interval, found.auc_interval)))


def of_gradient_sensitivity(events: Events) -> Numbers:
    sensitivity = Sensitivity(events.scores, events.gradients, np.zeros_like(events.gradients))
    found = compute_gradient_sensitivity(
        sensitivity,
        events.features,
        events.class_index,
        events.weight,
        [[0], [1, 2]],
        units=events.units,
    )
    return Numbers(widths([(each.loss_interval, each.scores_interval) for each in found]))


def of_performance(events: Events) -> Numbers:
    splits = {
        "training": events.scored(False),
        "validation": events.scored(False),
        "test": events.scored(True),
    }
    found = compute_performance(Context(NAMES, splits, working_points=(0.01, 0.5)))
    points = [point for points in found.working_points for point in points]
    assert any(point.background_efficiency_limit is not None for point in points)
    return Numbers(
        [[of_intervals(each) for split in found.intervals.values() for each in split.values()]],
        others=[
            [point.background_efficiency_limit for point in points],
            widths([point.background_efficiency_interval for point in points]),
        ],
    )


def of_discovery(events: Events) -> Numbers:
    splits = {
        "training": events.scored(False),
        "validation": events.scored(False),
        "test": events.scored(True),
    }
    options = {"signal": (2,), "events_per_weight": 10.0, "background_uncertainty": 0.1}
    context = Context(NAMES, splits, **options)
    expected, tables = compute_discovery(context).expected, compute_cuts(context).tables
    # their numbers depend on the bins and the cut that were chosen
    return Numbers(
        others=[
            expected.yields.errors,
            [table.background_error for table in tables],
            list(expected.intervals.values()),
        ]
    )


def known_above(events: Events, cut: float) -> bool:
    """Say whether the class is known in events above a cut; the cuts go from many events to few."""
    rows = events.score > cut
    units = None if events.units is None else events.units[rows]
    return has_area_interval(events.is_signal[rows], events.weight[rows], units)


def of_optimum(events: Events) -> Numbers:
    compared = compare_with_optimum(
        events.scores,
        np.log(events.others),
        np.ones(3),
        events.class_index,
        events.weight,
        units=events.units,
    )
    intervals = compared.intervals
    return Numbers(widths((intervals.loss, intervals.accuracy, intervals.auc)))


RESAMPLED = {
    "compute_bootstrap_intervals", "bootstrap", "resample", "permute_labels", "compute_permutation_test",
    "compute_overtraining", "compare_runs", "compute_performance",
}  # fmt: skip
WIDER = {
    "compute_reliability", "compute_split_metrics", "compute_first_order", "compute_half_widths", "compare_influences",
    "compute_pair_areas", "compute_gradient_sensitivity", "compare_baselines",
    "compare_with_optimum",
}  # fmt: skip
"""A reliability shrinks estimates by their errors, and an interval of few events is wider than its error."""
WITH_CHORDS = {"compare_without_negative", "compute_negative_weights"}
"""The slope at a working point is that of a chord, which is wider with fewer units."""
LAWS: dict[str, Callable[[Events], Numbers]] = {
    "best_significance": of_best_significance,
    "count_yields": of_bin_yields,
    "bootstrap": of_bootstrap,
    "compute_bootstrap_intervals": of_bootstrap_intervals,
    "choose_bins": of_choose_bins,
    "compare_baselines": of_baselines,
    "compare_influences": of_exchanged,
    "compare_runs": of_runs,
    "compute_pair_areas": of_pairs,
    "compare_with_optimum": of_optimum,
    "compute_correlations": of_correlations,
    "count_above": lambda events: of_counts(
        count_above(0.4, events.score, events.is_signal, events.weight, ENOUGH, units=events.units)
    ),
    "count_inside": lambda events: of_counts(
        count_inside(events.score > 0.4, events.is_signal, events.weight, ENOUGH, events.units)
    ),
    "count_outside": of_outside,
    "count_expected_significance": lambda events: of_expected_significance(
        count_expected_significance(events.scored(True), [2], 0.5, (0.0, 0.4, 0.6, 1.0), ENOUGH)
    ),
    "compute_dependence": of_dependence,
    "compute_effective_sample_size": lambda events: Numbers(
        compute_effective_sample_size(events.weight, events.units) ** -0.5
    ),
    "fill_histogram": of_fill,
    "compute_feature_distributions": of_features,
    "compute_chance_distance": lambda events: Numbers(
        compute_chance_distance(events.features[:, 0], events.score > 0.3, events.weight, units=events.units)
    ),
    "compute_shape_p_value": lambda events: Numbers(
        p_values=compute_shape_p_value(
            events.features[:, 0], events.score > 0.3, events.weight, units=events.units
        )
    ),
    "compute_score_distributions": of_scores,
    "fill_bins": of_fill_bins,
    "fill_categories": lambda events: joined(
        of_counts(category.counts)
        for category in fill_categories(
            events.scores, events.class_index, events.weight, [2], ENOUGH, units=events.units
        )
    ),
    "tabulate_cuts": of_cut_table,
    "compute_half_widths": lambda events: Numbers(
        compute_half_widths(
            compute_influences(events.scores, events.class_index, events.weight).of_event, events.units
        )
    ),
    "has_enough_events": lambda events: Numbers(
        others=[
            has_enough_events(events.weight[rows], None if events.units is None else events.units[rows])
            for rows in (events.score > cut for cut in np.linspace(0, 1, 100))
        ]
    ),
    "has_area_interval": lambda events: Numbers(
        others=[known_above(events, cut) for cut in np.linspace(0.3, 0.9, 25)]
    ),
    "compare_members": of_stability,
    "compute_calibration": of_calibration,
    "compute_discovery": of_discovery,
    "compute_overtraining": of_overtraining,
    "compute_performance": of_performance,
    "compute_permutation_test": of_permutation_test,
    "compute_sculpting": of_sculpted_run,
    "compare_without_negative": of_negative,
    "compute_negative_weights": of_negative_run,
    "count_negative": lambda events: Numbers(
        count_negative(events.weight, events.units).effective_sample_size ** -0.5
    ),
    "compute_expected_significance": lambda events: of_expected_significance(
        compute_expected_significance(events.scored(False), events.scored(True), [2], ENOUGH)
    ),
    "compute_kolmogorov_smirnov": of_kolmogorov_smirnov,
    "cumulate_weights": of_working_point,
    "compute_efficiency_limit": lambda events: Numbers(
        others=compute_efficiency_limit(events.class_index, events.weight, units=events.units)
    ),
    "compute_split_metrics": of_first_order,
    "compute_gradient_sensitivity": of_gradient_sensitivity,
    "compute_first_order": lambda events: Numbers(
        compute_first_order(events.scored(), [events.weight])[0].error
    ),
    "measure_sculpting": of_sculpting,
    "choose_number_of_bins": of_number_of_bins,
    "compute_kolmogorov_smirnov_tests": of_overtraining_tests,
    "permute_labels": of_permutations,
    "compute_reliability": lambda events: of_reliability(
        compute_reliability(events.score, events.is_signal, events.weight, bins=3, units=events.units)
    ),
    "resample": of_resample,
    "scan_cuts": of_scan,
    "compute_significance_influence": of_influence,
    "compute_slices": lambda events: Numbers(
        of_slices(compute_slices(events.features[:, 0], events.score, events.weight, units=events.units)[0])
    ),
    "compute_standard_errors": of_linear,
    "compute_degrees_of_freedom": lambda events: Numbers(
        others=compute_degrees_of_freedom((events.weight * events.score)[:, None], events.units) - 1
    ),
    "survey_inputs": of_survey,
    "compute_temperature_error": of_temperature,
}
"""What each function gives of some events."""

WITHOUT_ERRORS = {
    # checks and sums
    "check_classes", "check_scored", "check_weights", "positive_sum", "check_positive_sum", "check_signal",
    "join_events", "compute_loss_and_accuracy_terms", "drop_negative_weights", "align_events",
    "align_class_weights", "expected_events",
    # numbers whose errors come from the bootstrap or from their influences
    "compute_metrics", "efficiencies", "compute_roc_curve", "compute_roc_curves", "compute_pair_curve", "mean_auc",
    "compute_shape_distance", "choose_binning", "compute_influences", "compute_area_influences",
    "compute_mean_influences", "iterate_influences", "propagate_class_sums", "compute_shift",
    # fits, whose error is `compute_temperature_error`
    "fit_temperature", "fit_vector_scaling",
}  # fmt: skip
"""Functions that take events or weights, and give neither intervals, nor errors, nor p-values."""

ELSEWHERE = {
    "compute_efficiency_influences": "a part of `compare_without_negative`",
    "compute_permutation_importance": "its donors are other events; tests/statistics/test_importance.py",
    "find_known_numbers": "`has_area_interval` of each class; tests/statistics/test_intervals.py",
    "draw_poisson_counts": "what `resample` draws; tests/statistics/test_resampling.py",
    **dict.fromkeys(
        (
            "merge_in_cells",
            "compute_power_increments",
            "compute_unit_sums",
            "compute_squared_sum",
            "sum_by_unit",
            "select_units",
        ),
        "tests/statistics/test_units.py",
    ),
}


def public_functions() -> Iterator[tuple[str, inspect.Signature]]:
    modules = [
        f"tamis.statistics.{module.name}" for module in pkgutil.iter_modules(tamis.statistics.__path__)
    ]
    for module in (*modules, "tamis.comparison.compute", "tamis.comparison.events"):
        content = import_module(module)
        for name, value in vars(content).items():
            if inspect.isfunction(value) and value.__module__ == content.__name__ and name[0] != "_":
                yield name, inspect.signature(value)


def test_every_function_of_events_is_known() -> None:
    """What takes weights or scored events takes their units too, and stands in the law; or it gives no error."""
    of_events, with_units = set(), set()
    for name, signature in public_functions():
        parameters = signature.parameters.values()
        if any("Scored" in str(each.annotation) for each in parameters):
            of_events.add(name)
        elif "units" in signature.parameters:
            with_units.add(name)
        elif any("weight" in each.name for each in parameters):
            of_events.add(name)
    known = LAWS.keys() | ELSEWHERE.keys()
    assert with_units <= known, with_units - known
    assert of_events <= known | WITHOUT_ERRORS, of_events - known - WITHOUT_ERRORS


def compare(first: Numbers, second: Numbers) -> None:
    for name in ("errors", "p_values", "others"):
        np.testing.assert_allclose(first.flat(name), second.flat(name), rtol=1e-6, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", LAWS)
def test_copies_that_vary_together_change_no_error(name: str) -> None:
    events = once()
    expected = LAWS[name](events)
    number = sum(expected.flat(kind).size for kind in ("errors", "p_values", "others"))
    assert number
    compare(LAWS[name](copied(events, np.repeat(np.arange(600), COPIES))), expected)


@pytest.mark.parametrize("name", LAWS)
def test_copies_without_units_seem_to_know_more(name: str) -> None:
    """This is what the law forbids: so it is seen that each function can break it."""
    events = once()
    expected, found = LAWS[name](events), LAWS[name](copied(events, None))
    errors, too_small = expected.flat("errors"), found.flat("errors")
    if errors.size:
        ratios = too_small[errors > 0] * np.sqrt(COPIES) / errors[errors > 0]
        if name in RESAMPLED | WITH_CHORDS:
            # 200 bootstrap samples know a width to 7%
            assert np.median(ratios) == pytest.approx(1, abs=0.2)
        else:
            np.testing.assert_allclose(ratios, 1, rtol=0.01 if name in WIDER else 1e-6)
    p_values = expected.flat("p_values")
    if p_values.size:
        assert (found.flat("p_values") < p_values).any()
    if not errors.size and not p_values.size:
        others = found.flat("others"), expected.flat("others")
        assert others[0].shape != others[1].shape or not np.allclose(*others, equal_nan=True)


@pytest.mark.parametrize("name", LAWS)
def test_a_unit_of_one_event_is_the_event(name: str) -> None:
    events = once()
    alone = Events(**{**vars(events), "units": np.arange(600)})
    compare(LAWS[name](alone), LAWS[name](events))


@pytest.mark.parametrize("name", [name for name in LAWS if name not in RESAMPLED])
def test_the_numbers_of_the_units_do_not_matter(name: str) -> None:
    events = once()
    # some units hold events with different values
    units = np.random.default_rng(1).integers(0, 150, 600) * 3 + events.class_index
    units = 1000 * events.is_test + units
    other = np.random.default_rng(2).permutation(3000)[units] + 17
    found = [LAWS[name](Events(**{**vars(events), "units": numbers})) for numbers in (units, other)]
    compare(*found)
