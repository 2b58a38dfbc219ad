"""The survey of the inputs against cases that can be counted by hand."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.blocks import Table
from tamis.data.survey import compute_class_purity, sample_each_class, survey_columns
from tamis.errors import TamisError
from tamis.statistics.correlations import compute_correlations
from tamis.statistics.distributions import compute_feature_distributions
from tamis.statistics.overtraining import compute_kolmogorov_smirnov
from tamis.statistics.training_range import TrainTestMasks, count_outside
from tamis.studies import metrics_of_studies
from tamis.studies.context import Context, UsedEvents
from tamis.studies.inputs import INPUTS, figure_data, findings, section
from tamis.studies.inputs.result import InputsResult, compute_inputs, survey_inputs

NAMES = ("x", "y", "z")
CLASSES = ("bkg1", "bkg2", "sig")


def divided(training: np.ndarray, alike: bool = True) -> TrainTestMasks:
    return TrainTestMasks(((training, ~training),), (training, ~training), alike)


def events(number: int = 3000, seed: int = 1):
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 3, number).astype(np.int32)
    features = rng.normal(size=(number, 3)).astype(np.float32) + 0.3 * class_index[:, None]
    weight = np.where(rng.random(number) < 0.1, -0.7, 1.3)
    return features.astype(np.float32), class_index, weight, rng.random(number) < 0.5


def survey(features, class_index, weight, training, **options):
    masks = options.pop("masks", divided(training))
    units = options.pop("units", None)
    return survey_inputs(UsedEvents(NAMES, features, class_index, weight, masks, units), CLASSES, **options)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=9), st.data())
def test_what_is_expected_outside_is_the_mean_over_all_divisions(
    values: list[int], data: st.DataObject
) -> None:
    """Every way to divide the events in training and test is as likely: try them all."""
    numbers = np.array(values, float)
    training = data.draw(st.integers(1, len(values) - 1))
    found, claimed = [], []
    for rows in combinations(range(len(values)), training):
        learned = np.isin(np.arange(len(values)), rows)
        each = count_outside(numbers, np.ones(len(values)), divided(learned))
        found.append(each.events)
        claimed.append((each.expected, each.p_value))
    assert {round(expected, 9) for expected, _ in claimed} == {round(float(np.mean(found)), 9)}
    # no p-value is smaller than the share of divisions with as many
    for count, (_, p_value) in zip(found, claimed, strict=True):
        assert p_value >= np.mean(np.array(found) >= count) - 1e-9
        if len(set(values)) == len(values):
            assert p_value == pytest.approx(np.mean(np.array(found) >= count))


def test_few_training_events_and_many_are_expected_alike() -> None:
    rng = np.random.default_rng(3)
    for training, test in ((3, 20_000), (20_000, 3), (10_000, 10_000)):
        learned = np.arange(training + test) < training
        found = count_outside(rng.normal(size=training + test), np.ones(training + test), divided(learned))
        assert found.expected == pytest.approx(2 * test / (training + 1))


def test_outliers_are_counted_and_weighed() -> None:
    values = np.array([0.0, 10.0, 5.0, np.nan, 12.0, -3.0, 10.0, np.nan, 4.0])
    training = np.arange(9) < 4
    weight = np.array([9, 9, 9, 9, 2.0, -0.5, 3.0, 9.0, 5.5])
    found = count_outside(values, weight, divided(training))
    assert (found.low, found.high, found.events) == (0.0, 10.0, 2)
    assert found.fraction == pytest.approx((2 - 0.5) / (2 - 0.5 + 3 + 5.5))
    assert (found.extreme, found.beyond) == (-3.0, pytest.approx(0.3))
    other = count_outside(values, weight, divided(training, alike=False))
    assert (other.events, other.expected, other.p_value) == (2, None, None)


def test_nothing_outside_and_nothing_to_compare_with() -> None:
    training = np.array([True, True, False])
    inside = count_outside(np.array([0.0, 1.0, 1.0]), np.ones(3), divided(training))
    assert (inside.events, inside.fraction, inside.extreme, inside.beyond, inside.p_value) == (
        0,
        0.0,
        None,
        None,
        1.0,
    )
    assert count_outside(np.array([np.nan, np.nan, 1.0]), np.ones(3), divided(training)) is None
    no_test = count_outside(np.array([0.0, 1.0, np.nan]), np.ones(3), divided(training))
    assert (no_test.events, no_test.fraction, no_test.expected) == (0, None, 0.0)


def test_with_folds_an_event_is_outside_of_what_its_own_network_learned_from() -> None:
    values = np.array([0.0, 1.0, 5.0, 0.5, 0.2, 7.0])
    fold = np.array([0, 0, 0, 1, 1, 1])
    networks = tuple((fold != number, fold == number) for number in (0, 1))
    found = count_outside(values, np.ones(6), TrainTestMasks(networks, networks[0]))
    # fold 0 sees [0.2, 7]: 0 is outside; fold 1 sees [0, 5]: 7 is outside
    assert (found.events, found.extreme, found.low, found.high) == (2, 7.0, 0.0, 7.0)
    assert found.expected == pytest.approx(2 * 2 * 3 / 4)


def test_missing_values_are_counted_by_class() -> None:
    features, class_index, weight, training = events()
    rng = np.random.default_rng(5)
    gone = rng.random(len(weight)) < np.array([0.0, 0.2, 0.5])[class_index]
    features[gone, 1] = np.nan
    x, y, _ = survey(features, class_index, weight, training).features
    assert x.missing == {}
    for index, name in enumerate(CLASSES):
        of_class = class_index == index
        found = y.missing[name]
        assert found.events == (gone & of_class).sum()
        assert found.fraction == pytest.approx(weight[of_class & gone].sum() / weight[of_class].sum())
        assert abs(found.fraction - (0.0, 0.2, 0.5)[index]) < 4 * found.error + 1e-12


def test_the_error_of_a_missing_fraction_is_the_spread_of_toys(rates: Any) -> None:
    rng, pulls, toys = np.random.default_rng(6), [], rates.toys(300)
    training = np.arange(400) % 2 == 0
    for _ in range(toys):
        values = np.where(rng.random(400) < 0.3, np.nan, 1.0 + np.arange(400)).astype(np.float32)
        weight = np.where(rng.random(400) < 0.15, -1.0, 1.5)
        used = UsedEvents(("a",), values[:, None], np.zeros(400, np.int32), weight, divided(training))
        found = survey_inputs(used, ["only"]).features[0].missing["only"]
        pulls.append((found.fraction - 0.3) / found.error)
    rates.check(np.sum(np.abs(pulls) < 1), toys, 0.683, finds=(0.47, 0.86), what="missing fraction")


def test_purity_and_suspicions_are_those_of_the_check() -> None:
    features, class_index, weight, training = events()
    features[:, 1] = class_index
    features[:, 2] = np.where(np.arange(len(weight)) % 10 == 0, -999, features[:, 2])
    found, some = survey(features, class_index, weight, training), sample_each_class(class_index, 3)
    for index, each in enumerate(found.features):
        assert each.purity == compute_class_purity(features[some, index].astype(float), class_index[some], 3)
        assert list(each.suspicions) == survey_columns(
            {NAMES[index]: features[:, index]}, class_index, CLASSES, names=False
        )
    assert [each.identifies_class for each in found.features] == [False, True, False]
    assert found.warnings[0] == (
        "Feature 'y' nearly identifies the class: it alone classifies 100.0% of the events correctly."
    )
    assert "Feature 'z' is -999 in 10.0% of the events" in found.warnings[1]
    assert len(found.warnings) == 2


def test_training_and_test_are_compared_by_class() -> None:
    features, class_index, weight, training = events()
    changed = (class_index == 1) & training
    features[changed, 2] += 0.7
    features[~training, 0] += np.where(class_index[~training] == 0, 50.0, 0.0)
    found = survey(features, class_index, weight, training)
    for index, name in enumerate(CLASSES):
        parts = [(class_index == index) & part for part in (training, ~training)]
        expected = compute_kolmogorov_smirnov(
            *(array[part] for part in parts for array in (features[:, 2].astype(float), weight))
        )
        assert found.features[2].compared[name] == expected
    assert found.features[2].compared["bkg2"].p_value < 1e-6
    text = "\n".join(found.warnings)
    assert "Feature 'z' is distributed differently in the training and the test events of bkg2" in text
    assert "Feature 'x' is distributed differently in the training and the test events of bkg1" in text
    assert "Feature 'x' is outside the range of the training events in " in text
    assert len(found.warnings) == 3


def test_a_difference_in_missing_values_is_seen() -> None:
    features, class_index, weight, training = events()
    features[training & (np.arange(len(weight)) % 3 == 0), 0] = np.nan
    found = survey(features, class_index, weight, training)
    assert all(test.p_value < 1e-6 for test in found.features[0].compared.values())
    alone = survey(features, class_index, weight, training, masks=divided(training, alike=False))
    assert set(alone.features[0].compared.values()) == {None}


def test_a_random_division_is_rarely_warned_of(rates: Any) -> None:
    warned, toys = 0, rates.toys(60)
    for seed in range(toys):
        found = survey(*events(400, seed))
        warned += bool(found.warnings)
    # two lists of tests, at 1% each
    rates.check(warned, toys, (0.0, 0.02), finds=(None, 0.29), what="warning of a random division")


def test_correlations_are_those_of_the_training_events_of_each_class() -> None:
    features, class_index, weight, training = events()
    found = survey(features, class_index, weight, training, signal=[2])
    groups = {name: class_index == index for index, name in enumerate(CLASSES)}
    for name, inside in groups.items():
        expected = compute_correlations(features, weight, np.flatnonzero(inside & training))
        np.testing.assert_array_equal(found.correlations[name].matrix, expected.matrix)
    background = compute_correlations(features, weight, np.flatnonzero((class_index < 2) & training))
    expected = found.correlations["sig"] - background
    np.testing.assert_array_equal(found.contrast.matrix, expected.matrix)
    assert survey(features, class_index, weight, training).contrast is None
    assert survey(features, class_index, weight, training, signal=[0, 1, 2]).contrast is None


def test_all_of_it_is_strict_json_and_an_empty_class_is_undefined() -> None:
    features, class_index, weight, training = events(200)
    class_index = np.where(class_index == 1, 0, class_index).astype(np.int32)
    features[:, 2] = np.nan
    result = result_of(features, class_index, weight, training)
    written = json.loads(
        json.dumps(metrics_of_studies({"inputs": result}, CLASSES)["inputs"], allow_nan=False)
    )
    assert written["features"] == list(NAMES)
    assert written["correlations"]["bkg2"]["matrix"] == [[None] * 3] * 3
    assert written["by_feature"]["x"]["training_against_test"]["bkg2"] is None
    tests = [
        test["p_value"]
        for feature in written["by_feature"].values()
        for test in feature["training_against_test"].values()
        if test is not None
    ]
    corrected = [
        each["corrected_p_values"]["training_against_test"] for each in written["by_feature"].values()
    ]
    assert min(corrected) == pytest.approx(min(1.0, len(tests) * min(tests)))
    assert written["by_feature"]["z"]["outside"] is None
    assert written["by_feature"]["z"]["suspicions"] == ["has no finite value"]
    assert written["by_feature"]["z"]["missing"]["bkg2"] == {"events": 0, "fraction": None, "error": None}


def test_the_matrix_of_features_is_not_copied() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(40, 100_000)).astype(np.float32).T
    class_index = rng.integers(0, 3, len(features)).astype(np.int32)
    training = rng.random(len(features)) < 0.5
    tracemalloc.start()
    names = tuple(str(number) for number in range(40))
    used = UsedEvents(names, features, class_index, np.ones(len(features)), divided(training))
    survey_inputs(used, CLASSES)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # a copy in 64 bits alone would take two
    assert peak < 1.5 * features.nbytes


def test_arrays_that_do_not_fit_are_refused() -> None:
    features, class_index, weight, training = events(50)
    with pytest.raises(TamisError):
        survey(features[:, :2], class_index, weight, training)
    with pytest.raises(TamisError):
        survey(features, class_index, weight, training[:49])


def test_the_smallest_p_value_of_the_folds_counts_times_their_number() -> None:
    fold, values = np.arange(40) % 2, np.random.default_rng(7).random(40)
    values[:6:2] = 2.0
    networks = tuple((fold != number, fold == number) for number in (0, 1))
    alone = [count_outside(values, np.ones(40), TrainTestMasks((each,), each)).p_value for each in networks]
    found = count_outside(values, np.ones(40), TrainTestMasks(networks, networks[0])).p_value
    assert found == pytest.approx(2 * min(alone))
    assert found < 1


def test_a_missing_value_is_compared_as_the_lowest() -> None:
    features, class_index, weight, training = events()
    features[training, 0] -= 1.0
    features[training & (np.arange(len(weight)) % 3 == 0), 0] = np.nan
    found = survey(features, class_index, weight, training).features[0].compared["sig"]
    lowest = np.where(np.isnan(features[:, 0]), -99.0, features[:, 0]).astype(float)
    parts = [(class_index == 2) & part for part in (training, ~training)]
    expected = compute_kolmogorov_smirnov(*(array[part] for part in parts for array in (lowest, weight)))
    assert found == expected
    assert found.distance > 0.4


def test_what_is_compared_are_the_events_of_which_none_is_in_both() -> None:
    features, class_index, weight, training = events()
    apart = np.arange(len(weight)) % 3 == 0, np.arange(len(weight)) % 3 == 1
    found = survey(
        features, class_index, weight, training, masks=TrainTestMasks(((training, ~training),), apart)
    )
    parts = [(class_index == 1) & part for part in apart]
    expected = compute_kolmogorov_smirnov(
        *(array[part] for part in parts for array in (features[:, 0].astype(float), weight))
    )
    assert found.features[0].compared["bkg2"] == expected


def test_the_error_of_a_missing_fraction_of_equal_weights_is_binomial() -> None:
    values = np.where(np.arange(400) % 5 == 0, np.nan, np.arange(400.0)).astype(np.float32)
    training = np.arange(400) < 200
    used = UsedEvents(("a",), values[:, None], np.zeros(400, np.int32), np.ones(400), divided(training))
    found = survey_inputs(used, ["only"]).features[0].missing["only"]
    assert (found.fraction, found.error) == pytest.approx((0.2, np.sqrt(0.2 * 0.8 / 400)))


def result_of(features: Any, class_index: Any, weight: Any, training: Any, **options: Any) -> InputsResult:
    masks = options.pop("masks", divided(training))
    used = UsedEvents(NAMES, features, class_index, weight, masks)
    result = compute_inputs(Context(CLASSES, {}, signal=(2,), used=used))
    assert result is not None
    return result


def test_the_result_has_the_survey_and_the_distributions_of_what_is_compared() -> None:
    features, class_index, weight, training = events()
    apart = np.arange(len(weight)) % 3 == 0, np.arange(len(weight)) % 3 == 1
    masks = TrainTestMasks(((training, ~training),), apart)
    result = result_of(features, class_index, weight, training, masks=masks)
    expected = survey(features, class_index, weight, training, masks=masks, signal=[2])
    metrics = metrics_of_studies({"inputs": result}, CLASSES)
    assert metrics == metrics_of_studies({"inputs": replace(result, survey=expected)}, CLASSES)
    assert len(result.distributions) == 3
    histograms = compute_feature_distributions(features, class_index, weight, *apart, classes=3)
    for distribution, other in zip(result.distributions, histograms, strict=True):
        for part, its in ((distribution.training, other.training), (distribution.test, other.test)):
            for histogram, its_histogram in zip(part, its, strict=True):
                np.testing.assert_array_equal(histogram.density, its_histogram.density)


def test_events_without_features_are_no_question() -> None:
    assert compute_inputs(Context(CLASSES, {})) is None


def test_the_section_shows_missing_values_only_where_there_are_any() -> None:
    features, class_index, weight, training = events()
    table, differences = section(result_of(features, class_index, weight, training))
    assert isinstance(table, Table)
    assert isinstance(differences, Table)
    assert "missing in sig" not in table.columns
    assert [row[0].text for row in table.rows] == list(NAMES)
    features[class_index == 2, 1] = np.nan
    table, _ = section(result_of(features, class_index, weight, training))
    column = table.columns.index("missing in sig")
    assert [row[column].value for row in table.rows] == pytest.approx([0.0, 1.0, 0.0])


def test_every_warning_is_a_finding_and_a_line_for_the_terminal() -> None:
    features, class_index, weight, training = events()
    features[:, 1] = class_index
    result = result_of(features, class_index, weight, training)
    assert INPUTS.summary(result) == result.survey.warnings
    assert len(result.survey.warnings) == 1
    assert [finding.light for finding in findings(result)] == ["look"]
    table, *_ = section(result)
    assert [row[0].light for row in table.rows] == [None, "bad", None]


def test_the_tables_of_the_figures_hold_distributions_and_correlations() -> None:
    features, class_index, weight, training = events()
    features[:, 2] = np.nan
    result = result_of(features, class_index, weight, training)
    x, y, matrices, contrast = figure_data(result, {})
    # a feature without values has no panel to tell of
    names = [table.name for table in (x, y, matrices, contrast)]
    assert names == ["inputs_x", "inputs_y", "correlations", "correlations_difference"]
    sig = next(column for column in x.dependent if column.qualifiers == {"Class": "sig", "Split": "test"})
    histogram = result.distributions[0].test[2]
    assert sig.values == histogram.density.tolist()
    assert sig.errors["statistical"] == [(error, error) for error in histogram.uncertainty.tolist()]
    assert x.independent[0].edges[0] == tuple(histogram.edges[:2])
    assert [column.values[0] for column in matrices.independent] == ["x", "y"]
    for column, matrix in zip(matrices.dependent, result.survey.correlations.values(), strict=True):
        assert column.values[0] == matrix.matrix[0, 1]
        assert column.errors["statistical"] == [(matrix.error[0, 1],) * 2, None, None]
    assert contrast.dependent[0].values[0] == result.survey.contrast.matrix[0, 1]
