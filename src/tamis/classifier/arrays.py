"""`weights.safetensors`: the arrays of a classifier by name, whose shapes are checked before they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.classifier.document import DOCUMENT, Document, MemberEntry, PreprocessingEntry, prefixes
from tamis.classifier.member import Member
from tamis.classifier.opening import MOST_BYTES, check_plain, refused
from tamis.config import Network as NetworkSection
from tamis.config import Quantized as QuantizedSection
from tamis.config import QuantizedOutput
from tamis.config import Sparse as SparseSection
from tamis.config.size import count_weights
from tamis.files import sha256
from tamis.network.preprocessing import Logarithm, Preprocessing, Quantiles

if TYPE_CHECKING:
    from tamis.network.network import Network

Float32 = NDArray[np.float32]
Shapes = dict[str, tuple[int, ...]]

WEIGHTS = "weights.safetensors"
_LARGEST_HEADER = 1 << 24
"""Bytes that the list of arrays in the file has at most."""
_MOST_EVENTS = 4096
"""Reference events: some hundreds are written."""
_TOLD = 20


def member_arrays(members: Sequence[Member]) -> dict[str, NDArray[Any]]:
    """Name all arrays of the networks and of their preprocessing."""
    arrays: dict[str, NDArray[Any]] = {}
    for prefix, member in zip(prefixes(len(members)), members, strict=True):
        learned = {**_preprocessing_arrays(member.preprocessing), **network_arrays(member.network)}
        arrays |= {prefix + name: np.asarray(array) for name, array in learned.items()}
    return arrays


def read_arrays(path: Path, document: Document) -> dict[str, NDArray[Any]]:
    """Read the arrays that a document asks for.

    Raises:
        InputError: the file is missing, damaged or of another classifier. Nothing that is larger than the file is
            ever allocated.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_plain(path)
    except FileNotFoundError as error:
        raise refused(path, "is missing; copy the whole folder `model`") from error
    if path.stat().st_size > MOST_BYTES:
        raise refused(
            path, f"has more than {MOST_BYTES:,} bytes, far more than it needs; the file is foreign"
        )
    if sha256(path) != document.weights_sha256:
        raise refused(
            path, f"is not the file that {DOCUMENT} was written with; copy the whole folder `model` again"
        )
    _check_header(path)
    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            found = {name: tuple(each.get_shape()) for name, each in slices.items()}
            types = {name: str(each.get_dtype()) for name, each in slices.items()}
            _check_shapes(found, types, document, path)
            arrays = {name: file.get_tensor(name) for name in found}
    except (SafetensorError, ValueError) as error:
        raise refused(path, f"is damaged ({error}); copy the whole folder `model` again") from error
    fold = arrays.get("reference.fold", np.empty(0, np.float32))
    if not np.isin(fold, np.arange(-1, 100)).all():
        raise refused(
            path, "has reference events whose folds are no whole numbers; copy the folder `model` again"
        )
    return arrays


def _check_header(path: Path) -> None:
    """Refuse a list of arrays that is itself too large; whether it is true, safetensors checks."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > _LARGEST_HEADER:
        raise refused(path, f"begins with a list of arrays of {size:,} bytes; the file is damaged or foreign")


def _check_shapes(found: Shapes, types: Mapping[str, str], document: Document, path: Path) -> None:
    features, classes = len(document.features), len(document.classes)
    outputs = [layer.nodes for layer in document.network[-1:]]
    if outputs != [classes] and not (outputs == [1] and classes == 2):
        message = (
            f"does not fit {DOCUMENT}: {outputs} outputs for {classes} classes; copy the folder `model` again"
        )
        raise refused(path, message)
    _check_size(len(found), document, path)
    events = (found.get("reference.features") or (0,))[0]
    if events > _MOST_EVENTS:
        raise refused(
            path, f"has {events:,} reference events, and {_MOST_EVENTS:,} are the most; it is foreign"
        )
    shapes: Shapes = {"reference.features": (events, features), "reference.scores": (events, classes)}
    optional: Shapes = {"reference.fold": (events,), "reference.given": (events, features)}
    optional |= {f"{prefix}preprocessing.offset": (features,) for prefix in document.prefixes}
    shapes |= {name: shape for name, shape in optional.items() if name in found}
    built = _Skeletons(document)
    for prefix, entry in zip(document.prefixes, document.entries, strict=True):
        expected = _member_shapes(document, built.of(entry), found, prefix)
        shapes |= {prefix + name: shape for name, shape in expected.items()}
    wide = any(name.endswith("preprocessing.offset") for name in found)
    if found != shapes or any(kind not in _types(name, wide=wide) for name, kind in types.items()):
        wrong = sorted(name for name in {*found, *shapes} if found.get(name) != shapes.get(name))
        named = wrong[:_TOLD] or "of another type"
        message = f"does not fit {DOCUMENT}: arrays {named}; the files are of two classifiers"
        raise refused(path, message)


def _types(name: str, *, wide: bool) -> tuple[str, ...]:
    """Return the types that an array may have: the features of events have 64 bits where there is an offset."""
    if name.endswith("preprocessing.offset"):
        return ("F64",)
    return ("F64",) if wide and name in ("reference.features", "reference.given") else ("F32",)


def _check_size(arrays: int, document: Document, path: Path) -> None:
    """Refuse a document that asks for more than the file holds, before anything of that size is made."""
    most = path.stat().st_size // 4
    wanted = sum(_weights(document, len(entry.indicators)) for entry in document.entries)
    if wanted > most:
        message = f"does not fit {DOCUMENT}, which asks for {wanted:,} weights: it holds {most:,} numbers"
        raise refused(path, message)
    # each layer has two arrays, and the preprocessing of each network three
    needed = len(document.entries) * (2 * len(document.network) + 3)
    if arrays < needed:
        message = f"does not fit {DOCUMENT}, which asks for at least {needed:,} arrays: it holds {arrays:,}"
        raise refused(path, message)


def _weights(document: Document, indicators: int) -> int:
    """Count the weights of one network."""
    *hidden, output = (layer.nodes for layer in document.network)
    return count_weights(
        len(document.features) + indicators,
        hidden,
        output,
        embedding=document.embedding.model_dump() if document.embedding else {},
        members=document.shared_members,
    )


class _Skeletons:
    """The networks of a document without their weights, each number of inputs built once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._built: dict[int, Network] = {}

    def of(self, entry: MemberEntry) -> Network:
        inputs = len(self._document.features) + len(entry.indicators)
        if inputs not in self._built:
            self._built[inputs] = _skeleton(self._document, inputs)
        return self._built[inputs]


def _member_shapes(document: Document, skeleton: Network, found: Shapes, prefix: str) -> Shapes:
    features = len(document.features)
    knots = found.get(f"{prefix}preprocessing.knots", ())
    network = {name: leaf.shape for name, leaf in network_arrays(skeleton).items()}
    return network | _preprocessing_shapes(document.preprocessing, features, knots)


def _skeleton(document: Document, inputs: int) -> Network:
    """Build the network without computing any weights."""
    import equinox as eqx

    from tamis.network.network import build_network
    from tamis.network.sparse import Sparse

    # a random mask is drawn outside of JAX; what is stored says which weights are there
    undrawn = [
        layer.model_copy(update={"mask": "magnitude"}) if isinstance(layer, SparseSection) else layer
        for layer in document.network[:-1]
    ]
    output = document.network[-1]
    section = NetworkSection(
        layers=tuple(undrawn),
        embedding=document.embedding,
        members=document.shared_members,
        quantized_output=QuantizedOutput.of_layer(output) if isinstance(output, QuantizedSection) else None,
    )
    skeleton: Network = eqx.filter_eval_shape(
        lambda: build_network(
            inputs, len(document.classes), section, random=np.random.default_rng(0), outputs=output.nodes
        )
    )
    layers = tuple(
        Sparse(layer.dense, layer.mask, own) if isinstance(own, SparseSection) else layer
        for layer, own in zip(skeleton.layers, document.network, strict=True)
    )
    whole: Network = eqx.tree_at(lambda network: network.layers, skeleton, layers)
    return whole


def _preprocessing_arrays(preprocessing: Preprocessing) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "fill": preprocessing.fill,
        "centre": preprocessing.centre,
        "scale": preprocessing.scale,
    }
    if preprocessing.logarithm is not None:
        arrays |= {"lowest": preprocessing.logarithm.lowest, "typical": preprocessing.logarithm.typical}
    if preprocessing.quantiles is not None:
        arrays |= {"knots": preprocessing.quantiles.knots, "values": preprocessing.quantiles.values}
    if preprocessing.offset is not None:
        arrays["offset"] = preprocessing.offset
    return {f"preprocessing.{name}": array for name, array in arrays.items()}


def _preprocessing_shapes(entry: PreprocessingEntry, features: int, knots: tuple[int, ...]) -> Shapes:
    """Say what shapes the arrays must have; the number of knots is whatever the arrays have."""
    shapes: Shapes = dict.fromkeys(("fill", "centre", "scale"), (features,))
    if entry.logarithm:
        shapes |= {name: (len(entry.logarithm),) for name in ("lowest", "typical")}
    if entry.scaling == "quantile":
        count = knots[1] if len(knots) == 2 else 0
        shapes |= dict.fromkeys(("knots", "values"), (features, count))
    return {f"preprocessing.{name}": shape for name, shape in shapes.items()}


def assemble_members(document: Document, arrays: Mapping[str, NDArray[Any]]) -> tuple[Member, ...]:
    """Build the networks of a document from its arrays."""
    members = []
    built = _Skeletons(document)
    for prefix, entry in zip(document.prefixes, document.entries, strict=True):
        preprocessing = _preprocessing(document, entry, arrays, prefix)
        members.append(Member(preprocessing, fill_network(built.of(entry), arrays, prefix), entry.fold))
    return tuple(members)


def _preprocessing(
    document: Document, entry: MemberEntry, arrays: Mapping[str, NDArray[Any]], prefix: str
) -> Preprocessing:
    names = [feature.name for feature in document.features]
    own = document.preprocessing

    def array(name: str) -> Float32:
        return arrays[f"{prefix}preprocessing.{name}"]

    logarithm, quantiles = None, None
    if own.logarithm:
        chosen = tuple(names.index(name) for name in own.logarithm)
        logarithm = Logarithm(chosen, array("lowest"), array("typical"))
    if own.scaling == "quantile":
        quantiles = Quantiles(array("knots"), array("values"))
    return Preprocessing(
        scaling=own.scaling,
        fill=array("fill"),
        centre=array("centre"),
        scale=array("scale"),
        indicators=tuple(names.index(name) for name in entry.indicators),
        logarithm=logarithm,
        quantiles=quantiles,
        offset=arrays.get(f"{prefix}preprocessing.offset"),
    )


def network_arrays(network: Network) -> dict[str, Any]:
    """Name all arrays of a network by where they are, for example `layers.0.weight`."""
    from jax.tree_util import tree_flatten_with_path

    return {".".join(map(_step, path)): leaf for path, leaf in tree_flatten_with_path(network)[0]}


def fill_network(skeleton: Network, arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> Network:
    """Put arrays into a network, by the names that `network_arrays` gives them."""
    import jax.numpy as jnp
    from jax.tree_util import tree_map_with_path

    filled: Network = tree_map_with_path(
        lambda path, _: jnp.asarray(arrays[prefix + ".".join(map(_step, path))]), skeleton
    )
    return filled


def _step(key: Any) -> str:
    return str(getattr(key, "name", getattr(key, "idx", key)))
