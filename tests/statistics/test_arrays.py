"""What the evaluation refuses, and how it says so."""

from __future__ import annotations

import numpy as np
import pytest

from tamis.errors import TamisError
from tamis.statistics.arrays import (
    check_classes,
    check_finite_numbers,
    check_probabilities,
    check_real_numbers,
    check_weights,
    compute_effective_sample_size,
    positive_sum,
)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int32, np.bool_])
def test_numbers_of_any_width_become_64_bits(kind: type[np.generic]) -> None:
    numbers = check_real_numbers(np.array([0, 1, 1], dtype=kind), "score")
    assert numbers.dtype == np.float64
    assert numbers.tolist() == [0.0, 1.0, 1.0]


def test_numbers_are_a_copy() -> None:
    score = np.array([0.5, 0.25])
    check_real_numbers(score, "score")[0] = 7.0
    assert score.tolist() == [0.5, 0.25]


def test_nan_is_counted_and_placed() -> None:
    scores = [[0.5, 0.5], [np.nan, 0.5], [np.nan, np.nan]]
    with pytest.raises(TamisError):
        check_real_numbers(scores, "scores", dimensions=2)


def test_infinity_is_a_real_number_but_not_a_finite_one() -> None:
    assert check_real_numbers([np.inf, 1.0], "score").tolist() == [np.inf, 1.0]
    with pytest.raises(TamisError):
        check_finite_numbers([np.inf, 1.0], "score")


@pytest.mark.parametrize(
    ("values", "found"),
    [(["a"], "<U1"), ([1j], "complex128"), ([[1.0]], r"shape \(1, 1\)"), (1.0, r"shape \(\)")],
)
def test_other_things_are_refused(values: object, found: str) -> None:
    with pytest.raises(TamisError, match=found):
        check_real_numbers(np.asarray(values), "score")


def test_no_events_are_no_error() -> None:
    assert check_real_numbers([], "score").shape == (0,)
    assert check_real_numbers(np.empty((0, 3)), "scores", dimensions=2).shape == (0, 3)
    assert check_classes([], 0, 3).shape == (0,)


@pytest.mark.parametrize("wrong", [[0, 3], [-1, 0]])
def test_a_class_that_is_not_there_is_refused(wrong: list[int]) -> None:
    with pytest.raises(TamisError, match=f"from 0 to 2, found {min(wrong)} to {max(wrong)}"):
        check_classes(wrong, 2, 3)


def test_class_names_are_not_class_indices() -> None:
    with pytest.raises(TamisError):
        check_classes(["sig", "bkg"], 2, 2)
    with pytest.raises(TamisError):
        check_classes([0.0, 1.0], 2, 2)


def test_lengths_must_agree() -> None:
    with pytest.raises(TamisError):
        check_weights([1.0, 1.0], 3)
    with pytest.raises(TamisError):
        check_classes([0, 1], 1, 2)


@pytest.mark.parametrize("wrong", [[0.7, 0.7], [-0.1, 1.1], [3.0, -2.0]])
def test_logits_are_not_probabilities(wrong: list[float]) -> None:
    with pytest.raises(TamisError):
        check_probabilities([[0.5, 0.5], wrong])


def test_scores_of_16_bits_are_probabilities() -> None:
    scores = np.random.default_rng(1).dirichlet([1.0, 1.0, 1.0], size=1000)
    assert check_probabilities(scores.astype(np.float16)).shape == (1000, 3)


@pytest.mark.parametrize("weight", [[], [0.0], [1.0, -1.0], [-2.0], [0.1, 0.2, -0.3]])
def test_a_sum_that_is_not_positive_beyond_rounding_is_none(weight: list[float]) -> None:
    assert positive_sum(np.array(weight)) is None


def test_effective_number_of_known_weights() -> None:
    assert compute_effective_sample_size(np.full(7, 0.3)) == pytest.approx(7)
    assert compute_effective_sample_size(np.array([1.0, 3.0])) == pytest.approx(16 / 10)
    assert compute_effective_sample_size(np.zeros(4)) == 0.0
