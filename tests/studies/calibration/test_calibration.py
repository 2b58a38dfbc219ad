"""Whether scores are probabilities, as a study of a run: what is fitted where, what is quoted, what a page says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from shared.posteriors import EQUAL, gaussians
from tamis.blocks import Finding, Table, Text
from tamis.calibration import Calibration, Scaling
from tamis.plots.labels import class_styles
from tamis.random_streams import random_stream
from tamis.statistics.reliability import Reliability, compute_reliability
from tamis.statistics.scaling import (
    compute_temperature_error,
    convert_class_weights,
    fit_temperature,
    fit_vector_scaling,
)
from tamis.statistics.scored import ScoredEvents
from tamis.studies import metrics_of_studies
from tamis.studies.calibration import CalibrationResult, compute_calibration, findings, section
from tamis.studies.calibration.plot import plot_calibration
from tamis.studies.context import Context
from tamis.studies.study import Undefined


def compute(
    validation: ScoredEvents, test: ScoredEvents, applied: Calibration | None = None
) -> CalibrationResult:
    splits = {"validation": validation, "test": test}
    result = compute_calibration(Context(("a", "b", "c"), splits, applied_calibration=applied))
    assert isinstance(result, CalibrationResult)
    return result


def test_temperature_scaling_is_judged_on_test_events() -> None:
    parts = []
    for seed in (1, 2):
        class_index, log_density = gaussians(5000, EQUAL, seed)
        sharp = special.softmax(2 * log_density, axis=1)
        parts.append(ScoredEvents(sharp, class_index, np.ones(5000), np.ones(5000)))
    found = compute(*parts)
    for before, after in zip(found.balanced, found.with_temperature, strict=True):
        assert before.p_value == 0.001
        assert after.p_value > 1e-3
        assert after.error < before.error / 2
    corrected = found.temperature(parts[1].scores)
    expected = compute_reliability(
        corrected[:, 1], parts[1].class_index == 1, np.ones(5000),
        generator=random_stream(0, "evaluation", "reliability", "temperature", "1"),
    )  # fmt: skip
    assert found.with_temperature[1] == expected
    metrics = metrics_of_studies({"calibration": found}, found.class_names)["calibration"]
    assert metrics["with_temperature"]["b"]["error"] == expected.error


def weighted_part(number: int, seed: int, sharpness: float) -> ScoredEvents:
    """Scores that no temperature mends, so that what is fitted depends on the weights of the classes."""
    rng = np.random.default_rng((seed, 9))
    class_index, log_density = gaussians(number, (0.6, 0.3, 0.1), seed)
    scores = special.softmax(log_density * [sharpness, 1.0, 0.3], axis=1)
    factor = np.array([0.5, 1.0, 6.0])[class_index]
    return ScoredEvents(scores, class_index, rng.uniform(0.5, 2.0, number), factor)


def test_what_is_fitted_is_fitted_on_validation_events_with_the_weights_that_were_learned() -> None:
    validation, test = weighted_part(2000, 1, 2.0), weighted_part(1500, 2, 0.5)
    found = compute(validation, test)
    arguments = validation.scores, validation.class_index, validation.weight * validation.class_weight
    assert found.temperature == fit_temperature(*arguments)
    assert found.vector == fit_vector_scaling(*arguments)
    assert found.temperature_error == compute_temperature_error(found.temperature, *arguments)
    # other test events, and other labels of them, change nothing of it
    turned = replace(weighted_part(900, 3, 3.0), class_index=np.arange(900) % 3)
    other = compute(validation, turned)
    assert other.temperature == found.temperature
    assert other.vector == found.vector
    assert other.temperature_error == found.temperature_error


def test_what_is_quoted_is_quoted_of_test_events_in_both_mixtures() -> None:
    validation, test = weighted_part(2000, 1, 2.0), weighted_part(1500, 2, 0.5)
    found, learned = compute(validation, test), test.weight * test.class_weight
    rows = np.arange(1500), test.class_index
    for value, scores in (
        (found.loss, test.scores),
        (found.loss_with_temperature, found.temperature(test.scores)),
        (found.loss_with_vector, found.vector(test.scores)),
    ):
        assert value == pytest.approx(np.average(-np.log(scores[rows]), weights=learned), rel=1e-9)
    before, after = (np.bincount(test.class_index, weight) for weight in (learned, test.weight))
    physical = convert_class_weights(test.scores, before, after)
    for index in range(3):
        of_class = test.class_index == index
        for name, quoted, scores, weight in (
            ("balanced", found.balanced, test.scores, learned),
            ("physics", found.physics, physical, test.weight),
        ):
            generator = random_stream(0, "evaluation", "reliability", name, str(index))
            assert quoted[index] == compute_reliability(
                scores[:, index], of_class, weight, generator=generator
            )


def test_negative_weights_of_one_class_are_drawn_in_that_class_alone() -> None:
    is_class, weight = np.arange(32) < 16, np.where(np.arange(32) < 2, -1.0, 1.0)
    found = compute_reliability(np.full(32, 0.35), is_class, weight, bins=1)
    # an event of the class has a negative weight in one of eight cases, and counts three quarters on average
    rng = np.random.default_rng(2)
    drawn = rng.random((20_000, 32)) < 0.35 / (0.35 + 0.65 * 0.75)
    sums = np.where(drawn, 0.65 * np.where(rng.random((20_000, 32)) < 1 / 8, -1, 1), -0.35).sum(axis=1)
    assert found.bins[0].expected_sample_size == pytest.approx(
        32 * 0.35 / (0.35 + 0.65 * 0.75) * (28 / 32) ** 2
    )
    deviation = weight @ (is_class - 0.35)
    # 999 simulations know it to 1.6%
    assert found.p_value == pytest.approx(np.mean(np.abs(sums) > deviation - 1e-9), abs=0.05)


def test_a_bin_that_is_left_out_moves_no_other_one() -> None:
    # a first bin without a positive sum of weights, and 19 of 30 events where 15 are promised
    score, is_class = np.repeat([0.001, 0.5], [2, 30]), np.r_[False, False, np.arange(30) < 19]
    found = compute_reliability(score, is_class, np.where(np.arange(32) == 0, -1.0, 1.0), bins=16)
    assert [each.fraction for each in found.bins] == pytest.approx([19 / 30])
    # one of the 13 other events has a negative weight
    rng = np.random.default_rng(5)
    drawn = rng.random((20_000, 30)) < 11 / 13 / (11 / 13 + 1)
    sums = np.where(drawn, 0.5, -0.5 * np.where(rng.random((20_000, 30)) < 1 / 13, -1, 1)).sum(axis=1)
    assert found.p_value == pytest.approx(np.mean(np.abs(sums) >= 4), abs=0.05)


@pytest.mark.parametrize("differ", [False, True])
def test_classes_have_weights_of_their_own_where_they_differ_beyond_chance(differ: bool) -> None:
    rng, is_class = np.random.default_rng(4), np.arange(600) < 300
    weight = rng.lognormal(0, np.where(is_class, 0.0 if differ else 0.5, 1.2 if differ else 0.5))
    p = weight[is_class].sum() / weight.sum()
    found = compute_reliability(np.full(600, p), is_class, weight, bins=1).bins[0]
    rest, of_it = weight[~is_class], weight[is_class]
    ratio, spread = np.exp(np.log(rest).mean() - np.log(of_it).mean()), 1.0
    if differ:
        ratio = rest.mean() / of_it.mean()
        squares = [np.square(each).mean() / each.mean() ** 2 for each in (rest, of_it)]
        spread = np.sqrt(squares[0] / squares[1])
    q = p * ratio / (p * ratio + 1 - p)
    as_class = np.where(is_class, weight, weight / ratio / spread) * (1 - p)
    as_rest = -np.where(is_class, weight * ratio * spread, weight) * p
    variance = q * (1 - q) * np.square(as_class - as_rest)
    assert found.error == pytest.approx(np.sqrt(variance.sum()) / weight.sum())


def test_weights_without_a_positive_sum_are_the_reason_for_no_result() -> None:
    validation, test = weighted_part(200, 1, 2.0), weighted_part(200, 2, 0.5)
    for splits in (
        {"validation": replace(validation, weight=-validation.weight), "test": test},
        {"validation": validation, "test": replace(test, weight=-test.weight)},
    ):
        result = compute_calibration(Context(("a", "b", "c"), splits))
        assert isinstance(result, Undefined)
        assert "positive sum" in result.reason


@pytest.mark.parametrize(
    ("applied", "words"),
    [
        (None, []),
        (
            Calibration(
                "temperature",
                Scaling((0.5,) * 3, (0.0,) * 3),
                dict.fromkeys((0, 1), Scaling((1,) * 3, (0,) * 3)),
            ),
            ["a temperature of 2.0000", "2 folds"],
        ),
        (
            Calibration("vector", Scaling((0.5, 1.0, 2.0), (-0.25, 0.0, 0.25))),
            ["a 0.5000, b 1.0000, c 2.0000", "a -0.2500, b +0.0000, c +0.2500"],
        ),
    ],
)
def test_the_section_describes_the_correction_that_is_part_of_the_scores(
    applied: Calibration | None, words: list[str]
) -> None:
    result = compute(weighted_part(500, 1, 2.0), weighted_part(500, 2, 0.5), applied)
    text, table = section(result)
    assert isinstance(text, Text)
    assert ("second correction" in text.text) == (applied is not None)
    assert all(word in text.text for word in words)
    assert isinstance(table, Table)
    assert [row[0].text for row in table.rows] == ["a", "b", "c"] * 2


def test_the_finding_tells_large_deviations_from_small_ones() -> None:
    class_index, log_density = gaussians(20_000, EQUAL, 3)
    unit = np.ones(20_000)
    lights = []
    for sharpness in (1.0, 2.0):
        events = ScoredEvents(special.softmax(sharpness * log_density, axis=1), class_index, unit, unit)
        (finding,) = findings(compute(events, events))
        lights.append(finding.light)
    assert lights == ["good", "look"]


def reliability(error: float, p_value: float, by_chance: float = 0.01) -> Reliability:
    return Reliability((), error, by_chance, p_value)


def result(sig: Reliability, physics: Reliability | None = None) -> CalibrationResult:
    fine, identity = reliability(0.009, 0.6), Scaling((1.0, 1.0), (0.0, 0.0))
    return CalibrationResult(
        ("bkg", "sig"), None, (fine, sig), (fine, fine), None if physics is None else (physics, fine),
        identity, 0.01, identity, 0.5, 0.5, 0.5, (0.01, 0.01),
    )  # fmt: skip


def finding_of(sig: Reliability, physics: Reliability | None = None) -> Finding:
    (finding,) = findings(result(sig, physics))
    return finding


@pytest.mark.parametrize(
    ("sig", "light", "words"),
    [
        (reliability(0.011, 0.4), "good", "The scores are well calibrated (balanced weights)"),
        (reliability(0.011, 0.001), "info", "but little on average (balanced weights)"),
        (reliability(0.05, 0.001), "look", "The scores are not calibrated (balanced weights)"),
    ],
)
def test_the_balanced_weights_decide(sig: Reliability, light: str, words: str) -> None:
    finding = finding_of(sig, reliability(0.009, 0.6))
    assert finding.light == light
    assert words in finding.sentence
    assert "physics" not in finding.sentence


def test_what_no_simulation_reached_is_a_limit() -> None:
    least = reliability(0.05, 0.001)
    assert "(p \N{LESS-THAN OR EQUAL TO} 0.002, corrected for 2 classes)" in finding_of(least).sentence
    assert "(p = 0.004, corrected for 2 classes)" in finding_of(reliability(0.05, 0.002)).sentence
    _, table = section(result(least))
    assert isinstance(table, Table)
    assert [row[-1].text for row in table.rows] == ["0.6", "\N{LESS-THAN OR EQUAL TO} 0.001"]


def test_the_physics_weights_count_too() -> None:
    finding = finding_of(reliability(0.01, 0.5), reliability(0.04, 0.001))
    assert finding.light == "look"
    assert "converted to physics weights are not calibrated" in finding.sentence
    assert "the score of bkg deviates most (p \N{LESS-THAN OR EQUAL TO} 0.002" in finding.sentence


def test_a_small_deviation_with_physics_weights_is_not_calibrated_either() -> None:
    finding = finding_of(reliability(0.01, 0.5), reliability(0.011, 0.001))
    assert finding.light == "info"
    assert "converted to physics weights deviate" in finding.sentence


def test_bins_with_too_few_expected_events_count_neither_in_the_p_value_nor_in_the_pulls() -> None:
    # one event where 0.2 are expected: a pull of nine
    score, is_class = np.repeat([1e-4, 0.5], 100), np.r_[np.arange(100) < 1, np.arange(100) < 50]
    curve = compute_reliability(score, is_class, np.ones(200), bins=2)
    assert [entry.in_p_value for entry in curve.bins] == [False, True]
    assert curve.p_value > 0.9
    style = class_styles(["a"])
    figure = plot_calibration([curve], [curve], classes=style)
    assert {len(line.get_xdata()) for line in figure.axes[1].lines if line.get_linestyle() == "None"} == {
        0,
        1,
    }
    drawn = [y for line in figure.axes[1].lines if line.get_linestyle() == "None" for y in line.get_ydata()]
    assert np.abs(drawn).max() < 1
