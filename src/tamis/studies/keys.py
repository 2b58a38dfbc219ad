"""The types that describe the keys of `metrics.json`, and the function that reads them from the results."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

ClassName = Annotated[str, Field(description="class")]
FeatureName = Annotated[str, Field(description="feature")]
SpectatorName = Annotated[str, Field(description="spectator")]
Interval = tuple[float, float] | None


def key(description: str, source: str | None = None, alias: str | None = None) -> Any:
    """Describe a key.

    Args:
        description: its meaning.
        source: name of the attribute that it is read from, if that is another one; dots lead to attributes of it, for a
            tuple to the attribute of each item.
        alias: its name, if that is a word of Python.
    """
    return Field(description=description, validation_alias=source, serialization_alias=alias)


class Keys(BaseModel):
    """An object of `metrics.json`; each field is a key."""

    model_config = ConfigDict(frozen=True)


class Intervals(Keys):
    """68.3% intervals; null if there are too few events, or if a number is undefined or at its bound."""

    loss: Interval = key("of the loss")
    accuracy: Interval = key("of the accuracy")
    auc: Mapping[ClassName, Interval] = key("of the areas under the ROC curves")


def read_keys(kind: Any, value: Any, class_names: Sequence[str]) -> Any:
    """Return a value as JSON of some type; the keys of an object are read from its attributes or items.

    Numbers by class may be a sequence in the order of the classes; NaN becomes null.

    Example:
        >>> class Loss(Keys):
        ...     by_class: Mapping[ClassName, float | None] = key("loss of each class", "losses")
        >>> read_keys(Loss, {"losses": (0.5, math.nan)}, ("bkg", "sig"))
        {'by_class': {'bkg': 0.5, 'sig': None}}
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    origin, arguments = get_origin(kind), [item for item in get_args(kind) if item is not NoneType]
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if origin in (Union, UnionType):
        if len(arguments) > 1:  # a number, or several
            return value
        # results have an empty text where the file has null
        return None if value == "" else read_keys(arguments[0], value, class_names)
    if origin is Mapping:
        items = value.items() if isinstance(value, Mapping) else zip(class_names, value, strict=True)
        return {name: read_keys(arguments[1], item, class_names) for name, item in items}
    if origin is tuple and arguments[-1] is Ellipsis:
        return [read_keys(arguments[0], item, class_names) for item in value]
    if isinstance(kind, type) and (issubclass(kind, Keys) or dataclasses.is_dataclass(kind)):
        return {
            name: read_keys(of_key, _read(value, source), class_names)
            for name, source, of_key in _list_keys(kind)
        }
    return value


@cache
def _list_keys(kind: type) -> list[tuple[str, str, Any]]:
    """Return the name, the source and the type of each key of an object; a dataclass describes itself."""
    if issubclass(kind, Keys):
        return [
            (field.serialization_alias or name, str(field.validation_alias or name), field.annotation)
            for name, field in kind.model_fields.items()
        ]
    return [(name, name, of_field) for name, of_field in get_type_hints(kind).items()]


def _read(value: Any, source: str) -> Any:
    """Return an attribute of an object, or an item of a mapping."""
    if value is None or not source:
        return value
    if isinstance(value, tuple):
        return tuple(_read(item, source) for item in value)
    name, _, inner_source = source.partition(".")
    return _read(value[name] if isinstance(value, Mapping) else getattr(value, name), inner_source)
