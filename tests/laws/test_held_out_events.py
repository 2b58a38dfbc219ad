"""No event is scored by a member that learned from it, or from an event with the same ID."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import Split
from tamis.data.ensemble import EnsemblePlan, build_plan
from tamis.data.events import Events
from tamis.data.split import (
    TEST,
    TRAINING,
    VALIDATION,
    Fractions,
    assign_folds_by_id,
    assign_folds_by_number,
    assign_splits,
    scramble,
)

FRACTIONS = st.floats(0.01, 0.99)


@st.composite
def plans(draw: st.DrawFn) -> tuple[EnsemblePlan, Events]:
    """Draw a configuration; return its plan, and events of which several may have the same ID."""
    n_folds, has_expression = draw(st.sampled_from([0, *range(2, 8)])), draw(st.booleans())
    split = Split(
        test=draw(FRACTIONS),
        validation=draw(FRACTIONS),
        seed=draw(st.integers(0, 2**31)),
        folds={"number": n_folds, "by": "number" if has_expression else None} if n_folds else None,
    )
    plan = build_plan(split, seeds=draw(st.integers(1, 5)), seed=draw(st.integers(0, 2**32 - 1)))
    number = np.array(draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=60)), np.int64)
    event_id = scramble(number.astype(np.uint64))
    fractions = Fractions(split.test, split.validation, split.seed, plan.n_folds)
    if plan.fold_expression is None:
        fold = assign_folds_by_id(event_id, plan.n_folds, split.seed)
    else:
        fold = assign_folds_by_number(number, plan.n_folds)
    zeros = np.zeros(len(number), np.int32)
    return plan, Events(
        features=np.zeros((len(number), 1), np.float32),
        class_index=zeros,
        weight=np.ones(len(number)),
        event_id=event_id,
        split=assign_splits(event_id, fractions),
        sample_index=zeros,
        file_index=zeros,
        entry=number,
        spectators={},
        reference={},
        samples=("sample",),
        files=("file",),
        fold=fold,
    )


def identities(events: Events, selected: np.ndarray) -> set[int]:
    return set(events.event_id[selected].tolist())


@given(plans())
def test_no_member_scores_what_it_learned_from(drawn: tuple[EnsemblePlan, Events]) -> None:
    plan, events = drawn
    for member in plan.members:
        learned, validated, scored = (member.select(split, events) for split in (TRAINING, VALIDATION, TEST))
        # every used event has one role for each member
        assert (learned.astype(int) + validated + scored == 1).all()
        assert not identities(events, learned) & identities(events, scored)
        assert not identities(events, validated) & identities(events, scored)
        assert not identities(events, learned) & identities(events, validated)


@given(plans())
def test_every_test_event_is_scored_by_the_members_that_held_it_out_and_by_no_others(
    drawn: tuple[EnsemblePlan, Events],
) -> None:
    plan, events = drawn
    tested = plan.select(TEST, events)
    assert tested.all() if plan.is_cross_training else (tested == (events.split == TEST)).all()
    for event in np.flatnonzero(tested):
        holding_out = [
            number for number, member in enumerate(plan.members) if member.select(TEST, events)[event]
        ]
        assert holding_out
        assert list(plan.scorers(int(events.fold[event]))) == holding_out


@given(plans())
def test_training_and_validation_events_are_scored_by_members_that_did_not_hold_them_out(
    drawn: tuple[EnsemblePlan, Events],
) -> None:
    plan, events = drawn
    seen_fold = plan.choose_seen_fold(events)
    for split in (TRAINING, VALIDATION):
        for event in np.flatnonzero(plan.select(split, events)):
            scorers = [plan.members[number] for number in plan.scorers(int(seen_fold[event]))]
            assert scorers
            assert all(member.select(split, events)[event] for member in scorers)


@given(plans())
def test_independent_samples_share_no_event_id(drawn: tuple[EnsemblePlan, Events]) -> None:
    plan, events = drawn
    samples = [plan.select_independent(split, events) for split in (TRAINING, VALIDATION, TEST)]
    training, validation, test = (identities(events, selected) for selected in samples)
    assert not training & test
    assert not validation & test
    assert not training & validation


@given(plans())
def test_members_have_seeds_of_their_own(drawn: tuple[EnsemblePlan, Events]) -> None:
    plan, _ = drawn
    other = plan.with_other_seeds(plan.members[0].seed)
    seeds = [member.seed for member in (*plan.members, *other.members)]
    assert len(set(seeds)) == len(seeds)
    assert [member.fold for member in other.members] == [member.fold for member in plan.members]
    assert sorted({member.fold for member in plan.members}, key=str) == [
        member.fold for member in plan.first_members
    ]
