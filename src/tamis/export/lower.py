"""Lower a classifier to graphs of primitive operations, from which every format is written.

The plain document (`plain.py`) names the arrays and rules of a classifier; here they become operations on one event.
Constants carry their path in the document as their name, so that every format can be read back and compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.calibration import SMALLEST_SCORE
from tamis.classifier import Classifier
from tamis.export.constants import check_constants, list_constants
from tamis.export.plain import Document, build_plain_document, list_arrays
from tamis.network import primitives as p
from tamis.network.layers import VARIANCE_EPSILON
from tamis.network.preprocessing import FARTHEST, LARGEST, MOST, SMOOTH_CLIP
from tamis.network.primitives import Graph, GraphBuilder, Node, Value, clip, where

_PIECEWISE_LINEAR = (
    "add", "subtract", "maximum", "minimum", "negative", "absolute", "where", "greater", "greater_equal", "equal",
)  # fmt: skip
"""Operations whose rounding error is relative to the result, like that of the next layer."""


@dataclass(frozen=True)
class ClassifierGraph:
    """A classifier as graphs: the intermediate form from which all formats are written.

    The scores of an event are the mean over its networks and copies, calibrated. Its networks are those of its fold, or
    all if the fold is unknown. Scores are NaN if a required feature is missing.

    Args:
        document: the same arrays and rules as named layers, for formats with layers.
        missing: maps `features`, as a user passes them, to `missing`, 1 if a feature is missing and 0 otherwise.
        copies: maps `features` and `missing` to those of all copies, [copies, features]; None without copies.
        networks: map `features` and `missing` to `scores`, one graph for each network.
        corrections: map `scores` to calibrated scores, by fold, None for the average of all networks; empty without
            calibration.
    """

    document: Document
    missing: Graph
    copies: Graph | None
    networks: tuple[Graph, ...]
    corrections: Mapping[int | None, Graph]

    @property
    def required(self) -> list[int]:
        """Indices of the features that may not be missing."""
        features = self.document["features"]
        return [index for index, feature in enumerate(features) if not feature["may_be_missing"]]

    @property
    def folds(self) -> list[int]:
        """The folds that have networks."""
        return sorted({network["fold"] for network in self.document["networks"]} - {None})

    def networks_of(self, fold: int | None) -> list[int]:
        """Return the indices of the networks that score events of a fold; None for an unknown fold."""
        folds = [network["fold"] for network in self.document["networks"]]
        of_fold = [number for number, network_fold in enumerate(folds) if network_fold == fold]
        return of_fold or list(range(len(folds)))

    def correction_of(self, fold: int | None) -> Graph | None:
        """Return the correction of the scores of a fold, or of the average of all networks."""
        return self.corrections.get(fold, self.corrections.get(None))

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """All graphs."""
        copies = () if self.copies is None else (self.copies,)
        return (self.missing, *copies, *self.networks, *self.corrections.values())

    @property
    def constants(self) -> dict[str, NDArray[Any]]:
        """The arrays of all graphs by name."""
        return {name: values for graph in self.graphs for name, values in graph.constants.items()}


def lower(classifier: Classifier) -> ClassifierGraph:
    """Lower a classifier, and check every number against its arrays; an `ExportError` names one that differs."""
    document = build_plain_document(classifier)
    check_constants(list_constants(classifier), list_arrays(document), "the intermediate form")
    return lower_document(document)


def lower_document(document: Document) -> ClassifierGraph:
    """Lower a plain document, as `build_plain_document` returns it or as it is read from JSON."""
    calibration, copies = document["calibration"], document["copies"]
    corrections: dict[int | None, Graph] = {}
    if calibration is not None:
        corrections[None] = _correction(calibration["of_all"], "calibration.of_all")
        for fold, scaling in calibration["of_folds"].items():
            corrections[int(fold)] = _correction(scaling, f"calibration.of_folds.{fold}")
    return ClassifierGraph(
        document=document,
        missing=lower_missing(document["features"]),
        copies=lower_copies(copies, len(document["features"])) if copies else None,
        networks=tuple(
            lower_network(network, f"networks.{number}", document["activations"])
            for number, network in enumerate(document["networks"])
        ),
        corrections=corrections,
    )


def lower_missing(rules: Sequence[Document]) -> Graph:
    """Build the graph that flags missing features: values that are not finite, and sentinels."""
    builder = GraphBuilder()
    features = builder.add_input("features", (len(rules),))
    most = max(len(rule["sentinels"]) for rule in rules)
    # NaN is flagged as well, because any comparison with it is false
    missing = where(p.absolute(features) <= float(MOST), 0, 1)
    for number in range(most):
        # features with fewer sentinels are padded with infinity, which is missing anyway
        row = [([*rule["sentinels"], *[np.inf] * most])[number] for rule in rules]
        is_sentinel = p.equal(
            features, builder.add_constant(f"sentinels.{number}", np.array(row, np.float32))
        )
        missing = where(is_sentinel, 1, missing)
    return builder.build(missing)


def lower_copies(copies: Sequence[Document], count: int) -> Graph:
    """Build the graph of all copies of an event, exchanged, reflected and rotated as in `network/symmetries.py`."""
    builder = GraphBuilder()
    features, missing = (builder.add_input(name, (count,)) for name in ("features", "missing"))
    sign, shift, start, period = (
        np.array([copy[name] for copy in copies], np.float32) for name in ("sign", "shift", "start", "period")
    )

    def constant(name: str, values: NDArray[Any]) -> Value:
        return builder.add_constant(f"copies.{name}", values)

    together = np.zeros((count, count), np.float32)
    for exchange in copies[0]["exchanges"]:
        together[np.ix_(exchange, exchange)] = 1
    # an object with a missing value is not exchanged, nor are its partners
    stays = p.affine(missing, constant("exchanges", together)) > 0.5
    source = np.array([copy["source"] for copy in copies], np.int64)
    values, lacking = (where(stays, column, p.gather(column, source)) for column in (features, missing))
    values = values * constant("sign", sign) + constant("shift", shift)
    if period.any():
        turned = period != 0
        length = constant("length", np.where(turned, period, np.float32(1)))
        turns = p.floor((values - constant("start", np.where(turned, start, np.float32(0)))) / length)
        inside = values - turns * constant("period", period)
        lowest = np.where(turned, start, -MOST).astype(np.float32)
        highest = np.where(turned, np.nextafter(start + period, start), MOST).astype(np.float32)
        values = clip(inside, constant("lowest", lowest), constant("highest", highest))
    return builder.build(values, lacking)


def _correction(scaling: Document, name: str) -> Graph:
    """Build the graph of a calibration, softmax(scale * log(score) + offset)."""
    builder = GraphBuilder()
    scale, offset = (
        builder.add_constant(f"{name}.{key}", np.array(scaling[key])) for key in ("scale", "offset")
    )
    scores = builder.add_input("scores", scale.shape, "float64")
    logits = p.log(p.maximum(scores, SMALLEST_SCORE)) * scale + offset
    return builder.build(p.softmax(logits.rounded("relative")))


def lower_network(network: Document, name: str, activations: Mapping[str, Any]) -> Graph:
    """Lower a network of the document with its preprocessing, from `features` and `missing` to scores.

    The name is its path in the document, and the activations are those of the document, as primitives.
    """
    return _NetworkBuilder(network, name, activations).build()


class _NetworkBuilder:
    """Builder of the graph of one network; see `lower_network`."""

    def __init__(self, network: Document, name: str, activations: Mapping[str, Any]) -> None:
        self._network, self._name, self._activations = network, name, activations
        self._arrays = list_arrays(network)
        self._builder = GraphBuilder()

    def build(self) -> Graph:
        network, shape = self._network, self._arrays["fill"].shape
        features, missing = (self._builder.add_input(name, shape) for name in ("features", "missing"))
        x = self._embed(self._preprocess(features, missing))
        if network["gains"] is not None:
            x = x * self._single("gains")
        if network["shared_members"] is not None:
            x = x * self._single("shared_members")
        nodes = p.widen(x)
        quantized = [layer["output_format"] is not None for layer in network["layers"]]
        if not any(quantized[:1]):
            nodes.rounded("relative")
        # without a logarithm, root or sine, all formats compute the same bits of the inputs of the first layer
        rooted = network["scaling"]["kind"] == "robust"
        waved = network["embedding"] is not None and network["embedding"]["kind"] == "periodic"
        exact = not rooted and not waved and network["logarithm"] is None
        for number, layer in enumerate(network["layers"]):
            nodes = self._layer(layer, f"layers.{number}", nodes, exact=exact)
            exact = quantized[number]
        logits = p.affine(nodes, self._double("outputs.weight"), self._double("outputs.bias"))
        scores = p.softmax(logits.rounded("relative"))
        return self._builder.build(scores if network["shared_members"] is None else p.mean(scores, 0))

    def _single(self, name: str) -> Value:
        return self._constant(name, self._arrays[name].astype(np.float32))

    def _double(self, name: str) -> Value:
        return self._constant(name, self._arrays[name])

    def _constant(self, name: str, values: NDArray[Any]) -> Value:
        return self._builder.add_constant(f"{self._name}.{name}", values)

    def _preprocess(self, features: Value, missing: Value) -> Value:
        """Fill, take logarithms, scale and add indicators: `Preprocessing` of `network/preprocessing.py`."""
        values = where(missing > 0.5, self._single("fill"), features)
        if self._network["logarithm"] is not None:
            values = self._take_logarithms(values, self._network["logarithm"]["features"])
        values = self._scale(values)
        indicators = self._network["indicators"]
        return p.concatenate(values, p.gather(missing, indicators)) if indicators else values

    def _take_logarithms(self, values: Value, columns: Sequence[int]) -> Value:
        unchanged = [index for index in range(values.shape[0]) if index not in columns]
        distance = p.gather(values, columns) - self._single("logarithm.lowest")
        distance = clip(distance / self._single("logarithm.typical"), -LARGEST, LARGEST)
        size = p.log1p(p.absolute(distance))
        curve = where(distance < 0, -size, size)
        if unchanged:
            curve = p.concatenate(curve, p.gather(values, unchanged))
        return p.gather(curve, np.argsort([*columns, *unchanged]))

    def _scale(self, values: Value) -> Value:
        kind = self._network["scaling"]["kind"]
        if kind == "none":
            return values
        if kind == "quantile":
            return self._interpolate(values)
        values = (values - self._single("scaling.centre")) / self._single("scaling.scale")
        values = clip(values, -float(FARTHEST), float(FARTHEST))
        if kind == "robust":
            part = values / float(SMOOTH_CLIP)
            values = values / p.sqrt(part * part + 1)
        return values

    def _interpolate(self, values: Value) -> Value:
        """Interpolate linearly between knots; the curve is constant beyond the first and the last knot."""
        knots, heights = self._single("scaling.knots"), self._single("scaling.values")
        interval = p.locate(values, knots)
        low, high = p.take(knots, interval), p.take(knots, interval, 1)
        start, end = p.take(heights, interval), p.take(heights, interval, 1)
        width = high - low
        position = clip((values - low) / where(width > 0, width, 1), 0, 1)
        # rounding must not exceed the end of the interval, so that the curve stays monotonic
        return p.minimum(start + position * (end - start), end)

    def _embed(self, x: Value) -> Value:
        embedding = self._network["embedding"]
        if embedding is None:
            return x
        if embedding["kind"] == "piecewise_linear":
            edges = self._arrays["embedding.edges"].astype(np.float32)
            width = np.maximum(edges[:, 1:] - edges[:, :-1], np.float32(1e-6))
            above = p.column(x) - self._constant("embedding.edges", np.ascontiguousarray(edges[:, :-1]))
            return p.flatten(clip(above / self._constant("embedding.width", width), 0, 1))
        angle = p.widen(p.column(x) * self._single("embedding.frequency"))
        waves = p.concatenate(p.sin(angle).rounded("relative"), p.cos(angle).rounded("relative"))
        weight, bias = self._double("embedding.weight"), self._double("embedding.bias")
        nodes = p.maximum(p.affine(waves, weight, bias).rounded("relative"), 0)
        return p.concatenate(x, p.narrow(p.flatten(nodes)))

    def _layer(self, layer: Document, name: str, x: Value, *, exact: bool) -> Value:
        """Lower a layer; `exact` says whether every format computes the same bits of its inputs."""
        weight, bias = self._double(f"{name}.weight"), self._double(f"{name}.bias")
        if layer["output_format"] is not None:
            # the sums are exact in 32 bits as well, because the configuration limits the number of bits
            inputs = x if layer["input_format"] is None else quantize(x, layer["input_format"], exact=exact)
            return quantize(self._activate(layer, p.affine(inputs, weight, bias)), layer["output_format"])
        if layer["layer_normalisation"] is None:
            nodes = p.affine(x, weight, bias)
        else:
            nodes = p.affine(x, weight).rounded("relative")
            deviation = nodes - p.mean(nodes, -1)
            scaled = deviation * self._double(f"{name}.layer_normalisation")
            width = p.sqrt(p.mean(deviation * deviation, -1) + VARIANCE_EPSILON)
            nodes = (scaled / width).rounded("relative") + bias
        number = len(self._builder)
        nodes = self._activate(layer, nodes.rounded("relative"))
        if any(map(_is_curved, self._builder.nodes_since(number))):
            # for example exp(x) - 1, which has the absolute rounding error of a number of about 1
            nodes.rounded("unit")
        return (nodes + x).rounded("relative") if layer["residual"] else nodes

    def _activate(self, layer: Document, x: Value) -> Value:
        """Apply an activation by the primitives that the document lists."""
        values: dict[str, Value | float] = {"x": x, "slope": layer["slope"] or 0.0}
        for step in self._activations[layer["activation"]]:
            operands = (
                values[operand] if isinstance(operand, str) else operand for operand in step["inputs"]
            )
            x = values[step["name"]] = self._builder.apply(step["operation"], *operands)
        return x


def _is_curved(node: Node) -> bool:
    scaled = node.operation == "multiply" and any(isinstance(operand, float) for operand in node.inputs)
    return not scaled and node.operation not in _PIECEWISE_LINEAR


def quantize(x: Value, form: Document, *, exact: bool = True) -> Value:
    """Quantize numbers to a fixed-point format, as `ap_fixed` does."""
    steps = x * float(2.0 ** form["fraction"])
    if not exact:
        steps.rounded("steps")
    low, high, period = form["lowest"], form["highest"], 2.0 ** form["bits"]
    if form["overflow"] == "WRAP":
        steps = clip(steps, -float(MOST), float(MOST))  # the remainder of infinity is not defined
    steps = p.round_steps(steps, form["rounding"])
    match form["overflow"]:
        case "SAT_ZERO":
            steps = where(steps > high, 0, where(steps < low, 0, steps))
        case "WRAP":
            # every operation is exact, because the period is a power of two
            remainder = steps - p.floor(steps / period) * period
            steps = where(remainder > high, remainder - period, remainder)
        case _:
            steps = clip(steps, low, high)
    return steps * float(2.0 ** -form["fraction"])
