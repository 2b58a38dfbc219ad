"""The page of the configuration has every key with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from tamis.config import (
    Adam,
    AdamW,
    ClassSection,
    Config,
    Constant,
    Cosine,
    Decorrelate,
    Dense,
    Discriminant,
    EarlyStopping,
    Evaluation,
    Exponential,
    Feature,
    FixedPoint,
    Flatness,
    Flatten,
    Focal,
    Folds,
    Gains,
    LabelSmoothing,
    Lion,
    LogDensity,
    Luminosity,
    Muon,
    NAdam,
    Network,
    OneCycle,
    Periodic,
    PiecewiseLinear,
    Plateau,
    Preprocessing,
    Quantized,
    QuantizedOutput,
    RmsProp,
    Sample,
    ScheduleFreeAdamW,
    Sgd,
    Significance,
    Sparse,
    Spectator,
    Split,
    Step,
    Training,
    Weights,
    parse_config,
)

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")

SIGNIFICANCE = "training.loss={name: significance, signal: 10, background: 1e3}"
SPARSE = "{type: sparse, nodes: 3, fan_in: 1}"
QUANTIZED = "{type: quantized, nodes: 3, input: {bits: 10, integer: 4}}"
# the heading, the sections whose keys stand below it, and how a default is set again
SECTIONS: list[tuple[str, list[type[BaseModel]], str, list[str]]] = [
    ("The top of the file", [Config], "", []),
    ("samples", [Sample], "samples[0].", []),
    ("classes", [ClassSection], "classes.bkg.", []),
    ("features", [Feature], "features[0].", []),
    ("spectators", [Spectator], "spectators[0].", ["spectators=[eta]"]),
    ("weights", [Weights], "weights.", []),
    (
        "weights.flatten",
        [Flatten],
        "weights.flatten.",
        ["spectators=[eta]", "weights.flatten={spectators: [eta]}"],
    ),
    ("split", [Split], "split.", []),
    ("split.folds", [Folds], "split.folds.", ["split.folds={number: 3}"]),
    ("preprocessing", [Preprocessing], "preprocessing.", []),
    ("network", [Network], "network.", []),
    ("network.layers", [Dense], "network.layers[0].", ["network.layers=[{nodes: 3}]"]),
    ("network.layers: sparse", [Sparse], "network.layers[0].", [f"network.layers=[{SPARSE}]"]),
    ("network.layers: quantized", [Quantized], "network.layers[0].", [f"network.layers=[{QUANTIZED}]"]),
    (
        "network.quantized_output",
        [QuantizedOutput],
        "network.quantized_output.",
        [f"network.layers=[{QUANTIZED}]", "network.quantized_output={}"],
    ),
    (
        "network.layers: fixed point",
        [FixedPoint],
        "network.layers[0].input.",
        [f"network.layers=[{QUANTIZED}]"],
    ),
    ("network.gains", [Gains], "network.gains.", []),
    (
        "network.embedding: periodic",
        [Periodic],
        "network.embedding.",
        ["network.embedding={type: periodic}"],
    ),
    (
        "network.embedding: piecewise_linear",
        [PiecewiseLinear],
        "network.embedding.",
        ["network.embedding={type: piecewise_linear}"],
    ),
    ("training", [Training], "training.", []),
    ("training.loss: focal", [Focal], "training.loss.", ["training.loss={name: focal}"]),
    (
        "training.loss: label_smoothing",
        [LabelSmoothing],
        "training.loss.",
        ["training.loss={name: label_smoothing}"],
    ),
    ("training.loss: significance", [Significance], "training.loss.", [SIGNIFICANCE]),
    ("training.optimizer: adam", [Adam], "training.optimizer.", ["training.optimizer=adam"]),
    ("training.optimizer: adamw", [AdamW], "training.optimizer.", ["training.optimizer=adamw"]),
    ("training.optimizer: nadam", [NAdam], "training.optimizer.", ["training.optimizer=nadam"]),
    ("training.optimizer: rmsprop", [RmsProp], "training.optimizer.", ["training.optimizer=rmsprop"]),
    ("training.optimizer: lion", [Lion], "training.optimizer.", ["training.optimizer=lion"]),
    ("training.optimizer: muon", [Muon], "training.optimizer.", ["training.optimizer=muon"]),
    (
        "training.optimizer: schedule_free_adamw",
        [ScheduleFreeAdamW],
        "training.optimizer.",
        ["training.optimizer=schedule_free_adamw"],
    ),
    ("training.optimizer: sgd", [Sgd], "training.optimizer.", ["training.optimizer=sgd"]),
    ("training.schedule: constant", [Constant], "training.schedule.", ["training.schedule={name: constant}"]),
    ("training.schedule: step", [Step], "training.schedule.", ["training.schedule={name: step}"]),
    (
        "training.schedule: exponential",
        [Exponential],
        "training.schedule.",
        ["training.schedule={name: exponential}"],
    ),
    ("training.schedule: cosine", [Cosine], "training.schedule.", ["training.schedule={name: cosine}"]),
    (
        "training.schedule: one_cycle",
        [OneCycle],
        "training.schedule.",
        ["training.schedule={name: one_cycle}"],
    ),
    ("training.schedule: plateau", [Plateau], "training.schedule.", ["training.schedule={name: plateau}"]),
    (
        "training.decorrelate",
        [Decorrelate],
        "training.decorrelate.",
        ["spectators=[eta]", "training.decorrelate={spectators: [eta]}"],
    ),
    (
        "training.decorrelate.method: flatness",
        [Flatness],
        "training.decorrelate.method.",
        ["spectators=[eta]", "training.decorrelate={spectators: [eta], method: {name: flatness}}"],
    ),
    ("training.early_stopping", [EarlyStopping], "training.early_stopping.", []),
    ("evaluation", [Evaluation], "evaluation.", []),
    (
        "evaluation.luminosity",
        [Luminosity],
        "evaluation.luminosity.",
        ["evaluation.luminosity={of_weights: 1, quoted: 2}"],
    ),
    ("evaluation.reference", [LogDensity, Discriminant], "evaluation.reference.", []),
]


def rows(heading: str) -> dict[str, str]:
    """Give the keys and defaults of the table below a heading."""
    (text,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "models", "prefix", "base"), SECTIONS, ids=[case[0] for case in SECTIONS]
)
def test_every_key_stands_in_the_page(
    heading: str, models: list[type[BaseModel]], prefix: str, base: list[str]
) -> None:
    del prefix, base
    keys = [field.alias or name for model in models for name, field in model.model_fields.items()]
    assert sorted(rows(heading)) == sorted(keys)


@pytest.mark.parametrize(
    ("heading", "models", "prefix", "base"), SECTIONS, ids=[case[0] for case in SECTIONS]
)
def test_every_default_in_the_page_is_the_default(
    minimal: str, heading: str, models: list[type[BaseModel]], prefix: str, base: list[str]
) -> None:
    plain = parse_config(minimal, overrides=base)
    needed = {
        field.alias or name
        for model in models
        for name, field in model.model_fields.items()
        if field.is_required()
    }
    for key, default in rows(heading).items():
        if default.startswith("`"):
            assert key not in needed
            assert parse_config(minimal, overrides=[*base, f"{prefix}{key}={default.strip('`')}"]) == plain, (
                key
            )
        elif key in needed:
            assert default == "needed"


def test_the_full_example_is_right() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    config = parse_config(example)
    assert config.class_names == ("bkg1", "bkg2", "sig")
    assert config.evaluation.reference == Discriminant(discriminant={"sig": "matrix_element"})


def test_the_example_of_the_page_has_every_section() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"^(\w+):", example, re.MULTILINE)) == set(Config.model_fields)
