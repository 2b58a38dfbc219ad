"""The number of weights of the networks, known before they are allocated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LARGEST = 250_000_000
"""Weights of all networks together: 1 GB of 32-bit numbers, and several times as much during the training."""
MOST_PASSES = 2**14
"""Forward passes for one event at most: networks times copies of the event (test-time augmentation)."""


def count_weights(
    inputs: int,
    nodes: Sequence[int],
    outputs: int,
    *,
    embedding: Mapping[str, object],
    members: int = 1,
) -> int:
    """Count the weights of a network; biases and other small arrays do not count.

    Args:
        inputs: of the network, before its embedding.
        nodes: of the hidden layers.
        outputs: of the output layer.
        embedding: section of the configuration; empty if there is none.
        members: networks that share the hidden layers.

    Example:
        >>> count_weights(3, [6, 6], 3, embedding={})
        72
        >>> count_weights(3, [6], 2, embedding={"type": "piecewise_linear", "bins": 16})
        351
    """
    embedded_inputs, total = _count_embedding(inputs, embedding)
    previous = embedded_inputs
    for layer_nodes in nodes:
        total, previous = total + previous * layer_nodes, layer_nodes
    return total + members * previous * outputs + (members * embedded_inputs if members > 1 else 0)


def _count_embedding(inputs: int, embedding: Mapping[str, object]) -> tuple[int, int]:
    """Return the number of inputs of the first layer, and the number of parameters of the embedding."""
    match embedding.get("type"):
        case "periodic":
            frequencies, nodes = (
                positive_integer(embedding.get(key), default)
                for key, default in (("frequencies", 8), ("nodes", 4))
            )
            return inputs * (1 + nodes), inputs * (frequencies + nodes + 2 * nodes * frequencies)
        case "piecewise_linear":
            bins = positive_integer(embedding.get("bins"), 16)
            return inputs * bins, inputs * (bins + 1)
        case _:
            return inputs, 0


def positive_integer(value: object, default: int) -> int:
    """Return a positive whole number, at most 2^40, or the default for any other value."""
    return min(value, 2**40) if type(value) is int and value > 0 else default
