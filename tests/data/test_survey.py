from __future__ import annotations

import numpy as np
import pytest

from tamis.data.survey import (
    PURITY,
    compute_class_purity,
    find_identified_class,
    sample_each_class,
    survey_column,
    survey_columns,
)

RNG = np.random.default_rng(3)
CLASS = np.repeat(np.arange(3, dtype=np.int32), 1000)
NORMAL = RNG.normal(size=3000)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("flat", np.ones(3000), "constant"),
        ("nothing", np.full(3000, np.nan), "empty"),
        ("event", RNG.integers(0, 9, 3000), "identifier"),
        ("runNumber", RNG.integers(0, 9, 3000), "identifier"),
        ("serial", np.arange(3000)[::-1].copy(), "identifier"),
        ("genWeight", NORMAL, "weight"),
        ("log_density_sig", NORMAL, "truth"),
        ("GenPart_pt", NORMAL, "truth"),
        ("is_signal", CLASS, "truth"),
        ("process", CLASS, "class"),
        ("shifted", NORMAL + 100 * CLASS, "class"),
        ("middle", np.where(CLASS == 1, 5.0, 0.0) + 0.01 * NORMAL + np.where(CLASS == 2, -5, 0), "class"),
        ("btag", np.where(RNG.random(3000) < 0.1, -9.0, RNG.random(3000)), "sentinel"),
        ("lead_pt", np.where(np.arange(3000) < 3, -999.0, NORMAL), "sentinel"),
        ("second_pt", np.where(RNG.random(3000) < 0.1, -1.0, RNG.exponential(50, 3000)), "sentinel"),
        ("eta", np.where(RNG.random(3000) < 0.1, -1.0, RNG.uniform(-2.5, 2.5, 3000)), "sentinel"),
        ("n_hits", np.where(RNG.random(3000) < 0.1, -1, RNG.poisson(20, 3000)), "sentinel"),
        ("third_pt", np.where(RNG.random(3000) < 0.3, 0.0, 20 + RNG.exponential(50, 3000)), "spike"),
    ],
)
def test_suspicious_columns_are_found(name: str, values: np.ndarray, kind: str) -> None:
    assert [suspicion.kind for suspicion in survey_columns({name: values}, CLASS, "abc")] == [kind]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("pt", np.abs(NORMAL)),
        ("mass", NORMAL + CLASS),
        ("charge", RNG.choice([-1, 1], 3000)),
        ("n_jets", RNG.poisson(3, 3000)),
        ("eta", RNG.uniform(-2.5, 2.5, 3000)),
        ("score", np.where(RNG.random(3000) < 0.1, -1.0, RNG.uniform(-1, 1, 3000))),
        ("jet_width", NORMAL),
        ("eventShape", NORMAL),
        ("generalised_mass", NORMAL),
        ("lead_pt", np.where(np.arange(3000) < 2, -999.0, NORMAL)),
        ("n_tracks", RNG.poisson(20, 3000)),
        ("n_b_jets", np.where(RNG.random(3000) < 0.5, 0, RNG.poisson(9, 3000))),
        ("isolation", np.minimum(RNG.exponential(1, 3000), 3.0)),
        ("impact", np.where(RNG.random(3000) < 0.3, 0.0, NORMAL)),
    ],
)
def test_good_features_are_left_alone(name: str, values: np.ndarray) -> None:
    assert survey_columns({name: values}, CLASS, "abc") == []


def test_the_name_counts_only_where_nobody_has_chosen() -> None:
    assert survey_columns({"event_weight": NORMAL}, CLASS, "abc", names=False) == []


def test_purity_of_nothing_and_everything() -> None:
    assert compute_class_purity(CLASS.astype(float), CLASS, 3) == 1
    assert compute_class_purity(np.ones(3000), CLASS, 3) == pytest.approx(1 / 3)


def test_few_events_are_no_reason_for_suspicion() -> None:
    few = np.arange(200)
    assert compute_class_purity(RNG.normal(size=200), (few % 3 == 0).astype(np.int32), 2) < 0.7


def test_several_sentinels_are_found_one_after_the_other() -> None:
    values = np.where(CLASS == 0, NORMAL, 0.0) + 50
    values[:900:3], values[1:900:3], values[2:900:30] = -999.0, -99.0, 9999.0
    values[1000:] += NORMAL[1000:]
    suspicions = survey_columns({"pt": values}, CLASS, "abc")
    assert {suspicion.value for suspicion in suspicions} == {-999.0, -99.0, 9999.0}


def test_one_of_three_classes_can_be_told_apart() -> None:
    values = np.where(CLASS == 1, 7.0, NORMAL)
    assert find_identified_class(values, CLASS, 3) == (1, pytest.approx(1.0))
    assert compute_class_purity(values, CLASS, 3) < PURITY
    assert find_identified_class(NORMAL, CLASS, 3)[1] < 0.6


@pytest.mark.parametrize("sentinel", [-99.0, -999.0])
def test_sentinels_among_few_whole_numbers_are_found(sentinel: float) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(1, 10, 5000).astype(np.float64)
    values[rng.random(5000) < 0.01] = sentinel
    classes = rng.integers(0, 2, 5000).astype(np.int32)
    (suspicion,) = survey_columns({"njet": values}, classes, ["a", "b"])
    assert (suspicion.kind, suspicion.value) == ("sentinel", sentinel)
    values[values == sentinel] = -1.0  # may be what it says
    assert survey_columns({"njet": values}, classes, ["a", "b"]) == []


def test_a_sentinel_is_found_where_the_first_sample_is_constant() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([np.full(2000, 0.5), rng.normal(size=8000)])
    values[2000:][rng.random(8000) < 0.05] = -999.0
    suspicions = survey_columns({"x": values}, np.repeat([0, 1], 5000).astype(np.int32), ["a", "b"])
    assert ("sentinel", -999.0) in [(suspicion.kind, suspicion.value) for suspicion in suspicions]


@pytest.mark.parametrize("events", [60, 120, 1000, 20_000])
@pytest.mark.parametrize("seed", range(5))
def test_values_that_were_rounded_are_no_sentinels(events: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = {
        "whole": np.round(rng.uniform(-40, 40, events)),
        "narrow": np.round(rng.normal(0, 0.02, events), 3),
        "uniform": np.round(rng.uniform(0, 0.1, events), 3),
        "exponential": np.round(rng.exponential(1, events), 3),
        "hundreds": np.round(rng.uniform(0, 999, events)),
        "tens": np.round(rng.uniform(-10, 20, events)),
    }
    suspicions = [
        suspicion for name, values in columns.items() for suspicion in survey_column(name, values, 0.5)
    ]
    assert suspicions == []


@pytest.mark.parametrize("events", [120, 1000, 20_000])
@pytest.mark.parametrize("value", [-999.0, -10.0, 99.0])
@pytest.mark.parametrize("decimals", [3, 12])
def test_a_sentinel_in_a_tenth_of_the_events_is_found(events: int, value: float, decimals: int) -> None:
    rng = np.random.default_rng(1)
    values = np.round(rng.normal(0, 1, events), decimals)
    values[rng.random(events) < 0.1] = value
    (suspicion,) = survey_column("dz", values, 0.5)
    assert (suspicion.kind, suspicion.value) == ("sentinel", value)


def test_the_order_of_the_files_gives_no_class_away() -> None:
    """Every other event of a class has another value, as in samples that were merged event by event."""
    class_index = np.repeat([0, 1], [150_000, 50_000]).astype(np.int32)
    column = np.where(class_index == 0, np.arange(200_000) % 2, 0).astype(float)
    some = sample_each_class(class_index, 2)
    assert compute_class_purity(column[some], class_index[some], 2) == pytest.approx(0.75, abs=0.01)
    assert not [
        suspicion
        for suspicion in survey_columns({"x": column}, class_index, ["a", "b"])
        if suspicion.kind == "class"
    ]


@pytest.mark.parametrize(
    ("events", "chosen"), [(0, 0), (99_999, 99_999), (100_000, 100_000), (150_000, 100_000)]
)
def test_of_a_class_no_more_events_are_looked_at_than_needed(events: int, chosen: int) -> None:
    some = sample_each_class(np.repeat([0, 1], [events, 10]), 2)
    assert len(some) == len(set(some.tolist())) == chosen + 10
    assert (some < events).sum() == chosen
