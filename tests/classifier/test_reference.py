"""The events that a classifier proves itself with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.classifier.missing import apply_rules, mark_missing
from tamis.classifier.reference import check_rules, check_scores, choose_reference
from tamis.config import Feature
from tamis.errors import InputError

RULES = (
    Feature(name="pt"),
    Feature(name="mass", missing=(float("nan"), -999.0, -1.0)),
    Feature(name="eta", missing=(-99.9,)),
)


def unmoved() -> np.ndarray:
    """Measure that rounding explains nothing."""
    return np.zeros(30)


def sample(events: int = 500, seed: int = 1) -> np.ndarray:
    features = np.random.default_rng(seed).normal(size=(events, 3)).astype(np.float32)
    features[events // 3, 0], features[events // 2, 2] = 50, -50
    return features


def test_they_hold_extremes_sentinels_and_what_is_missing() -> None:
    features = sample()
    chosen, rows = choose_reference(features, RULES)
    assert len(chosen) >= 20
    for select in (np.nanmin, np.nanmax):
        np.testing.assert_array_equal(select(chosen, axis=0), select(features, axis=0))
    missing = np.isnan(chosen)
    assert not missing[:, 0].any()
    assert missing[:, 1:].all(axis=1).any()  # one event lacks all that may be missing
    marked = mark_missing(chosen, RULES)
    assert {-999.0, -1.0} & set(marked[:, 1].tolist())
    assert np.float32(-99.9) in marked[:, 2]
    np.testing.assert_array_equal(chosen[:, 0], features[rows, 0])


@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 100))
def test_there_are_always_enough_and_they_mean_what_they_say(events: int, width: int, seed: int) -> None:
    features = sample(events, seed)[:, :width]
    features[np.random.default_rng(seed).random(features.shape) < 0.2] = np.nan
    features[:, 0] = np.nan_to_num(features[:, 0])
    chosen, rows = choose_reference(features, RULES[:width])
    marked = mark_missing(chosen, RULES[:width])
    assert len(chosen) == len(marked) == len(rows) >= 20
    np.testing.assert_array_equal(apply_rules(marked, RULES[:width]), chosen)
    check_rules(marked, chosen, RULES[:width], "here")


def test_missing_values_are_spelled_in_every_way() -> None:
    given_events = mark_missing(np.full((12, 3), np.nan, np.float32), RULES)
    assert {-999.0, -1.0, np.inf, -np.inf} <= set(given_events[:, 1].tolist())
    assert np.isnan(given_events[:, 1]).any()


def test_a_mismatch_says_which_event_and_by_how_much() -> None:
    expected = np.full((30, 2), 0.5, np.float32)
    found = expected.copy()
    found[7] = 0.25, 0.75
    message = r"reference event 7 gets other scores .*: bkg is 0.25 and was 0.5 \(by 0.25.* 1 of 30 events"
    with pytest.raises(InputError, match=message):
        check_scores(found, expected, ["bkg", "sig"], "model", unmoved)
    found[3, 1] = np.nan
    with pytest.raises(InputError):
        check_scores(found, expected, ["bkg", "sig"], "model", unmoved)
    check_scores(expected + np.float32(9e-6), expected, ["bkg", "sig"], "model", unmoved)
    with pytest.raises(InputError):
        check_scores(found[:0], expected[:0], ["bkg", "sig"], "model", unmoved)
