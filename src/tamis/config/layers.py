"""The section that says what the network is built of: embedding, hidden layers and members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, assert_never, get_args

from pydantic import BeforeValidator, Field, model_validator

from tamis.config.fields import Count, NotNegative, Positive, Section

Activation = Literal[
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "softplus", "linear"
]
Nodes = Annotated[int, Field(ge=1, le=65536)]
Probability = Annotated[float, Field(ge=0, lt=1)]


MOST_LAYERS = 100
FLOAT_BITS = 24
"""Bits of a whole number that 32-bit floating point holds exactly."""


class _Connected(Section):
    type: str
    nodes: Nodes = Field(description="how many nodes it has")
    activation: Activation = Field("silu", description="the function behind each node")
    slope: Positive = Field(0.01, description="slope of `leaky_relu` below zero")
    dropout: Probability | Literal["auto"] = Field(
        0.0,
        description="fraction of the nodes that is left out at random in each step of the training; `auto` follows "
        "the number of training events",
    )
    normalisation: Literal["batch", "layer"] | None = Field(
        None, description="`batch` or `layer` normalises the nodes before the activation"
    )
    residual: bool = Field(
        False, description="whether the layer's input is added to its output; it needs as many nodes"
    )

    @model_validator(mode="after")
    def _check_dropout(self) -> _Connected:
        if self.activation == "selu" and self.dropout:
            raise ValueError(
                "dropout destroys what selu normalises; set dropout to 0, or choose another activation"
            )
        return self


class Dense(_Connected):
    """A layer in which every node sees every node of the layer before."""

    type: Literal["dense"] = Field("dense", description="the kind of layer")


class Sparse(_Connected):
    """A layer in which most weights are zero and stay so; give `density` or `fan_in`."""

    type: Literal["sparse"] = Field("sparse", description="the kind of layer")
    density: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="fraction of the weights that is not zero"
    )
    fan_in: Count | None = Field(None, description="inputs of each node, instead of `density`")
    mask: Literal["random", "magnitude"] = Field(
        "random",
        description="`random` draws once which weights are there; `magnitude` begins with all of them and takes "
        "away the smallest while it trains (https://arxiv.org/abs/1710.01878)",
    )
    begin: Probability = Field(0.0, description="after which fraction of the training `magnitude` begins")
    end: Annotated[float, Field(gt=0, le=1)] = Field(
        0.75, description="after which fraction of the training `magnitude` has reached the density"
    )

    @model_validator(mode="after")
    def _check_sparsity(self) -> Sparse:
        if (self.density is None) == (self.fan_in is None):
            found = "none of them" if self.density is None else "both"
            raise ValueError(f"a sparse layer needs density or fan_in, found {found}; give exactly one")
        if self.begin >= self.end:
            raise ValueError(f"begin is {self.begin:g} and end is {self.end:g}; begin must be smaller")
        return self

    def find_contradiction(self, inputs: int) -> str | None:
        """Say what is wrong with the sparsity for this number of inputs, if anything.

        Args:
            inputs: number of inputs of the layer.

        Example:
            >>> Sparse(nodes=4, density=0.1).find_contradiction(5)
            'a density of 0.1 leaves the nodes 0.5 of 5 inputs each; give a density of at least 0.2'
        """
        if self.fan_in is not None and self.fan_in > inputs:
            return f"each node shall have {self.fan_in} inputs, but there are {inputs}; lower fan_in"
        if self.density is not None and self.density * inputs < 1 - 1e-9:
            left = f"a density of {self.density:g} leaves the nodes {self.density * inputs:.2g} of {inputs} inputs"
            return f"{left} each; give a density of at least {1 / inputs:.3g}"
        return None


Rounding = Literal["TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV"]
Overflow = Literal["WRAP", "SAT", "SAT_ZERO", "SAT_SYM"]


class FixedPoint(Section):
    """A fixed-point format, as `ap_fixed<bits, integer, AP_rounding, AP_overflow>` or `ap_ufixed` defines it."""

    bits: Annotated[int, Field(ge=1, le=FLOAT_BITS)] = Field(description="bits in total")
    integer: Annotated[int, Field(ge=-32, le=32)] = Field(
        description="bits before the binary point, with the sign; may be negative, or more than `bits`"
    )
    signed: bool = Field(True, description="whether there is a sign (`ap_fixed`) or not (`ap_ufixed`)")
    rounding: Rounding = Field(
        "RND",
        description="what happens to finer bits: `TRN` rounds down, `TRN_ZERO` towards zero, the others to the "
        "nearest number, half of a step up (`RND`), down (`RND_MIN_INF`), towards zero (`RND_ZERO`), away from it "
        "(`RND_INF`) or to the even number (`RND_CONV`)",
    )
    overflow: Overflow = Field(
        "SAT",
        description="what happens outside the range: `WRAP` drops the highest bits, `SAT` takes the nearest end, "
        "`SAT_ZERO` zero, and `SAT_SYM` the nearest end of a range that is as long below zero as above",
    )

    @model_validator(mode="after")
    def _check_bits(self) -> FixedPoint:
        if self.signed and self.bits == 1:
            raise ValueError("one bit is only a sign; give at least 2 bits, or signed: false")
        return self

    @property
    def fraction(self) -> int:
        """Bits behind the binary point; negative where the step is more than one."""
        return self.bits - self.integer

    @property
    def lowest(self) -> int:
        """Lowest number of the format, in steps."""
        if not self.signed:
            return 0
        return -(1 << (self.bits - 1)) + (self.overflow == "SAT_SYM")

    @property
    def highest(self) -> int:
        """Highest number of the format, in steps."""
        return (1 << (self.bits - self.signed)) - 1

    def __str__(self) -> str:
        """Write it as the type of C++.

        >>> str(FixedPoint(bits=8, integer=3))
        'ap_fixed<8, 3, AP_RND, AP_SAT>'
        """
        kind = "ap_fixed" if self.signed else "ap_ufixed"
        return f"{kind}<{self.bits}, {self.integer}, AP_{self.rounding}, AP_{self.overflow}>"


_ExactActivation = Literal["relu", "linear"]


def _exact_activation(value: object) -> object:
    if value in get_args(Activation) and value not in get_args(_ExactActivation):
        raise ValueError(
            f"a quantized layer computes exactly in fixed point, which {value} does not allow; choose relu or linear"
        )
    return value


class _InFixedPoint(Section):
    """What quantized layers and a quantized output layer have in common."""

    weight: FixedPoint = Field(FixedPoint(bits=8, integer=2), description="format of the weights")
    bias: FixedPoint = Field(FixedPoint(bits=8, integer=2), description="format of the biases")
    output: FixedPoint = Field(
        FixedPoint(bits=8, integer=4), description="format of the nodes behind the activation"
    )
    input: FixedPoint | None = Field(
        None,
        description="format that the inputs are brought to; null takes them as the quantized layer before gives "
        "them",
    )
    learned: bool = Field(
        False,
        description="whether each format's number of fractional bits is learned; those of the formats are where "
        "they begin, and the most that there can be",
    )
    cost: NotNegative = Field(
        1e-7, description="what an effective bit operation adds to the loss, where bits are learned"
    )


class Quantized(_InFixedPoint):
    """A dense layer whose weights, biases and nodes are fixed-point numbers."""

    type: Literal["quantized"] = Field("quantized", description="the kind of layer")
    nodes: Nodes = Field(description="how many nodes it has")
    activation: Annotated[
        _ExactActivation, BeforeValidator(_exact_activation, json_schema_input_type=_ExactActivation)
    ] = Field("relu", description="the function behind each node, `relu` or `linear`")

    def find_contradiction(self, inputs: int, given: FixedPoint) -> str | None:
        """Say why 32-bit floating point could not compute the layer exactly, if so.

        The sum of the products and the bias, in steps of the finest bit, must stay below 2^24 in every order.

        Args:
            inputs: number of inputs of the layer.
            given: the format of the inputs.

        Example:
            >>> wide = FixedPoint(bits=16, integer=6)
            >>> Quantized(nodes=4, weight=wide).find_contradiction(64, wide)[:54]
            'its sums of 64 products of 16 by 16 bits and a bias of'
        """
        product = self.weight.fraction + given.fraction
        finest = max(product, self.bias.fraction)
        total = inputs * _size(self.weight) * _size(given) * 2 ** (finest - product)
        total += _size(self.bias) * 2 ** (finest - self.bias.fraction)
        if total <= 2**FLOAT_BITS:
            return None
        return (
            f"its sums of {inputs} products of {self.weight.bits} by {given.bits} bits and a bias of "
            f"{self.bias.bits} bits need {total.bit_length()} bits, and 32-bit floating point is exact up to "
            f"{FLOAT_BITS}; take fewer bits, or fewer inputs"
        )


class QuantizedOutput(_InFixedPoint):
    """An output layer whose weights, biases and outputs, before the softmax, are fixed-point numbers."""

    output: FixedPoint = Field(
        FixedPoint(bits=12, integer=6), description="format of the outputs, before the softmax"
    )

    def layer(self, outputs: int) -> Quantized:
        """Give the layer of this many outputs."""
        return Quantized(
            nodes=outputs,
            activation="linear",
            **{name: getattr(self, name) for name in type(self).model_fields},
        )

    @classmethod
    def of_layer(cls, layer: Quantized) -> QuantizedOutput:
        """Give what a layer was made of."""
        return cls(**{name: getattr(layer, name) for name in cls.model_fields})


def _size(form: FixedPoint) -> int:
    return int(max(-form.lowest, form.highest))


Layer = Dense | Sparse | Quantized


def _dense_by_default(value: object) -> object:
    """Read `{nodes: 64}` as `{type: dense, nodes: 64}`."""
    return {"type": "dense", **value} if isinstance(value, Mapping) else value


LayerChoice = Annotated[
    Layer,
    Field(discriminator="type"),
    BeforeValidator(_dense_by_default, json_schema_input_type=Layer),
]


class Periodic(Section):
    """Each input becomes sines and cosines of learned frequencies (https://arxiv.org/abs/2203.05556)."""

    type: Literal["periodic"] = Field("periodic", description="the kind of embedding")
    frequencies: Count = Field(8, description="frequencies of each input; each gives a sine and a cosine")
    sigma: Positive = Field(0.1, description="width of the distribution of the initial frequencies")
    nodes: Count = Field(8, description="nodes that each input's sines and cosines are mapped to")


class PiecewiseLinear(Section):
    """Each input becomes its position in each of some bins (https://arxiv.org/abs/2203.05556)."""

    type: Literal["piecewise_linear"] = Field("piecewise_linear", description="the kind of embedding")
    bins: Annotated[int, Field(ge=2, le=1024)] = Field(
        16, description="bins of each input, with the same number of training events in each"
    )


class Gains(Section):
    """Each input is multiplied by a learned number, so that useless inputs fade (https://arxiv.org/abs/2407.04491)."""

    type: Literal["gains"] = Field("gains", description="the kind of embedding")
    speed: Positive | Literal["auto"] = Field(
        "auto",
        description="how many times as fast as a weight a gain learns; `auto` is the number of inputs, at most 30",
    )


Embedding = Annotated[Periodic | PiecewiseLinear | Gains, Field(discriminator="type")]


_RECIPE = Dense(nodes=128, dropout="auto")


class Network(Section):
    """The hidden layers; the output layer, one node per class with softmax, is always added."""

    layers: tuple[LayerChoice, ...] = Field(
        (_RECIPE, _RECIPE, _RECIPE),
        strict=False,
        max_length=MOST_LAYERS,
        description="hidden layers from the inputs to the outputs; an empty list is a logistic regression",
    )
    embedding: Embedding | None = Field(
        Gains(), description="what each input becomes before the first layer; null leaves it one number"
    )
    members: Annotated[int, Field(ge=1, le=1024)] = Field(
        1,
        description="networks that share all weights but the scales of their inputs and their output layers, "
        "averaged (TabM)",
    )
    parametrisation: Literal["standard", "ntk"] = Field(
        "standard",
        description="`ntk` divides the steps of each weight by the root of the number of the layer's inputs",
    )
    output: Literal["random", "zero"] = Field(
        "zero", description="initial weights of the output layer; with `zero` all scores begin equal"
    )
    quantized_output: QuantizedOutput | None = Field(
        None,
        description="formats of an output layer in fixed point, so that a network of quantized layers is one "
        "throughout, as an FPGA needs it; null is a dense output layer",
    )

    @model_validator(mode="after")
    def _check_members(self) -> Network:
        if self.members > 1 and any(
            getattr(layer, "normalisation", None) == "batch" for layer in self.layers
        ):
            raise ValueError(
                "batch normalisation would mix the members; use normalisation: layer, or set members to 1"
            )
        return self

    @model_validator(mode="after")
    def _check_output(self) -> Network:
        if self.quantized_output is None:
            return self
        if self.members > 1:
            raise ValueError("quantized_output goes with one output layer; set members to 1")
        # whether the outputs fit 24 bits depends on inputs and formats, not on how many there are
        if problem := _contradiction(
            self.quantized_output.layer(1), self.layers[-1] if self.layers else None
        ):
            raise ValueError(f"quantized_output does not fit: {problem}")
        return self

    @model_validator(mode="after")
    def _check_residuals(self) -> Network:
        for number, layer in enumerate(self.layers):
            if not getattr(layer, "residual", False):
                continue
            before = self.layers[number - 1].nodes if number else None
            if before != layer.nodes:
                found = "the inputs come before it" if before is None else f"{before} nodes come before it"
                raise ValueError(
                    f"layers[{number}] is residual and has {layer.nodes} nodes, but {found}; a residual layer "
                    "follows a layer with as many nodes"
                )
        return self

    @model_validator(mode="after")
    def _check_layers(self) -> Network:
        # the number of the first layer's inputs follows from the features, and is not known here
        for number, layer in enumerate(self.layers):
            if problem := _contradiction(layer, self.layers[number - 1] if number else None):
                raise ValueError(f"layers[{number}] does not fit: {problem}")
        return self


def _contradiction(layer: Layer, before: Layer | None) -> str | None:
    """Say what is wrong with a layer behind this one, if anything; what comes before the first layer is None."""
    match layer:
        case Dense():
            return None
        case Sparse():
            return None if before is None else layer.find_contradiction(before.nodes)
        case Quantized():
            given = layer.input or (before.output if isinstance(before, Quantized) else None)
            if given is None:
                return (
                    "it is quantized, and what comes before it is not; give its inputs a format, for example "
                    "input: {bits: 10, integer: 4}"
                )
            return None if before is None else layer.find_contradiction(before.nodes, given)
        case _:
            assert_never(layer)
