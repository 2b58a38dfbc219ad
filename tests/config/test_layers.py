"""The sections of the layers: shorthands, formats, and the layers that are refused."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import (
    Dense,
    FixedPoint,
    Gains,
    Network,
    Periodic,
    PiecewiseLinear,
    Quantized,
    Scaling,
    Sparse,
    dump_config,
    parse_config,
)
from tamis.config.layers import resolve_embedding
from tamis.errors import ConfigurationError

INPUT = "input: {bits: 10, integer: 4}"


def network_of(minimal: str, text: str) -> Network:
    return parse_config(f"{minimal}network: {{{text}}}\n").network


def test_a_layer_without_a_type_is_dense(minimal: str) -> None:
    network = network_of(minimal, "layers: [{nodes: 3}, {type: dense, nodes: 3}]")
    assert network.layers == (Dense(nodes=3), Dense(nodes=3))


def test_all_types_mix_in_one_network(minimal: str) -> None:
    layers = (
        "layers: [{nodes: 8, dropout: 0.1}, {type: sparse, nodes: 8, density: 0.5, residual: true}, "
        f"{{type: quantized, nodes: 4, {INPUT}}}, {{type: quantized, nodes: 4}}]"
    )
    config = parse_config(f"{minimal}network: {{{layers}}}\n")
    assert config.network.layers == (
        Dense(nodes=8, dropout=0.1),
        Sparse(nodes=8, density=0.5, residual=True),
        Quantized(nodes=4, input=FixedPoint(bits=10, integer=4)),
        Quantized(nodes=4),
    )
    assert parse_config(dump_config(config)) == config


def test_embeddings_are_told_by_their_type(minimal: str) -> None:
    assert network_of(minimal, "embedding: {type: periodic}").embedding == Periodic()
    found = network_of(minimal, "embedding: {type: piecewise_linear, bins: 4}").embedding
    assert found == PiecewiseLinear(bins=4)
    gains = network_of(minimal, "gains: {learning_rate_factor: 3}").gains
    assert gains == Gains(learning_rate_factor=3)


@pytest.mark.parametrize(
    ("section", "scaling", "expected"),
    [
        (Network(), "robust", Periodic()),
        (Network(), "none", None),
        (Network(gains=None), "robust", None),
        (Network(layers=(Dense(nodes=128, dropout="auto"),)), "robust", None),
        (Network(embedding=None), "robust", None),
        (Network(embedding=PiecewiseLinear(), gains=None), "none", PiecewiseLinear()),
    ],
)
def test_only_the_default_network_has_an_embedding_without_asking(
    section: Network, scaling: Scaling, expected: Periodic | PiecewiseLinear | None
) -> None:
    assert resolve_embedding(section, scaling) == expected


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("{type: spare, nodes: 3}", "layers[0].type", "did you mean 'sparse'?"),
        ("{nodes: 3, density: 0.5}", "layers[0].density", "unknown key"),
        ("{nodes: 3, activation: selu, dropout: 0.1}", "layers[0]", "choose another activation"),
        ("{type: sparse, nodes: 3}", "layers[0]", "found none of them; give exactly one"),
        ("{type: sparse, nodes: 3, density: 0.5, fan_in: 2}", "layers[0]", "found both; give exactly one"),
        ("{type: sparse, nodes: 3, density: 0}", "layers[0].density", "expected a number above 0"),
        ("{type: sparse, nodes: 3, density: 1.5}", "layers[0].density", "expected a number of at most 1"),
        (
            "{type: sparse, nodes: 3, density: 0.5, pruning_begin: 0.5, pruning_end: 0.5}",
            "layers[0]",
            "pruning_begin is 0.5 and pruning_end is 0.5; write a smaller pruning_begin",
        ),
        (
            "{type: sparse, nodes: 3, density: 0.5, activation: selu, dropout: 0.1}",
            "layers[0]",
            "set dropout to 0",
        ),
        (
            "{nodes: 5}, {type: sparse, nodes: 3, density: 0.1}",
            "",
            "layers[1] does not fit: a density of 0.1 leaves the nodes 0.5 of 5 inputs each; give a density of at "
            "least 0.2",
        ),
        (
            "{nodes: 5}, {type: sparse, nodes: 3, fan_in: 6}",
            "",
            "layers[1] does not fit: fan_in is 6, but the layer has 5 inputs; lower fan_in",
        ),
        ("{type: sparse, nodes: 5, fan_in: 1, residual: true}", "", "layers[0] is residual"),
        (
            "{type: quantized, nodes: 3}",
            "",
            "layers[0] does not fit: it is quantized, and the layer before it is not; give its inputs a format",
        ),
        ("{nodes: 3}, {type: quantized, nodes: 3}", "", "layers[1] does not fit: it is quantized"),
        (
            f"{{type: quantized, nodes: 3, {INPUT}, activation: tanh}}",
            "layers[0].activation",
            "a quantized layer computes exactly in fixed point, which tanh does not allow; choose relu or linear",
        ),
        (
            f"{{type: quantized, nodes: 3, {INPUT}, activation: rleu}}",
            "layers[0].activation",
            "expected one of",
        ),
        (f"{{type: quantized, nodes: 3, {INPUT}, dropout: 0.1}}", "layers[0].dropout", "unknown key"),
        ("{type: quantized, nodes: 3, input: {bits: 1, integer: 1}}", "layers[0].input", "at least 2 bits"),
        (
            "{type: quantized, nodes: 3, input: {bits: 25, integer: 1}}",
            "layers[0].input.bits",
            "expected a number of at most 24",
        ),
        (
            f"{{type: quantized, nodes: 900, {INPUT}}}, "
            "{type: quantized, nodes: 3, weight: {bits: 12, integer: 2}}",
            "",
            "layers[1] does not fit: its sums of 900 products of 12 by 8 bits and a bias of 8 bits need 28 bits, "
            "and 32-bit floating point is exact up to 24; use fewer bits, or fewer inputs",
        ),
    ],
)
def test_layers_that_cannot_be_are_refused(minimal: str, text: str, where: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        network_of(minimal, f"layers: [{text}]")
    (problem,) = found.value.problems
    assert problem.where == f"network.{where}".strip(".")
    assert message in problem.message


@given(
    bits=st.integers(2, 24),
    integer=st.integers(-9, 30),
    signed=st.booleans(),
    overflow=st.sampled_from(["SAT", "SAT_SYM", "WRAP", "SAT_ZERO"]),
)
def test_a_format_has_as_many_numbers_as_its_bits_can_tell_apart(
    bits: int, integer: int, signed: bool, overflow: str
) -> None:
    form = FixedPoint.model_validate(
        {"bits": bits, "integer": integer, "signed": signed, "overflow": overflow}
    )
    assert form.highest - form.lowest + 1 == 2**bits - (overflow == "SAT_SYM" and signed)
    assert form.fraction + form.integer == bits
    # the integer bits reach up to a power of two
    assert (form.highest + 1) * 2.0**-form.fraction == 2.0 ** (integer - signed)


def test_a_format_is_written_as_in_the_hardware_language() -> None:
    form = FixedPoint(bits=6, integer=2, signed=False, rounding="TRN", overflow="WRAP")
    assert str(form) == "ap_ufixed<6, 2, AP_TRN, AP_WRAP>"


@pytest.mark.parametrize(("weight", "given"), [*product([(2, 1), (3, 1), (4, 9)], [(2, 0), (5, 2)])])
def test_exact_sums_are_counted_rightly(weight: tuple[int, int], given: tuple[int, int]) -> None:
    forms = [FixedPoint(bits=bits, integer=integer) for bits, integer in (weight, given)]
    bias = FixedPoint(bits=4, integer=6)
    section = Quantized(nodes=1, weight=forms[0], bias=bias)
    # the largest number of inputs whose products all fit, from the definition
    steps = [form.fraction for form in forms]
    finest = max(sum(steps), bias.fraction)
    product_size = 2 ** (weight[0] + given[0] - 2 + finest - sum(steps))
    most = (2**24 - 2 ** (3 + finest - bias.fraction)) // product_size
    assert section.find_inconsistency(most, forms[1]) is None
    assert section.find_inconsistency(most + 1, forms[1]) is not None
