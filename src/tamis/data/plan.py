"""What is computed from the branches of each sample, as parsed expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.config import Feature, Sample, Spectator
from tamis.data.chunks import Chunk
from tamis.errors import ExpressionError, InputError, Problem
from tamis.expressions import Expression, Values, evaluate, parse
from tamis.expressions.tree import Branch


@dataclass(frozen=True)
class Quantity:
    """A named number per event.

    Args:
        name: its name in tamis.
        expression: how it is computed from branches.
        missing: values that mean "not there"; None where nothing may be missing.
    """

    name: str
    expression: Expression
    missing: tuple[float, ...] | None = None


@dataclass(frozen=True)
class SamplePlan:
    """All that is computed for the events of one sample.

    Args:
        sample: name of the sample.
        class_index: position of its class.
        weight: the physics weight.
        selection: events for which it is false are not used; None keeps all.
        features: inputs of the network, in its order.
        spectators: columns that are carried along.
        reference: known densities or discriminants, carried along.
        identity: columns that identify an event; empty where file and entry do.
        fold: the number whose remainder is the event's fold; None where the identity decides.
    """

    sample: str
    class_index: int
    weight: Expression
    selection: Expression | None
    features: tuple[Quantity, ...]
    spectators: tuple[Quantity, ...]
    reference: tuple[Quantity, ...]
    identity: tuple[Expression, ...]
    fold: Expression | None = None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Every expression of the plan."""
        selection = () if self.selection is None else (self.selection,)
        quantities = (*self.features, *self.spectators, *self.reference)
        fold = () if self.fold is None else (self.fold,)
        return (
            self.weight,
            *selection,
            *self.identity,
            *fold,
            *(quantity.expression for quantity in quantities),
        )

    @property
    def scalars(self) -> frozenset[str]:
        """Branches that are used as one number per event."""
        return frozenset().union(*(expression.scalars for expression in self.expressions))

    @property
    def indexed(self) -> frozenset[str]:
        """Branches that are used with an index."""
        return frozenset().union(*(expression.indexed for expression in self.expressions))


def quantity(section: Feature | Spectator) -> Quantity:
    """Parse a feature or a spectator of the configuration."""
    return Quantity(section.name, parse(section.expression), section.missing)


def plan_sample(
    sample: Sample,
    classes: Sequence[str],
    *,
    features: Sequence[Quantity],
    spectators: Sequence[Quantity] = (),
    reference: Sequence[Quantity] = (),
    identity: Sequence[str] = (),
    fold: str | None = None,
) -> SamplePlan:
    """Parse what one sample needs.

    Args:
        sample: its section of the configuration.
        classes: names of the classes, in the order of the network's outputs.
        features: inputs of the network.
        spectators: columns that are carried along.
        reference: known densities or discriminants.
        identity: columns that identify an event.
        fold: the number whose remainder is the event's fold.
    """
    return SamplePlan(
        sample=sample.name,
        class_index=list(classes).index(sample.class_name),
        weight=parse(sample.weight if isinstance(sample.weight, str) else repr(float(sample.weight))),
        selection=None if sample.selection is None else parse(sample.selection),
        features=tuple(features),
        spectators=tuple(spectators),
        reference=tuple(reference),
        identity=tuple(parse(column) for column in identity),
        fold=None if fold is None else parse(fold),
    )


def evaluate_chunk(expression: Expression, chunk: Chunk, sentinel: Sequence[float] | None = None) -> Values:
    """Compute an expression for every row of a chunk.

    Args:
        expression: what to compute.
        chunk: with the branches that it uses.
        sentinel: values that mean "not there".

    Returns:
        Values, [chunk.length].

    Raises:
        InputError: it cannot be computed; the message names the file.
    """
    try:
        return evaluate(expression, chunk.columns, sentinel=sentinel, length=chunk.length)
    except ExpressionError as error:
        problem = Problem(chunk.source.path, f"entries from {chunk.first_entry}: {error}")
        raise InputError("input files", [problem]) from error


def evaluate_identifier(expression: Expression, chunk: Chunk) -> Values | NDArray[np.uint64]:
    """Compute what identifies an event for every row of a chunk; a branch alone may hold any unsigned number."""
    column = unsigned_column(expression, chunk.columns)
    return evaluate_chunk(expression, chunk) if column is None else column


def unsigned_column(expression: Expression, columns: Mapping[str, Any]) -> NDArray[np.uint64] | None:
    """Return the unsigned numbers of 64 bits of an expression that is a branch of them alone; None for any other."""
    column = columns[expression.tree.name] if isinstance(expression.tree, Branch) else None
    return column if isinstance(column, np.ndarray) and column.dtype == np.uint64 else None


def evaluate_quantity(quantity: Quantity, chunk: Chunk) -> Values:
    """Compute a quantity for every row of a chunk; a declared sentinel becomes NaN."""
    return evaluate_chunk(quantity.expression, chunk, quantity.missing)


def in_32_bits(values: Values) -> NDArray[np.float32]:
    """Give values as the network takes them; what is too large becomes infinite, which is not there."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
