from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.config import Exchange, Reflection, Rotation, Symmetry
from tamis.errors import RequestError
from tamis.network.symmetries import Symmetries, build_symmetries, resolve_ranges

NAMES = ["phi_1", "phi_2", "phi_3", "eta_1", "eta_2", "eta_3", "mass"]
TURN = Rotation(features=("phi_1", "phi_2", "phi_3"))
MIRROR = Reflection(features=("eta_1", "eta_2", "eta_3"))
FLIP = Reflection(features=("phi_1", "phi_2", "phi_3"))
SWAP = Exchange(objects=(("phi_1", "eta_1"), ("phi_2", "eta_2"), ("phi_3", "eta_3")))
ALL: list[Symmetry] = [TURN, MIRROR, FLIP, SWAP]
EACH = pytest.mark.parametrize(
    "sections", [[each] for each in ALL] + [ALL], ids=["turn", "mirror", "flip", "swap", "all"]
)


def events(number: int = 500, *, missing: float = 0.0, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    phi = rng.uniform(-np.pi, np.pi, (number, 3))
    eta = rng.normal(size=(number, 3))
    features = np.concatenate([phi, eta, rng.exponential(size=(number, 1))], axis=1).astype(np.float32)
    features[rng.random(features.shape) < missing] = np.nan
    return features


def invariants(features: np.ndarray) -> np.ndarray:
    """What no rotation, reflection or exchange of the three objects changes."""
    phi, eta = features[:, :3].astype(np.float64), features[:, 3:6].astype(np.float64)
    pairs = [(0, 1), (0, 2), (1, 2)]
    distances = [np.cos(phi[:, a] - phi[:, b]) + 3 * np.abs(eta[:, a] - eta[:, b]) for a, b in pairs]
    return np.concatenate([np.sort(distances, axis=0), np.sort(np.abs(eta), axis=1).T, features[:, 6:].T])


def same_angle(first: np.ndarray, second: np.ndarray, period: float = 2 * np.pi) -> bool:
    distance = (first.astype(np.float64) - second) / period
    return bool(np.abs(distance - np.round(distance)).max() < 1e-5)


def every_outcome(symmetries: Symmetries, features: np.ndarray) -> list[np.ndarray]:
    drawn = [symmetries.draw(features, np.random.default_rng(seed)) for seed in range(3)]
    return [*drawn, *symmetries.copies(features, 7)]


@EACH
def test_what_is_invariant_does_not_change(sections: list[Symmetry]) -> None:
    features = events()
    for found in every_outcome(build_symmetries(sections, NAMES), features):
        assert found.dtype == np.float32
        np.testing.assert_allclose(invariants(found), invariants(features), atol=3e-5)


@EACH
def test_something_changes_and_the_events_given_do_not(sections: list[Symmetry]) -> None:
    features = events()
    before = features.copy()
    symmetries = build_symmetries(sections, NAMES)
    drawn = symmetries.draw(features, np.random.default_rng(0))
    changed = (drawn != features).any(axis=1).mean()
    assert 0.4 < changed <= 1
    assert features.tobytes() == before.tobytes()


@EACH
def test_missing_stays_missing(sections: list[Symmetry]) -> None:
    features = events(missing=0.1)
    for found in every_outcome(build_symmetries(sections, NAMES), features):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(features))


@EACH
def test_the_distribution_stays(sections: list[Symmetry]) -> None:
    # azimuths are uniform, pseudorapidities alike and symmetric: the sample has all the symmetries
    features, other = events(40_000), events(40_000, seed=2)
    drawn = build_symmetries(sections, NAMES).draw(features, np.random.default_rng(0))
    for column in range(len(NAMES)):
        edges = np.quantile(other[:, column], np.linspace(0, 1, 11)[1:-1])
        counts = np.bincount(np.searchsorted(edges, drawn[:, column]), minlength=10)
        assert np.abs(counts - 4000).max() < 6 * np.sqrt(2 * 4000), NAMES[column]


@EACH
def test_one_copy_and_the_first_of_several_are_the_events(sections: list[Symmetry]) -> None:
    features = events(missing=0.05)
    features[0] = 50  # outside its range
    symmetries = build_symmetries(sections, NAMES)
    assert [copy.tobytes() for copy in symmetries.copies(features, 1)] == [features.tobytes()]
    np.testing.assert_array_equal(next(symmetries.copies(features, 5)), features)


@EACH
def test_the_same_generator_draws_the_same_bits(sections: list[Symmetry]) -> None:
    symmetries = build_symmetries(sections, NAMES)
    first, second, third = (symmetries.draw(events(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.tobytes() == second.tobytes() != third.tobytes()


@EACH
@settings(max_examples=20)
@given(order=st.permutations(range(len(NAMES))))
def test_the_order_of_the_features_does_not_matter(sections: list[Symmetry], order: list[int]) -> None:
    features, names = events(20), [NAMES[column] for column in order]
    for found, moved in zip(
        every_outcome(build_symmetries(sections, NAMES), features),
        every_outcome(build_symmetries(sections, names), np.ascontiguousarray(features[:, order])),
        strict=True,
    ):
        np.testing.assert_array_equal(found[:, order], moved)


def test_copies_of_many_events_are_those_of_few() -> None:
    symmetries, features = build_symmetries(ALL, NAMES), events(40_000, missing=0.01)
    for whole, part in zip(
        symmetries.copies(features, 3), symmetries.copies(features[16_380:16_400], 3), strict=True
    ):
        np.testing.assert_array_equal(whole[16_380:16_400], part)


def test_a_rotation_turns_all_azimuths_of_an_event_by_one_angle_and_each_event_by_its_own() -> None:
    features = events()
    drawn = build_symmetries([TURN], NAMES).draw(features, np.random.default_rng(0))
    angle = drawn[:, :3] - features[:, :3]
    assert same_angle(angle[:, 0], angle[:, 1])
    assert same_angle(angle[:, 0], angle[:, 2])
    assert len(np.unique(angle[:, 0] // 0.01)) > 300
    np.testing.assert_array_equal(drawn[:, 3:], features[:, 3:])


@pytest.mark.parametrize("period", [2 * math.pi, 3.487, 360.0])
@pytest.mark.parametrize("start", [0.0, -0.5])
def test_azimuths_keep_the_range_of_the_sample(period: float, start: float) -> None:
    rng = np.random.default_rng(0)
    features = (period * (start + rng.random((5000, 2)))).astype(np.float32)
    turn, mirror = Rotation(features=("a", "b"), period=period), Reflection(features=("a", "b"))
    symmetries = build_symmetries(resolve_ranges([turn, mirror], ["a", "b"], features), ["a", "b"])
    for found in every_outcome(symmetries, features)[:-1]:
        assert found.min() >= np.float32(start * period)
        assert found.max() < np.float32(start * period) + np.float32(period)
        difference = features[:, 0] - features[:, 1]
        either = np.minimum(
            np.abs(np.sin(np.pi * (found[:, 0] - found[:, 1] - difference) / period)),
            np.abs(np.sin(np.pi * (found[:, 0] - found[:, 1] + difference) / period)),
        )
        assert either.max() < 1e-5


@pytest.mark.parametrize(
    ("column", "start"),
    [([0, 1], -0.5), ([0, 6], 0), ([-3, 3], -0.5), ([np.nan, np.nan], -0.5), ([np.nan, 4], 0), ([], -0.5)],
)
def test_a_range_begins_at_zero_only_where_the_sample_says_so(column: list[float], start: float) -> None:
    sample = np.array(column, np.float32).reshape(-1, 1)
    sections = resolve_ranges([Rotation(features=("phi",)), Reflection(features=("phi",))], ["phi"], sample)
    assert isinstance(sections[0], Rotation)
    assert sections[0].start == pytest.approx(2 * np.pi * start)
    assert sections[1] == Reflection(features=("phi",))
    assert build_symmetries(sections, ["phi"]).start.tolist() == [pytest.approx(2 * np.pi * start)]


def test_a_range_may_be_given() -> None:
    turn = Rotation(features=("phi",), period=4, start=1)
    sample = np.array([[1], [4.9]], np.float32)
    sections = resolve_ranges([turn], ["phi"], sample)
    assert sections == (turn,)
    drawn = build_symmetries(sections, ["phi"]).draw(np.tile(sample, (500, 1)), np.random.default_rng(0))
    assert 1 <= drawn.min() < 1.1
    assert 4.9 < drawn.max() < 5


@pytest.mark.parametrize(
    ("turn", "sample", "message"),
    [
        (
            Rotation(features=("a", "b")),
            [[-170, 0], [175, 0]],
            "a from -170 to 175, b from 0 to 0; set its period",
        ),
        (
            Rotation(features=("a", "b")),
            [[-3, 0], [3, 6]],
            r"must all be in a range from -3\.14.* to 3\.14.* or from 0 to 6\.28",
        ),
        (
            Rotation(features=("a", "b"), start=0),
            [[-1, 0], [1, 1]],
            r"must all be in a range from 0 to 6\.28.*, but",
        ),
    ],
    ids=["degrees", "two ranges", "another range"],
)
def test_azimuths_outside_their_range_are_refused(
    turn: Rotation, sample: list[list[float]], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        resolve_ranges([turn], ["a", "b"], np.array(sample, np.float32))


@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False), seed=st.integers(0, 99))
def test_every_finite_value_stays_finite_and_comes_into_range(value: float, seed: int) -> None:
    symmetries = build_symmetries([TURN, MIRROR, FLIP], NAMES)
    features = np.full((2, len(NAMES)), value, np.float32)
    for found in (
        symmetries.draw(features, np.random.default_rng(seed)),
        list(symmetries.copies(features, 2))[1],
    ):
        assert np.isfinite(found).all()
        assert np.abs(found[:, :3]).max() <= np.float32(np.pi)


def test_an_exchange_moves_objects_as_a_whole_and_gives_every_order() -> None:
    features = events(60_000)
    drawn = build_symmetries([SWAP], NAMES).draw(features, np.random.default_rng(0))
    order = np.argsort(drawn[:, :3], axis=1)[
        np.arange(60_000)[:, None], np.argsort(np.argsort(features[:, :3], axis=1), axis=1)
    ]
    np.testing.assert_array_equal(np.take_along_axis(drawn[:, 3:6], order, axis=1), features[:, 3:6])
    counts = Counter(map(tuple, order.tolist()))
    assert len(counts) == 6
    assert np.abs(np.array(list(counts.values())) - 10_000).max() < 600


def test_complete_objects_change_places_around_one_that_is_not() -> None:
    features = np.array([[1, np.nan, 3, 10, 20, 30, 0]] * 400, np.float32)
    drawn = build_symmetries([SWAP], NAMES).draw(features, np.random.default_rng(0))
    assert {tuple(row) for row in drawn[:, [0, 2, 3, 4, 5]].tolist()} == {
        (1, 3, 10, 20, 30),
        (3, 1, 30, 20, 10),
    }
    second = list(build_symmetries([SWAP], NAMES).copies(features, 2))[1]
    np.testing.assert_array_equal(second, features)


@pytest.mark.parametrize("number", [2, 3, 8, 16, 64])
def test_the_angles_of_the_copies_are_evenly_spaced(number: int) -> None:
    sections = [Rotation(features=(name,), period=1) for name in ("phi_1", "phi_2", "phi_3")]
    shifts = np.array([copy.shift[:3] for copy in build_symmetries(sections, NAMES).descriptions(number)])
    np.testing.assert_allclose(
        np.sort(shifts, axis=0), np.tile(np.arange(number) / number, (3, 1)).T, atol=1e-6
    )


def test_the_angles_of_two_rotations_differ() -> None:
    sections = [Rotation(features=(name,), period=1) for name in ("phi_1", "phi_2")]
    shifts = np.array([copy.shift[:2] for copy in build_symmetries(sections, NAMES).descriptions(64)])
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.3


def combination(copy: object) -> tuple[object, ...]:
    return tuple(copy.source.tolist()), tuple(copy.sign.tolist())  # type: ignore[attr-defined]


def test_every_combination_is_there_equally_often() -> None:
    symmetries = build_symmetries(ALL, NAMES)
    for number in (24, 48):
        counts = Counter(combination(copy) for copy in symmetries.descriptions(number))
        assert set(counts.values()) == {number // 24}
        assert len(counts) == 24


@given(
    mirrors=st.integers(1, 4),
    objects=st.lists(st.integers(2, 4), max_size=2),
    number=st.integers(1, 60).map(lambda half: 2 * half),
)
def test_half_of_the_copies_are_mirrored(mirrors: int, objects: list[int], number: int) -> None:
    names = [f"x{index}" for index in range(mirrors + sum(objects))]
    ends = np.cumsum([mirrors, *objects])
    sections: list[Symmetry] = [Reflection(features=(name,)) for name in names[:mirrors]]
    for start, stop in pairwise(ends):
        sections.append(Exchange(objects=tuple((name,) for name in names[start:stop])))
    signs = np.array([copy.sign[:mirrors] for copy in build_symmetries(sections, names).descriptions(number)])
    assert (signs.sum(axis=0) == 0).all()


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_each_object_visits_each_place_equally_often(size: int) -> None:
    names = [f"x{index}" for index in range(size)]
    symmetries = build_symmetries([Exchange(objects=tuple((name,) for name in names))], names)
    for number in (size, math.factorial(size)):
        source = np.array([copy.source for copy in symmetries.descriptions(number)])
        for place in range(size):
            assert (np.bincount(source[:, place], minlength=size) == number // size).all()


def test_a_description_is_all_that_a_copy_needs() -> None:
    features = events(50, missing=0.02)
    symmetries = build_symmetries(ALL, NAMES)
    for copy, found in zip(symmetries.descriptions(12), symmetries.copies(features, 12), strict=True):
        for row, event in zip(found, features, strict=True):
            source = np.arange(len(NAMES))
            if not any(np.isnan(event[list(columns)]).any() for columns in copy.exchanges):
                source = copy.source
            expected = copy.sign * event[source] + copy.shift
            turned = copy.period > 0
            distance = (row - expected)[turned] / copy.period[turned]
            np.testing.assert_allclose(distance, np.round(distance), atol=1e-5)
            np.testing.assert_array_equal(row[~turned], expected[~turned])


def test_no_symmetries_change_nothing() -> None:
    symmetries = build_symmetries([], NAMES)
    for found in every_outcome(symmetries, events(10)):
        np.testing.assert_array_equal(found, events(10))


def test_no_events_are_fine() -> None:
    for found in every_outcome(build_symmetries(ALL, NAMES), events(0)):
        assert found.shape == (0, len(NAMES))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            [Rotation(features=("phi_1", "phj_2"))],
            "uses the unknown feature 'phj_2'; did you mean 'phi_2'",
        ),
        (
            [Reflection(features=("zzz",))],
            "uses the unknown feature 'zzz'; the features are 'phi_1',",
        ),
        ([Reflection(features=("eta_1", "eta_1"))], "lists the feature 'eta_1' twice"),
        ([Exchange(objects=(("eta_1",), ("eta_1",)))], "lists the feature 'eta_1' twice"),
        ([TURN, Rotation(features=("phi_2",))], "two rotations use the feature 'phi_2'"),
        ([SWAP, Exchange(objects=(("eta_1",), ("eta_2",)))], "two exchanges use the feature 'eta_[12]'"),
    ],
)
def test_contradictions_are_refused(sections: list[Symmetry], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build_symmetries(sections, NAMES)


def test_less_than_one_copy_is_refused() -> None:
    with pytest.raises(RequestError):
        build_symmetries(ALL, NAMES).copies(events(2), 0)
