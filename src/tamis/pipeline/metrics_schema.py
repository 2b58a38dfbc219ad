"""The JSON Schema of `metrics.json`, built from the types of its content.

Each `Study` describes its keys; this module describes the rest. Objects that are written from a dataclass are described
by that dataclass.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from tamis.data.flatten import Flattened
from tamis.studies import describe_keys
from tamis.studies.keys import ClassName, FeatureName, Keys, key

SCHEMA_FILE = Path(__file__).with_name("metrics.schema.json")
"""The schema as the package ships it."""


class LayerMetrics(Keys):
    """The cost of a layer."""

    kind: str = key("`dense`, `sparse` or `quantized`")
    inputs: int = key("number of inputs")
    outputs: int = key("number of nodes")
    parameters: int = key("number of weights, biases and scales, including masked weights")
    non_zeros: int = key("number of weights that are not zero")
    multiplications: int = key("of inputs by weights, for one event")
    formats: Mapping[str, str | None] | None = key("fixed-point formats of a quantized layer")
    input_bits: int | None = key("bits of the inputs of a quantized layer")
    ebops: int | None = key("effective bit operations of a quantized layer")


class DeadNodes(Keys):
    """Nodes that are zero for every event."""

    events: int = key("number of events in the search")
    networks: tuple[tuple[int | None, ...], ...] = key(
        "number in each hidden layer of each network; null for a layer that cannot have any"
    )


class NetworkMetrics(Keys):
    """Size and cost of the network."""

    inputs: int = key("number of inputs")
    parameters: int = key("number of parameters of one network")
    networks: int = key("number of networks")
    shared_members: int = key("`network.shared_members`")
    layers: tuple[LayerMetrics, ...] = key("from the inputs to the outputs")
    overflow: Mapping[FeatureName, float] = key(
        "fraction of training events beyond the fixed-point range of an input"
    )
    dead_nodes: DeadNodes = key("hidden nodes that are zero for every event")


class ClassScaling(Keys):
    """A correction of the scores."""

    scale: Mapping[ClassName, float] = key("factors of the logarithms of the scores")
    offset: Mapping[ClassName, float] = key("offsets")


class AppliedCalibration(Keys):
    """The correction that is part of the scores."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, ClassScaling]
    method: Literal["temperature", "vector"] = key("`training.calibration`")
    of_all: ClassScaling = key(
        "of the average of all networks; `of_fold_0`, ... are those of the networks that a fold was held out from"
    )


class HistoryMetrics(Keys):
    """The training of one member; `history.json` has every epoch."""

    fold: int | None = key("the fold that the member was trained without; null without folds")
    seed: int = key("of its random numbers")
    epochs: int = key("number of epochs")
    best_epoch: int = key("number of the epoch whose weights are used")
    stop_reason: str = key("why the training ended")


class Timing(Keys):
    """Device and wall times."""

    device: str = key("devices of the training")
    train_seconds: float = key(
        "sum over the epochs; for several networks the wall time of the stage `training`"
    )
    events_per_second: float = key("training events per second of training")
    stages: Mapping[str, float] = key("wall time of each stage in seconds")


class _Classes(Keys):
    """The first key."""

    classes: tuple[ClassName, ...] = key("in the order of the outputs of the network")


class _Run(Keys):
    """The numbers that a run quotes, as in `metrics.json`; null if there is no result."""

    network: NetworkMetrics = key("its size and cost")
    class_weights: Mapping[ClassName, float] = key("factor of each class in the loss")
    flattened: Mapping[ClassName, Flattened] | None = key(
        "cost of the flattening; null without `weights.flatten`"
    )
    applied_calibration: AppliedCalibration | None = key("null without `training.calibration`")
    history: tuple[HistoryMetrics, ...] = key("of each member of the ensemble")
    timing: Timing = key("of the run")


class _SchemaOfDataclasses(GenerateJsonSchema):
    """The generator of the schema; it describes the fields of dataclasses as their docstrings do."""

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        json_schema = super().dataclass_schema(schema)
        descriptions = dict(_describe_fields(schema["cls"]))
        for name, of_field in json_schema["properties"].items():
            of_field["description"] = re.sub(r"\bNone\b", "null", descriptions[name])
        return {**json_schema, "description": (schema["cls"].__doc__ or "").split("\n")[0]}


def _describe_fields(kind: type) -> Iterator[tuple[str, str]]:
    """Yield the fields of a dataclass with their descriptions in its docstring and those of its parents."""
    for parent in kind.__mro__:
        arguments = inspect.cleandoc(parent.__doc__ or "").partition("Args:\n")[2]
        for name, text in re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", arguments, re.MULTILINE):
            yield name, " ".join(text.split()).rstrip(".")


def metrics_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `metrics.json`; each key is required, and no other is allowed.

    Example:
        >>> metrics_schema()["properties"]["history"]["description"]
        'of each member of the ensemble'
    """
    # a model has the keys of its last base first
    metrics = create_model("Metrics", __base__=(_Run, describe_keys(), _Classes), __doc__=_Run.__doc__)
    schema = metrics.model_json_schema(mode="serialization", schema_generator=_SchemaOfDataclasses)
    for definition in (schema, *schema["$defs"].values()):
        definition.setdefault("additionalProperties", False)
        definition["required"] = list(definition["properties"])
    return {"$schema": GenerateJsonSchema.schema_dialect, **_without_titles(schema)}


def _without_titles(schema: Any) -> Any:
    """Return a schema without the titles that pydantic derives from the keys."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(item)
        for key, item in schema.items()
        if key != "title" or not isinstance(item, str)
    }
