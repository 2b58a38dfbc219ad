from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.evaluation.asimov import LEAST_EFFECTIVE
from tamis.evaluation.metrics import measure
from tamis.evaluation.monitors import best_significance, mean_auc


def scored(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(3), n)
    class_index = np.r_[0, 1, 2, rng.integers(0, 3, n - 3)]
    return scores, class_index, rng.uniform(0.1, 2, n)


@given(st.integers(0, 200))
def test_the_mean_area_is_that_of_the_metrics(seed: int) -> None:
    scores, class_index, weight = scored(50, seed)
    areas = [area for area in measure(scores, class_index, weight).auc if area is not None]
    assert mean_auc(scores, class_index, weight) == pytest.approx(np.mean(areas))


@given(st.integers(0, 200))
def test_the_best_cut_is_found_by_trying_all(seed: int) -> None:
    scores, class_index, weight = scored(80, seed)
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
