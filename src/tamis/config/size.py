"""How many weights the networks of a configuration have, told before a number of them is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LARGEST = 250_000_000
"""Weights of all networks together: 1 GB of 32-bit numbers, and several times that while they learn."""
MOST_PASSES = 2**14
"""How often the networks of a classifier are computed for an event at most: networks times draws of symmetries."""


def count_weights(
    inputs: int,
    nodes: Sequence[int],
    outputs: int,
    *,
    embedding: Mapping[str, object],
    members: int = 1,
) -> int:
    """Count the weights of a network; biases and other small parts are left out.

    Args:
        inputs: of the network, before its embedding.
        nodes: of the hidden layers.
        outputs: of the output layer.
        embedding: as the configuration writes it; empty where there is none.
        members: networks that share the hidden layers.

    Example:
        >>> count_weights(3, [6, 6], 3, embedding={})
        72
        >>> count_weights(3, [6], 2, embedding={"type": "piecewise_linear", "bins": 16})
        351
    """
    first, own = _embedded(inputs, embedding)
    total, before = own, first
    for each in nodes:
        total, before = total + before * each, each
    return total + members * before * outputs + (members * first if members > 1 else 0)


def _embedded(inputs: int, embedding: Mapping[str, object]) -> tuple[int, int]:
    """Give the inputs of the first layer, and the numbers that the embedding itself has."""
    match embedding.get("type"):
        case "periodic":
            frequencies, nodes = whole(embedding.get("frequencies"), 8), whole(embedding.get("nodes"), 8)
            return inputs * (1 + nodes), inputs * (frequencies + nodes + 2 * nodes * frequencies)
        case "piecewise_linear":
            bins = whole(embedding.get("bins"), 16)
            return inputs * bins, inputs * (bins + 1)
        case _:
            return inputs, 0


def whole(value: object, default: int) -> int:
    """Give a positive whole number, 2^40 where it is larger, and the default for anything else.

    Args:
        value: as the configuration has it.
        default: what it means where it is left out.
    """
    return (
        min(value, 2**40) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default
    )
