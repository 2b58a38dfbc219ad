"""Write docs/metrics.md and the JSON Schema of metrics.json, after every change of its keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tamis.pipeline.metrics_schema import SCHEMA_FILE, metrics_schema

PAGE = Path(__file__).with_name("metrics.md")
_KINDS = {
    "number": "number",
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}
_INTRODUCTION = """\
# Every key of metrics.json

[metrics.json](run_directory.md#metricsjson) holds the numbers that a run quotes. Each key below is always there; its
value is `null` where there is no result. "By class" is an object with one entry for each class. The JSON Schema
`src/tamis/pipeline/metrics.schema.json` says the same for programs.
"""


def _type(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words, with links to the tables."""
    match schema:
        case {"$ref": reference}:
            name = reference.removeprefix("#/$defs/")
            return f"[{name}](#{name.lower()})"
        case {"anyOf": choices}:
            return " or ".join(_type(choice) for choice in choices)
        case {"enum": values}:
            return " or ".join(f"`{value}`" for value in values)
        case {"type": "array", "prefixItems": items}:
            return f"[{', '.join(map(_type, items))}]"
        case {"type": "array", "items": items}:
            return f"list of {_in_brackets(items)}"
        case {"type": "object", "additionalProperties": values}:
            names = schema.get("propertyNames", {}).get("description", "name")
            return f"by {names}: {_in_brackets(values)}"
        case _:
            return _KINDS[schema["type"]]


def _in_brackets(schema: Mapping[str, Any]) -> str:
    return f"({_type(schema)})" if "anyOf" in schema else _type(schema)


def _table(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | value | meaning |"
    yield "|---|---|---|"
    for key, value in schema["properties"].items():
        yield f"| `{key}` | {_type(value)} | {value['description']} |"


def _referenced(schema: Any) -> Iterator[str]:
    """Return the names of the definitions that a schema refers to, in their order."""
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix("#/$defs/")
        for key, value in schema.items():
            if key != "$defs":
                yield from _referenced(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _referenced(item)


def metrics_page() -> str:
    """Return the page: a table for the top of the file, then one for each kind of object in it."""
    schema = metrics_schema()
    definitions = schema["$defs"]
    lines = [_INTRODUCTION, *_table(schema)]
    names = list(dict.fromkeys(_referenced(schema)))
    for name in names:  # grows on the way
        lines += ["", f"## {name}", "", definitions[name]["description"], "", *_table(definitions[name])]
        names += [inner for inner in dict.fromkeys(_referenced(definitions[name])) if inner not in names]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(
        json.dumps(metrics_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    PAGE.write_text(metrics_page(), encoding="utf-8")
