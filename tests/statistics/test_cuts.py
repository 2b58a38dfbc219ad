from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.statistics.asimov import LEAST_EFFECTIVE, Requirements, number_backgrounds
from tamis.statistics.counts import count_above
from tamis.statistics.cuts import best_significance, tabulate_cuts
from tamis.statistics.scored import ScoredEvents


def scored(seed: int, n: int = 300, classes: int = 3) -> ScoredEvents:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(classes), n).astype(np.float32)
    labels = np.r_[np.arange(classes), rng.integers(0, classes, n - classes)]
    weight = rng.uniform(0.5, 2, n) * np.where(rng.random(n) < 0.1, -1, 1)
    weight[:classes] = 50
    return ScoredEvents(scores, labels.astype(np.int32), weight, np.ones(n))


@settings(max_examples=30)
@given(st.integers(0, 500), st.sampled_from([(2,), (0, 2)]))
def test_every_cut_is_counted_as_it_would_be_alone(seed: int, signal: tuple[int, ...]) -> None:
    events = scored(seed)
    requirements = Requirements(relative=0.1)
    table = tabulate_cuts(events, signal, requirements)
    assert table is not None
    score = events.scores.astype(np.float64)[:, list(signal)].sum(axis=1).clip(0, 1)
    of_signal = np.isin(events.class_index, signal)
    cuts = np.arange(0, len(table.thresholds), 7)
    counts = [
        count_above(
            float(table.thresholds[cut]), score, of_signal, events.weight, requirements,
            background=number_backgrounds(events.class_index, signal, 3),
        )
        for cut in cuts
    ]  # fmt: skip
    for column, name, tolerance in (
        (table.signal_events, "signal", 1e-9),
        (table.background_events, "background", 1e-9),
        (table.background_error, "background_error", 1e-6),
    ):
        expected = [getattr(count, name) for count in counts]
        np.testing.assert_allclose(column[cuts], expected, rtol=1e-6, atol=tolerance, err_msg=name)
    known = np.isfinite(table.significance[cuts])
    expected = np.array([count.significance for count in counts], float)
    np.testing.assert_allclose(table.significance[cuts][known], expected[known], rtol=1e-6, atol=1e-12)


@given(st.integers(0, 100))
def test_the_first_cut_keeps_everything_and_ratios_follow_from_the_yields(seed: int) -> None:
    events = scored(seed)
    table = tabulate_cuts(events, [1], Requirements(), also=[0.123456])
    assert table is not None
    assert table.thresholds[0] == 0
    assert 0.123456 in table.thresholds
    assert (np.diff(table.thresholds) > 0).all()
    assert table.passed[:, 0] == pytest.approx(np.bincount(events.class_index, events.weight))
    assert (table.efficiency[:, 0] == 1).all()
    kept = table.background_events > 0
    assert table.rejection[kept] == pytest.approx(table.background_events[0] / table.background_events[kept])
    assert np.isnan(table.rejection[~kept]).all()


def test_behind_the_last_event_nothing_is_left() -> None:
    scores = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    table = tabulate_cuts(
        ScoredEvents(scores, np.array([1, 0], np.int32), np.full(2, 0.1), np.ones(2)), [1], Requirements()
    )
    assert table is not None
    assert table.passed[:, -1].tolist() == [0.0, 0.0]
    assert np.isnan(table.purity[-1])


def test_a_class_without_positive_weight_has_no_table() -> None:
    scores = np.full((2, 2), 0.5, np.float32)
    events = ScoredEvents(scores, np.array([0, 1], np.int32), np.array([1.0, -1.0]), np.ones(2))
    assert tabulate_cuts(events, [1], Requirements()) is None


def random_scores(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(3), n)
    class_index = np.r_[0, 1, 2, rng.integers(0, 3, n - 3)]
    return scores, class_index, rng.uniform(0.1, 2, n)


@given(st.integers(0, 200))
def test_the_best_cut_is_found_by_trying_all(seed: int) -> None:
    scores, class_index, weight = random_scores(80, seed)
    score = scores[:, [1, 2]].sum(axis=1)
    signal = class_index > 0
    tried = [0.0]
    for cut in score:
        s = weight[signal & (score >= cut)].sum()
        background = weight[~signal & (score >= cut)]
        b = background.sum()
        if s > 0 and len(background) and b**2 >= LEAST_EFFECTIVE * (background**2).sum():
            tried.append(np.sqrt(2 * ((s + b) * np.log(1 + s / b) - s)))
    assert best_significance(scores, class_index, weight, [1, 2]) == pytest.approx(max(tried))


def test_no_background_gives_no_significance() -> None:
    scores = np.array([[0.5, 0.5], [0.4, 0.6]])
    assert best_significance(scores, [1, 1], [1.0, 1.0], [1]) == 0


def test_events_of_one_score_are_kept_or_cut_together() -> None:
    scores = np.full((300, 2), 0.5)
    class_index = np.repeat([1, 0], [100, 200])
    expected = np.sqrt(2 * (300 * np.log(1 + 100 / 200) - 100))
    assert best_significance(scores, class_index, np.ones(300), [1]) == pytest.approx(expected)


@pytest.mark.parametrize(("events", "enough"), [(10, True), (9, False)])
def test_a_cut_keeps_at_least_ten_effective_background_events(events: int, enough: bool) -> None:
    scores, class_index = np.full((5 + events, 2), 0.5), np.repeat([1, 0], [5, events])
    assert (best_significance(scores, class_index, np.ones(5 + events), [1]) > 0) == enough
