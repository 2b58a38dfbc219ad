"""The expressions of each sample, parsed, and their evaluation on chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float32
from tamis.config import Feature, Sample, Spectator
from tamis.data.chunks import Chunk
from tamis.errors import ExpressionError, InputError, Problem
from tamis.expressions import Expression, Values, collect_branches, evaluate, parse
from tamis.expressions.tree import Branch


@dataclass(frozen=True)
class Quantity:
    """A named number per event; `missing` are the values that mark a missing value, None if no value may be missing."""

    name: str
    expression: Expression
    missing: tuple[float, ...] | None = None


@dataclass(frozen=True)
class SamplePlan:
    """The parsed expressions of one sample.

    Args:
        class_index: position of its class.
        selection: events for which it is false are not used; None uses all.
        features: inputs of the network, in its order.
        id_columns: columns of the event ID; empty if the ID is made of file and entry.
        fold: the number whose remainder is the fold of an event; None if the event ID determines the fold.
    """

    sample: str
    class_index: int
    weight: Expression
    selection: Expression | None
    features: tuple[Quantity, ...]
    spectators: tuple[Quantity, ...]
    reference: tuple[Quantity, ...]
    id_columns: tuple[Expression, ...]
    fold: Expression | None = None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Every expression of the plan."""
        quantities = (*self.features, *self.spectators, *self.reference)
        expressions = (
            self.weight, self.selection, *self.id_columns, self.fold, *(quantity.expression for quantity in quantities)
        )  # fmt: skip
        return tuple(expression for expression in expressions if expression is not None)

    @property
    def branches(self) -> frozenset[str]:
        """All branches that are read."""
        return collect_branches(self.expressions)


def parse_quantity(section: Feature | Spectator) -> Quantity:
    """Parse a feature or a spectator of the configuration."""
    return Quantity(section.name, parse(section.expression), section.missing)


def plan_sample(
    sample: Sample,
    classes: Sequence[str],
    *,
    features: Sequence[Quantity],
    spectators: Sequence[Quantity] = (),
    reference: Sequence[Quantity] = (),
    id_columns: Sequence[str] = (),
    fold: str | None = None,
) -> SamplePlan:
    """Parse the expressions of one sample; the arguments are the fields of `SamplePlan`."""
    return SamplePlan(
        sample=sample.name,
        class_index=list(classes).index(sample.class_name),
        weight=parse(sample.weight if isinstance(sample.weight, str) else repr(float(sample.weight))),
        selection=None if sample.selection is None else parse(sample.selection),
        features=tuple(features),
        spectators=tuple(spectators),
        reference=tuple(reference),
        id_columns=tuple(parse(column) for column in id_columns),
        fold=None if fold is None else parse(fold),
    )


def evaluate_chunk(expression: Expression, chunk: Chunk, sentinel: Sequence[float] | None = None) -> Values:
    """Compute an expression for every row of a chunk, [chunk.length]; an `InputError` names the file."""
    try:
        return evaluate(expression, chunk.columns, sentinel=sentinel, length=chunk.length)
    except ExpressionError as error:
        problem = Problem(chunk.source.path, f"entries from {chunk.first_entry}: {error}")
        raise InputError("input files", [problem]) from error


def evaluate_identifier(expression: Expression, chunk: Chunk) -> Values | NDArray[np.uint64]:
    """Compute a column of the event ID for every row of a chunk; a single branch may hold any unsigned integer."""
    column = get_unsigned_column(expression, chunk.columns)
    return evaluate_chunk(expression, chunk) if column is None else column


def get_unsigned_column(expression: Expression, columns: Mapping[str, Any]) -> NDArray[np.uint64] | None:
    """Return the column of an expression that is a single branch of 64-bit unsigned integers; None for all others.

    Expressions are evaluated in 64-bit floats, which would round such integers above 2^53.
    """
    column = columns[expression.tree.name] if isinstance(expression.tree, Branch) else None
    return column if isinstance(column, np.ndarray) and column.dtype == np.uint64 else None


def evaluate_quantity(quantity: Quantity, chunk: Chunk) -> Values:
    """Compute a quantity for every row of a chunk; a declared sentinel becomes NaN."""
    return evaluate_chunk(quantity.expression, chunk, quantity.missing)


def convert_to_32_bits(values: Values) -> Float32:
    """Convert values to the 32 bits of the network's input; too large ones become infinite and count as missing."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
