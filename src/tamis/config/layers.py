"""The section of the network: embedding, hidden layers and shared members."""

from __future__ import annotations

from typing import Annotated, Literal, assert_never, get_args

from pydantic import BeforeValidator, Field, model_validator

from tamis.config.fields import Count, FractionOrZero, NotNegative, Positive, Section, with_default

Activation = Literal[
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "softplus", "linear"
]
Nodes = Annotated[int, Field(ge=1, le=65536)]


MOST_LAYERS = 100
FLOAT_BITS = 24
"""Bits of a whole number that 32-bit floating point holds exactly."""


class _Connected(Section):
    type: str
    nodes: Nodes = Field(description="number of nodes")
    activation: Activation = Field("silu", description="activation function")
    slope: Positive = Field(0.01, description="slope of `leaky_relu` below zero")
    dropout: FractionOrZero | Literal["auto"] = Field(
        0.0,
        description="fraction of the nodes that are set to zero in a training step; `auto` depends on the number "
        "of training events",
    )
    normalisation: Literal["batch", "layer"] | None = Field(
        None, description="batch or layer normalisation before the activation"
    )
    residual: bool = Field(
        False,
        description="whether the input of the layer is added to its output; both need the same number of nodes",
    )

    @model_validator(mode="after")
    def _check_dropout(self) -> _Connected:
        if self.activation == "selu" and self.dropout:
            raise ValueError(
                "dropout destroys the normalisation of selu; set dropout to 0, or choose another activation"
            )
        return self


class Dense(_Connected):
    """A fully connected layer."""

    type: Literal["dense"] = Field("dense", description="type of the layer")


class Sparse(_Connected):
    """A layer in which most weights are zero; needs `density` or `fan_in`."""

    type: Literal["sparse"] = Field("sparse", description="type of the layer")
    density: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="fraction of non-zero weights"
    )
    fan_in: Count | None = Field(None, description="number of inputs of each node, instead of `density`")
    mask: Literal["random", "magnitude"] = Field(
        "random",
        description="`random` chooses the non-zero weights before the training; `magnitude` prunes the smallest "
        "weights during the training (https://arxiv.org/abs/1710.01878)",
    )
    pruning_begin: FractionOrZero = Field(
        0.0, description="fraction of the training after which the pruning begins"
    )
    pruning_end: Annotated[float, Field(gt=0, le=1)] = Field(
        0.75, description="fraction of the training after which the density is reached"
    )

    @model_validator(mode="after")
    def _check_sparsity(self) -> Sparse:
        if (self.density is None) == (self.fan_in is None):
            given_keys = "none of them" if self.density is None else "both"
            raise ValueError(f"a sparse layer needs density or fan_in, found {given_keys}; give exactly one")
        if self.pruning_begin >= self.pruning_end:
            raise ValueError(
                f"pruning_begin is {self.pruning_begin:g} and pruning_end is {self.pruning_end:g}; write a smaller "
                "pruning_begin"
            )
        return self

    def find_inconsistency(self, inputs: int) -> str | None:
        """Return why the sparsity does not fit a number of inputs; None if it does.

        Example:
            >>> Sparse(nodes=4, density=0.1).find_inconsistency(5)
            'a density of 0.1 leaves the nodes 0.5 of 5 inputs each; give a density of at least 0.2'
        """
        if self.fan_in is not None and self.fan_in > inputs:
            return f"fan_in is {self.fan_in}, but the layer has {inputs} inputs; lower fan_in"
        if self.density is not None and self.density * inputs < 1 - 1e-9:
            return (
                f"a density of {self.density:g} leaves the nodes {self.density * inputs:.2g} of {inputs} inputs "
                f"each; give a density of at least {1 / inputs:.3g}"
            )
        return None


Rounding = Literal["TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV"]
Overflow = Literal["WRAP", "SAT", "SAT_ZERO", "SAT_SYM"]


class FixedPoint(Section):
    """A fixed-point format, as `ap_fixed<bits, integer, AP_rounding, AP_overflow>` or `ap_ufixed` defines it."""

    bits: Annotated[int, Field(ge=1, le=FLOAT_BITS)] = Field(description="total number of bits")
    integer: Annotated[int, Field(ge=-32, le=32)] = Field(
        description="integer bits, including the sign; may be negative, or more than `bits`"
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
        """Bits after the binary point; negative if the step is more than one."""
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
        """Return the format as the C++ type.

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
    """Keys of quantized layers and of a quantized output layer."""

    weight: FixedPoint = Field(FixedPoint(bits=8, integer=2), description="format of the weights")
    bias: FixedPoint = Field(FixedPoint(bits=8, integer=2), description="format of the biases")
    output: FixedPoint = Field(
        FixedPoint(bits=8, integer=4), description="format of the nodes after the activation"
    )
    input: FixedPoint | None = Field(
        None,
        description="format of the inputs; null uses that of the quantized layer before",
    )
    learn_bits: bool = Field(
        False,
        description="whether to learn the number of fractional bits of each format; the configured number is the "
        "initial value and the maximum",
    )
    ebops_cost: NotNegative = Field(
        1e-7, description="term in the loss for each effective bit operation (EBOP), if bits are learned"
    )


class Quantized(_InFixedPoint):
    """A dense layer whose weights, biases and nodes are fixed-point numbers."""

    type: Literal["quantized"] = Field("quantized", description="type of the layer")
    nodes: Nodes = Field(description="number of nodes")
    activation: Annotated[
        _ExactActivation, BeforeValidator(_exact_activation, json_schema_input_type=_ExactActivation)
    ] = Field("relu", description="activation function, `relu` or `linear`")

    def find_inconsistency(self, inputs: int, input_format: FixedPoint) -> str | None:
        """Return why 32-bit floating point cannot compute the layer exactly; None if it can.

        The sum of the products and the bias, in steps of the finest bit, must stay below 2^24 in every order.

        Example:
            >>> wide = FixedPoint(bits=16, integer=6)
            >>> Quantized(nodes=4, weight=wide).find_inconsistency(64, wide)[:54]
            'its sums of 64 products of 16 by 16 bits and a bias of'
        """
        product = self.weight.fraction + input_format.fraction
        finest = max(product, self.bias.fraction)
        total = inputs * _size(self.weight) * _size(input_format) * 2 ** (finest - product)
        total += _size(self.bias) * 2 ** (finest - self.bias.fraction)
        if total <= 2**FLOAT_BITS:
            return None
        return (
            f"its sums of {inputs} products of {self.weight.bits} by {input_format.bits} bits and a bias of "
            f"{self.bias.bits} bits need {total.bit_length()} bits, and 32-bit floating point is exact up to "
            f"{FLOAT_BITS}; use fewer bits, or fewer inputs"
        )


class QuantizedOutput(_InFixedPoint):
    """An output layer whose weights, biases and outputs, before the softmax, are fixed-point numbers."""

    output: FixedPoint = Field(
        FixedPoint(bits=12, integer=6), description="format of the outputs, before the softmax"
    )

    def layer(self, outputs: int) -> Quantized:
        """Return the layer with a number of outputs."""
        return Quantized(
            nodes=outputs,
            activation="linear",
            **{name: getattr(self, name) for name in type(self).model_fields},
        )

    @classmethod
    def of_layer(cls, layer: Quantized) -> QuantizedOutput:
        """Return the section of a layer."""
        return cls(**{name: getattr(layer, name) for name in cls.model_fields})


def _size(form: FixedPoint) -> int:
    return int(max(-form.lowest, form.highest))


Layer = Dense | Sparse | Quantized
LayerChoice = Annotated[Layer, Field(discriminator="type"), with_default("type", "dense", Layer)]


class Periodic(Section):
    """Sines and cosines of each input with learned frequencies (https://arxiv.org/abs/2203.05556)."""

    type: Literal["periodic"] = Field("periodic", description="type of the embedding")
    frequencies: Count = Field(8, description="frequencies of each input, each with a sine and a cosine")
    sigma: Positive = Field(0.1, description="width of the distribution of the initial frequencies")
    nodes: Count = Field(4, description="nodes to which the sines and cosines of an input are mapped")


class PiecewiseLinear(Section):
    """Piecewise linear encoding of each input (https://arxiv.org/abs/2203.05556)."""

    type: Literal["piecewise_linear"] = Field("piecewise_linear", description="type of the embedding")
    bins: Annotated[int, Field(ge=2, le=1024)] = Field(
        16, description="number of bins of each input, with equal numbers of training events"
    )


class Gains(Section):
    """A learned factor for each input of the first layer, so that useless inputs fade (https://arxiv.org/abs/2407.04491)."""

    learning_rate_factor: Positive | Literal["auto"] = Field(
        "auto",
        description="learning rate of the gains, relative to that of the weights; `auto` is the number of inputs, at "
        "most 30",
    )


Embedding = Annotated[Periodic | PiecewiseLinear, Field(discriminator="type")]


_RECIPE = Dense(nodes=128, dropout="auto")


class Network(Section):
    """The hidden layers; the output layer, one node per class with softmax, is always added."""

    layers: tuple[LayerChoice, ...] = Field(
        (_RECIPE, _RECIPE, _RECIPE),
        strict=False,
        max_length=MOST_LAYERS,
        description="hidden layers, from the inputs to the outputs; an empty list is a logistic regression",
    )
    embedding: Embedding | Literal["auto"] | None = Field(
        "auto",
        description="embedding of each input before the first layer; null uses the inputs themselves, `auto` is "
        "periodic with the default layers, gains and scaled inputs, and otherwise null",
    )
    gains: Gains | None = Field(
        Gains(),
        description="learned factors of the inputs of the first layer, after the embedding; null has none",
    )
    shared_members: Annotated[int, Field(ge=1, le=1024)] = Field(
        1,
        description="number of averaged networks that share all weights except the scales of their inputs and their "
        "output layers (TabM)",
    )
    parametrisation: Literal["standard", "ntk"] = Field(
        "standard",
        description="`ntk` divides the steps of each weight by the square root of the number of inputs of its layer",
    )
    output_initialisation: Literal["random", "zero"] = Field(
        "zero",
        description="initial weights of the output layer; with `zero` all scores are equal before the training",
    )
    quantized_output: QuantizedOutput | None = Field(
        None,
        description="fixed-point formats of the output layer, for networks of quantized layers on an FPGA; null is a "
        "dense output layer",
    )

    @model_validator(mode="after")
    def _check_layers(self) -> Network:
        if self.shared_members > 1:
            if any(getattr(layer, "normalisation", None) == "batch" for layer in self.layers):
                raise ValueError(
                    "batch normalisation would mix the members; use normalisation: layer, or set shared_members to 1"
                )
            if self.quantized_output is not None:
                raise ValueError("quantized_output needs a single output layer; set shared_members to 1")
        previous: Layer | None = None
        # the number of the first layer's inputs follows from the features, and is not known here
        for number, layer in enumerate(self.layers):
            if problem := _residual_problem(layer, previous):
                raise ValueError(f"layers[{number}] is residual and {problem}")
            if problem := _layer_problem(layer, previous):
                raise ValueError(f"layers[{number}] does not fit: {problem}")
            previous = layer
        # whether the outputs fit 24 bits depends on inputs and formats, not on how many there are
        if self.quantized_output and (problem := _layer_problem(self.quantized_output.layer(1), previous)):
            raise ValueError(f"quantized_output does not fit: {problem}")
        return self


def _residual_problem(layer: Layer, previous: Layer | None) -> str | None:
    """Return why the inputs of a layer cannot be added to its nodes; None if they can."""
    n_inputs = None if previous is None else previous.nodes
    if not getattr(layer, "residual", False) or n_inputs == layer.nodes:
        return None
    position = "it follows the inputs" if n_inputs is None else f"it follows {n_inputs:,} nodes"
    return f"has {layer.nodes:,} nodes, but {position}; a residual layer follows a layer with as many nodes"


def _layer_problem(layer: Layer, previous: Layer | None) -> str | None:
    """Return why a layer does not fit the previous one, None if it does; the first layer has no previous one."""
    match layer:
        case Dense():
            return None
        case Sparse():
            return None if previous is None else layer.find_inconsistency(previous.nodes)
        case Quantized():
            input_format = layer.input or (previous.output if isinstance(previous, Quantized) else None)
            if input_format is None:
                return (
                    "it is quantized, and the layer before it is not; give its inputs a format, for example "
                    "input: {bits: 10, integer: 4}"
                )
            return None if previous is None else layer.find_inconsistency(previous.nodes, input_format)
        case _:
            assert_never(layer)
