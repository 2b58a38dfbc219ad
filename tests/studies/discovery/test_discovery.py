"""Discovery significance as a study of a run: which events choose, which are counted, what a page says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from tamis.blocks import Table, Text
from tamis.config import Folds
from tamis.data.ensemble import EnsemblePlan
from tamis.errors import RequestError
from tamis.statistics.asimov import Requirements
from tamis.statistics.bins import fill_bins
from tamis.statistics.counts import Counts, count_above
from tamis.statistics.expected_significance import compute_expected_significance
from tamis.statistics.negative_weights import drop_negative_weights
from tamis.statistics.scored import ScoredEvents
from tamis.studies import metrics_of_studies
from tamis.studies.context import Context
from tamis.studies.discovery import DiscoveryResult, compute_discovery, findings, section, tiles
from tamis.studies.negative_weights import compute_negative_weights
from tamis.studies.shared import scale_to_expected_events
from tamis.studies.study import Undefined

CLASSES = ("a", "b", "c")
SHARES = {"training": (0.6, 0.3, 0.1), "validation": (0.5, 0.2, 0.3), "test": (0.2, 0.5, 0.3)}


def split(name: str, number: int = 500) -> ScoredEvents:
    """Every split has classes of other sizes."""
    rng = np.random.default_rng((1, len(name)))
    class_index = np.r_[0, 1, 2, rng.choice(3, number - 3, p=SHARES[name])].astype(np.int32)
    logits = rng.normal(size=(number, 3)) + 1.5 * np.eye(3)[class_index]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    identity = np.arange(number, dtype=np.uint64)
    return ScoredEvents(
        scores, class_index, rng.uniform(0.2, 1.5, number), np.ones(number), event_id=identity
    )


SPLITS = {name: split(name) for name in SHARES}


def context(splits: dict[str, ScoredEvents] = SPLITS, **options: Any) -> Context:
    return Context(CLASSES, splits, **{"signal": (2,), "events_per_weight": 3.0, **options})


def compute(splits: dict[str, ScoredEvents] = SPLITS, **options: Any) -> DiscoveryResult:
    result = compute_discovery(context(splits, **options))
    assert isinstance(result, DiscoveryResult)
    return result


@pytest.fixture(scope="module")
def result() -> DiscoveryResult:
    return compute()


def sums(events: ScoredEvents) -> np.ndarray:
    return np.bincount(events.class_index, events.weight, 3)


EVERYTHING = np.sum([sums(events) for events in SPLITS.values()], axis=0)


def yields(result: DiscoveryResult) -> np.ndarray:
    return np.sum([category.yields for category in result.expected.categories], axis=0)


def test_yields_are_those_of_all_used_events(result: DiscoveryResult) -> None:
    np.testing.assert_allclose(yields(result), 3.0 * EVERYTHING)
    binned = np.sum(result.expected.yields.numbers, axis=1)
    np.testing.assert_allclose(binned, 3.0 * EVERYTHING)


@pytest.mark.parametrize("name", ["validation", "test"])
def test_validation_and_test_events_are_each_scaled_to_all_used_events(name: str) -> None:
    expected = scale_to_expected_events(context())[name]
    assert expected is not None
    np.testing.assert_allclose(sums(expected), 3.0 * EVERYTHING)
    np.testing.assert_array_equal(expected.scores, SPLITS[name].scores)


def test_events_that_were_dropped_from_the_training_count() -> None:
    dropped = np.array([-5.0, 0.0, -1.5])
    np.testing.assert_allclose(yields(compute(dropped_weight=dropped)), 3.0 * (EVERYTHING + dropped))


def test_a_cross_training_counts_no_event_that_chose_the_cut(result: DiscoveryResult) -> None:
    test = SPLITS["test"]
    is_validation = np.arange(len(test)) % 4 == 0
    crossed = {
        "training": test.take(~is_validation),
        "validation": test.take(is_validation),
        "test": replace(test, split=is_validation.astype(np.uint8)),
    }
    plan = EnsemblePlan(folds=Folds(number=2))
    found = compute(crossed, plan=plan)
    # scaled to all events
    np.testing.assert_allclose(yields(found), 3.0 * sums(test))
    others = found.expected.scan
    # other scores of the validation events may choose another cut, but change nothing that is counted
    scores = np.where(is_validation[:, None], np.roll(test.scores, 1, axis=1), test.scores)
    changed = compute({**crossed, "test": replace(crossed["test"], scores=scores)}, plan=plan)
    np.testing.assert_array_equal(changed.expected.scan.signal, others.signal)
    assert changed.expected.after_cut == found.expected.after_cut
    assert found.cross_trained
    assert not result.cross_trained


def test_other_test_events_choose_no_other_cut(result: DiscoveryResult) -> None:
    test, validation = SPLITS["test"], SPLITS["validation"]
    # other scores of the same events: the expected yields stay as they are
    other = compute({**SPLITS, "test": replace(test, scores=test.scores[:, [2, 0, 1]])}).expected
    assert other.cut == result.expected.cut
    assert other.binning.edges == result.expected.binning.edges
    assert other.after_cut != result.expected.after_cut
    rolled = replace(validation, scores=np.roll(validation.scores, 1, axis=1))
    assert compute({**SPLITS, "validation": rolled}).expected.cut != result.expected.cut


@pytest.mark.parametrize("signal", [(), (0, 1, 2)])
def test_without_signal_or_background_the_question_does_not_arise(signal: tuple[int, ...]) -> None:
    assert compute_discovery(context(signal=signal)) is None


def test_a_class_without_a_positive_sum_of_weights_has_no_expected_events() -> None:
    test = SPLITS["test"]
    without = replace(test, weight=np.where(test.class_index == 1, -test.weight, test.weight))
    result = compute_discovery(context({**SPLITS, "test": without}))
    assert isinstance(result, Undefined)
    assert "no positive sum of weights" in result.reason


@pytest.mark.parametrize(
    ("relative", "assumed"),
    [
        (0.0, "no systematic uncertainty of the backgrounds"),
        (0.05, "an uncorrelated systematic uncertainty of 5% for each background"),
        ((0.05, 0.2, 0.0), "systematic uncertainties of the backgrounds (a 5%, b 20%)"),
    ],
)
def test_a_significance_stands_at_the_top_with_a_luminosity_alone_and_says_what_it_assumes(
    relative: float | tuple[float, ...], assumed: str
) -> None:
    result = compute(background_uncertainty=relative)
    (tile,) = tiles(result)
    assert tile.title == "Significance"
    assert assumed in tile.note
    assert float(tile.value) == pytest.approx(result.expected.binning.significance, rel=0.01)
    text = next(iter(section(result))).text
    assert assumed[1:] in text
    assert "A sum of weights of one stands for 3.000 expected events." in text
    without = compute(events_per_weight=None, background_uncertainty=relative)
    assert list(tiles(without)) == []
    text, *_ = section(without)
    assert text.text.startswith("evaluation.luminosity is not set")


def after_cut(signal: float, background: float, error: float) -> Counts:
    effective = (background / error) ** 2
    return Counts(signal, background, error, 1.0, effective, 1.0, ((background, error**2, 0.0, 0.0),))


@pytest.mark.parametrize(
    ("counts", "warns"),
    [
        (after_cut(8217, 256.7, 32.1), True),  # a Gaussian constraint gives 116.7, a Poisson constraint 56.8
        (after_cut(10, 100, 33.0), True),  # nine effective events
        (after_cut(10, 100, 10.0), False),
    ],
)
def test_a_significance_that_rests_on_the_gaussian_constraint_is_worth_a_look(
    result: DiscoveryResult, counts: Counts, warns: bool
) -> None:
    changes = {"after_cut": counts, "binning": None, "categories": (), "requirements": Requirements()}
    only = replace(result, expected=replace(result.expected, **changes))
    assert bool(only.warnings) == warns
    assert [finding.light for finding in findings(only)] == ["look"] * warns
    # without a luminosity no significance is quoted at the top
    assert list(findings(replace(only, expected=replace(only.expected, events_per_weight=None)))) == []
    s, b, variance = counts.signal, counts.background, (counts.background_error / counts.background) ** 2

    def likelihood(gamma: float) -> float:
        return 2 * (gamma * b - s - b + (s + b) * np.log((s + b) / (gamma * b))) + (gamma - 1) ** 2 / variance

    best = optimize.minimize_scalar(
        likelihood, bounds=(1e-3, 1000), method="bounded", options={"xatol": 1e-9}
    ).x
    assert only.background_pulls == {
        "cut": pytest.approx((best - 1) / np.sqrt(variance), rel=1e-4),
        "bins": None,
        "categories": None,
    }
    metrics = metrics_of_studies({"discovery": result}, CLASSES)["discovery"]
    assert metrics["background_pulls"] == result.background_pulls


def test_the_tables_show_bins_and_categories(result: DiscoveryResult) -> None:
    text, bins, categories = section(result)
    assert isinstance(text, Text)
    assert isinstance(bins, Table)
    assert isinstance(categories, Table)
    expected = result.expected
    assert [row[-1].value for row in bins.rows] == [counts.significance for counts in expected.binning.bins]
    assert [row[-1].value for row in categories.rows] == [
        category.counts.significance for category in expected.categories
    ]
    assert [cell.value for cell in categories.rows[1][1:4]] == list(expected.categories[1].yields)


def test_bins_that_histfactory_does_not_take_are_the_reason_for_no_workspace(result: DiscoveryResult) -> None:
    assert result.no_workspace_reason == ""
    assert metrics_of_studies({"discovery": result}, CLASSES)["discovery"]["no_workspace_reason"] is None
    (channel,) = result.workspace()["channels"]
    assert [sample["data"] for sample in channel["samples"]] == [
        list(numbers) for numbers in result.expected.yields.numbers
    ]
    empty = replace(result, expected=replace(result.expected, binning=None, yields=None))
    assert "not enough background" in empty.no_workspace_reason
    assert (
        metrics_of_studies({"discovery": empty}, CLASSES)["discovery"]["no_workspace_reason"]
        == empty.no_workspace_reason
    )
    assert metrics_of_studies({"discovery": empty}, CLASSES)["discovery"]["bins"] is None
    with pytest.raises(RequestError):
        empty.workspace()


def test_significances_without_negative_weights_are_those_behind_the_same_cut_and_in_the_same_bins() -> None:
    """Where the validation events without negative weights choose another cut, the change would be that of the cut."""
    rng = np.random.default_rng(3)
    signs = {name: np.where(rng.random(len(events)) < 0.2, -1.0, 1.0) for name, events in SPLITS.items()}
    splits = {name: events.reweighted(events.weight * signs[name]) for name, events in SPLITS.items()}
    numbers = compute_negative_weights(context(splits)).changes
    changes = {number.name: number for number in numbers if number.quantity == "significance"}
    expected, test = compute(splits).expected, splits["test"]
    positive = drop_negative_weights(test)
    scale = 3.0 * np.sum([sums(events) for events in splits.values()], axis=0) / sums(test)
    weight, is_signal = positive.weight * scale[test.class_index], test.class_index == 2
    backgrounds = np.minimum(test.class_index, 1)
    behind = count_above(expected.cut, test.scores[:, 2], is_signal, weight, background=backgrounds)
    np.testing.assert_allclose(changes["cut"].without_negative_weights, behind.significance, rtol=1e-9)
    binned = fill_bins(expected.binning.edges, test.scores[:, 2], is_signal, weight, background=backgrounds)
    np.testing.assert_allclose(changes["bins"].without_negative_weights, binned.significance, rtol=1e-9)
    # which is a test: these validation events choose others
    chosen = compute_expected_significance(drop_negative_weights(splits["validation"]), test, [2])
    assert chosen.cut != expected.cut


@pytest.mark.parametrize("cross_trained", [False, True])
def test_the_section_says_which_events_are_counted(result: DiscoveryResult, cross_trained: bool) -> None:
    blocks = list(section(replace(result, cross_trained=cross_trained)))
    text = " ".join(block.text for block in blocks if isinstance(block, Text))
    assert ("all numbers are those of test events" in text) is not cross_trained
    captions = " ".join(block.caption for block in blocks if isinstance(block, Table))
    assert [("out-of-fold" in words) for words in (text, captions)] == [cross_trained] * 2
