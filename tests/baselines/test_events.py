"""What baselines learn from."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tamis.baselines import events as module
from tamis.baselines.events import LabelledEvents, check_packages, compute_unsigned_weights
from tamis.errors import RequestError


def labelled(weight: NDArray[np.float64], class_index: NDArray[np.int32]) -> LabelledEvents:
    return LabelledEvents(np.zeros((len(weight), 1), np.float32), class_index, weight)


@given(st.integers(0, 2**32 - 1))
def test_sizes_of_weights_keep_the_signed_sum_of_each_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 3, 60).astype(np.int32)
    weight = rng.normal(1, 1, 60) * 10.0 ** rng.integers(-6, 6)
    for index in range(3):  # each class has a positive sum
        own = class_index == index
        weight[own] *= np.sign(weight[own].sum()) if own.any() else 1
    sizes = compute_unsigned_weights(labelled(weight, class_index))
    assert (sizes >= 0).all()
    for index in range(3):
        own = class_index == index
        np.testing.assert_allclose(sizes[own].sum(), weight[own].sum(), rtol=1e-9)
        # within a class the sizes stay in proportion
        np.testing.assert_allclose(
            sizes[own] * np.abs(weight[own]).sum(), np.abs(weight[own]) * weight[own].sum(), rtol=1e-9
        )


def test_weights_without_negative_ones_stay_as_they_are() -> None:
    weight = np.array([1.0, 0.0, 2.5, 3.0])
    sizes = compute_unsigned_weights(labelled(weight, np.array([0, 0, 1, 1], np.int32)))
    np.testing.assert_allclose(sizes, weight, rtol=1e-15)


def test_a_missing_package_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec

    def find(name: str) -> object:
        return None if name in ("xgboost", "sklearn") else there(name)

    monkeypatch.setattr(module, "find_spec", find)
    check_packages(["cuts"])
    check_packages([])
    with pytest.raises(RequestError):
        check_packages(["cuts", "xgboost"])
    with pytest.raises(RequestError):
        check_packages(["xgboost", "logistic"])
