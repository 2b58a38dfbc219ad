"""Compute the scores that follow from the plain JSON of a classifier, in NumPy alone.

The preprocessing is in 32 bits, so that the inputs of the network are the same bits; the network is in 64. A `Rounding`
disturbs the numbers of the network on the way, to measure what the roundings of 32 bits cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Document = Mapping[str, Any]

_LARGEST = np.float32(1.7e38)
_FARTHEST = np.float32(1e6)
_SMALLEST_SCORE = float(np.finfo(np.float32).smallest_normal)
_ROWS_AT_ONCE = 8192
_UNCURVED = ("relu", "leaky_relu", "linear")
"""Activations that add no rounding of their own."""


class Rounding:
    """What happens to the numbers of a network in floating point; this one leaves them as they are."""

    def of(self, values: Float64, size: Float64 | None = None) -> Float64:
        """Round numbers.

        Args:
            values: any shape.
            size: of the numbers that they are the sum of, where these are larger than the sum.
        """
        del size
        return values

    def before_steps(self, values: Float64) -> Float64:
        """Round the inputs of a quantizer."""
        return values


EXACT = Rounding()


def plain_scores(document: Document, given: Float32, fold: NDArray[np.int32] | None = None) -> Float32:
    """Compute scores, [n, n_classes].

    Args:
        document: as `plain_document` writes it, or read from JSON.
        given: features as a user passes them, with sentinels or what is not finite where missing, [n, n_features].
        fold: of each event, -1 where unknown, [n]; all unknown by default.

    Returns:
        The scores; NaN for an event that lacks a feature which may not be missing.
    """
    return plain_scores64(document, given, fold).astype(np.float32)


def plain_scores64(
    document: Document, given: Float32, fold: NDArray[np.int32] | None = None, rounding: Rounding = EXACT
) -> Float64:
    """Compute scores in 64 bits, [n, n_classes].

    Args:
        document: as `plain_document` writes it, or read from JSON.
        given: features as a user passes them, [n, n_features].
        fold: of each event, [n].
        rounding: what happens to the numbers of the networks on the way.
    """
    folds = np.full(len(given), -1, np.int32) if fold is None else fold
    blocks = [
        _block(document, given[start : start + _ROWS_AT_ONCE], folds[start : start + _ROWS_AT_ONCE], rounding)
        for start in range(0, len(given), _ROWS_AT_ONCE)
    ]
    return np.concatenate([np.empty((0, len(document["classes"]))), *blocks])


def _block(document: Document, given: Float32, fold: NDArray[np.int32], rounding: Rounding) -> Float64:
    features = _without_missing(document["features"], given)
    scores = np.empty((len(given), len(document["classes"])))
    for number in np.unique(fold):
        rows = fold == number
        scores[rows] = _scores_of_fold(document, features[rows], int(number), rounding)
    needed = [index for index, each in enumerate(document["features"]) if not each["may_be_missing"]]
    scores[np.isnan(features[:, needed]).any(axis=1)] = np.nan
    return scores


def _without_missing(rules: Sequence[Document], given: Float32) -> Float32:
    features = np.where(np.isfinite(given), given, np.float32(np.nan))
    for index, rule in enumerate(rules):
        for sentinel in rule["sentinels"]:
            features[given[:, index] == np.float32(sentinel), index] = np.nan
    return features


def _scores_of_fold(document: Document, features: Float32, fold: int, rounding: Rounding) -> Float64:
    networks = document["networks"]
    own = [network for network in networks if network["fold"] == fold] or networks
    copies = [_copied(features, copy) for copy in document["copies"]] or [features]
    scores = np.mean([_network_scores(network, copy, rounding) for network in own for copy in copies], axis=0)
    if document["calibration"] is None:
        return np.asarray(scores)
    calibration = document["calibration"]
    scaling = calibration["of_folds"].get(str(fold), calibration["of_all"])
    logits = np.log(np.maximum(scores, _SMALLEST_SCORE))
    return _softmax(rounding.of(logits * np.array(scaling["scale"]) + np.array(scaling["offset"])))


def _copied(features: Float32, copy: Document) -> Float32:
    """Exchange, reflect and rotate."""
    columns = {name: np.array(copy[name], np.float32) for name in ("sign", "shift", "start", "period")}
    moved = features[:, copy["source"]]
    for exchange in copy["exchanges"]:
        staying = np.flatnonzero(np.isnan(features[:, exchange]).any(axis=1))[:, None]
        moved[staying, exchange] = features[staying, exchange]
    moved = moved * columns["sign"] + columns["shift"]
    turned = np.flatnonzero(columns["period"])
    start, period = columns["start"][turned], columns["period"][turned]
    with np.errstate(over="ignore"):
        inside = moved[:, turned] - period * np.floor((moved[:, turned] - start) / period)
    moved[:, turned] = np.clip(inside, start, np.nextafter(start + period, start))
    return np.asarray(moved, np.float32)


def _network_scores(network: Document, features: Float32, rounding: Rounding) -> Float64:
    preprocessed = _preprocessed(network, features)
    x = _embedded(network["embedding"], preprocessed, rounding).astype(np.float32)
    shared = [None] if network["shared_members"] is None else network["shared_members"]
    scores = []
    for scales, output in zip(shared, network["outputs"], strict=True):
        nodes = (x if scales is None else x * np.array(scales, np.float32)).astype(np.float64)
        exact = _has_exact_inputs(network)
        if not network["layers"] or network["layers"][0]["output_format"] is None:
            nodes = rounding.of(nodes)
        for layer in network["layers"]:
            nodes = _layer(layer, nodes, rounding, exact=exact)
            exact = layer["output_format"] is not None
        weight, bias = (rounding.of(np.array(output[key])) for key in ("weight", "bias"))
        scores.append(_softmax(rounding.of(nodes @ weight.T + bias)))
    return np.asarray(np.mean(scores, axis=0))


def _has_exact_inputs(network: Document) -> bool:
    """Return whether all formats compute bit-identical inputs of the first layer: no logarithm, root or wave."""
    embedding = network["embedding"]
    rooted = network["scaling"]["kind"] == "robust"
    return not rooted and network["logarithm"] is None and (embedding or {}).get("kind") != "periodic"


def _preprocessed(network: Document, features: Float32) -> Float32:
    missing = np.isnan(features)
    values = np.where(missing, np.array(network["fill"], np.float32), features)
    if network["logarithm"] is not None:
        _take_logarithms(network["logarithm"], values)
    values = _scaled(network["scaling"], values)
    return np.concatenate([values, missing[:, network["indicators"]].astype(np.float32)], axis=1)


def _take_logarithms(rule: Document, values: Float32) -> None:
    for index, lowest, typical in zip(rule["features"], rule["lowest"], rule["typical"], strict=True):
        with np.errstate(over="ignore"):
            distance = (values[:, index] - np.float32(lowest)) / np.float32(typical)
        distance = np.clip(distance, -_LARGEST, _LARGEST)
        values[:, index] = np.copysign(np.log1p(np.abs(distance.astype(np.float64))), distance)


def _scaled(rule: Document, values: Float32) -> Float32:
    if rule["kind"] == "none":
        return values
    if rule["kind"] == "quantile":
        pairs = zip(rule["knots"], rule["values"], strict=True)
        columns = [_interpolated(values[:, index], *pair) for index, pair in enumerate(pairs)]
        return np.stack(columns, axis=1)
    centre, scale = (np.array(rule[key], np.float32) for key in ("centre", "scale"))
    with np.errstate(over="ignore"):
        values = np.asarray((values - centre) / scale, np.float32)
    values = np.clip(values, -_FARTHEST, _FARTHEST)
    if rule["kind"] == "robust":
        square: Float32 = np.square(values / np.float32(3))
        values = np.asarray(values / np.sqrt(1 + square), np.float32)
    return values


def _interpolated(column: Float32, knots: Sequence[float], becomes: Sequence[float]) -> Float32:
    below, heights = np.array(knots, np.float32), np.array(becomes, np.float32)
    inside = np.clip(column, below[0], below[-1])
    place = np.searchsorted(below, inside, side="right") - 1
    after = np.minimum(place + 1, len(below) - 1)
    width = below[after] - below[place]
    position = (inside - below[place]) / np.where(width > 0, width, np.float32(1))
    rise = heights[after] - heights[place]
    return np.asarray(np.minimum(heights[place] + position * rise, heights[after]), np.float32)


def _embedded(embedding: Document | None, x: Float32, rounding: Rounding) -> NDArray[np.floating[Any]]:
    if embedding is None:
        return x
    if embedding["kind"] == "gains":
        return np.asarray(x * np.array(embedding["gain"], np.float32))
    if embedding["kind"] == "piecewise_linear":
        edges = np.array(embedding["edges"], np.float32)
        width = np.maximum(edges[:, 1:] - edges[:, :-1], np.float32(1e-6))
        return np.asarray(np.clip((x[:, :, None] - edges[:, :-1]) / width, 0, 1).reshape(len(x), -1))
    angle = (np.array(embedding["frequency"], np.float32) * x[:, :, None]).astype(np.float64)
    waves = rounding.of(np.concatenate([np.sin(angle), np.cos(angle)], axis=2))
    weight, bias = (rounding.of(np.array(embedding[key])) for key in ("weight", "bias"))
    nodes = rounding.of(np.einsum("iof,nif->nio", weight, waves) + bias)
    return np.concatenate([x, np.maximum(nodes, 0).reshape(len(x), -1)], axis=1)


def _layer(layer: Document, x: Float64, rounding: Rounding, *, exact: bool) -> Float64:
    """Apply a layer.

    Args:
        layer: of the document.
        x: its inputs, [n, inputs].
        rounding: of the numbers in floating point.
        exact: whether every form computes the same bits of the inputs.
    """
    given = x
    if layer["output_format"] is not None:
        return _fixed_point_layer(layer, x, rounding, exact=exact)
    weight, bias = (rounding.of(np.array(layer[key])) for key in ("weight", "bias"))
    nodes = x @ weight.T
    if layer["layer_normalisation"] is not None:
        nodes = rounding.of(nodes)
        deviation = nodes - nodes.mean(axis=1, keepdims=True)
        width = np.sqrt((deviation**2).mean(axis=1, keepdims=True) + 1e-5)
        nodes = rounding.of(np.array(layer["layer_normalisation"]) * deviation / width)
    before = rounding.of(nodes + bias)
    nodes = _ACTIVATIONS[layer["activation"]](before, layer["slope"])
    if layer["activation"] not in _UNCURVED:
        # such as exp(x) - 1, whose rounding is that of a number of about 1
        nodes = rounding.of(nodes, 1 + np.abs(nodes))
    return rounding.of(nodes + given) if layer["residual"] else nodes


def _fixed_point_layer(layer: Document, x: Float64, rounding: Rounding, *, exact: bool) -> Float64:
    """Apply a layer whose sums are exact, so that only its inputs can have been rounded."""
    if layer["input_format"] is not None:
        x = _quantized(x if exact else rounding.before_steps(x), layer["input_format"])
    nodes = _ACTIVATIONS[layer["activation"]](x @ np.array(layer["weight"]).T + np.array(layer["bias"]), 0.0)
    return _quantized(nodes, layer["output_format"])


def _exponential(x: Float64) -> Float64:
    return np.asarray(np.exp(np.minimum(x, 700.0)))


def _softplus(x: Float64) -> Float64:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _elu(x: Float64) -> Float64:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _gelu(x: Float64) -> Float64:
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


_ACTIVATIONS: Mapping[str, Callable[[Float64, float], Float64]] = {
    "relu": lambda x, _: np.asarray(np.maximum(x, 0)),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "elu": lambda x, _: _elu(x),
    "selu": lambda x, _: np.where(x > 0, 1.0507009873554805 * x, 1.7580993408473766 * _elu(x)),
    "gelu": lambda x, _: _gelu(x),
    "silu": lambda x, _: x / (1 + _exponential(-x)),
    "mish": lambda x, _: x * np.tanh(_softplus(x)),
    "tanh": lambda x, _: np.asarray(np.tanh(x)),
    "sigmoid": lambda x, _: 1 / (1 + _exponential(-x)),
    "softplus": lambda x, _: _softplus(x),
    "linear": lambda x, _: x,
}


def _quantized(x: Float64, form: Document) -> Float64:
    steps = _rounded(x * 2.0 ** form["fraction"], form["rounding"])
    low, high = form["lowest"], form["highest"]
    if form["overflow"] == "SAT_ZERO":
        steps = np.where((steps < low) | (steps > high), 0, steps)
    elif form["overflow"] == "WRAP":
        steps = np.mod(steps - low, 2.0 ** form["bits"]) + low
    else:
        steps = np.clip(steps, low, high)
    return np.asarray(steps * 2.0 ** -form["fraction"])


def _rounded(steps: Float64, rounding: str) -> Float64:
    whole = np.trunc(steps)
    rest = steps - whole
    above, below = _ROUNDED_AWAY[rounding](steps, whole, rest)
    return np.asarray(whole + above - below)


_Away = Callable[[Float64, Float64, Float64], tuple[Any, Any]]
_ROUNDED_AWAY: Mapping[str, _Away] = {
    "TRN": lambda _, __, rest: (0, rest < 0),
    "TRN_ZERO": lambda *_: (0, 0),
    "RND": lambda _, __, rest: (rest >= 0.5, rest < -0.5),
    "RND_MIN_INF": lambda _, __, rest: (rest > 0.5, rest <= -0.5),
    "RND_ZERO": lambda _, __, rest: (rest > 0.5, rest < -0.5),
    "RND_INF": lambda _, __, rest: (rest >= 0.5, rest <= -0.5),
    "RND_CONV": lambda steps, whole, _: (np.round(steps) > whole, np.round(steps) < whole),
}
"""Where a number is brought to the whole number above and below the one that is nearer to zero."""


def _softmax(logits: Float64) -> Float64:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
