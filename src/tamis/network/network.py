"""The network: a sequence of layers, from the inputs of one event to one number per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, assert_never

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tamis import config
from tamis.arrays import Float32, Float64
from tamis.errors import RequestError
from tamis.network.embeddings import Embedding, Gains, build_embedding, build_gains
from tamis.network.fixed_point import compute_overflow
from tamis.network.layers import Dense, Mode, count_parameters
from tamis.network.quantized import Quantized
from tamis.network.sparse import Sparse

BATCH_AXIS = "batch"
"""Name of the axis of the events of a batch, for sums over the batch."""


class Network(eqx.Module):
    """A sequence of layers; the last one computes the logits, whose softmax is the scores.

    Args:
        layers: hidden layers and the output layer; with shared members (TabM, arXiv:2410.24210), their output layers
            are stacked in one layer.
        embedding: embedding of the inputs before the first layer.
        gains: factors of the inputs of the first layer, after the embedding.
        scales: the factors by which each shared member multiplies the inputs of the first layer, [members, inputs of
            the first layer]; None without shared members.
    """

    layers: tuple[Any, ...]
    embedding: Embedding | None = None
    gains: Gains | None = None
    scales: jax.Array | None = None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to its logits, [classes], or [members, classes]."""
        logits: jax.Array = map_events(self, x[:, None])[..., 0]
        return logits

    def embed(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to those of the first layer."""
        if self.embedding is not None:
            x = self.embedding(x)
        return x if self.gains is None else self.gains(x)

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, Network]:
        """Map the inputs of one event through embedding and layers; also return the network with its new buffers."""
        x = self.embed(x)
        layers = []
        for number, layer in enumerate(self.layers):
            layer_mode = mode
            if mode is not None:  # each layer needs other random numbers
                layer_mode = mode._replace(seed=mode.seed + jnp.uint32(number * 0xC2B2AE35 % 2**32))
            x, updated = layer.forward(x, layer_mode)
            layers.append(updated)
        return x, eqx.tree_at(lambda network: network.layers, self, tuple(layers))

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int((self.embedding or self.layers[0]).inputs)

    @property
    def outputs(self) -> int:
        """Number of outputs: one per class, or one for two classes."""
        return int(self.layers[-1].outputs)

    @property
    def classes(self) -> int:
        """Number of classes; a single output is for two classes."""
        return max(self.outputs, 2)

    @property
    def shared_members(self) -> int:
        """Number of members that share the layers, 1 without shared members."""
        return 1 if self.scales is None else int(self.scales.shape[0])

    @property
    def random(self) -> bool:
        """Return whether layers need random numbers in training."""
        return any(getattr(layer, "dropout", 0) for layer in self.layers)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of inputs of the first layer, of nodes in each layer, and of outputs."""
        return (int(self.layers[0].inputs), *(int(layer.outputs) for layer in self.layers))

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return count_parameters(self)


def build_network(
    inputs: int,
    classes: int,
    layers: Sequence[config.Layer] | config.Network,
    *,
    random: np.random.Generator,
    outputs: int | None = None,
    training_inputs: Float32 | None = None,
) -> Network:
    """Build a network with initial weights.

    Args:
        inputs: number of inputs, indicators included.
        classes: number of classes.
        layers: the hidden layers, or the section `network`.
        random: generator of the initial weights; each layer draws from a child of it.
        outputs: number of outputs, by default the number of classes; a single output is for two classes.
        training_inputs: preprocessed, [n, inputs], for embeddings that use their quantiles.

    Raises:
        RequestError: a layer does not fit the number of its inputs.

    >>> network = build_network(3, 2, [config.Dense(nodes=6)], random=np.random.default_rng(0))
    >>> network.parameters
    38
    """
    section = layers
    if not isinstance(section, config.Network):
        section = config.Network(
            layers=tuple(layers), embedding=None, gains=None, output_initialisation="random"
        )
    # the order of the children is fixed: another order would change all initial weights
    *streams, output_stream, embedding_stream, sign_stream = random.spawn(len(section.layers) + 3)
    embedding = gains = None
    if section.embedding == "auto":
        raise RequestError("embedding is auto; use tamis.training.recipe.resolve_network to choose one")
    if section.embedding is not None:
        embedding = build_embedding(section.embedding, inputs, training_inputs, random=embedding_stream)
    if section.gains is not None:
        gains = build_gains(section.gains, inputs, embedding)
    inputs = inputs if embedding is None else embedding.outputs
    first, hidden = inputs, []
    for layer, stream in zip(section.layers, streams, strict=True):
        hidden.append(build_layer(layer, inputs, random=stream))
        inputs = layer.nodes
    nodes = outputs or classes
    if section.shared_members == 1:
        return Network(
            (*hidden, _build_output(inputs, nodes, section, random=output_stream)), embedding, gains
        )
    heads = [
        _build_output(inputs, nodes, section, random=stream)
        for stream in output_stream.spawn(section.shared_members)
    ]
    # not with NumPy, because `jax.eval_shape` calls this function with abstract arrays
    output = jax.tree.map(lambda *arrays: jnp.stack(arrays), *heads)
    signs = 1 - 2 * sign_stream.integers(2, size=(section.shared_members, first))
    return Network((*hidden, output), embedding, gains, jnp.asarray(signs.astype(np.float32)))


def build_layer(
    section: config.Layer, inputs: int, *, random: np.random.Generator
) -> Dense | Sparse | Quantized:
    """Build a layer with initial weights.

    Raises:
        RequestError: the layer does not fit the number of its inputs.
    """
    match section:
        case config.Dense():
            return Dense.create(inputs, section, random=random)
        case config.Sparse():
            return Sparse.create(inputs, section, random=random)
        case config.Quantized():
            return Quantized.create(inputs, section, random=random)
        case _:
            assert_never(section)


def _build_output(
    inputs: int, outputs: int, section: config.Network, *, random: np.random.Generator
) -> Dense | Sparse | Quantized:
    output: config.Layer = config.Dense(nodes=outputs, activation="linear")
    if section.quantized_output is not None:
        output = section.quantized_output.layer(outputs)
    layer = build_layer(output, inputs, random=random)
    if section.output_initialisation == "random":
        return layer
    weight = jnp.asarray(np.zeros((outputs, inputs), np.float32))
    zero: Dense | Quantized = eqx.tree_at(lambda layer: getattr(layer, "dense", layer).weight, layer, weight)
    return zero


def map_events(network: Network, inputs: jax.Array) -> jax.Array:
    """Apply the network to events along the last axis, [inputs, n] to [classes, n], or [members, classes, n].

    With events along the last axis, a layer is one product of matrices without transposition, which makes small
    networks fast on a CPU.
    """

    def walk(network: Network, inputs: jax.Array) -> jax.Array:
        return jax.vmap(lambda x: network.forward(x, None)[0], in_axes=1, out_axes=1)(inputs)

    return walk(network, inputs) if network.scales is None else _map_members(network, inputs, walk)


def _map_members(
    network: Network, inputs: jax.Array, walk: Callable[[Network, jax.Array], jax.Array]
) -> jax.Array:
    """Treat the inputs of each shared member as further events: one product of matrices for each shared layer."""
    scales, members = network.scales, network.shared_members
    if scales is None:
        raise ValueError("a network without shared members has no scales")
    inputs = jax.vmap(network.embed, in_axes=1, out_axes=1)(inputs)
    wide = (scales.T[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)
    hidden = walk(Network(network.layers[:-1]), wide).reshape(-1, members, inputs.shape[1])

    def apply_head(head: Dense, x: jax.Array) -> jax.Array:
        return jax.vmap(head, in_axes=1, out_axes=1)(x)

    logits: jax.Array = jax.vmap(apply_head, in_axes=(0, 1))(network.layers[-1], hidden)
    return logits


def compute_first_layer_overflow(network: Network, inputs: Float32) -> Float64 | None:
    """Compute the fraction of events in which each input of the first layer is outside the range of its format.

    The inputs are preprocessed, [n, inputs]; the result is [inputs of the first layer], or None without a format.
    """
    form = network.layers[0].formats.input if isinstance(network.layers[0], Quantized) else None
    if form is None:
        return None
    inputs = np.asarray(jax.vmap(network.embed)(jnp.asarray(inputs)))
    return compute_overflow(inputs, form)


def map_training_events(
    network: Network, inputs: jax.Array, seed: jax.Array, present: jax.Array, *, shared: tuple[str, ...] = ()
) -> tuple[jax.Array, Network]:
    """Apply the network to a batch in training: with dropout, and with batch normalisation.

    Args:
        network: the network before the step.
        inputs: [inputs, n].
        seed: a random number for each event, uint32 [n].
        present: 1, or 0 for padding of the batch, [n].
        shared: names of the axes of a mesh of devices that share the batch.

    Returns:
        The logits, [classes, n] or [members, classes, n], and the network with its new buffers.
    """

    def learn(
        network: Network, inputs: jax.Array, seed: jax.Array, present: jax.Array
    ) -> tuple[jax.Array, Network]:
        def one_event(x: jax.Array, seed: jax.Array, present: jax.Array) -> tuple[jax.Array, Network]:
            return network.forward(x, Mode(seed, present, (BATCH_AXIS, *shared)))

        mapped = jax.vmap(one_event, in_axes=(1, 0, 0), out_axes=(1, None), axis_name=BATCH_AXIS)
        return mapped(inputs, seed, present)

    if network.scales is None:
        return learn(network, inputs, seed, present)
    members = network.shared_members
    numbers = jnp.arange(members, dtype=jnp.uint32)[:, None] * jnp.uint32(0x85EBCA6B)
    seeds = (seed[None, :] + numbers).ravel()
    all_present = jnp.tile(present, members)
    logits = _map_members(network, inputs, lambda trunk, wide: learn(trunk, wide, seeds, all_present)[0])
    return logits, network


def compute_class_logits(logits: jax.Array) -> jax.Array:
    """Convert outputs, [..., outputs, n], to a logit for each class: a single output is that of the second of two."""
    return logits if logits.shape[-2] > 1 else jnp.concatenate([jnp.zeros_like(logits), logits], axis=-2)


def compute_scores_of_logits(logits: jax.Array) -> jax.Array:
    """Compute the scores, [classes, n]: the softmax, averaged over shared members."""
    scores = jax.nn.softmax(compute_class_logits(logits), axis=-2)
    return scores if scores.ndim == 2 else scores.mean(axis=0)
