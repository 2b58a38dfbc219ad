"""The JSON Schema of the configuration, with which editors complete and check it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tamis.config.configuration import Config

SCHEMA_FILE = Path(__file__).with_name("tamis.schema.json")
"""The schema as the package ships it."""


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of the YAML file.

    Returns:
        A schema of draft 2020-12 with the keys, their meaning, their types and limits, and the shorthands. It
        does not know facts across fields, such as the names of classes.

    Example:
        >>> json_schema()["required"]
        ['samples', 'classes', 'features']
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(by_alias=True),
    }


def write_json_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the JSON Schema to a file; the one in the package is written after every change of the models.

    Args:
        path: the file.
    """
    path.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
