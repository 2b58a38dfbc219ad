"""The order of the classes is a matter of display: it changes no number by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import parse_config
from tamis.pipeline.preparation import prepare
from tamis.training.loss import build_one_hot_target, cross_entropy, sum_correct

Make = Callable[..., dict[str, Any]]


@given(st.permutations(range(4)))
def test_permuted_classes_have_the_same_loss(order: list[int]) -> None:
    rng = np.random.default_rng(0)
    logits, classes, weight = rng.normal(size=(4, 50)), rng.integers(0, 4, 50), rng.normal(1, 1, 50)

    def losses(logits: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
        target = build_one_hot_target(len(logits), jnp.asarray(classes), jnp.asarray(weight))
        return float(cross_entropy(jnp.asarray(logits), target)), float(
            sum_correct(jnp.asarray(logits), target)
        )

    first = losses(logits, classes)
    second = losses(logits[order], np.argsort(order)[classes])
    np.testing.assert_allclose(first, second, rtol=1e-5)


def test_permuted_classes_have_the_same_cutflow_and_factors(two_classes: Make) -> None:
    config = two_classes(200)
    config["samples"][1]["weight"] = 3
    first = prepare(parse_config(config))
    config["classes"] = dict(reversed(config["classes"].items()))
    second = prepare(parse_config(config))
    names = ["bkg", "sig"]
    assert first.cutflow.to_dict(names) == second.cutflow.to_dict(names)
    assert first.weighed.class_weights.tolist() == pytest.approx(
        second.weighed.class_weights[::-1].tolist(), rel=1e-12
    )
    assert first.events.class_index.tolist() == (1 - second.events.class_index).tolist()
    assert first.events.split.tolist() == second.events.split.tolist()
