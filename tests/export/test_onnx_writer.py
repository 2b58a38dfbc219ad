"""The exported graph gives the scores of the classifier, for every architecture that can be configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tamis.calibration import Calibration, Scaling
from tamis.classifier import Classifier
from tamis.config import Exchange, Reflection, Rotation
from tamis.config.layers import Activation
from tamis.data.split import NO_FOLD
from tamis.export.lower import lower
from tamis.export.onnx_writer import build_model

Make = Callable[..., Any]
TOLERANCE = 1e-6
ACTIVATIONS = list(Activation.__args__)

# what the parser of ROOT's SOFIE reads since it knows Where; `Floor` came later
SOFIE = {
    "Sqrt", "Reciprocal", "Neg", "Exp", "Log", "Sin", "Cos", "Abs", "Add", "Sub", "Mul", "Div", "Pow", "Max", "Min",
    "Mean", "Sum", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "ReduceMean", "ReduceSum",
    "ReduceSumSquare", "ReduceProd", "BatchNormalization", "Constant", "ConstantOfShape", "Cast", "Concat", "Conv",
    "ConvTranspose", "Gemm", "GRU", "Identity", "LeakyRelu", "LSTM", "AveragePool", "GlobalAveragePool", "MaxPool",
    "Relu", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "RNN", "Selu", "Shape", "Sigmoid", "Slice", "Softmax",
    "Tanh", "Transpose", "MatMul", "LayerNormalization", "Expand", "Gather", "Erf", "Elu", "EyeLike", "Range", "TopK",
    "Tile", "Split", "If", "Pad", "Where", "Einsum", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike", "ScatterElements",
}  # fmt: skip

FORMAT = {"bits": 10, "integer": 4}
QUANTIZED = [
    {"type": "quantized", "nodes": 12, "input": FORMAT},
    {"type": "quantized", "nodes": 6, "activation": "linear"},
]
SYMMETRIES = (
    Rotation(features=("phi",), start=-np.pi, period=2 * np.pi),
    Reflection(features=("eta",)),
    Exchange(objects=(("mass",), ("eta",))),
)

THREE = (Exchange(objects=(("pt",), ("mass",), ("eta",))),)
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "logistic": {"layers": [], "gains": None},
    **{
        f"activations from {names[0]}": {"layers": [{"nodes": 16, "activation": name} for name in names]}
        for names in (ACTIVATIONS[:4], ACTIVATIONS[4:8], ACTIVATIONS[8:])
    },
    **{name: {"layers": [{"nodes": 16, "activation": name}] * 2} for name in ACTIVATIONS},
    "batch": {"layers": [{"nodes": 16, "normalisation": "batch"}] * 2},
    "layer": {"layers": [{"nodes": 16, "normalisation": "layer"}] * 2},
    "residual": {"layers": [{"nodes": 16}, {"nodes": 16, "residual": True, "normalisation": "layer"}]},
    "sparse": {
        "layers": [{"type": "sparse", "nodes": 16, "fan_in": 3}, {"type": "sparse", "nodes": 8, "density": 0.3}]
    },
    "quantized": {"layers": QUANTIZED, "gains": None},
    "quantized behind gains": {"layers": QUANTIZED},
    "quantized throughout": {"layers": QUANTIZED, "quantized_output": {}},
    "quantized throughout, one output": {
        "layers": QUANTIZED, "quantized_output": {"output": {"bits": 14, "integer": 6}}, "classes": 2, "outputs": 1,
    },
    "periodic": {"layers": [{"nodes": 16}], "embedding": {"type": "periodic", "sigma": 1.0}},
    "piecewise linear": {"layers": [{"nodes": 16}], "embedding": {"type": "piecewise_linear", "bins": 5}},
    "shared members": {"layers": [{"nodes": 16}] * 2, "shared_members": 4},
    "shared members of a quantized network": {"layers": QUANTIZED, "shared_members": 3},
    "shared members without layers": {"layers": [], "shared_members": 3},
    "shared members of one output": {"layers": [{"nodes": 8}], "shared_members": 3, "classes": 2, "outputs": 1},
    "one output": {"layers": [{"nodes": 16}], "classes": 2, "outputs": 1},
    "seeds": {"layers": [{"nodes": 16}], "shared_members": 1, "networks": (None, None)},
    "folds": {"layers": [{"nodes": 16}], "networks": (0, 1, 2)},
    "folds and seeds": {"layers": [{"nodes": 16}], "networks": (0, 0, 1, 1)},
    "symmetries": {"layers": [{"nodes": 16}], "symmetries": SYMMETRIES, "copies": 8},
    "symmetries and folds": {"layers": [{"nodes": 16}], "symmetries": SYMMETRIES[:2], "copies": 3, "networks": (0, 1)},
    # two copies: the second shifts three objects by a place, which is not its own inverse
    "exchange of three": {"layers": [{"nodes": 16}], "symmetries": THREE, "copies": 2},
}  # fmt: skip
PREPROCESSINGS: dict[str, dict[str, Any]] = {
    "none": {"scaling": "none"},
    "standard": {"scaling": "standard"},
    "robust": {"scaling": "robust"},
    "quantile": {"scaling": "quantile"},
    # an order that is not its own inverse
    "logarithm": {"scaling": "standard", "logarithm": (False, True, True, False)},
    "logarithms": {"scaling": "quantile", "logarithm": (True, True, True, True)},
}


def build(make: Make, options: dict[str, Any], **more: Any) -> Classifier:
    chosen = {**options, **more}
    return make(chosen.pop("layers"), **chosen)


@pytest.fixture(scope="session")
def make(make_classifier: Make) -> Make:
    def made(
        layers: list[Any], *, networks: tuple[int | None, ...] = (None,), shared_members: int = 1, **keys: Any
    ) -> Classifier:
        return make_classifier(layers, folds=networks, shared_members=shared_members, **keys)

    return made


def folds_for(classifier: Classifier, events: int) -> np.ndarray:
    return (
        np.random.default_rng(3).integers(NO_FOLD, max(classifier.plan.n_folds, 1), events).astype(np.int32)
    )


def largest_difference(classifier: Classifier, score: Make, events: np.ndarray) -> float:
    fold = folds_for(classifier, len(events))
    return float(np.abs(score(events, fold) - classifier.scores(events, fold)).max())


# slow: these activations are in other networks as well
EACH = [pytest.param(name, marks=pytest.mark.slow) if name in ACTIVATIONS else name for name in ARCHITECTURES]


@pytest.mark.parametrize("architecture", EACH)
def test_every_architecture_gives_its_scores(
    architecture: str, make: Make, make_scorer: Make, make_events: Make
) -> None:
    classifier = build(make, ARCHITECTURES[architecture])
    events = make_events(7)
    for form in ("packed", "named"):
        assert largest_difference(classifier, make_scorer(classifier, form), events) <= TOLERANCE
    assert np.ptp(classifier.scores(events), axis=0).max() > 0.05  # there is something to agree on


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
def test_every_preprocessing_gives_its_scores(
    preprocessing: str, make: Make, make_scorer: Make, make_events: Make
) -> None:
    # bounded nodes: without scaling the inputs are thousands, of which 32 bits do not keep 10^-6
    classifier = build(
        make, {"layers": [{"nodes": 16, "activation": "tanh"}]}, **PREPROCESSINGS[preprocessing]
    )
    assert largest_difference(classifier, make_scorer(classifier), make_events(7)) <= TOLERANCE


LAYER = st.fixed_dictionaries(
    {
        "nodes": st.sampled_from([1, 8]),
        "activation": st.sampled_from(ACTIVATIONS),
        "normalisation": st.sampled_from([None, "layer", "batch"]),
    }
)
SPARSE = LAYER.map(lambda layer: {**layer, "type": "sparse", "fan_in": 1})
RESIDUAL = LAYER.map(lambda layer: [{**layer, "nodes": 8}, {**layer, "nodes": 8, "residual": True}])
FORMAT = {"bits": 10, "integer": 4}
QUANTIZED = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("quantized"),
            "nodes": st.sampled_from([1, 6]),
            "activation": st.sampled_from(["relu", "linear"]),
        }
    ),
    min_size=1,
    max_size=2,
).map(lambda layers: [{**layers[0], "input": FORMAT}, *layers[1:]])
EMBEDDING = st.sampled_from(
    [None, {"type": "periodic", "frequencies": 3}, {"type": "piecewise_linear", "bins": 4}]
)
PLAIN = st.one_of(st.lists(st.one_of(LAYER, SPARSE), max_size=3), RESIDUAL)
COMBINATION = st.fixed_dictionaries(
    {
        "stack": st.one_of(
            st.tuples(PLAIN, EMBEDDING, st.integers(1, 3)),
            st.tuples(QUANTIZED, st.none(), st.just(1)),
        ),
        "preprocessing": st.sampled_from(["standard", "robust", "quantile", "logarithm"]),
        "networks": st.sampled_from([(None,), (None, None), (0, 1)]),
        "copies": st.sampled_from([0, 4]),
        "outputs": st.sampled_from([(2, None), (2, 1), (3, None), (7, None)]),
        "calibrated": st.booleans(),
        "seed": st.integers(0, 1000),
    }
)
# numbers at the ends of what 32 bits hold, where nothing may become something else
HARD = np.array(
    [[3e38] * 4, [-3e38] * 4, [1e-40, 1e-44, -1e-42, -0.0], [1e20, -1e20, 1e15, -1e9]], np.float32
)


def check_combination(chosen: dict[str, Any], make: Make, make_scorer: Make, make_events: Make) -> None:
    layers, embedding, members = chosen["stack"]
    if any(layer.get("normalisation") == "batch" for layer in layers):
        members = 1  # it would mix them, which the configuration refuses
    classes, outputs = chosen["outputs"]
    copies, seed, networks = (
        chosen["copies"],
        chosen["seed"],
        chosen["networks"],
    )
    classifier = make(
        layers, embedding=embedding, shared_members=members, networks=networks, copies=copies, outputs=outputs,
        classes=classes, symmetries=SYMMETRIES if copies else (), seed=seed,
        **PREPROCESSINGS[chosen["preprocessing"]],
    )  # fmt: skip
    if chosen["calibrated"]:
        rng = np.random.default_rng(seed)
        of_all, *of_folds = (
            Scaling(tuple(rng.uniform(0.3, 3, classes)), tuple(rng.uniform(-1, 1, classes))) for _ in range(3)
        )
        by_fold = dict(enumerate(of_folds)) if networks == (0, 1) else {}
        classifier = replace(classifier, calibration=Calibration("vector", of_all, by_fold))
    events = make_events(seed + 50, 100)
    events[10:14] = HARD
    for form in ("packed", "named"):
        assert largest_difference(classifier, make_scorer(classifier, form), events) <= TOLERANCE


@pytest.mark.slow  # the short form of a property test; compiles for each example
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(chosen=COMBINATION)
def test_combinations_give_their_scores(
    chosen: dict[str, Any], make: Make, make_scorer: Make, make_events: Make
) -> None:
    check_combination(chosen, make, make_scorer, make_events)


@pytest.mark.long
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(chosen=COMBINATION)
def test_many_combinations_give_their_scores(
    chosen: dict[str, Any], make: Make, make_scorer: Make, make_events: Make
) -> None:
    check_combination(chosen, make, make_scorer, make_events)


def test_permuting_the_named_inputs_changes_nothing(make: Make, make_events: Make) -> None:
    import onnxruntime

    classifier, events = make([{"nodes": 8}]), make_events(7)
    model = build_model(lower(classifier), "named").SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = {each.name: events[:, [index]] for index, each in enumerate(classifier.features)}
    first, second = (session.run(None, given)[0] for given in (inputs, dict(reversed(inputs.items()))))
    assert first.tobytes() == second.tobytes()
    swapped = session.run(None, {**inputs, "pt": inputs["mass"], "mass": inputs["pt"]})[0]
    assert np.nanmax(np.abs(swapped - first)) > 0.01


@pytest.mark.parametrize("number", [1, 2, 31, 65_536])
def test_any_number_of_events_gives_the_same_scores(
    number: int, make: Make, make_scorer: Make, make_events: Make
) -> None:
    classifier = build(make, ARCHITECTURES["symmetries and folds"], shared_members=2)
    events = make_events(7, 65_536)
    fold = folds_for(classifier, len(events))
    found = make_scorer(classifier)(events[:number], fold[:number])
    assert found.shape == (number, 3)
    np.testing.assert_allclose(found, classifier.scores(events, fold)[:number], atol=TOLERANCE, rtol=0)


def test_every_spelling_of_a_missing_value_is_the_same_as_in_the_classifier(
    make: Make, make_scorer: Make
) -> None:
    classifier = make([{"nodes": 8}])
    names = classifier.feature_names
    spellings = [(np.nan, np.nan), (-999, -99.9), (-1, np.inf), (-np.inf, -np.inf), (np.inf, -99.9)]
    events = np.array([(30, mass, eta, 1) for mass, eta in spellings], np.float32)
    expected = classifier.predict({name: events[:, index] for index, name in enumerate(names)})
    found = make_scorer(classifier)(events)
    assert (found == found[0]).all()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    there = make_scorer(classifier)(np.array([(30, -998, -99.8, 1)], np.float32))
    assert np.abs(there - found[0]).max() > 1e-3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_event_that_lacks_what_it_needs_has_no_scores(value: float, make: Make, make_scorer: Make) -> None:
    events = np.array([(30, 20, 1, 1), (value, 20, 1, 1), (30, 20, 1, value)], np.float32)
    # a rectifier would turn NaN into zero
    found = make_scorer(make([{"nodes": 8, "activation": "relu"}]))(events)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()


def test_an_unknown_fold_takes_the_average_of_all_networks(
    make: Make, make_scorer: Make, make_events: Make
) -> None:
    classifier, events = build(make, ARCHITECTURES["folds"]), make_events(7)
    score = make_scorer(classifier)
    each = [score(events, np.full(len(events), fold)) for fold in (0, 1, 2)]
    np.testing.assert_allclose(score(events, np.full(len(events), -1)), np.mean(each, axis=0), atol=TOLERANCE)
    assert np.abs(each[0] - each[1]).max() > 0.01


@pytest.mark.parametrize("architecture", EACH)
def test_the_model_uses_what_every_reader_knows(architecture: str, make: Make) -> None:
    classifier = build(make, ARCHITECTURES[architecture], scaling="quantile")
    for form in ("named", "packed"):
        check_operators(architecture, build_model(lower(classifier), form))


def check_operators(architecture: str, model: onnx.ModelProto) -> None:
    floor = {"Floor"} if "quantized" in architecture or "symmetries" in architecture else set()
    assert {node.op_type for node in model.graph.node} <= SOFIE | floor
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 15)]
    assert model.ir_version == 7
    numbers = {each.type.tensor_type.elem_type for each in (*model.graph.input, *model.graph.output)}
    assert numbers == {onnx.TensorProto.FLOAT}
    kinds = {each.data_type for each in model.graph.initializer}
    assert kinds <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    for each in (*model.graph.input, *model.graph.output):
        assert each.type.tensor_type.shape.dim[0].dim_param == "n"


def test_names_of_inputs_and_output_never_collide(make_classifier: Make) -> None:
    from dataclasses import replace

    from tamis.config import Feature

    classifier = make_classifier([{"nodes": 4}], folds=(0, 1))
    renamed = [Feature(name=name) for name in ("fold", "scores", "features", "scores_")]
    model = build_model(lower(replace(classifier, features=tuple(renamed))), "named")
    assert [each.name for each in model.graph.input] == ["fold", "scores", "features", "scores_", "fold_"]
    assert [each.name for each in model.graph.output] == ["scores__"]
    onnx.checker.check_model(model, full_check=True)
