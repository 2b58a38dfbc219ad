"""`weights.safetensors`: the arrays of a classifier by name, with their shapes checked before they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis import config
from tamis.arrays import Float32
from tamis.classifier.document import (
    DOCUMENT,
    ClassifierDocument,
    MemberEntry,
    PreprocessingEntry,
    list_prefixes,
)
from tamis.classifier.member import Member
from tamis.classifier.opening import DAMAGED, MOST_BYTES, build_error, check_plain
from tamis.config.size import count_weights
from tamis.files import sha256
from tamis.network.preprocessing import Logarithm, Preprocessing, Quantiles

if TYPE_CHECKING:
    from tamis.network.network import Network

Shapes = dict[str, tuple[int, ...]]

WEIGHTS = "weights.safetensors"
_LARGEST_HEADER = 1 << 24
"""Maximum number of bytes of the list of arrays in the file."""
_MOST_EVENTS = 4096
"""Maximum number of reference events; some hundreds are written."""
_MOST_NAMES = 20
"""Maximum number of names in a message."""


def member_arrays(members: Sequence[Member]) -> dict[str, NDArray[Any]]:
    """Return all arrays of the networks and of their preprocessing, by name."""
    arrays: dict[str, NDArray[Any]] = {}
    for prefix, member in zip(list_prefixes(len(members)), members, strict=True):
        fitted = {**_preprocessing_arrays(member.preprocessing), **network_arrays(member.network)}
        arrays |= {prefix + name: np.asarray(array) for name, array in fitted.items()}
    return arrays


def read_arrays(path: Path, document: ClassifierDocument) -> dict[str, NDArray[Any]]:
    """Read the arrays that a document asks for; no more memory is allocated than the size of the file.

    Raises:
        InputError: the file is missing, damaged or of another classifier.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_plain(path)
    except FileNotFoundError as error:
        raise build_error(path, "is missing; copy the whole folder `model`") from error
    if path.stat().st_size > MOST_BYTES:
        raise build_error(path, f"has more than {MOST_BYTES:,} bytes, far more than it needs: {DAMAGED}")
    if sha256(path) != document.weights_sha256:
        raise build_error(
            path, f"is not the file that {DOCUMENT} was written with; copy the whole folder `model` again"
        )
    # safetensors checks the content of the list of arrays, but reads all of it
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > _LARGEST_HEADER:
        raise build_error(path, f"begins with a list of arrays of {size:,} bytes: {DAMAGED}")
    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            types = {name: str(part.get_dtype()) for name, part in slices.items()}
            _check_shapes(shapes, types, document, path)
            arrays = {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, ValueError) as error:
        raise build_error(path, f"is damaged ({error}); copy the whole folder `model` again") from error
    fold = arrays.get("reference.fold", np.empty(0, np.float32))
    if not np.isin(fold, np.arange(-1, 100)).all():
        raise build_error(path, f"has reference events whose folds are not whole numbers: {DAMAGED}")
    return arrays


def _check_shapes(stored: Shapes, types: Mapping[str, str], document: ClassifierDocument, path: Path) -> None:
    features, classes = len(document.features), len(document.classes)
    outputs = [layer.nodes for layer in document.network[-1:]]
    if outputs != [classes] and not (outputs == [1] and classes == 2):
        message = (
            f"does not fit {DOCUMENT}: {outputs} outputs for {classes} classes; copy the folder `model` again"
        )
        raise build_error(path, message)
    _check_size(len(stored), document, path)
    events = (stored.get("reference.features") or (0,))[0]
    if events > _MOST_EVENTS:
        raise build_error(path, f"has {events:,} reference events, more than {_MOST_EVENTS:,}: {DAMAGED}")
    expected: Shapes = {"reference.features": (events, features), "reference.scores": (events, classes)}
    optional: Shapes = {"reference.fold": (events,), "reference.given": (events, features)}
    optional |= {f"{prefix}preprocessing.offset": (features,) for prefix in document.prefixes}
    expected |= {name: shape for name, shape in optional.items() if name in stored}
    for prefix, skeleton in zip(document.prefixes, _build_skeletons(document), strict=True):
        # the number of knots is that of the file
        knots = stored.get(f"{prefix}preprocessing.knots", ())
        of_member = {name: leaf.shape for name, leaf in network_arrays(skeleton).items()}
        of_member |= _preprocessing_shapes(
            document.preprocessing, features, knots[1] if len(knots) == 2 else 0
        )
        expected |= {prefix + name: shape for name, shape in of_member.items()}
    has_offset = any(name.endswith("preprocessing.offset") for name in stored)
    if stored != expected or any(kind != _type_of(name, wide=has_offset) for name, kind in types.items()):
        differing = sorted(name for name in {*stored, *expected} if stored.get(name) != expected.get(name))
        named = differing[:_MOST_NAMES] or "of another type"
        raise build_error(
            path, f"does not fit {DOCUMENT}: arrays {named}; the files belong to different classifiers"
        )


def _type_of(name: str, *, wide: bool) -> str:
    """Return the type of an array; with an offset the features of events have 64 bits."""
    is_wide = wide and name in ("reference.features", "reference.given")
    return "F64" if is_wide or name.endswith("preprocessing.offset") else "F32"


def _check_size(arrays: int, document: ClassifierDocument, path: Path) -> None:
    """Refuse a document that asks for more numbers or arrays than the file has, before they are allocated."""
    n_numbers = path.stat().st_size // 4
    *hidden, output = (layer.nodes for layer in document.network)
    embedding = document.embedding.model_dump() if document.embedding else {}
    n_weights = sum(
        count_weights(
            len(document.features) + len(entry.indicators),
            hidden,
            output,
            embedding=embedding,
            members=document.shared_members,
        )
        for entry in document.members
    )
    if n_weights > n_numbers:
        message = (
            f"does not fit {DOCUMENT}, which asks for {n_weights:,} weights: it has {n_numbers:,} numbers"
        )
        raise build_error(path, message)
    # each layer has two arrays, and the preprocessing of each network three
    needed = len(document.members) * (2 * len(document.network) + 3)
    if arrays < needed:
        message = f"does not fit {DOCUMENT}, which asks for at least {needed:,} arrays: it has {arrays:,}"
        raise build_error(path, message)


def _build_skeletons(document: ClassifierDocument) -> list[Network]:
    """Build the networks of a document without their weights, once for each number of inputs."""
    build = cache(lambda inputs: _build_skeleton(document, inputs))
    return [build(len(document.features) + len(entry.indicators)) for entry in document.members]


def _build_skeleton(document: ClassifierDocument, inputs: int) -> Network:
    import equinox as eqx

    from tamis.network.network import build_network
    from tamis.network.sparse import Sparse

    # a random mask would be drawn, outside of JAX; the stored mask replaces it
    without_masks = [
        layer.model_copy(update={"mask": "magnitude"}) if isinstance(layer, config.Sparse) else layer
        for layer in document.network[:-1]
    ]
    output = document.network[-1]
    section = config.Network(
        layers=tuple(without_masks),
        embedding=document.embedding,
        gains=document.gains,
        shared_members=document.shared_members,
        quantized_output=config.QuantizedOutput.of_layer(output)
        if isinstance(output, config.Quantized)
        else None,
    )
    skeleton: Network = eqx.filter_eval_shape(
        lambda: build_network(
            inputs, len(document.classes), section, random=np.random.default_rng(0), outputs=output.nodes
        )
    )
    layers = tuple(
        Sparse(layer.dense, layer.mask, stored) if isinstance(stored, config.Sparse) else layer
        for layer, stored in zip(skeleton.layers, document.network, strict=True)
    )
    with_masks: Network = eqx.tree_at(lambda network: network.layers, skeleton, layers)
    return with_masks


def _preprocessing_arrays(preprocessing: Preprocessing) -> dict[str, NDArray[Any]]:
    parts = (preprocessing, preprocessing.logarithm, preprocessing.quantiles)
    return {
        f"preprocessing.{name}": value
        for part in parts
        if part is not None
        for name, value in vars(part).items()
        if isinstance(value, np.ndarray)
    }


def _preprocessing_shapes(entry: PreprocessingEntry, features: int, knots: int) -> Shapes:
    shapes: Shapes = dict.fromkeys(("fill", "centre", "scale"), (features,))
    if entry.logarithm:
        shapes |= dict.fromkeys(("lowest", "typical"), (len(entry.logarithm),))
    if entry.scaling == "quantile":
        shapes |= dict.fromkeys(("knots", "values"), (features, knots))
    return {f"preprocessing.{name}": shape for name, shape in shapes.items()}


def assemble_members(document: ClassifierDocument, arrays: Mapping[str, NDArray[Any]]) -> tuple[Member, ...]:
    """Build the networks of a document from its arrays."""
    from tamis.training.devices import start_devices

    start_devices()  # a later training in this process has the devices of one in a new process
    return tuple(
        Member(
            _build_preprocessing(document, entry, arrays, prefix),
            fill_network(skeleton, arrays, prefix),
        )
        for prefix, entry, skeleton in zip(
            document.prefixes, document.members, _build_skeletons(document), strict=True
        )
    )


def _build_preprocessing(
    document: ClassifierDocument, entry: MemberEntry, arrays: Mapping[str, NDArray[Any]], prefix: str
) -> Preprocessing:
    names = [feature.name for feature in document.features]
    settings = document.preprocessing

    def array(name: str) -> Float32:
        return arrays[f"{prefix}preprocessing.{name}"]

    logarithm, quantiles = None, None
    if settings.logarithm:
        chosen = tuple(names.index(name) for name in settings.logarithm)
        logarithm = Logarithm(chosen, array("lowest"), array("typical"))
    if settings.scaling == "quantile":
        quantiles = Quantiles(array("knots"), array("values"))
    return Preprocessing(
        scaling=settings.scaling,
        fill=array("fill"),
        centre=array("centre"),
        scale=array("scale"),
        indicators=tuple(names.index(name) for name in entry.indicators),
        logarithm=logarithm,
        quantiles=quantiles,
        offset=arrays.get(f"{prefix}preprocessing.offset"),
    )


def network_arrays(network: Network) -> dict[str, Any]:
    """Return all arrays of a network by their path, for example `layers.0.weight`."""
    from jax.tree_util import keystr, tree_leaves_with_path

    return {keystr(path, simple=True, separator="."): leaf for path, leaf in tree_leaves_with_path(network)}


def fill_network(skeleton: Network, arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> Network:
    """Build a network from its arrays, by the names of `network_arrays`."""
    import jax
    from jax.tree_util import keystr, tree_map_with_path

    filled: Network = tree_map_with_path(
        lambda path, _: jax.device_put(arrays[prefix + keystr(path, simple=True, separator=".")]), skeleton
    )
    return filled
