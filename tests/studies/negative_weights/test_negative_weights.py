"""Negative weights against counting by hand, and their effect on numbers against toys."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tamis.blocks import Table, Text
from tamis.statistics.asimov import Requirements
from tamis.statistics.expected_significance import compute_expected_significance, count_expected_significance
from tamis.statistics.influence import compute_efficiency_influences
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.negative_weights import drop_negative_weights
from tamis.statistics.roc import compute_roc_curve, compute_working_points
from tamis.statistics.scored import ScoredEvents
from tamis.studies import metrics_of_studies
from tamis.studies.context import Context
from tamis.studies.negative_weights import (
    NEGATIVE_WEIGHTS,
    NegativeWeightsResult,
    compute_negative_weights,
    findings,
    format_change_and_error,
    section,
)
from tamis.studies.negative_weights.result import CountedSignificance, compare_without_negative
from tamis.studies.shared import build_requirements, compute_significance, scale_to_expected_events

CLASSES = ("bkg", "sig")


def scored(number: int = 3000, seed: int = 1, negative: float = 0.2, *, shaped: bool = False) -> ScoredEvents:
    """Two classes; where `shaped`, the negative weights of the background lie at high signal scores."""
    rng = np.random.default_rng(seed)
    class_index = np.arange(number) % 2
    signal = 1 / (1 + np.exp(-rng.normal(2.0 * class_index - 1.0, 1.0)))
    probability = negative * (2 * signal if shaped else np.ones(number)) * (class_index == 0)
    weight = np.where(rng.random(number) < probability, -1.0, 1.0)
    scores = np.stack([1 - signal, signal], axis=1)
    return ScoredEvents(scores, class_index.astype(np.int32), weight, np.ones(number))


def compare(
    events: ScoredEvents,
    working_points: list[float],
    significances: tuple[CountedSignificance, CountedSignificance] | None = None,
) -> NegativeWeightsResult:
    shares, changes = compare_without_negative(events, CLASSES, working_points, significances)
    return NegativeWeightsResult(shares, changes, {})


def compute(events: ScoredEvents, **changes: Any) -> NegativeWeightsResult | None:
    splits = dict.fromkeys(("training", "validation", "test"), events)
    return compute_negative_weights(Context(CLASSES, splits, working_points=(0.5,), **changes))


def test_the_question_does_not_arise_where_there_are_none() -> None:
    assert compute(scored(negative=0.0)) is None


def test_a_weight_of_zero_is_not_negative() -> None:
    events = scored(8)
    weight = np.array([2.0, 1.0, 0.0, 1.0, -0.0, 1.0, 1.0, 1.0])
    assert compute(replace(events, weight=weight)) is None
    found = compare(replace(events, weight=np.append(weight[:7], -0.5)), [])
    assert (found.classes["bkg"].events, found.classes["sig"].events) == (0, 1)


def test_shares_are_those_that_are_counted() -> None:
    events = scored(8)
    weight = np.array([2.0, 1.0, -1.0, 1.0, 1.0, 1.0, -0.5, 1.0])
    found = compare(replace(events, weight=weight), [])
    background, signal = (found.classes[name] for name in CLASSES)
    assert (background.events, background.fraction) == (2, 0.5)
    assert background.share == pytest.approx(1.5 / 4.5)
    assert background.effective_sample_size == pytest.approx(1.5**2 / 6.25)
    assert background.effective_sample_size_without == pytest.approx(9 / 5)
    assert background.growth_factor == pytest.approx(2.0)
    assert (
        signal.events,
        signal.share,
        signal.effective_sample_size,
        signal.effective_sample_size_without,
    ) == (0, 0.0, 4.0, 4.0)
    assert signal.growth_factor == 1.0


def test_numbers_are_those_of_the_events_without_them() -> None:
    events = scored(8000, shaped=True)
    found = compare(events, [0.5, 0.9])
    kept = drop_negative_weights(events)
    np.testing.assert_allclose(
        [kept.weight[events.class_index == index].sum() for index in (0, 1)],
        [events.weight[events.class_index == index].sum() for index in (0, 1)],
    )
    pair = [compute_metrics(each.scores, each.class_index, each.weight) for each in (events, kept)]
    changes = {(each.quantity, each.name, each.target): each for each in found.changes}
    assert len(changes) == 2 + 2 + 2 * 2
    for quantity in ("loss", "accuracy"):
        each = changes[quantity, None, None]
        assert (each.quoted, each.without_negative_weights) == tuple(
            getattr(numbers, quantity) for numbers in pair
        )
    each = changes["auc", "sig", None]
    assert (each.quoted, each.without_negative_weights) == tuple(numbers.auc[1] for numbers in pair)
    # half of the background at high scores cancels: without the negative weights the classifier looks worse
    assert each.change < -5 * each.error
    assert changes["loss", None, None].change > 5 * changes["loss", None, None].error
    assert changes["background_efficiency", "sig", 0.5].change > 0


def test_negative_weights_that_know_nothing_of_the_score_change_nothing_but_by_chance(rates: Any) -> None:
    pulls, toys = [], rates.toys(400)
    for seed in range(toys):
        found = compare(scored(600, seed), [])
        pulls.append([each.change / each.error for each in found.changes])
    inside, above = (np.abs(pulls) < 1).sum(axis=0), (np.array(pulls) > 0).sum(axis=0)
    rates.check(inside, toys, 0.683, finds=(0.50, 0.84), what="change without negative weights")
    rates.check(above, toys, 0.5, finds=(0.32, 0.68), what="change without negative weights above zero")


def test_significances_are_compared_where_there_is_a_signal() -> None:
    events, kept = scored(shaped=True), drop_negative_weights(scored(shaped=True))
    significances = tuple(compute_expected_significance(each, each, [1]) for each in (events, kept))
    counted = tuple(zip(significances, (events, kept), strict=True))
    found = compare(events, [], counted)
    changes = {each.name: each for each in found.changes if each.quantity == "significance"}
    assert set(changes) == {"cut", "bins", "categories"}
    assert changes["cut"].quoted == significances[0].after_cut.significance
    assert changes["bins"].without_negative_weights == significances[1].binning.significance
    assert changes["categories"].change == significances[1].by_categories - significances[0].by_categories
    assert compare(events, []).changes[-1].quantity == "auc"
    for each in changes.values():
        assert each.error > 0


@pytest.mark.parametrize("relative", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
def test_errors_of_changed_significances_and_working_points_are_their_spread(relative: float) -> None:
    """The cut and the bins are those of other events: 100 toys know a width to 7%."""
    chosen = scored(3000, 1000, shaped=True)
    changes, errors = [], []
    for seed in range(100):
        events = scored(3000, seed, shaped=True)
        both = (events, drop_negative_weights(events))
        significances = [
            compute_expected_significance(validation, each, [1], Requirements(relative=relative))
            for validation, each in zip((chosen, drop_negative_weights(chosen)), both, strict=True)
        ]
        counted = tuple(zip(significances, both, strict=True))
        found = compare(events, [0.5, 0.8], counted).changes
        changes.append([each.change for each in found])
        errors.append([each.error for each in found])
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(changes, axis=0), rtol=0.25)


def test_a_class_without_a_positive_sum_has_shares_alone() -> None:
    events = scored()
    weight = np.where(events.class_index == 0, -1.0, 1.0)
    found = compare(replace(events, weight=weight), [0.5])
    assert found.changes == ()
    assert found.classes["bkg"].growth_factor is None
    assert found.sentence.startswith(
        "1,500 test events have negative weights. The largest fraction is that of bkg: 100.0% of its events"
    )


def test_the_sentence_and_the_json_say_the_same() -> None:
    found = compare(scored(shaped=True), [0.5])
    written = json.loads(
        json.dumps(
            metrics_of_studies({"negative_weights": found}, CLASSES)["negative_weights"], allow_nan=False
        )
    )
    loss = next(each for each in written["changes"] if each["quantity"] == "loss")
    assert written["sentence"] == found.sentence
    numbers = re.search(
        r"is (\S+), that of its events with positive weights alone is (\S+)\. "
        r"Dropping them would change the loss by (\S+) \+- (\S+), the AUC of ",
        found.sentence,
    )
    share = found.classes["bkg"]
    exact = share.effective_sample_size, share.effective_sample_size_without, loss["change"], loss["error"]
    for text, number in zip(numbers.groups(), exact, strict=True):
        assert float(text.replace(",", "")) == pytest.approx(number, rel=0.05)
    # the table has the same digits
    shares, changes = (block for block in section(found) if isinstance(block, Table))
    of_class = next(row for row in shares.rows if row[0].text == "bkg")
    of_loss = next(row for row in changes.rows if row[0].text == "loss")
    assert numbers.groups() == tuple(
        cell.text.replace("\N{MINUS SIGN}", "-") for cell in (*of_class[-2:], *of_loss[-2:])
    )
    assert loss["change"] == loss["without_negative_weights"] - loss["quoted"]
    # a class without negative weights has a share of zero, without a sign
    assert math.copysign(1.0, written["classes"]["sig"]["share"]) == 1.0


def test_the_sentence_names_the_significance_that_changes_most() -> None:
    events, positive = scored(shaped=True), drop_negative_weights(scored(shaped=True))
    counted = tuple((compute_expected_significance(each, each, [1]), each) for each in (events, positive))
    result = compare(events, [], counted)
    changes = [number for number in result.changes if number.quantity == "significance"]
    largest = max(changes, key=lambda number: abs(number.change) / number.error)
    words = f"the significance of the {largest.name} by {largest.change:+.2f} +- {largest.error:.2f}."
    assert words in result.sentence


def test_one_event_is_written_in_the_singular() -> None:
    events = scored(negative=0.0)
    weight = np.where(np.arange(len(events)) == 0, -1.0, 1.0)
    result = compare(replace(events, weight=weight), [])
    assert result.sentence.startswith("1 test event has a negative weight. ")


def test_small_changes_and_their_errors_are_not_rounded_to_zero() -> None:
    result = compare(scored(shaped=True), [0.5])
    small = replace(
        result,
        changes=tuple(
            replace(number, quoted=0.5, without_negative_weights=0.499997, error=7e-06)
            for number in result.changes
        ),
    )
    assert "would change the loss by -0.0000030 +- 0.0000070, the AUC of " in small.sentence
    unknown = replace(result, changes=tuple(replace(number, error=None) for number in result.changes))
    assert "+-" not in unknown.sentence


@pytest.mark.parametrize("events_per_weight", [None, 3.0])
def test_the_significances_of_a_run_are_those_of_its_expected_events(events_per_weight: float | None) -> None:
    events = scored(shaped=True)
    result = compute(events, signal=(1,), events_per_weight=events_per_weight, background_uncertainty=0.1)
    assert result is not None
    splits = dict.fromkeys(("training", "validation", "test"), events)
    options = {"signal": (1,), "events_per_weight": events_per_weight, "background_uncertainty": 0.1}
    context = Context(CLASSES, splits, **options)
    before, test = compute_significance(context), scale_to_expected_events(context)["test"]
    # the same cut and the same bins
    after = count_expected_significance(
        drop_negative_weights(test), [1], before.cut, before.binning.edges, build_requirements(context, [1])
    )
    changes = {number.name: number for number in result.changes if number.quantity == "significance"}
    assert changes["cut"].quoted == before.after_cut.significance
    assert changes["cut"].without_negative_weights == after.after_cut.significance
    assert changes["bins"].quoted == before.binning.significance
    assert changes["bins"].without_negative_weights == after.binning.significance


def test_without_a_signal_no_significance_is_compared() -> None:
    result = compute(scored(shaped=True))
    assert result is not None
    assert {number.quantity for number in result.changes} == {
        "loss", "accuracy", "auc", "background_efficiency",
    }  # fmt: skip


@pytest.mark.parametrize(("fraction", "light"), [(0.2, "info"), (0.21, "look")])
def test_section_finding_and_summary_quote_the_result(fraction: float, light: str) -> None:
    result = compute(scored(shaped=True), negative_fractions={"ttbar": 0.01, "zz": fraction})
    assert result is not None
    text, shares, changes = section(result)
    (finding,) = findings(result)
    assert isinstance(text, Text)
    assert finding.light == light
    assert finding.sentence.startswith(
        f"2 samples have events with negative weights, zz the most ({100 * fraction:.1f}%)."
    )
    assert finding.sentence.endswith(text.text)
    assert list(NEGATIVE_WEIGHTS.summary(result)) == [result.sentence]
    assert isinstance(shares, Table)
    assert isinstance(changes, Table)
    assert [row[0].text for row in shares.rows] == list(CLASSES)
    assert [row[0].text for row in changes.rows] == [
        "loss", "accuracy", "AUC of bkg", "AUC of sig", "background efficiency of bkg at 50%",
        "background efficiency of sig at 50%",
    ]  # fmt: skip


def test_samples_with_negative_weights_are_counted() -> None:
    result = compute(scored(), negative_fractions={"ttbar": 0.3})
    assert result is not None
    (finding,) = findings(result)
    assert finding.sentence.startswith("1 sample has events with negative weights, ttbar the most (30.0%).")


def test_a_change_and_its_error_have_the_same_digits() -> None:
    texts = [cell.text for cell in format_change_and_error(0.00463, 5.6e-05)]
    assert texts == ["+0.004630", "0.000056"]
    assert [cell.value for cell in format_change_and_error(0.25, 0.0)] == [0.25, 0.0]


def test_the_error_of_a_change_is_that_of_its_derivatives_by_the_weights() -> None:
    events = scored(60, 3, negative=0.4, shaped=True)

    def changes(weight: np.ndarray) -> np.ndarray:
        found = compare(replace(events, weight=weight), [])
        return np.array([each.change for each in found.changes])

    slopes = []
    for event in range(60):
        step = np.where(np.arange(60) == event, 1e-6, 0.0) * events.weight
        slopes.append((changes(events.weight + step) - changes(events.weight - step)) / 2e-6)
    errors = [each.error for each in compare(events, []).changes]
    np.testing.assert_allclose(errors, np.sqrt(np.square(slopes).sum(axis=0)), rtol=1e-6)


def test_a_class_keeps_a_sum_that_has_an_error_itself() -> None:
    events, kept = scored(400, 3, 0.4, shaped=True), drop_negative_weights(scored(400, 3, 0.4, shaped=True))
    classes, significances = (
        events.class_index,
        [compute_expected_significance(each, each, [1]) for each in (events, kept)],
    )
    counted = tuple(zip(significances, (events, kept), strict=True))
    found = {(each.quantity, each.name): each.error for each in compare(events, [0.5], counted).changes}

    def error(before: np.ndarray, after: np.ndarray, of_weight: np.ndarray) -> float:
        share = np.bincount(classes, of_weight) / np.bincount(classes, events.weight)
        return float(np.linalg.norm(after + (events.weight - kept.weight) * share[classes] - before))

    before, after = (
        significance.influences(each)["categories"]
        for significance, each in zip(significances, (events, kept), strict=True)
    )
    expected = error(before.of_event, after.of_event, after.of_weight)
    assert found["significance", "categories"] == pytest.approx(expected)
    quoted, changed = (
        compute_efficiency_influences(each.scores[:, 1], classes == 1, each.weight, point.threshold, 0.5)
        for each in (events, kept)
        for point in compute_working_points(
            compute_roc_curve(each.scores[:, 1], classes == 1, each.weight), [0.5]
        )
    )
    assert found["background_efficiency", "sig"] == pytest.approx(error(quoted, changed, changed))
