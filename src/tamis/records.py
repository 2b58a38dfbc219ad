"""Results as JSON: nested frozen dataclasses are written, and read back equal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Record = TypeVar("Record")


def _array_to_json(array: NDArray[Any]) -> dict[str, Any]:
    values = _without_infinities(array.ravel().tolist())
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": values}


def _array_from_json(value: Any) -> NDArray[Any]:
    """Return an array as it is, or read it from what `_array_to_json` wrote."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, Mapping) or value.keys() != {"dtype", "shape", "values"}:
        raise ValueError("expected an array: dtype, shape and values")
    dtype = np.dtype(value["dtype"])
    if dtype.kind not in "biuf":
        raise ValueError(f"expected an array of numbers, found dtype {dtype}")
    return np.array(value["values"], dtype).reshape(value["shape"])


class _AsJson:
    """The pydantic schema that writes and reads an array."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema  # processes that draw figures do not need it

        return core_schema.no_info_plain_validator_function(
            _array_from_json,
            serialization=core_schema.plain_serializer_function_ser_schema(_array_to_json),
        )


FloatArray = Annotated[NDArray[np.float64], _AsJson()]
"""A 64-bit array that is a field of a result."""


def _build_adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # as above

    return TypeAdapter(kind)


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(_build_adapter)


def to_json(record: Any) -> str:
    """Return a result as JSON text.

    Args:
        record: a frozen dataclass whose fields are numbers, texts, None, tuples, mappings, arrays (`FloatArray`) and
            frozen dataclasses.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Point:
        ...     x: float
        >>> to_json(Point(0.5))
        '{"x": 0.5}'
        >>> from_json(Point, '{"x": "Infinity"}')
        Point(x=inf)
    """
    plain = _adapter(type(record)).dump_python(record, mode="json")
    return json.dumps(_without_infinities(plain), allow_nan=False)


def _without_infinities(value: Any) -> Any:
    """Replace infinite numbers and NaN, which JSON does not have, by texts that are read as numbers."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {key: _without_infinities(item) for key, item in value.items()}
        case list():
            return [_without_infinities(item) for item in value]
        case _:
            return value


def from_json(kind: type[Record], text: str) -> Record:
    """Return the result that `to_json` wrote, as a dataclass of this kind.

    Raises:
        ValueError: the text is not JSON, or does not describe a result of this kind.
    """
    record: Record = _adapter(kind).validate_json(text)
    # pydantic ignores unknown keys of dataclasses
    if json.loads(text) != json.loads(to_json(record)):
        raise ValueError(f"has keys or values that {kind.__name__} does not have")
    return record
