"""The shipped schema is up to date, accepts what the models accept and refuses what an editor should mark."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tamis.config import json_schema, parse_config
from tamis.config.configuration import SCHEMA_FILE, write_json_schema
from tamis.config.document import read_document
from tamis.errors import ConfigurationError

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": (list, tuple),
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def accepts(schema: Mapping[str, Any], value: object, definitions: Mapping[str, Any]) -> bool:
    """Validate with the keywords of JSON Schema that the configuration uses, and refuse to know any other."""
    return all(_holds(key, schema, value, definitions) for key in schema)


def _holds(key: str, schema: Mapping[str, Any], value: Any, definitions: Mapping[str, Any]) -> bool:
    rule = schema[key]
    match key:
        # the discriminator only says which key tells the kinds apart
        case "$schema" | "$defs" | "title" | "description" | "default" | "discriminator":
            return True
        case "$ref":
            return accepts(definitions[rule.removeprefix("#/$defs/")], value, definitions)
        case "anyOf":
            return any(accepts(choice, value, definitions) for choice in rule)
        case "oneOf":
            return sum(accepts(choice, value, definitions) for choice in rule) == 1
        case "type":
            return isinstance(value, TYPES[rule]) and (rule == "boolean" or not isinstance(value, bool))
        case "const":
            return bool(value == rule)
        case "enum":
            return bool(value in rule)
    if isinstance(value, str):
        return _holds_for_text(key, rule, value)
    if isinstance(value, dict):
        return _holds_for_mapping(key, schema, value, definitions)
    if isinstance(value, list | tuple):
        return _holds_for_list(key, rule, value, definitions)
    return _holds_for_number(key, rule, value)


def _holds_for_text(key: str, rule: Any, value: str) -> bool:
    match key:
        case "minLength":
            return bool(len(value) >= rule)
        case "maxLength":
            return bool(len(value) <= rule)
        case "pattern":
            return re.search(rule, value) is not None
    return True


def _holds_for_number(key: str, rule: Any, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    match key:
        case "minimum":
            return bool(value >= rule)
        case "maximum":
            return bool(value <= rule)
        case "exclusiveMinimum":
            return bool(value > rule)
        case "exclusiveMaximum":
            return bool(value < rule)
    return True


def _holds_for_list(key: str, rule: Any, value: Any, definitions: Mapping[str, Any]) -> bool:
    match key:
        case "items":
            return all(accepts(rule, entry, definitions) for entry in value)
        case "minItems":
            return bool(len(value) >= rule)
        case "maxItems":
            return bool(len(value) <= rule)
    return True


def _holds_for_mapping(
    key: str, schema: Mapping[str, Any], value: dict[str, Any], definitions: Mapping[str, Any]
) -> bool:
    rule = schema[key]
    match key:
        case "properties":
            return all(accepts(rule[name], value[name], definitions) for name in value.keys() & rule.keys())
        case "required":
            return value.keys() >= set(rule)
        case "minProperties":
            return bool(len(value) >= rule)
        case "maxProperties":
            return bool(len(value) <= rule)
        case "propertyNames":
            return all(accepts(rule, name, definitions) for name in value)
        case "patternProperties":
            return all(
                accepts(inner, entry, definitions)
                for pattern, inner in rule.items()
                for name, entry in value.items()
                if re.search(pattern, name)
            )
        case "additionalProperties":
            others = [entry for name, entry in value.items() if name not in schema.get("properties", {})]
            return not others if rule is False else all(accepts(rule, entry, definitions) for entry in others)
    return True


KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "default", "anyOf", "oneOf", "type", "const", "enum",
    "minLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "items", "minItems",
    "maxItems", "discriminator", "properties", "required", "minProperties", "propertyNames", "patternProperties",
    "additionalProperties", "maxProperties", "maxLength",
}  # fmt: skip


def keywords(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*(keywords(entry) for entry in schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    inner = [
        entry
        for key, entry in schema.items()
        if key not in {"$defs", "properties", "patternProperties", "default", "discriminator"}
    ]
    for key in ("$defs", "properties", "patternProperties"):
        inner += schema.get(key, {}).values()
    return schema.keys() | keywords(inner)


def accepted(text: str) -> bool:
    schema = json_schema()
    return accepts(schema, read_document(text).values, schema["$defs"])


def test_the_shipped_schema_is_up_to_date() -> None:
    shipped = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    command = "from tamis.config.configuration import write_json_schema; write_json_schema()"
    assert shipped == json_schema(), f"the models have changed: run python -c '{command}'"


def test_the_schema_is_written_as_json(tmp_path: Any) -> None:
    write_json_schema(tmp_path / "schema.json")
    assert json.loads((tmp_path / "schema.json").read_text(encoding="utf-8")) == json_schema()


def test_every_key_has_a_meaning() -> None:
    schema = json_schema()
    for section in (schema, *schema["$defs"].values()):
        assert section["description"]
        for name, key in section["properties"].items():
            assert key.get("description"), (section["title"], name)


def test_this_file_knows_every_keyword_of_the_schema() -> None:
    assert keywords(json_schema()) <= KNOWN


SHORT = [
    "",
    "spectators: [eta, {name: eta2, expression: eta**2, missing: nan}]",
    "spectators: [{name: eta, missing: [-999, .nan]}]",
    "weights:",
    "weights: {balance: {bkg: 2}}",
    "split: {event_id: event, folds: null}",
    "split: {event_id: [run, event]}",
    "network: {layers: [{nodes: 3}]}",
    "network: {gains: {learning_rate_factor: 3}}",
    "training: {optimizer: sgd, early_stopping: null, devices: 2}",
    "training: {optimizer: {learning_rate: 1e-3}}",
    "training: {optimizer: schedule_free_adamw, time_budget: 5min}",
    "training: {loss: focal, schedule: cosine}",
    "training: {loss: {name: significance, signal: 10, background: 1e3}, schedule: {warm_up: 0.1}}",
    "evaluation: {reference: {discriminant: {sig: d}}}",
    "evaluation: {reference: {log_density: {bkg: a, sig: b}}}",
]


@pytest.mark.parametrize("added", SHORT)
def test_all_spellings_are_accepted(minimal: str, added: str) -> None:
    assert parse_config(minimal + added).class_names == ("bkg", "sig")
    assert accepted(minimal + added)


@pytest.mark.parametrize(
    "added",
    [
        "zzz: 1",
        "name: a/b",
        "seed: true",
        "seed: '1'",
        "seed: -1",
        "spectators: [{expression: eta}]",
        "spectators: [{name: eta, titel: x}]",
        "weights: {balance: all}",
        "weights: {balance: {bkg: 0}}",
        "split: {test: 1}",
        "split: {folds: five}",
        "split: {event_id: []}",
        "network: {layers: [64]}",
        "network: {layers: [{}]}",
        "network: {layers: [{nodes: 1, activation: rleu}]}",
        "training: {optimizer: adma}",
        "training: {optimizer: {name: adam, momentum: 0}}",
        "training: {loss: mse}",
        "training: {loss: {name: significance, signal: 10}}",
        "training: {schedule: {name: cosine, at: [0.5]}}",
        "training: {ema_decay: 1}",
        "training: {epochs: 0}",
        "training: {devices: gpu}",
        "evaluation: {working_points: [1.5]}",
        "evaluation: {reference: {}}",
    ],
)
def test_an_editor_marks_what_is_wrong(minimal: str, added: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_config(minimal + added)
    assert not accepted(minimal + added)


@pytest.mark.parametrize(
    "old", ["class: sig", "files: signal.root", "name: signal, ", "features: [pt, mass]"]
)
def test_an_editor_marks_what_is_absent(minimal: str, old: str) -> None:
    assert not accepted(minimal.replace(f", {old}", "").replace(old, ""))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.floats(0, 2)
    | st.sampled_from(["pt", "bkg", "sig", "adam"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "bkg", "sig", "nodes", "signal", "label"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)
sections = st.sampled_from(
    ["spectators", "weights", "split", "network", "training", "evaluation", "data", "classes"]
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    key=sections,
    inner=st.none() | st.sampled_from(["event_id", "layers", "optimizer", "balance", "bkg"]),
    value=values,
)
def test_what_the_models_accept_the_schema_accepts(
    minimal: str, key: str, inner: str | None, value: object
) -> None:
    plain: dict[str, Any] = parse_config(minimal).model_dump(by_alias=True)
    plain[key] = value if inner is None or not isinstance(plain[key], dict) else {**plain[key], inner: value}
    try:
        parse_config(plain)
    except ConfigurationError:
        return
    schema = json_schema()
    assert accepts(schema, plain, schema["$defs"])
