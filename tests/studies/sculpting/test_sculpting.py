"""What cuts on the score do to the spectators of a run: what is compared, what a page says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import special

from tamis.blocks import Table, Text
from tamis.blocks.numbers import cell, short
from tamis.figure_data import ColumnLabel, csv_text
from tamis.plots.labels import class_styles
from tamis.statistics.roc import compute_roc_curve, compute_working_points
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.sculpting import (
    LARGE_SHIFT,
    Dependence,
    Shift,
    compute_shift,
    compute_slices,
)
from tamis.studies import metrics_of_studies
from tamis.studies.context import Context, Decorrelation
from tamis.studies.sculpting import (
    SculptingResult,
    comparison,
    compute_sculpting,
    figure_data,
    findings,
    section,
)
from tamis.studies.sculpting.plot import plot_sculpting
from tamis.studies.sculpting.result import Sculpting, measure_sculpting
from tamis.studies.study import Undefined

CLASSES = ("bkg", "sig")


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def events(*, copy: bool, number: int = 2000) -> ScoredEvents:
    """Return events with a spectator that follows the signal score, or that is independent of it."""
    rng = generator(4)
    class_index = (np.arange(number) % 2).astype(np.int32)
    score = rng.beta(2 + class_index, 3 - class_index)
    mass = 100 + (20 * score if copy else rng.normal(size=number))
    weight = rng.uniform(0.5, 1.5, number)
    scores = np.stack([1 - score, score], axis=1)
    return ScoredEvents(scores, class_index, weight, np.ones(number), spectators={"mass": mass})


def compute(test: ScoredEvents, **changes: object) -> SculptingResult | Undefined | None:
    options = {"signal": (1,), "working_points": (0.7, 0.3), **changes}
    return compute_sculpting(Context(CLASSES, {"test": test}, **options))  # type: ignore[arg-type]


def test_histograms_show_what_passes() -> None:
    rng = generator()
    score, class_index = rng.random(4000), np.arange(4000) % 2
    weight = np.where(rng.random(4000) < 0.1, -1.0, 1.0)
    mass = np.where(class_index == 1, rng.normal(125, 2, 4000), 100 + 50 * score)
    mass[:100] = np.nan
    found = measure_sculpting({"mass": mass}, score, class_index, weight, ["bkg", "sig"], [0.0, 0.8], rng)
    for index, each in enumerate(found):
        widths = np.diff(each.binning.edges)
        assert each.before.density @ widths == pytest.approx(1)
        np.testing.assert_array_equal(each.after[0].density, each.before.density)
        inside = (class_index == index) & (score >= 0.8) & np.isfinite(mass)
        counts, _ = np.histogram(
            np.clip(mass[inside], each.binning.edges[0], each.binning.edges[-1]), each.binning.edges,
            weights=weight[inside],
        )  # fmt: skip
        np.testing.assert_allclose(each.after[1].density, counts / weight[inside].sum() / widths, atol=1e-12)
    # behind the cut the background has masses above 140 alone
    background = found[0]
    assert background.after[1].density[background.binning.edges[1:] <= 139].sum() == pytest.approx(0)
    assert [each.warning != "" for each in found] == [True, False]
    metrics = metrics_of_studies({"sculpting": SculptingResult((), (), found, ())}, CLASSES)["sculpting"]
    written = metrics["spectators"]["mass"]["bkg"]
    assert written["histograms"]["after"][1]["density"] == background.after[1].density.tolist()


def test_nothing_that_passes_has_no_histogram() -> None:
    rng, ones = generator(), np.ones(50)
    found = measure_sculpting(
        {"m": ones, "n": ones * np.nan}, rng.random(50), np.zeros(50, int), ones, ["a"], [2.0], rng
    )
    assert found[0].before is not None
    assert found[0].after == (None,)
    assert found[1].binning is found[1].before is found[1].histograms is None


def test_the_cuts_are_those_of_the_working_points() -> None:
    test = events(copy=True)
    result = compute(test)
    assert isinstance(result, SculptingResult)
    curve = compute_roc_curve(test.scores[:, 1], test.class_index == 1, test.weight)
    assert result.cuts == tuple(point.threshold for point in compute_working_points(curve, (0.7, 0.3)))
    metrics = metrics_of_studies({"sculpting": result}, CLASSES)["sculpting"]
    assert metrics["cuts"] == list(result.cuts)
    assert list(metrics["spectators"]["mass"]) == list(CLASSES)


@pytest.mark.parametrize("copy", [True, False])
def test_section_and_finding_name_what_is_sculpted(copy: bool) -> None:
    result = compute(events(copy=copy))
    assert isinstance(result, SculptingResult)
    (table,) = section(result)
    assert isinstance(table, Table)
    assert [row[-1].text for row in table.rows] == ["sculpted" if copy else "no sign"] * 2
    assert len(table.columns) == len(table.rows[0])
    (finding,) = findings(result)
    assert finding.light == ("look" if copy else "good")
    assert ("mass depends on the score in bkg and in sig (signal" in finding.sentence) == copy


def test_the_question_does_not_arise_without_spectator_signal_or_background() -> None:
    test = events(copy=True)
    assert compute(replace(test, spectators={})) is None
    assert compute(test, signal=()) is None
    assert compute(test, signal=(0, 1)) is None


@pytest.mark.parametrize("index", [0, 1])
def test_weights_without_a_positive_sum_are_the_reason_for_no_result(index: int) -> None:
    test = events(copy=True)
    result = compute(replace(test, weight=np.where(test.class_index == index, -1.0, 1.0)))
    assert isinstance(result, Undefined)
    assert "positive sum" in result.reason


def test_a_shift_is_measured_in_errors_and_in_deviations_of_the_spectator() -> None:
    rng = generator()
    score = rng.random(5000)
    spectator = 10 * (score + rng.normal(size=5000))
    (found,) = measure_sculpting(
        {"mass": spectator}, score, np.zeros(5000, int), np.ones(5000), ["bkg"], [], generator()
    )
    assert found.shift is not None
    means, _ = compute_slices(spectator, score, np.ones(5000))
    assert found.shift == compute_shift(spectator, np.ones(5000), means)
    # the outer fifths are 0.8 of the range of the score apart
    assert found.shift.size == pytest.approx(0.8 * 10 / spectator.std(), rel=0.1)
    # ten pairs of slices, two sides
    assert found.shift.p_value == pytest.approx(20 * special.ndtr(-found.shift.significance))
    assert found.shift.large
    assert "its mean moves by 0." in found.warning
    assert "(p < 0.001)" in found.warning


def test_a_certain_shift_is_found_where_a_few_events_do_not_tell() -> None:
    """A class with 30% of negative weights, and a correlation of 0.13: events that are drawn find no dependence."""
    rng = generator(3)
    score = rng.random(14_000)
    spectator = 0.45 * score + rng.normal(size=14_000)
    weight = np.where(rng.random(14_000) < 0.3, -1.0, 1.0)
    (found,) = measure_sculpting(
        {"mass": spectator}, score, np.zeros(14_000, int), weight, ["top"], [], generator()
    )
    assert found.dependence is not None
    assert not found.dependence.large
    assert found.shift is not None
    assert found.shift.large
    assert found.warning.startswith("mass of top depends on the score: its mean moves by ")


@pytest.mark.parametrize("weights", ["equal", "log-normal", "negative"])
def test_shifts_of_independent_spectators_are_chance(weights: str, rates: Any) -> None:
    p_values, toys = [], rates.toys(1000)
    for seed in range(toys):
        rng = generator(seed)
        weight = {
            "equal": np.ones(1000),
            "log-normal": rng.lognormal(0, 0.7, 1000),
            "negative": np.where(rng.random(1000) < 0.2, -1.0, 1.0),
        }[weights]
        spectator = rng.normal(size=1000)
        means, covariance = compute_slices(spectator, rng.random(1000), weight)
        shift = compute_shift(spectator, weight, means, covariance)
        assert shift is not None
        p_values.append(shift.p_value)
    # of the differences of five means the largest is corrected for ten pairs, which depend on each other
    rates.check(
        int(np.sum(np.array(p_values) <= 0.05)),
        toys,
        0.04,
        finds=(0.0, 0.10),
        what=f"shift, {weights} weights",
    )


DEPENDENCE = Dependence(0.07, 0.002, 700)


def sculpting(
    class_name: str,
    size: float | None,
    significance: float,
    p_value: float | None,
    dependence: Dependence | None = DEPENDENCE,
    shape_p_value: float | None = 0.6,
) -> Sculpting:
    return Sculpting(
        "mass",
        class_name,
        (),
        Shift(significance, size, p_value),
        dependence,
        (100.0,),
        (0.26,),
        (0.31,),
        (shape_p_value,),
        None,
        None,
        (None,),
    )


def result_of(*spectators: Sculpting) -> SculptingResult:
    return SculptingResult((0.5,), (0.751,), spectators, ("sig",))


def test_a_certain_but_small_shift_is_named() -> None:
    (finding,) = findings(result_of(sculpting("top", 0.21, 6.6, 1e-9), sculpting("qcd", 0.9, 1.5, 0.8)))
    assert finding.light == "info"
    assert finding.sentence.startswith("Tested: does mass depend on the signal score")
    assert "no sign of sculpting" not in finding.sentence
    assert "nothing to do" not in finding.sentence
    assert (
        "the mean of mass in top moves by 0.21 standard deviations, 6.6 times its error." in finding.sentence
    )


@pytest.mark.parametrize(
    ("class_name", "p_value", "light", "weak"),
    [
        ("top", 0.01, "info", True),
        ("top", 0.011, "good", False),
        ("top", None, "good", False),
        ("sig", 0.001, "good", True),
    ],
)
def test_a_cut_that_changes_a_shape_certainly_is_a_weak_dependence(
    class_name: str, p_value: float | None, light: str, weak: bool
) -> None:
    result = result_of(sculpting(class_name, 0.1, 1.0, 0.9, shape_p_value=p_value))
    (finding,) = findings(result)
    assert finding.light == light
    assert (f"the shape of mass in {class_name}" in finding.sentence) == weak
    (table,) = section(result)
    assert table.rows[0][-1].text == ("weak" if weak else "no sign")


def test_the_p_values_of_shapes_are_corrected_for_the_number_of_cuts() -> None:
    of_cuts = replace(sculpting("top", 0.1, 1.0, 0.9), shape_p_values=(0.006, None, 0.9))
    assert not of_cuts.is_weak
    assert replace(of_cuts, shape_p_values=(0.004, None, 0.9)).is_weak


@pytest.mark.parametrize(("size", "p_value"), [(0.9, 0.8), (0.9, None), (None, 0.001)])
def test_a_shift_that_may_be_chance_is_not_named(size: float | None, p_value: float | None) -> None:
    (finding,) = findings(result_of(sculpting("top", size, 1.5, p_value)))
    assert finding.light == "good"
    assert "small but significant" not in finding.sentence


def test_a_warning_is_a_finding() -> None:
    (finding,) = findings(result_of(sculpting("top", LARGE_SHIFT, 6.0, 1e-9)))
    assert finding.light == "look"
    assert "mass depends on the score in top." in finding.sentence
    assert "remove the features" in finding.sentence


def test_a_change_of_the_signal_alone_is_for_information() -> None:
    sculpted = 0.4, 6.0, 1e-9
    (finding,) = findings(result_of(sculpting("top", 0.1, 1.0, 0.9), sculpting("sig", *sculpted)))
    assert (finding.light, "remove the features" in finding.sentence) == ("info", False)
    (finding,) = findings(result_of(sculpting("sig", *sculpted), sculpting("top", *sculpted)))
    assert finding.light == "look"
    assert "in top and in sig (signal" in finding.sentence


def test_a_shape_of_too_few_events_is_neither_compared_nor_drawn() -> None:
    score = np.linspace(0, 1, 400, endpoint=False)
    (found,) = measure_sculpting(
        {"mass": generator().normal(size=400)}, score, np.zeros(400, int), np.ones(400), ["bkg"], [0.5, 0.96],
        generator(),
    )  # fmt: skip
    assert found.passing == (200, 16)
    assert [shape is None for shape in found.shapes] == [False, True]
    assert [shape is None for shape in found.shapes_by_chance] == [False, True]
    (table,) = section(SculptingResult((0.5, 0.04), (0.5, 0.96), (found,), ()))
    assert table.rows[0][6].text == cell(None).text
    figure = plot_sculpting([found], classes=class_styles(["bkg"]), label="mass", cuts=["loose", "tight"])
    (note,) = [text.get_text() for text in figure.axes[0].texts if "too few events" in text.get_text()]
    assert note.endswith("tight")
    assert "loose" not in note


def test_too_few_events_are_not_a_good_result() -> None:
    unknown = sculpting("top", None, 1.5, None, dependence=None)
    (finding,) = findings(result_of(unknown))
    assert (finding.light, "too few events" in finding.sentence) == ("info", True)
    (finding,) = findings(result_of(unknown, sculpting("qcd", 0.1, 1.0, 0.9)))
    assert finding.light == "good"
    assert "Too few events to test mass in top." in finding.sentence


def test_the_table_has_what_chance_gives_and_a_verdict_for_each_class() -> None:
    (table,) = section(
        result_of(
            sculpting("top", 0.4, 6.0, 1e-9),
            sculpting("zz", 0.1, 1.0, 0.9),
            sculpting("qcd", 0.5, 1.0, None, dependence=None),
        )
    )
    assert isinstance(table, Table)
    assert table.columns[5] == "shape at 50% (score \N{GREATER-THAN OR EQUAL TO} 0.7510)"
    assert [row[-1].text for row in table.rows] == ["sculpted", "no sign", "too few events"]
    assert [(cell.text, cell.note) for cell in table.rows[0][4:6]] == [
        ("0.40", "[6.0]"),
        ("0.260", "[0.310] p = 0.6"),
    ]
    assert table.rows[0][3].text == "\N{LESS-THAN OR EQUAL TO} 0.002"


def test_a_long_tail_of_one_class_leaves_the_range_of_the_others() -> None:
    rng = generator(4)
    class_index = np.repeat([0, 1], 1000)
    values = np.where(class_index == 0, rng.normal(90, 10, 2000), rng.lognormal(6, 2, 2000))
    # the tail has many events with tiny weights, too
    tail = np.arange(2000) % 10 == 0
    values[tail & (class_index == 0)] += 1e4
    weight = np.where(tail & (class_index == 0), 1e-6, 1.0)
    first, second = measure_sculpting(
        {"mass": values}, rng.random(2000), class_index, weight, ["narrow", "wide"], [0.5], generator()
    )
    low, high = first.binning.edges[[1, -2]]
    assert 40 < low < 80 < 100 < high < 140
    assert second.binning.edges[-1] > 1000
    # nothing is lost
    assert np.sum(first.before.density * np.diff(first.before.edges)) == pytest.approx(1)
    assert first.binning.above
    result = SculptingResult((0.5,), (0.5,), (first, second), ())
    labels = {"mass": ColumnLabel("$m$", "GeV")}
    shape, *_ = figure_data(result, labels)
    assert "last bin holds all values outside" in shape.description


def test_figure_data_have_the_labels_and_units_of_spectators() -> None:
    rng = generator(4)
    spectators = {"mass": rng.normal(90, 10, 500), "phi": rng.normal(size=500)}
    found = measure_sculpting(
        spectators, rng.random(500), np.zeros(500, int), np.ones(500), ["bkg"], [0.5], generator()
    )
    tables = {
        table.name: table
        for table in figure_data(
            SculptingResult((0.5,), (0.5,), found, ()), {"mass": ColumnLabel("$m$", "GeV")}
        )
    }
    shape, means = tables["sculpting_mass_shape_bkg"], tables["sculpting_mass_mean_bkg"]
    assert (shape.independent[0].label, shape.independent[0].unit) == ("$m$", "GeV")
    assert {column.unit for column in shape.dependent} == {"1 / GeV"}
    assert (means.dependent[0].label, means.dependent[0].unit) == ("Mean of $m$", "GeV")
    assert csv_text(shape).startswith("mass [GeV] low,mass [GeV] high,")
    unnamed = tables["sculpting_phi_shape_bkg"]
    assert [column.unit for column in (*unnamed.independent, *unnamed.dependent)] == [""] * 3


def test_the_section_says_what_the_training_decorrelated() -> None:
    decorrelation = Decorrelation(("mass",), ("bkg",), "distance_correlation", 12.5)
    plain = compute(events(copy=True))
    assert isinstance(plain, SculptingResult)
    result = compute(events(copy=True), decorrelation=decorrelation)
    assert isinstance(result, SculptingResult)
    assert metrics_of_studies({"sculpting": result}, CLASSES)["sculpting"]["decorrelation"] == {
        "spectators": ["mass"],
        "classes": ["bkg"],
        "method": "distance_correlation",
        "strength": 12.5,
    }
    text, table = section(result)
    assert isinstance(text, Text)
    assert all(part in text.text for part in ("mass", "bkg", "distance correlation", "12.5"))
    assert [table] == list(section(plain))
    # the remedy differs
    (first,), (second,) = (list(findings(each)) for each in (plain, result))
    assert "training.decorrelate)" in first.sentence
    assert "training.decorrelate.strength" in second.sentence


def test_the_comparison_of_runs_has_the_dependence_before_and_after_decorrelation() -> None:
    before, after = (compute(events(copy=copy)) for copy in (True, False))
    assert isinstance(before, SculptingResult)
    assert isinstance(after, SculptingResult)
    cells = [comparison(result) for result in (before, after)]
    assert cells[0].keys() == cells[1].keys()
    assert len(cells[0]) == len(CLASSES) * (
        1 + 2
    )  # the distance correlation, and the shapes at two working points
    dependence = before.spectators[0].dependence
    assert dependence is not None
    assert short(dependence.distance_correlation, 3).text in {found.text for found in cells[0].values()}
