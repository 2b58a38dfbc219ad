"""A correct export is never refused, whatever the network; a file that computes something else always is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import onnx
import pytest

import tamis
from tamis.calibration import Calibration, Scaling
from tamis.classifier import Classifier
from tamis.config import Exchange, Reflection, Rotation, parse_config
from tamis.config.layers import Activation
from tamis.data.split import NO_FOLD
from tamis.errors import ExportError, InputError, UntranslatableError
from tamis.export import export_classifier
from tamis.export.agreement import Agreement, build_reference_events, compare, measure_reference
from tamis.export.constants import check_constants, list_constants
from tamis.export.cpp_writer import (
    Program,
    build_cpp_header,
    build_namespace,
    convert_name,
    has_compiler,
    read_constants,
)
from tamis.export.evaluate import compute_scores
from tamis.export.lower import lower, lower_document
from tamis.export.onnx_files import OnnxScorer, check_numbers
from tamis.export.onnx_writer import build_model
from tamis.export.plain import build_plain_document, list_arrays

Make = Callable[..., Any]
ACTIVATIONS = list(Activation.__args__)
FORMAT = {"bits": 10, "integer": 4}
SYMMETRIES = (
    Rotation(features=("phi",), start=-np.pi, period=2 * np.pi),
    Reflection(features=("eta",)),
    Exchange(objects=(("mass",), ("eta",))),
)


# a correct export


def random_layers(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw up to six dense and sparse layers, or some that are quantized."""
    if rng.random() < 0.15:
        layers = [
            {
                "type": "quantized",
                "nodes": int(rng.choice([4, 16])),
                "activation": str(rng.choice(["relu", "linear"])),
            }
            for _ in range(rng.integers(1, 4))
        ]
        float_first = [{"nodes": 16}] if rng.random() < 0.3 else []
        return [*float_first, {**layers[0], "input": FORMAT}, *layers[1:]]
    layers, width = [], 0
    for _ in range(rng.integers(0, 7)):
        nodes = width if width and rng.random() < 0.5 else int(rng.choice([1, 8, 32, 128]))
        layer: dict[str, Any] = {
            "nodes": nodes,
            "activation": str(rng.choice(ACTIVATIONS)),
            "normalisation": [None, None, "layer", "batch"][rng.integers(4)],
        }
        if nodes == width and rng.random() < 0.5:
            layer["residual"] = True
        elif rng.random() < 0.15:
            layer |= {"type": "sparse", "fan_in": 1}
        layers.append(layer)
        width = nodes
    return layers


def random_classifier(make: Make, make_events: Make, seed: int) -> Classifier:
    """Draw a classifier of any architecture whose weights and logits have the sizes that trainings lead to.

    Five classifiers in a row differ in their numbers alone, because most of the time goes into compiling.
    """
    rng = np.random.default_rng([17, seed // 5])
    layers = random_layers(rng)
    fixed = any(layer.get("type") == "quantized" for layer in layers)
    batch = any(layer.get("normalisation") == "batch" for layer in layers)
    options: dict[str, Any] = {
        "classes": int(rng.choice([2, 3, 6, 10, 40])),
        "scaling": str(rng.choice(["none", "standard", "robust", "quantile"])),
        "logarithm": [(), (False, True, True, False), (True,) * 4][rng.integers(3)],
        "folds": [(None,), (None,), (None, None), (0, 1)][rng.integers(4)],
        "embedding": None
        if fixed
        else [None, {"type": "periodic"}, {"type": "piecewise_linear"}][rng.integers(3)],
        "gains": [None, {}][rng.integers(2)],
        "shared_members": 1 if batch or fixed else int(rng.choice([1, 1, 3])),
    }
    if rng.random() < 0.2:
        options |= {"symmetries": SYMMETRIES, "copies": 3}
    if options["classes"] == 2 and rng.random() < 0.5:
        options["outputs"] = 1
    classifier: Classifier = make(layers, seed=seed, **options)
    rng = np.random.default_rng([18, seed])
    size = float(rng.choice([1, 5, 20]))
    members = tuple(
        replace(member, network=sharpened(member.network, size, rng)) for member in classifier.members
    )
    classifier = replace(classifier, members=members)
    if rng.random() < 0.3:
        count = len(classifier.classes)
        scaling = Scaling(tuple(rng.uniform(0.3, 3, count)), tuple(rng.uniform(-1, 1, count)))
        classifier = replace(classifier, calibration=Calibration("vector", scaling))
    events = make_events(seed + 1)
    return classifier.with_reference(
        events, np.arange(len(events)) % 2 if classifier.plan.is_cross_training else NO_FOLD
    )


def sharpened(network: Any, size: float, rng: np.random.Generator) -> Any:
    """Spread the sizes of all weights, and let those of the output layer make logits of about a size."""

    def change(leaf: Any) -> Any:
        if leaf.ndim < 2:
            return leaf
        return leaf * jnp.asarray(rng.lognormal(0, 0.6, leaf.shape), jnp.float32)

    layers = tuple(
        eqx.tree_at(
            lambda each: (each.dense if hasattr(each, "dense") else each).weight, layer, replace_fn=change
        )
        for layer in network.layers
    )
    output = layers[-1]
    output = eqx.tree_at(
        lambda each: (each.weight, each.bias), output, (size * output.weight, size * output.bias)
    )
    return eqx.tree_at(lambda each: each.layers, network, (*layers[:-1], output))


def compare_onnx(classifier: Classifier, folder: Path, events: int) -> Agreement:
    """Write an ONNX file and check it as an export does, with at most so many events."""
    path = folder / "model.onnx"
    onnx.save_model(build_model(lower(classifier), "packed"), str(path))
    check_numbers(lower(classifier), path)
    reference = measure_reference(
        classifier, lower(classifier), build_reference_events(classifier).thinned(events)
    )
    return compare(reference, OnnxScorer(classifier, path, "packed"), "ONNX Runtime")


def compare_header(classifier: Classifier, folder: Path) -> Agreement:
    """Write a header and check it as an export does."""
    graph, path = lower(classifier), folder / "model.hpp"
    path.write_text(build_cpp_header(graph), encoding="utf-8")
    expected = {convert_name(name): values.ravel() for name, values in graph.constants.items()}
    check_constants(expected, read_constants(path.read_text(encoding="utf-8")), path.name)
    program = Program([path], [build_namespace(graph.document)], folder)
    reference = measure_reference(classifier, lower(classifier), build_reference_events(classifier))
    return compare(
        reference, lambda given, fold: program.scores(given, len(classifier.classes), fold), "the header"
    )


# those that float32 costs most; slow: compiles a network each
@pytest.mark.parametrize(
    "seed", [145, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (38, 80, 116))]
)
def test_a_random_network_is_exported(
    seed: int, make_classifier: Make, make_events: Make, tmp_path: Path
) -> None:
    classifier = random_classifier(make_classifier, make_events, seed)
    assert compare_onnx(classifier, tmp_path, events=500).events >= 500


@pytest.mark.long
def test_a_thousand_random_networks_are_exported(
    make_classifier: Make, make_events: Make, tmp_path: Path, record: Callable[[str, dict[str, Any]], None]
) -> None:
    found, refused = [], {}
    for seed in range(1000):
        classifier = random_classifier(make_classifier, make_events, seed)
        try:
            found.append(compare_onnx(classifier, tmp_path, events=2048))
            if seed % 20 == 0 and has_compiler():
                compare_header(classifier, tmp_path)
        except ExportError as error:
            refused[seed] = str(error)
        record("networks-random", summary(found, refused))
    assert refused == {}


def summary(found: list[Agreement], refused: dict[int, str]) -> dict[str, Any]:
    """Count what was exported, and what 1e-6 between two float32 computations would have refused."""
    return {
        "networks": len(found) + len(refused),
        "refused": {str(seed): error for seed, error in refused.items()},
        "above 1e-6": sum(each.difference > 1e-6 for each in found),
        "largest difference": max((each.difference for each in found), default=0.0),
        "largest difference of tamis in float32": max(
            (each.float32_difference for each in found), default=0.0
        ),
    }


def ring_config(make_tree: Make, classes: int, events: int, **sections: Any) -> Any:
    """Write classes that lie on a ring, far enough apart that scores are close to 0 and 1, and configure a training."""
    for number in range(classes):
        rng, angle = np.random.default_rng(number), 2 * np.pi * number / classes
        columns = {
            "x": rng.normal(5 * np.cos(angle), 1, events),
            "y": rng.normal(5 * np.sin(angle), 1, events),
            "z": rng.normal(0.1 * number, 1, events),
        }
        path = make_tree(f"c{number:02d}.root", columns)
    names = [f"c{number:02d}" for number in range(classes)]
    return parse_config(
        {
            "name": "ring",
            "data": str(path.parent),
            "samples": [{"name": name, "class": name, "files": f"{name}.root"} for name in names],
            "classes": {name: {"signal": name == "c00"} for name in names},
            "features": ["x", "y", "z"],
            **sections,
        }
    )


@pytest.mark.slow  # a training of ten classes
def test_ten_classes_whose_float32_scores_are_far_apart_are_exported(
    write_tree: Make, tmp_path: Path
) -> None:
    network = {"layers": [{"nodes": 64}] * 3}
    config = ring_config(write_tree, 10, 400, network=network, training={"epochs": 12, "batch_size": 64})
    tamis.train(config).classifier.save(tmp_path / "model")
    found = export_classifier(tmp_path / "model", ["onnx", "json"])
    assert found.notes == ()


def train_random(write_tree: Make, seed: int) -> Classifier:
    """Train a network of any activations, scaling and depth on up to twenty classes."""
    rng = np.random.default_rng([18, seed])
    layers = [
        {"nodes": int(rng.choice([16, 64, 128])), "activation": str(rng.choice(ACTIVATIONS))}
        for _ in range(rng.integers(1, 6))
    ]
    folds = {"split": {"folds": 2}} if rng.random() < 0.3 else {}
    config = ring_config(
        write_tree,
        int(rng.choice([2, 6, 10, 20])),
        300,
        network={"layers": layers},
        preprocessing={"scaling": str(rng.choice(["none", "standard", "robust", "quantile"]))},
        training={"epochs": int(rng.integers(5, 30)), "batch_size": 32},
        seed=seed,
        **folds,
    )
    return tamis.train(config).classifier


@pytest.mark.long
def test_fifty_trained_networks_are_exported(
    write_tree: Make, tmp_path: Path, record: Callable[[str, dict[str, Any]], None]
) -> None:
    found, refused = [], {}
    for seed in range(50):
        train_random(write_tree, seed).save(tmp_path / f"model_{seed}")
        try:
            found.append(export_classifier(tmp_path / f"model_{seed}", ["onnx"]).agreements["onnx"])
        except ExportError as error:
            refused[seed] = str(error)
        record("networks-trained", summary(found, refused))
    assert refused == {}


def test_a_classifier_that_amplifies_rounding_loads_on_a_machine_that_rounds_otherwise(
    make_classifier: Make,
) -> None:
    classifier = make_classifier([], gains=None, classes=2, outputs=1, scaling="none")
    member = classifier.members[0]
    # differences of large numbers decide
    output = eqx.tree_at(
        lambda layer: (layer.weight, layer.bias),
        member.network.layers[-1],
        (jnp.ones((1, 6), jnp.float32), jnp.array([-4e4], jnp.float32)),
    )
    sharp = replace(member, network=eqx.tree_at(lambda each: each.layers[-1], member.network, output))
    events = 1e4 + np.random.default_rng(1).normal(0, 0.3, (100, 4)).astype(np.float32)
    classifier = replace(classifier, members=(sharp,)).with_reference(events)
    scores = classifier.reference_scores
    rounded = replace(classifier, members=(sharp.disturbed(99),)).scores(classifier.reference_features)
    assert np.abs(rounded - scores).max() > 1e-5
    replace(classifier, reference_scores=rounded).verify()
    with pytest.raises(InputError):
        replace(classifier, reference_scores=scores + 50 * (rounded - scores)).verify()


# a wrong one

STANDARD = {"layers": [{"nodes": 16, "activation": "relu"}] * 4, "scaling": "standard"}
NETWORKS: dict[str, dict[str, Any]] = {
    "standardised": STANDARD,
    "raw inputs of thousands": {**STANDARD, "scaling": "none"},
    "saturated scores of ten classes": {**STANDARD, "classes": 10},
    "folds": {**STANDARD, "folds": (0, 1)},
}


@pytest.fixture(scope="module")
def originals(make_classifier: Make, make_events: Make) -> Callable[[str], tuple[Classifier, Any]]:
    """Return a function that builds a classifier and its float64 reference once."""
    built: dict[str, Any] = {}

    def original(name: str) -> tuple[Classifier, Any]:
        if name not in built:
            options = dict(NETWORKS[name])
            classifier = make_classifier(options.pop("layers"), **options)
            if "saturated" in name:
                rng = np.random.default_rng(1)
                member = classifier.members[0]
                sharp = replace(member, network=sharpened(member.network, 20, rng))
                classifier = replace(classifier, members=(sharp,))
            events = make_events(7)
            fold = np.arange(len(events)) % 2 if classifier.plan.is_cross_training else NO_FOLD
            classifier = classifier.with_reference(events, fold)
            built[name] = (
                classifier,
                measure_reference(classifier, lower(classifier), build_reference_events(classifier)),
            )
        return built[name]

    return original


def initializer(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name.endswith(name))


def change(model: onnx.ModelProto, name: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = initializer(model, name)
    values = np.ascontiguousarray(function(onnx.numpy_helper.to_array(tensor).copy()), np.float32)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def drop_layer(model: onnx.ModelProto) -> None:
    """Let the layer behind the second one take the inputs of the second."""
    gemm = next(
        node for node in model.graph.node if any(name.endswith("layers.1.weight") for name in node.input)
    )
    relu = next(node for node in model.graph.node if gemm.output[0] in node.input)
    for node in model.graph.node:
        node.input[:] = [gemm.input[0] if name == relu.output[0] else name for name in node.input]
    model.graph.node.remove(gemm)
    model.graph.node.remove(relu)


def replace_operator(model: onnx.ModelProto, before: str, after: str) -> None:
    next(node for node in model.graph.node if node.op_type == before).op_type = after


MUTATIONS: dict[str, Callable[[onnx.ModelProto], None]] = {
    "a swapped column": lambda model: change(
        model, "layers.0.weight", lambda w: w[:, [1, 0, *range(2, w.shape[1])]]
    ),
    "swapped classes": lambda model: change(model, "outputs.weight", lambda w: w[[1, 0, *range(2, len(w))]]),
    "a missing offset": lambda model: change(model, "layers.1.bias", np.zeros_like),
    "a transposed weight": lambda model: change(model, "layers.1.weight", np.transpose),
    "another fill of a missing value": lambda model: change(model, ".fill", lambda fill: 1.1 * fill),
    "another activation": lambda model: replace_operator(model, "Relu", "Tanh"),
    "no activation": lambda model: replace_operator(model, "Relu", "Identity"),
    "a dropped layer": drop_layer,
}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_changed_onnx_file_is_refused_for_its_scores(
    network: str, originals: Callable[[str], tuple[Classifier, Any]], tmp_path: Path
) -> None:
    classifier, reference = originals(network)
    path = tmp_path / "model.onnx"
    honest = build_model(lower(classifier), "packed")
    onnx.save_model(honest, str(path))
    compare(reference, OnnxScorer(classifier, path, "packed"), "ONNX Runtime")
    for name, mutate in MUTATIONS.items():
        model = onnx.ModelProto()
        model.CopyFrom(honest)
        mutate(model)
        onnx.save_model(model, str(path))
        with pytest.raises(ExportError):
            pytest.fail(
                f"{name}: {compare(reference, OnnxScorer(classifier, path, 'packed'), 'ONNX Runtime')}"
            )


@pytest.mark.parametrize(("key", "before", "after"), [("scaling", "Sub", "Add"), ("scaling", "Div", "Mul")])
def test_a_wrong_operator_of_the_preprocessing_is_refused(
    key: str, before: str, after: str, originals: Callable[[str], tuple[Classifier, Any]], tmp_path: Path
) -> None:
    del key
    classifier, reference = originals("standardised")
    model, path = build_model(lower(classifier), "packed"), tmp_path / "model.onnx"
    replace_operator(model, before, after)
    onnx.save_model(model, str(path))
    with pytest.raises(ExportError):
        compare(reference, OnnxScorer(classifier, path, "packed"), "ONNX Runtime")


def test_one_step_of_a_fixed_point_number_is_refused_for_its_scores(
    make_classifier: Make, make_events: Make, tmp_path: Path
) -> None:
    layers = [{"type": "quantized", "nodes": 12, "input": FORMAT}]
    classifier = make_classifier(layers, quantized_output={}, scaling="standard", gains=None)
    classifier = classifier.with_reference(make_events(7))
    reference = measure_reference(classifier, lower(classifier), build_reference_events(classifier))
    # the logits are exact, so that float32 costs no more than a softmax
    assert reference.cost == 1
    model, path = build_model(lower(classifier), "packed"), tmp_path / "model.onnx"
    onnx.save_model(model, str(path))
    compare(reference, OnnxScorer(classifier, path, "packed"), "ONNX Runtime")
    step = 2.0 ** -classifier.network.layers[-1].formats.output.fraction
    change(model, "layers.1.bias", lambda bias: bias + step * (np.arange(3) == 1))
    onnx.save_model(model, str(path))
    with pytest.raises(ExportError):
        compare(reference, OnnxScorer(classifier, path, "packed"), "ONNX Runtime")


def test_every_number_of_an_onnx_file_is_compared_exactly(
    originals: Callable[[str], tuple[Classifier, Any]], tmp_path: Path
) -> None:
    classifier, _ = originals("folds")
    honest, path = build_model(lower(classifier), "named"), tmp_path / "model.onnx"
    names = [each.name for each in honest.graph.initializer if each.name.startswith("/networks.")]
    assert len(names) == 2 * (2 * 5 + 4)  # weights and biases; fill, centre, scale and gain
    for name in names:
        model = onnx.ModelProto()
        model.CopyFrom(honest)
        change(model, name, lambda values: np.nextafter(values, np.float32(np.inf)))
        onnx.save_model(model, str(path))
        with pytest.raises(ExportError, match=rf"{name} differs between .* and the classifier: number 0 is"):
            check_numbers(lower(classifier), path)


def test_every_number_of_the_classifier_of_a_header_and_of_plain_json_is_compared_exactly(
    originals: Callable[[str], tuple[Classifier, Any]],
) -> None:
    classifier, _ = originals("folds")
    graph = lower(classifier)
    flat = {convert_name(name): values.ravel() for name, values in graph.constants.items()}
    read = lower_document(json.loads(json.dumps(graph.document, default=lambda values: values.tolist())))
    pairs = (
        (list_constants(classifier), list_arrays(build_plain_document(classifier))),
        (flat, read_constants(build_cpp_header(graph))),
        (graph.constants, read.constants),
    )
    for expected, stored in pairs:
        assert len(expected) >= 2 * (2 * 5 + 4)
        check_constants(expected, stored, "file")
        for name, values in expected.items():
            if values.size:
                numbers = np.asarray(stored[name])
                wrong = {**stored, name: np.nextafter(numbers, np.asarray(-np.inf, numbers.dtype))}
                with pytest.raises(
                    ExportError, match=rf"{name} differs between file and the classifier: number 0 is"
                ):
                    check_constants(expected, wrong, "file")
            with pytest.raises(ExportError, match=f"{name} of the classifier is missing in"):
                check_constants(expected, {key: stored[key] for key in stored if key != name}, "file")


def test_a_changed_document_is_refused_for_its_scores(
    originals: Callable[[str], tuple[Classifier, Any]],
) -> None:
    classifier, reference = originals("standardised")

    def changed(mutate: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        text = json.dumps(build_plain_document(classifier), default=lambda values: values.tolist())
        document: dict[str, Any] = json.loads(text)
        mutate(document["networks"][0])
        return document

    def drop(network: dict[str, Any]) -> None:
        del network["layers"][1]

    def transpose(network: dict[str, Any]) -> None:
        network["layers"][1]["weight"] = np.transpose(network["layers"][1]["weight"]).tolist()

    def clear(network: dict[str, Any]) -> None:
        network["layers"][1]["bias"] = [0.0] * 16

    def uncentre(network: dict[str, Any]) -> None:
        network["scaling"]["centre"] = [0.0] * 4

    for mutate in (drop, transpose, clear, uncentre):
        graph = lower_document(changed(mutate))
        with pytest.raises(ExportError):
            compare(
                reference, lambda given, fold, it=graph: compute_scores(it, given, fold), "the plain JSON"
            )


def test_scores_that_are_not_numbers_are_refused(originals: Callable[[str], tuple[Classifier, Any]]) -> None:
    classifier, reference = originals("standardised")

    def one_is_not_a_number(given: Any, fold: Any) -> Any:
        scores = compute_scores(lower(classifier), given, fold)
        scores[5, 0] = np.nan
        return scores

    with pytest.raises(ExportError):
        compare(reference, one_is_not_a_number, "a form")


def test_a_float64_computation_of_another_network_is_refused(
    originals: Callable[[str], tuple[Classifier, Any]],
) -> None:
    classifier, _ = originals("standardised")
    document = build_plain_document(classifier)
    del document["networks"][0]["layers"][1]
    with pytest.raises(ExportError):
        measure_reference(classifier, lower_document(document), build_reference_events(classifier))


# features that float32 cannot resolve


@pytest.fixture
def clocked(make_classifier: Make, make_events: Make, tmp_path: Path) -> Path:
    """Save a classifier whose feature `phi` is a time of 1.6e9 +- 3 s."""
    classifier = make_classifier([{"nodes": 4}])
    member = classifier.members[0]
    offset = np.array([0, 0, 0, 1.6e9])
    member = replace(member, preprocessing=replace(member.preprocessing, offset=offset))
    classifier = replace(classifier, members=(member,))
    events = make_events(5).astype(np.float64) + offset
    classifier.with_reference(events).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("form", ["onnx", "json", "lwtnn", "cpp"])
def test_a_feature_that_float32_cannot_resolve_is_refused_by_name(form: Any, clocked: Path) -> None:
    before = {path.name for path in clocked.iterdir()}
    with pytest.raises(UntranslatableError):
        export_classifier(clocked, [form])
    assert {path.name for path in clocked.iterdir()} == before
    assert len(export_classifier(clocked, [form], skip_untranslatable=True).notes) == 1
