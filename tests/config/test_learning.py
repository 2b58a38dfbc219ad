"""The section `training`: shorthands, defaults, and choices that contradict each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from tamis.config import (
    Adam,
    Constant,
    Cosine,
    CrossEntropy,
    EarlyStopping,
    Focal,
    Lion,
    Loss,
    Monitor,
    OneCycle,
    Optimizer,
    Plateau,
    Schedule,
    ScheduleFreeAdamW,
    Step,
    Training,
    dump_config,
    parse_config,
)
from tamis.config.document import read_document
from tamis.errors import ConfigurationError

NEEDED = {"significance": {"signal": 10.0, "background": 1e3}}


def read(**values: Any) -> Training:
    return Training.model_validate(values)


def names(union: Any) -> list[str]:
    return [section.model_fields["name"].default for section in union.__args__]


@pytest.mark.parametrize("name", names(Loss))
def test_every_loss_is_read_by_its_name(name: str) -> None:
    training = read(loss={"name": name, **NEEDED.get(name, {})})
    assert training.loss.name == name
    if name not in NEEDED:
        assert read(loss=name) == training
    assert read(**training.model_dump()) == training


@pytest.mark.parametrize("name", names(Optimizer))
def test_every_optimizer_is_read_by_its_name(name: str) -> None:
    training = read(optimizer=name)
    assert training.optimizer.name == name
    assert read(optimizer={"name": name}) == training
    assert read(**training.model_dump()) == training


@pytest.mark.parametrize("name", names(Schedule))
def test_every_schedule_is_read_by_its_name(name: str) -> None:
    training = read(schedule=name)
    assert training.schedule.name == name
    assert read(schedule={"name": name}) == training
    assert read(schedule={"name": name, "warm_up": 0.3}).schedule.warm_up == 0.3
    assert read(**training.model_dump()) == training


def test_what_is_left_out_is_the_recipe() -> None:
    assert Training().loss == CrossEntropy()
    assert Training().optimizer == Adam()
    assert Training().schedule == OneCycle()
    assert Training().early_stopping == EarlyStopping()
    assert read(schedule={"warm_up": 0.2}).schedule == OneCycle(warm_up=0.2)
    assert read(optimizer={"beta1": 0.8}).optimizer == Adam(beta1=0.8)


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5min", 300), ("1.5h", 5400), ("2 min", 120), (90, 90), (0.5, 0.5)]
)
def test_a_time_budget_is_read_in_seconds(text: object, seconds: float) -> None:
    assert read(time_budget=text).time_budget == seconds


@pytest.mark.parametrize("text", ["60", "soon", "-5s", "1d", True, [60], 0, -1])
def test_other_time_budgets_are_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        read(time_budget=text)


@pytest.mark.parametrize(
    "optimizer", ["schedule_free_adamw", {"name": "schedule_free_adamw"}, ScheduleFreeAdamW()]
)
def test_a_schedule_free_optimizer_has_a_constant_rate(optimizer: object) -> None:
    assert read(optimizer=optimizer).schedule == Constant()
    assert read(optimizer=optimizer, schedule="constant").schedule == Constant()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"optimizer": "schedule_free_adamw", "schedule": "cosine"},
            "does not use the schedule cosine; write constant",
        ),
        (
            {"optimizer": "schedule_free_adamw", "schedule": {"name": "constant", "warm_up": 0.1}},
            "the optimizer has its own warm_up",
        ),
        (
            {"optimizer": "schedule_free_adamw", "ema_decay": 0.9},
            "averages the weights itself; set ema_decay to null",
        ),
        (
            {"loss": {"name": "significance", "signal": 1, "background": 2}, "devices": 2},
            "which 2 devices cannot share; set devices to 1",
        ),
        ({"test_time_augmentation": 8}, "test_time_augmentation needs symmetries"),
        ({"optimizer": {"name": "sgd", "momentum": 0, "nesterov": True}}, "nesterov needs momentum above 0"),
        ({"schedule": {"name": "step", "at": [0.5, 0.5]}}, "rising order, each once"),
    ],
)
def test_contradictions_are_refused_with_a_remedy(minimal: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read(**values)
    plain = parse_config(minimal).model_dump(by_alias=True)
    with pytest.raises(ConfigurationError, match=rf"(?s)training.*{message}"):
        parse_config({**plain, "training": values})


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": {"name": "schedule_free_adamw", "beta1": 0}},  # the average cannot be had back
        {"optimizer": {"name": "lion", "weight_decay": -1}},
        {"loss": {"name": "focal", "gamma": -1}},
        {"loss": {"name": "label_smoothing", "smoothing": 1}},
        {"loss": {"name": "significance", "signal": 10}},
        {"loss": {"gamma": 1}},
        {"schedule": {"name": "plateau", "factor": 1}},
        {"schedule": {"name": "one_cycle", "warm_up": 0}},
        {"schedule": {"name": "cosine", "gamma": 1}},
        {"gradient_clip": 0},
        {"ema_decay": 1},
        {"early_stopping": {"warm_up": -1}},
        {"early_stopping": {"monitor": None}},
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "focal", "optimizer": "lion", "schedule": "cosine"},
        {
            "schedule": {"name": "step", "at": [0.3, 0.6], "factor": 0.5},
            "ema_decay": 0.99,
            "gradient_clip": 1.0,
        },
        {"optimizer": "schedule_free_adamw", "time_budget": "5min"},
        {"schedule": {"name": "plateau"}, "early_stopping": {"monitor": "validation_auc", "warm_up": 5}},
    ],
)
def test_choices_survive_the_file(minimal: str, values: dict[str, Any]) -> None:
    plain = parse_config(minimal).model_dump(by_alias=True)
    config = parse_config({**plain, "training": values})
    assert config.training == read(**values)
    assert parse_config(dump_config(config)) == config


PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
FRAGMENTS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_every_example_of_the_page_is_right(minimal: str, fragment: str) -> None:
    values = read_document(fragment).values
    assert values.keys() == {"training"}
    assert parse_config(minimal + fragment).training == read(**values["training"])


@pytest.mark.parametrize("union", [Loss, Optimizer, Schedule])
def test_every_choice_has_a_row_and_an_example_in_the_page(union: Any) -> None:
    plain = {Training().loss.name, Training().optimizer.name}
    for name in names(union):
        assert re.search(rf"^\| `{name}` \|", PAGE, re.MULTILINE), name
        assert name in plain or any(re.search(rf"\b{name}\b", each) for each in FRAGMENTS), name
    for monitor in get_args(Monitor):
        assert f"| `{monitor}` |" in PAGE


def test_sections_are_compared_by_value() -> None:
    training = read(loss="focal", optimizer="lion", schedule={"name": "step", "at": [0.5]})
    assert (training.loss, training.optimizer, training.schedule) == (Focal(), Lion(), Step(at=(0.5,)))
    assert read(schedule="plateau").schedule == Plateau() != Cosine()
