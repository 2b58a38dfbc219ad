from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.config import Adam, AdamW, Dense, parse_config
from tamis.errors import ConfigurationError, Problem


def problems_of(text: str, *overrides: str) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text, overrides=overrides)
    return list(caught.value.problems)


@settings(deadline=None, max_examples=30)
@given(batch_size=st.integers(1, 10**6), epochs=st.integers(1, 10**6))
def test_an_override_is_the_same_as_the_value_in_the_file(minimal: str, batch_size: int, epochs: int) -> None:
    written = parse_config(f"{minimal}training: {{batch_size: {batch_size}, epochs: {epochs}}}")
    overrides = [f"training.batch_size={batch_size}", f"training.epochs={epochs}"]
    assert parse_config(minimal, overrides=overrides) == written
    assert parse_config(f"{minimal}training: {{epochs: 7}}", overrides=overrides) == written
    assert parse_config(f"{minimal}training:", overrides=overrides) == written


def test_overrides_reach_into_lists_and_classes(minimal: str) -> None:
    config = parse_config(
        minimal,
        overrides=[
            "samples[1].weight=2",
            "classes.bkg.label=BKG 1",
            'classes["sig"].label="x=y"',
            "features[0]=eta",
        ],
    )
    assert config.samples[1].weight == 2.0
    assert [section.label for section in config.classes.values()] == ["BKG 1", "x=y"]
    assert [feature.name for feature in config.features] == ["eta", "mass"]


def test_an_override_may_be_any_yaml(minimal: str) -> None:
    config = parse_config(minimal, overrides=["network.layers=[{nodes: 8}]", "training.early_stopping="])
    assert config.network.layers == (Dense(nodes=8),)
    assert config.training.early_stopping is None


def test_the_last_override_wins(minimal: str) -> None:
    assert parse_config(minimal, overrides=["seed=1", "seed=2"]).seed == 2


def test_an_override_reaches_into_what_is_written_short(minimal: str) -> None:
    text = minimal + "training: {optimizer: adamw}"
    overrides = ["training.optimizer.learning_rate=1e-4", "features[0].unit=GeV"]
    config = parse_config(text, overrides=overrides)
    assert config.training.optimizer == AdamW(learning_rate=1e-4)
    assert (config.features[0].expression, config.features[0].unit) == ("pt", "GeV")


def test_an_override_reaches_into_a_default(minimal: str) -> None:
    config = parse_config(minimal, overrides=["training.optimizer.learning_rate=1e-4"])
    assert config.training.optimizer == Adam(learning_rate=1e-4)


def test_the_source_is_not_changed(minimal: str) -> None:
    values = parse_config(minimal).model_dump(by_alias=True)
    before = repr(values)
    parse_config(values, overrides=["samples[1].weight=2", "seed=3"])
    assert repr(values) == before


FORM = "expected a key, = and a value, as in training.batch_size=256"


@pytest.mark.parametrize(
    ("override", "where", "message"),
    [
        ("seed", "--set seed", FORM),
        ("=1", "--set =1", FORM),
        ("seed 1=1", "--set seed 1=1", FORM),
        (
            "samples[2].weight=1",
            "--set samples[2].weight=1",
            "there is no samples[2]: the list has 2 of them, counted from 0",
        ),
        ("classes[0]=1", "--set classes[0]=1", "classes is a mapping, not a list"),
        ("[0]=1", "--set [0]=1", "the top is a mapping, not a list"),
        ("features.pt=1", "--set features.pt=1", "features is a list, which has no keys"),
        (
            "samples[0].name.x=1",
            "--set samples[0].name.x=1",
            "samples[0].name is the text 'background', which has no keys",
        ),
        (
            "seed=[1",
            "--set seed=[1",
            "cannot be read as YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'",
        ),
        ("seed=-1", "seed (from --set)", "expected a number of at least 0, found -1"),
        ("seed=*x", "seed (from --set)", "aliases (*x) are not allowed; write the value itself"),
        (
            "weights={balance: none, balance: none}",
            "weights.balance (from --set)",
            "this key is given twice, in line 1; remove one",
        ),
        (
            "training.batch_siz=1",
            "training.batch_siz (from --set)",
            "unknown key; did you mean 'batch_size'? Keys here: loss, optimizer, schedule, decorrelate, gradient_clip, "
            "ema_decay, batch_size, epochs, early_stopping, time_budget, checkpoint_every, symmetries, "
            "test_time_augmentation, ensemble, calibration, devices",
        ),
        ("split.test=2", "split.test (from --set)", "expected a number below 1, found 2"),
        (
            "samples[0].class=bgk",
            "samples[0].class (from --set)",
            "there is no class 'bgk'; did you mean 'bkg'?",
        ),
    ],
)
def test_a_wrong_override_is_the_one_problem(minimal: str, override: str, where: str, message: str) -> None:
    assert problems_of(minimal, override) == [Problem(where, message)]


def test_a_misspelt_section_is_told_to_come_from_the_override(minimal: str) -> None:
    (problem,) = problems_of(minimal, "trainin.epochs=3")
    assert problem.where == "trainin (from --set)"
    assert problem.message.startswith("unknown key; did you mean 'training'?")


def test_all_wrong_overrides_are_told_beside_the_problems_of_the_file(minimal: str) -> None:
    found = problems_of(minimal + "seed: -1", "x", "y", "training.epochs=0")
    assert [(problem.where, problem.line) for problem in found] == [
        ("seed", 8),
        ("--set x", None),
        ("--set y", None),
        ("training.epochs (from --set)", None),
    ]
