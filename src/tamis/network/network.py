"""The network: layers in a row, from the inputs of one event to one number per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, assert_never

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.config import Dense as DenseSection
from tamis.config import Layer as LayerSection
from tamis.config import Network as NetworkSection
from tamis.config import Quantized as QuantizedSection
from tamis.config import Sparse as SparseSection
from tamis.network.embeddings import Embedding, build_embedding
from tamis.network.fixed_point import overflowing
from tamis.network.layers import Buffer, Dense, Mode
from tamis.network.quantized import Quantized
from tamis.network.sparse import Sparse

BATCH_AXIS = "batch"
"""Name of the axis along which the events of a batch lie, for sums over the batch."""


class Network(eqx.Module):
    """Layers in a row; the last one gives the logits, whose softmax are the scores.

    Args:
        layers: hidden layers and the output layer; with several members, the output layers of all of them are one
            stacked layer.
        embedding: what each input becomes before the first layer.
        scales: with several members, what each of them multiplies the inputs of the first layer by (TabM,
            arXiv:2410.24210), [members, inputs of the first layer].
    """

    layers: tuple[Any, ...]
    embedding: Embedding | None = None
    scales: jax.Array | None = None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to its logits, [classes], or [members, classes]."""
        logits: jax.Array = map_events(self, x[:, None])[..., 0]
        return logits

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, Network]:
        """Map the inputs of one event through the layers that the members share; also give the new buffers."""
        if self.embedding is not None:
            x = self.embedding(x)
        x, layers = _walk(self.layers, x, mode)
        return x, eqx.tree_at(lambda network: network.layers, self, layers)

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
        """Number of classes; one output stands for two."""
        return max(self.outputs, 2)

    @property
    def members(self) -> int:
        """Number of networks that share the layers."""
        return 1 if self.scales is None else int(self.scales.shape[0])

    @property
    def random(self) -> bool:
        """Whether its layers need random numbers while they learn."""
        return any(getattr(layer, "dropout", 0) for layer in self.layers)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of inputs of the first layer, of nodes in each layer, and of outputs."""
        return (int(self.layers[0].inputs), *(int(layer.outputs) for layer in self.layers))

    @property
    def parameters(self) -> int:
        """Number of weights and biases, and of what else is learned."""
        leaves = jax.tree.leaves(self, is_leaf=lambda leaf: isinstance(leaf, Buffer))
        return sum(int(np.prod(leaf.shape)) for leaf in leaves if not isinstance(leaf, Buffer))


def _walk(layers: Sequence[Any], x: jax.Array, mode: Mode | None) -> tuple[jax.Array, tuple[Any, ...]]:
    after = []
    for number, layer in enumerate(layers):
        own = (
            None if mode is None else mode._replace(seed=mode.seed + jnp.uint32(number * 0xC2B2AE35 % 2**32))
        )
        x, new = layer.forward(x, own)
        after.append(new)
    return x, tuple(after)


def build_network(
    inputs: int,
    classes: int,
    layers: Sequence[LayerSection] | NetworkSection,
    *,
    random: np.random.Generator,
    outputs: int | None = None,
    sample: NDArray[np.float32] | None = None,
) -> Network:
    """Build a network with initial weights.

    Args:
        inputs: number of inputs, indicators included.
        classes: number of classes.
        layers: the hidden layers, or the whole section `network`.
        random: generator of the initial weights; each layer draws from a child of it.
        outputs: number of outputs, the number of classes by default; 1 stands for two classes.
        sample: preprocessed training inputs, [n, inputs], for embeddings that follow their quantiles.

    >>> network = build_network(3, 2, [DenseSection(nodes=6)], random=np.random.default_rng(0))
    >>> network.parameters
    38
    """
    section = layers if isinstance(layers, NetworkSection) else plain_section(layers)
    count = len(section.layers) + 1
    *own, last, embedded, signed = random.spawn(count + 2)
    embedding = None
    if section.embedding is not None:
        embedding = build_embedding(section.embedding, inputs, sample, random=embedded)
        inputs = embedding.outputs
    first, hidden = inputs, []
    for each, stream in zip(section.layers, own, strict=True):
        hidden.append(build_layer(each, inputs, random=stream))
        inputs = each.nodes
    nodes = outputs or classes
    if section.members == 1:
        return Network((*hidden, _output(inputs, nodes, section, random=last)), embedding)
    members = [_dense_output(inputs, nodes, section, random=each) for each in last.spawn(section.members)]
    # not with NumPy: where shapes alone are asked for, there are no numbers
    heads: Dense = jax.tree.map(lambda *each: jnp.stack(each), *members)
    signs = 1 - 2 * signed.integers(2, size=(section.members, first))
    return Network((*hidden, heads), embedding, jnp.asarray(signs.astype(np.float32)))


def plain_section(layers: Sequence[LayerSection]) -> NetworkSection:
    """Give the section of a network of these layers and nothing else."""
    return NetworkSection(layers=tuple(layers), embedding=None, output="random")


def build_layer(
    section: LayerSection, inputs: int, *, random: np.random.Generator
) -> Dense | Sparse | Quantized:
    """Build a hidden layer with initial weights.

    Args:
        section: as configured.
        inputs: number of inputs of the layer.
        random: generator of the initial weights; each layer draws from a child of it.

    Raises:
        RequestError: the layer does not fit the number of its inputs.
    """
    match section:
        case DenseSection():
            return Dense.create(inputs, section, random=random)
        case SparseSection():
            return Sparse.create(inputs, section, random=random)
        case QuantizedSection():
            return Quantized.create(inputs, section, random=random)
        case _:
            assert_never(section)


def _output(
    inputs: int, outputs: int, section: NetworkSection, *, random: np.random.Generator
) -> Dense | Quantized:
    if section.quantized_output is None:
        return _dense_output(inputs, outputs, section, random=random)
    layer = Quantized.create(inputs, section.quantized_output.layer(outputs), random=random)
    if section.output == "random":
        return layer
    zero: Quantized = eqx.tree_at(lambda each: each.dense.weight, layer, replace_fn=_zeros)
    return zero


def _dense_output(
    inputs: int, outputs: int, section: NetworkSection, *, random: np.random.Generator
) -> Dense:
    layer = Dense.create(inputs, DenseSection(nodes=outputs, activation="linear"), random=random)
    if section.output == "random":
        return layer
    zero: Dense = eqx.tree_at(lambda each: each.weight, layer, replace_fn=_zeros)
    return zero


def _zeros(weight: jax.Array) -> jax.Array:
    return jnp.asarray(np.zeros(weight.shape, weight.dtype))


def map_events(network: Network, inputs: jax.Array) -> jax.Array:
    """Apply the network to many events that lie along the last axis, [inputs, n] to [classes, n].

    With the events last, a layer is one product of matrices without a transposition, which is what makes small
    networks fast on a CPU. With several members the result is [members, classes, n].
    """

    def walk(network: Network, inputs: jax.Array) -> jax.Array:
        return jax.vmap(lambda x: network.forward(x, None)[0], in_axes=1, out_axes=1)(inputs)

    return walk(network, inputs) if network.scales is None else _map_members(network, inputs, walk)


def _map_members(
    network: Network, inputs: jax.Array, walk: Callable[[Network, jax.Array], jax.Array]
) -> jax.Array:
    """Let each member be events of its own: one product of matrices for the shared layers of all members."""
    scales, members = network.scales, network.members
    if scales is None:
        raise ValueError("a network without members has no scales")
    if network.embedding is not None:
        inputs = jax.vmap(network.embedding, in_axes=1, out_axes=1)(inputs)
    wide = (scales.T[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)
    hidden = walk(Network(network.layers[:-1]), wide).reshape(-1, members, inputs.shape[1])
    heads = network.layers[-1]

    def end(head: Dense, x: jax.Array) -> jax.Array:
        return jax.vmap(head, in_axes=1, out_axes=1)(x)

    logits: jax.Array = jax.vmap(end, in_axes=(0, 1))(heads, hidden)
    return logits


def first_layer_overflow(network: Network, inputs: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Give the fraction of events in which each input of the first layer is outside the range of its format.

    Args:
        network: trained.
        inputs: preprocessed, [n, inputs].

    Returns:
        Fractions, [inputs of the first layer]; None where the first layer has no format of its inputs.
    """
    form = network.layers[0].formats.input if isinstance(network.layers[0], Quantized) else None
    if form is None:
        return None
    if network.embedding is not None:
        inputs = np.asarray(jax.vmap(network.embedding)(jnp.asarray(inputs)))
    return overflowing(inputs, form)


def map_training_events(
    network: Network, inputs: jax.Array, seed: jax.Array, present: jax.Array, *, shared: tuple[str, ...] = ()
) -> tuple[jax.Array, Network]:
    """Apply the network to a batch while it learns: with dropout, and with what layers learn from the batch.

    Args:
        network: to apply.
        inputs: [inputs, n].
        seed: a random number of each event, uint32 [n].
        present: 1, or 0 for an event that only fills up the batch, [n].
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
    numbers = jnp.arange(network.members, dtype=jnp.uint32)[:, None] * jnp.uint32(0x85EBCA6B)
    seeds = (seed[None, :] + numbers).ravel()
    everywhere = jnp.tile(present, network.members)
    return _map_members(
        network, inputs, lambda trunk, wide: learn(trunk, wide, seeds, everywhere)[0]
    ), network


def class_logits(logits: jax.Array) -> jax.Array:
    """Give a logit for each class: one output is the logit of the second of two classes.

    Args:
        logits: [..., outputs, n].
    """
    return logits if logits.shape[-2] > 1 else jnp.concatenate([jnp.zeros_like(logits), logits], axis=-2)


def scores_of_logits(logits: jax.Array) -> jax.Array:
    """Give the scores, [classes, n]: the softmax, averaged over the members where there are several."""
    scores = jax.nn.softmax(class_logits(logits), axis=-2)
    return scores if scores.ndim == 2 else scores.mean(axis=0)
