"""Differences of configurations as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from tamis.config.configuration import Config

_ABSENT = object()
"""The value of a key that a configuration does not have."""


@dataclass(frozen=True)
class DifferentValue:
    """One key in which configurations differ.

    Args:
        path: of the key; an entry of a list that has a name is written with it: `features[pt].expression`.
        values: in each configuration, as YAML on one line; empty if the configuration does not have the key.
    """

    path: str
    values: tuple[str, ...]


def configuration_differences(configs: Sequence[Config]) -> tuple[DifferentValue, ...]:
    """Return every difference of configurations, defaults included, in the order of the sections.

    Lists of entries with a name (samples, features) are compared name by name, so that one more feature is one row, and
    their order does not matter except for classes. Other lists of sections are compared entry by entry, and lists of
    plain values as a whole.

    Example:
        >>> from tamis.config.load import parse_config
        >>> samples = [{"name": name, "class": name, "files": f"{name}.root"} for name in ("bkg", "sig")]
        >>> base = {"samples": samples, "classes": {"bkg": {}, "sig": {"signal": True}}, "features": ["pt"]}
        >>> other = {**base, "features": ["pt", "eta"], "training": {"epochs": 5}}
        >>> for row in configuration_differences([parse_config(base), parse_config(other)]):
        ...     print(row.path, row.values)
        features[eta] ('', '{name: eta, expression: eta, unit: null, label: null, missing: null}')
        training.epochs ('auto', '5')
    """
    documents = [config.model_dump(by_alias=True) for config in configs]
    rows = list(_rows("", documents))
    orders = [_text(list(config.classes)) for config in configs]
    if len(set(orders)) > 1 and len({_text(sorted(config.classes)) for config in configs}) == 1:
        rows.append(DifferentValue("order of classes", tuple(orders)))
    return tuple(rows)


def _rows(path: str, values: Sequence[object]) -> Iterator[DifferentValue]:
    tables = [_table(value) for value in values]
    if not all(tables) or (path and _kinds_differ(values)):
        texts = tuple(_text(value) for value in values)
        if len(set(texts)) > 1:
            yield DifferentValue(path, texts)
        return
    is_list = isinstance(values[0], tuple)
    for key in dict.fromkeys(key for table in tables for key in table):
        key_path = f"{path}[{key}]" if is_list else f"{path}.{key}" if path else str(key)
        yield from _rows(key_path, [table.get(key, _ABSENT) for table in tables])


def _kinds_differ(values: Sequence[object]) -> bool:
    """Return whether sections are of different types, such as two optimizers, whose keys mean different things."""
    sections = [value for value in values if isinstance(value, Mapping)]
    kinds = [
        [kind for key in ("type", "name") if isinstance(kind := section.get(key), str)]
        for section in sections
    ]
    return any(kind != kinds[0] for kind in kinds)


def _table(value: object) -> Mapping[object, object]:
    """Return the entries of a mapping or of a list of sections; nothing for values that are compared as a whole."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, tuple) or not all(isinstance(entry, Mapping) for entry in value):
        return {}
    names = [entry.get("name") for entry in value]
    are_names = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return dict(zip(names if are_names else range(len(value)), value, strict=True))


def _text(value: object) -> str:
    """Write a value as YAML on one line."""
    if value is _ABSENT:
        return ""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
