from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tamis.config import Config, dump_config, load_config, parse_config

TRICKY = [
    "no", "1e-3", "0o17", "0x1f", "1_000", "1:30", "2020-01-01", "null", "~", "=", "<<", ".nan", "- a", "a: b",
    "a #b", "# a", "'", '"', "|", ">", "@a", "*a", "&a", "!a", "%a", "{a}", "[a]", "a, b", " a ", "\u2028a", "\ufeffa",
    "$\\frac{1}{2}$", "---", "...", "?", "a b " * 60, "\U0001f600", "a\xa0b", "seed: 1",
]  # fmt: skip
labels = st.sampled_from(TRICKY) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=30
).filter(lambda text: bool(text.strip()))
names = (st.sampled_from(TRICKY) | labels).filter(
    lambda name: name.isprintable() and name == name.strip() and not set(name) & set("/\\")
)
expressions = st.sampled_from(
    ["pt", "abs(eta)", "mass / 2 + 1", "`odd name` * 1e-3", "pt\n  > 20", "x" * 150]
)
files = labels.filter(lambda text: "::" not in text and "://" not in text)
fractions = st.floats(0, 1, exclude_min=True, exclude_max=True)
positive = st.floats(0, exclude_min=True, allow_infinity=False)
below_one = st.floats(0, 1, exclude_max=True)
counts = st.integers(1, 2**31 - 1)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def section(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Plain values of complete configurations, with every key there is."""
    classes = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    samples = draw(st.lists(names, min_size=len(classes), max_size=len(classes), unique=True))
    columns = draw(st.lists(names, min_size=2, max_size=5, unique=True))
    described = section(unit=optional(labels), label=optional(labels), missing=missing)
    by_class = st.fixed_dictionaries(dict.fromkeys(classes, expressions))
    factors = st.fixed_dictionaries({}, optional=dict.fromkeys(classes, positive))
    return {
        **draw(section(name=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,20}", fullmatch=True))),
        **draw(section(seed=st.integers(0, 2**32 - 1), data=optional(files))),
        "samples": [
            {
                "name": name,
                "class": kind,
                "files": draw(files | st.lists(files, min_size=1, unique=True)),
                **draw(section(tree=optional(labels), weight=weights, selection=optional(expressions))),
            }
            for name, kind in zip(samples, classes, strict=True)
        ],
        "classes": {
            kind: {"signal": index == 0, **draw(section(label=optional(labels)))}
            for index, kind in enumerate(classes)
        },
        "features": [
            {"name": name, "expression": draw(expressions), **draw(described)} for name in columns[1:]
        ],
        "spectators": [{"name": columns[0], "expression": draw(expressions), **draw(described)}],
        "weights": draw(
            section(
                balance=st.sampled_from(["classes", "none"]) | factors,
                negative=st.sampled_from(["keep", "drop", "absolute", "refuse"]),
            )
        ),
        "split": draw(
            section(test=fractions, validation=fractions, seed=st.integers(0, 9), event_id=st.just(["run"]))
        ),
        "preprocessing": draw(section(scaling=st.sampled_from(["none", "standard", "robust"]))),
        "network": {"layers": draw(st.lists(layers, max_size=3))},
        "training": draw(training),
        "evaluation": {
            "working_points": draw(st.lists(fractions, max_size=4)),
            "reference": draw(st.none() | st.just({"discriminant": {classes[0]: "secret"}})),
        },
    } | draw(st.just({}) | st.fixed_dictionaries({"evaluation": log_density(by_class)}))


def log_density(by_class: st.SearchStrategy[dict[str, str]]) -> st.SearchStrategy[dict[str, Any]]:
    return by_class.map(
        lambda texts: {"reference": {"log_density": {key: f"log({text})" for key, text in texts.items()}}}
    )


missing = optional(st.floats() | st.lists(st.floats() | st.just("nan"), max_size=3))
weights = st.floats(allow_nan=False, allow_infinity=False) | st.just("w * 2")
activations = [
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "tanh",
    "sigmoid",
    "softplus",
    "linear",
]
layers = st.fixed_dictionaries(
    {"nodes": st.integers(1, 4096)},
    optional={"type": st.just("dense"), "activation": st.sampled_from(activations)},
)
moments = {"learning_rate": positive, "beta1": below_one, "beta2": below_one, "epsilon": positive}
optimizers = (
    st.sampled_from(["adam", "adamw", "sgd"])
    | st.fixed_dictionaries({}, optional=moments)
    | st.fixed_dictionaries({"name": st.just("adamw")}, optional={**moments, "weight_decay": positive})
    | st.fixed_dictionaries(
        {"name": st.just("sgd"), "momentum": fractions}, optional={"nesterov": st.booleans()}
    )
)
warm_up = {"warm_up": below_one}
losses = (
    st.sampled_from(["cross_entropy", "binary_cross_entropy", "focal", "squared_error"])
    | st.fixed_dictionaries({"name": st.just("focal")}, optional={"gamma": positive})
    | st.fixed_dictionaries({"name": st.just("label_smoothing")}, optional={"smoothing": fractions})
)
schedules = (
    st.sampled_from(["constant", "step", "exponential", "cosine", "one_cycle", "plateau"])
    | st.fixed_dictionaries({"name": st.just("cosine")}, optional={**warm_up, "final": below_one})
    | st.fixed_dictionaries(
        {"name": st.just("step")},
        optional={
            "at": st.lists(fractions, min_size=1, max_size=3, unique=True).map(sorted),
            "factor": fractions,
        },
    )
    | st.fixed_dictionaries({"name": st.just("plateau")}, optional={**warm_up, "patience": counts})
    | st.fixed_dictionaries({}, optional={"warm_up": fractions, "initial": fractions})
)
training = section(
    loss=losses,
    optimizer=optimizers,
    schedule=schedules,
    gradient_clip=optional(positive),
    ema_decay=optional(fractions),
    time_budget=optional(positive),
    checkpoint_every=optional(positive),
    batch_size=counts,
    epochs=counts,
    early_stopping=optional(section(patience=counts, min_delta=positive, warm_up=st.integers(0, 9))),
    devices=st.just("auto") | counts,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(configurations())
def test_what_is_written_is_read_as_the_same(values: dict[str, Any]) -> None:
    loss = values.get("training", {}).get("loss")
    assume(loss != "binary_cross_entropy" or len(values["classes"]) == 2)
    config = parse_config(values)
    text = dump_config(config)
    assert parse_config(text) == config
    assert dump_config(parse_config(text)) == text


@pytest.mark.parametrize("label", TRICKY)
def test_every_label_survives(minimal: str, label: str) -> None:
    values = parse_config(minimal).model_dump(by_alias=True)
    values["classes"]["bkg"]["label"] = label
    assert parse_config(dump_config(parse_config(values))).classes["bkg"].label == label


@pytest.mark.parametrize("value", [1e-8, 1e22, 5e-324, 1.7976931348623157e308, 0.1, -999.0, math.inf])
def test_every_number_survives(minimal: str, value: float) -> None:
    config = parse_config(minimal, overrides=[f"features[0].missing={value!r}".replace("inf", ".inf")])
    assert config.features[0].missing == (value,)
    assert parse_config(dump_config(config)) == config


def test_every_default_is_written_in_the_order_of_the_sections(minimal: str) -> None:
    read = yaml.safe_load(dump_config(parse_config(minimal)))
    assert list(read) == list(Config.model_fields)
    assert read["training"]["early_stopping"]["patience"] == 10
    assert read["samples"][0]["class"] == "bkg"


def test_a_comment_stands_above_every_section(minimal: str) -> None:
    lines = dump_config(parse_config(minimal)).splitlines()
    for name in Config.model_fields:
        (position,) = [index for index, line in enumerate(lines) if line.startswith(f"{name}:")]
        assert lines[position - 1] == f"# {Config.model_fields[name].description}"
        assert position == 1 or not lines[position - 2]


def test_order_in_the_file_does_not_change_what_is_written(minimal: str) -> None:
    first = parse_config(minimal + "seed: 1\ntraining: {epochs: 3, batch_size: 7}\n")
    second = parse_config("training: {batch_size: 7, epochs: 3}\nseed: 1\n" + minimal)
    assert dump_config(first) == dump_config(second)


def test_a_loaded_file_can_be_written_and_loaded_elsewhere(minimal: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here.yaml", tmp_path / "runs" / "there.yaml"
    there.parent.mkdir()
    here.write_text(minimal)
    config = load_config(here)
    there.write_text(dump_config(config))
    assert load_config(there) == config
