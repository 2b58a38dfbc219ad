"""Results with arrays are not compared field by field, because `==` of arrays raises."""

from __future__ import annotations

import dataclasses
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module

import tamis.statistics

ARRAYS = {"Float64", "FloatArray", "Mask", "NDArray", "Units"}


def result_classes() -> Iterator[type]:
    for module in pkgutil.iter_modules(tamis.statistics.__path__):
        content = import_module(f"tamis.statistics.{module.name}")
        yield from (
            value
            for value in vars(content).values()
            if isinstance(value, type)
            and dataclasses.is_dataclass(value)
            and value.__module__ == content.__name__
        )


def test_results_with_arrays_have_no_equality_of_fields() -> None:
    classes = {kind.__name__: kind for kind in result_classes()}
    words = {
        name: {word for field in dataclasses.fields(kind) for word in re.findall(r"\w+", str(field.type))}
        for name, kind in classes.items()
    }
    with_arrays = set(ARRAYS)
    # results of results: until no further class has an array
    while more := {name for name in words if words[name] & with_arrays} - with_arrays:
        with_arrays |= more
    compared = [name for name in with_arrays & classes.keys() if classes[name].__dataclass_params__.eq]
    assert compared == []
