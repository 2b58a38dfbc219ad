"""In what configurations differ, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from tamis.config.configuration import Config


@dataclass(frozen=True)
class DifferentValue:
    """One place where configurations differ.

    Args:
        path: where it stands; an entry of a list that has a name is called by it: `features[pt].expression`.
        values: what stands there in each configuration, as YAML on one line; empty where there is no such place.
    """

    path: str
    values: tuple[str, ...]


def configuration_differences(configs: Sequence[Config]) -> tuple[DifferentValue, ...]:
    """Find every place where configurations differ, defaults included, in the order of the sections.

    Lists of what has a name (samples, features) are compared name by name, so that one more feature is one row, and
    their order counts nowhere but for the classes; other lists of sections are compared entry by entry, and lists of
    plain values as a whole.

    Args:
        configs: of the runs.

    Returns:
        A row for each place; nothing where all are equal.

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


class _Absent:
    """Stands where a configuration has nothing."""


_ABSENT = _Absent()


def _rows(path: str, values: Sequence[object]) -> Iterator[DifferentValue]:
    tables = [_table(value) for value in values]
    if not all(tables) or (path and _kinds_differ(values)):
        texts = tuple(_text(value) for value in values)
        if len(set(texts)) > 1:
            yield DifferentValue(path, texts)
        return
    listed = isinstance(values[0], list | tuple)
    for key in dict.fromkeys(key for table in tables for key in table):
        place = f"{path}[{key}]" if listed else f"{path}.{key}" if path else str(key)
        yield from _rows(place, [table.get(key, _ABSENT) for table in tables])


def _kinds_differ(values: Sequence[object]) -> bool:
    """Say whether sections are of different types, such as two optimizers, whose keys mean different things."""
    sections = [value for value in values if isinstance(value, Mapping)]
    kinds = [[value.get(key) for key in ("type", "name")] for value in sections]
    named = [[kind for kind in each if isinstance(kind, str)] for each in kinds]
    return any(each != named[0] for each in named)


def _table(value: object) -> Mapping[object, object]:
    """Give the entries of a mapping, or of a list of sections; nothing for what is compared as a whole."""
    if isinstance(value, Mapping):
        return value
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(each, Mapping) for each in value)
    ):
        return {}
    names = [each.get("name") for each in value]
    return dict(zip(names if _are_names(names) else range(len(value)), value, strict=True))


def _are_names(names: Sequence[object]) -> bool:
    return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


def _text(value: object) -> str:
    if isinstance(value, _Absent):
        return ""
    text = yaml.safe_dump(
        _plain(value), default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
