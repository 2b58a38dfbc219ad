"""Plain JSON, lwtnn and C++ give the scores of the classifier, for every architecture that they can express."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tamis.calibration import Calibration, Scaling
from tamis.classifier import Classifier
from tamis.cli import main
from tamis.config import Exchange, Feature, Reflection, Rotation
from tamis.config.layers import Activation
from tamis.data.split import NO_FOLD
from tamis.errors import ExportError, RequestError, UntranslatableError
from tamis.export import export_classifier, formats
from tamis.export import lower as lowering
from tamis.export.agreement import build_reference_events, vary_missing_values
from tamis.export.cpp_text import build_identifiers, literal
from tamis.export.cpp_writer import Program, build_cpp_header, build_namespace, has_compiler
from tamis.export.evaluate import compute_scores
from tamis.export.lower import lower, lower_document
from tamis.export.lwtnn import build_lwtnn_document, compute_lwtnn_inputs
from tamis.export.plain import build_plain_document
from tamis.files import sha256, write_json
from tamis.network import activations
from tamis.network.activations import ActivationDefinition
from tamis.network.primitives import Operation, absolute
from tamis.runs.provenance import FORMAT
from tamis.runs.read import find_model

Make = Callable[..., Any]
Classifiers = Callable[[str], Classifier]
TOLERANCE = 1e-6
ACTIVATIONS = list(Activation.__args__)
COMPILED = pytest.mark.skipif(not has_compiler(), reason="there is no compiler g++ on this machine")

SYMMETRIES = (
    Rotation(features=("phi",), start=-np.pi, period=2 * np.pi),
    Reflection(features=("eta",)),
    Exchange(objects=(("mass",), ("eta",))),
)


def quantized(rounding: str, overflow: str, bits: int = 10) -> list[dict[str, Any]]:
    form = {"bits": bits, "integer": 4, "rounding": rounding, "overflow": overflow}
    return [
        {"type": "quantized", "nodes": 12, "input": form, "output": form},
        {"type": "quantized", "nodes": 6, "activation": "linear", "output": {**form, "bits": 9}},
    ]


ROUNDINGS = ["TRN", "TRN_ZERO", "RND", "RND_MIN_INF", "RND_ZERO", "RND_INF", "RND_CONV"]
OVERFLOWS = ["SAT", "SAT_SYM", "SAT_ZERO", "WRAP"]
TWO = {"classes": 2, "outputs": 1}
THREE = (Exchange(objects=(("pt",), ("mass",), ("eta",))),)
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "logistic": {"layers": [], "gains": None},
    **{
        f"activations from {names[0]}": {"layers": [{"nodes": 16, "activation": name} for name in names]}
        for names in (ACTIVATIONS[:4], ACTIVATIONS[4:8], ACTIVATIONS[8:])
    },
    "every rounding and overflow": {
        "layers": [
            {**layer, "nodes": 12}
            for first, second in zip(ROUNDINGS, OVERFLOWS * 2, strict=False)
            for layer in quantized(first, second)[:1]
        ],
    },
    "relu": {"layers": [{"nodes": 16}] * 2},
    **{f"{first}, {second}": {"layers": [{"nodes": 16, "activation": first}, {"nodes": 16, "activation": second}]}
       for first, second in zip(ACTIVATIONS[::2], ACTIVATIONS[1:] + ACTIVATIONS[:1], strict=False)},
    "batch": {"layers": [{"nodes": 16, "normalisation": "batch"}] * 2},
    "layer": {"layers": [{"nodes": 16, "normalisation": "layer"}] * 2},
    "residual": {"layers": [{"nodes": 16}, {"nodes": 16, "residual": True, "normalisation": "layer"}]},
    "sparse": {
        "layers": [{"type": "sparse", "nodes": 16, "fan_in": 3}, {"type": "sparse", "nodes": 8, "density": 0.3}]
    },
    **{f"quantized {first}, {second}": {"layers": quantized(first, second, 6)}
       for first, second in zip(ROUNDINGS, OVERFLOWS * 2, strict=False)},
    "quantized throughout": {"layers": quantized("RND", "SAT"), "quantized_output": {}},
    "quantized throughout, one output": {"layers": quantized("TRN", "SAT"), "quantized_output": {}, **TWO},
    "periodic": {"layers": [{"nodes": 16}], "embedding": {"type": "periodic", "sigma": 1.0}},
    "piecewise linear": {"layers": [{"nodes": 16}], "embedding": {"type": "piecewise_linear", "bins": 5}},
    "shared members": {"layers": [{"nodes": 16}] * 2, "shared_members": 4},
    "shared members of a quantized network": {"layers": quantized("RND", "SAT"), "shared_members": 3},
    "shared members without layers": {"layers": [], "shared_members": 3},
    "shared members of one output": {"layers": [{"nodes": 8}], "shared_members": 3, **TWO},
    "one output": {"layers": [{"nodes": 16}], **TWO},
    "seeds": {"layers": [{"nodes": 16}], "folds": (None, None)},
    "folds and seeds": {"layers": [{"nodes": 16}], "folds": (0, 0, 1, 1)},
    "symmetries": {"layers": [{"nodes": 16}], "symmetries": SYMMETRIES, "copies": 8},
    "symmetries and folds": {"layers": [{"nodes": 16}], "symmetries": SYMMETRIES[:2], "copies": 3, "folds": (0, 1)},
    # two copies: the second shifts three objects by a place, which is not its own inverse
    "exchange of three": {"layers": [{"nodes": 16}], "symmetries": THREE, "copies": 2},
    **{f"scaling {name}": {"layers": [{"nodes": 16, "activation": "tanh"}], "scaling": name}
       for name in ("none", "standard", "robust", "quantile")},
    "logarithm": {"layers": [{"nodes": 16, "activation": "tanh"}], "scaling": "standard",
                  "logarithm": (False, True, True, False)},  # an order that is not its own inverse
    "logarithms": {"layers": [{"nodes": 16}], "scaling": "quantile", "logarithm": (True,) * 4},
}  # fmt: skip


def build(make: Make, options: dict[str, Any]) -> Classifier:
    classifier: Classifier = make(**options)
    return classifier


def calibrated(classifier: Classifier) -> Classifier:
    """Give it a correction, another one for each fold."""
    count = len(classifier.classes)

    def scaling(step: int) -> Scaling:
        return Scaling(
            tuple(0.7 + 0.2 * step + 0.1 * i for i in range(count)), tuple(0.1 * i for i in range(count))
        )

    folds = {
        member.fold: scaling(1 + member.fold) for member in classifier.plan.members if member.fold is not None
    }
    return replace(classifier, calibration=Calibration("vector", scaling(0), folds))


@pytest.fixture(scope="module")
def classifiers(make_classifier: Make, make_events: Make) -> Classifiers:
    """Return a function that builds each classifier once, by its name."""

    @cache
    def named(name: str) -> Classifier:
        plain = name.removeprefix("calibrated ")
        classifier = build(make_classifier, ARCHITECTURES[plain])
        if plain != name:
            classifier = calibrated(classifier)
        events = make_events(7)
        fold = np.arange(len(events)) % 2 if classifier.plan.is_cross_training else NO_FOLD
        return classifier.with_reference(events, fold)

    return named


# one of each kind of layer, of embedding and of combination
FEW = [
    *(name for name in ARCHITECTURES if "activations" in name), "every rounding and overflow",
    "relu", "batch", "residual", "sparse",
    "quantized RND_MIN_INF, WRAP", "quantized throughout, one output", "periodic", "piecewise linear",
    "shared members of one output", "symmetries", "scaling quantile", "logarithms", "calibrated folds and seeds",
]  # fmt: skip
MORE = [name for name in (*ARCHITECTURES, "calibrated relu", "calibrated one output") if name not in FEW]
# slow: the layers of each are compiled
NAMES = [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]


def largest_difference(classifier: Classifier, score: Callable[..., np.ndarray]) -> float:
    """Compare on the reference events and mixtures of them, with what is missing spelled in every way."""
    sample = build_reference_events(classifier)
    found = 0.0
    for each, events in vary_missing_values(classifier, sample):
        expected = classifier.scores(each.features, each.fold)
        found = max(found, float(np.abs(score(events, each.fold) - expected).max()))
    return found


def read_back(document: Any) -> Any:
    """Write a document as JSON, and read it."""
    return json.loads(json.dumps(document, allow_nan=False, default=lambda values: values.tolist()))


@pytest.mark.parametrize("name", NAMES)
def test_the_plain_json_says_all_that_the_scores_follow_from(name: str, classifiers: Classifiers) -> None:
    classifier = classifiers(name)
    graph = lower_document(read_back(build_plain_document(classifier)))
    assert (
        largest_difference(classifier, lambda events, fold: compute_scores(graph, events, fold)) <= TOLERANCE
    )


def test_the_architectures_use_every_primitive(classifiers: Classifiers) -> None:
    graphs = [graph for name in FEW for graph in lower(classifiers(name)).graphs]
    assert {node.operation for graph in graphs for node in graph.nodes} == set(get_args(Operation))


def test_a_new_activation_is_in_every_format(
    make_classifier: Make,
    make_events: Make,
    make_scorer: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    softsign = ActivationDefinition(
        lambda x, _: x / (1 + jnp.abs(x)), lambda x, _: x / (1 + absolute(x)), "glorot"
    )
    monkeypatch.setitem(activations.ACTIVATIONS, "softsign", softsign)
    classifier = make_classifier([{"nodes": 16}] * 2, scaling="standard")
    member = classifier.members[0]
    layers = tuple(replace(layer, activation="softsign") for layer in member.network.layers[:-1])
    network = replace(member.network, layers=(*layers, member.network.layers[-1]))
    changed = replace(classifier, members=(replace(member, network=network),))
    events = make_events(7)
    expected = changed.scores(events)
    assert np.abs(expected - classifier.scores(events)).max() > 0.01
    scores = {
        "NumPy": compute_scores(lower(changed), events),
        "ONNX": make_scorer(changed)(events),
    }
    if has_compiler():
        scores["C++"] = Compiled({"new": changed}, tmp_path).scores("new", changed)(events, NO_FOLD)
    document = read_back(build_plain_document(changed))
    monkeypatch.delitem(activations.ACTIVATIONS, "softsign")
    scores["JSON"] = compute_scores(lower_document(document), events)  # which defines its activations itself
    for name, values in scores.items():
        np.testing.assert_allclose(values, expected, atol=TOLERANCE, rtol=0, err_msg=name)
    with pytest.raises(UntranslatableError):
        build_lwtnn_document(document)


class Compiled:
    """One program for many classifiers, because a compiler needs a second for each."""

    def __init__(self, classifiers: dict[str, Classifier], folder: Path) -> None:
        headers, namespaces = [], []
        for number, classifier in enumerate(classifiers.values()):
            graph = lower(classifier)
            headers.append(folder / f"classifier_{number}.hpp")
            headers[-1].write_text(build_cpp_header(graph), encoding="utf-8")
            namespaces.append(build_namespace(graph.document))
        self.numbers = {name: number for number, name in enumerate(classifiers)}
        self.program = Program(headers, namespaces, folder)

    def scores(self, name: str, classifier: Classifier) -> Callable[..., np.ndarray]:
        number, count = self.numbers[name], len(classifier.classes)
        return lambda events, fold: self.program.scores(events, count, fold, number)


@pytest.fixture(scope="module")
def compiled(classifiers: Classifiers, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Compiled]:
    """Return a function that compiles each program once, by the name of one of its classifiers."""

    @cache
    def program(few: bool) -> Compiled:
        return Compiled(
            {name: classifiers(name) for name in (FEW if few else MORE)}, tmp_path_factory.mktemp("compiled")
        )

    return lambda name: program(name in FEW)


@COMPILED
@pytest.mark.parametrize("name", NAMES)
def test_the_header_gives_the_scores_of_the_classifier(
    name: str, classifiers: Classifiers, compiled: Callable[[str], Compiled]
) -> None:
    classifier = classifiers(name)
    assert largest_difference(classifier, compiled(name).scores(name, classifier)) <= TOLERANCE


@pytest.mark.parametrize("name", ["relu", "quantized RND_MIN_INF, WRAP", "symmetries"])
def test_a_feature_that_may_not_be_missing_leaves_no_scores(
    name: str, classifiers: Classifiers, request: pytest.FixtureRequest
) -> None:
    classifier = classifiers(name)
    events = np.array([(30, 20, 1, 1), (np.nan, 20, 1, 1), (30, 20, 1, -np.inf)], np.float32)
    scores = [compute_scores(lower(classifier), events)]
    if has_compiler():
        scores.append(request.getfixturevalue("compiled")(name).scores(name, classifier)(events, NO_FOLD))
    for found in scores:
        assert np.isfinite(found[0]).all()
        assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("name", ["relu", "logarithms", "scaling quantile", "symmetries"])
def test_the_largest_numbers_are_numbers_too(
    name: str, classifiers: Classifiers, request: pytest.FixtureRequest
) -> None:
    classifier = classifiers(name)
    most = np.finfo(np.float32).max
    events = np.array([[sign * size] * 4 for sign in (1, -1) for size in (most, 1e20, 1e-40, 0)], np.float32)
    expected = classifier.scores(events)
    assert np.isfinite(expected).all()
    scores = [compute_scores(lower(classifier), events)]
    if has_compiler():
        scores.append(request.getfixturevalue("compiled")(name).scores(name, classifier)(events, NO_FOLD))
    for found in scores:
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


LAYER = st.fixed_dictionaries(
    {
        "nodes": st.sampled_from([1, 8]),
        "activation": st.sampled_from(ACTIVATIONS),
        "normalisation": st.sampled_from([None, "layer", "batch"]),
    }
)
SPARSE = LAYER.flatmap(lambda layer: st.just({**layer, "type": "sparse", "fan_in": 1}))
EMBEDDING = st.sampled_from(
    [None, {"type": "periodic", "frequencies": 3}, {"type": "piecewise_linear", "bins": 4}]
)
OPTIONS = st.fixed_dictionaries(
    {
        "layers": st.lists(st.one_of(LAYER, SPARSE), max_size=3),
        "embedding": EMBEDDING,
        "gains": st.sampled_from([None, {}]),
        "scaling": st.sampled_from(["standard", "robust", "quantile"]),
        "folds": st.sampled_from([(None,), (None, None), (0, 1)]),
        "copies": st.sampled_from([0, 4]),
        "outputs": st.sampled_from([None, 1]),
        "seed": st.integers(0, 1000),
        "logarithm": st.sampled_from([(), (True, False, False, True)]),
    }
)


@pytest.mark.slow  # the short form of a property test; compiles for each example
@settings(max_examples=2, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(several=st.lists(OPTIONS, min_size=3, max_size=3))
def test_combinations_give_their_scores_in_every_form(
    several: Sequence[dict[str, Any]], make_classifier: Make, make_events: Make, tmp_path: Path
) -> None:
    made = {}
    for number, options in enumerate(several):
        symmetries = SYMMETRIES if options["copies"] else ()
        classifier = make_classifier(**options, symmetries=symmetries, classes=2)
        made[str(number)] = calibrated(classifier).with_reference(make_events(number))
    program = Compiled(made, tmp_path) if has_compiler() else None
    for name, classifier in made.items():
        graph = lower(classifier)
        assert largest_difference(classifier, lambda *a, graph=graph: compute_scores(graph, *a)) <= TOLERANCE
        if program is not None:
            assert largest_difference(classifier, program.scores(name, classifier)) <= TOLERANCE


@COMPILED
def test_named_features_and_hostile_names(make_classifier: Make, make_events: Make, tmp_path: Path) -> None:
    names = ('"; exit(1);', "class", "jet pt*", "jet_pt* ??(")
    classifier = make_classifier([{"nodes": 4}], scaling="standard")
    renamed = [
        Feature(name=name, expression="x", missing=feature.missing, unit="%d\\")
        for name, feature in zip(names, classifier.features, strict=True)
    ]
    classes = {
        'a"b': classifier.classes["class_0"],
        "é\n": classifier.classes["class_1"],
        "c": classifier.classes["class_2"],
    }
    hostile = replace(classifier, features=tuple(renamed), classes=classes)
    (tmp_path / "classifier.hpp").write_text(build_cpp_header(lower(hostile)), encoding="utf-8")
    fields = build_identifiers(names)
    events = make_events(3)[3:9]
    given_to = "\n".join(
        "  { tamis_classifier::Event event; "
        + "".join(
            f"event.{field} = {'NAN' if np.isnan(value) else repr(float(value))}f; ".replace("NANf", "NAN")
            for field, value in zip(fields, event, strict=True)
        )
        + 'for (float each : tamis_classifier::predict(event)) std::printf("%.9g ", each); }'
        for event in events
    )
    source = f"""#include "classifier.hpp"
#include <cstdio>
int main() {{
{given_to}
  for (auto name : tamis_classifier::feature_names) std::printf("\\n[%s]", name);
}}
"""
    import subprocess

    (tmp_path / "main.cpp").write_text(source)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
    subprocess.run(["g++", *flags, "main.cpp", "-o", "main"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    numbers, *written = said.split("\n[")
    assert [each.removesuffix("]") for each in written] == list(names)
    found = np.array(numbers.split(), np.float32).reshape(len(events), 3)
    np.testing.assert_allclose(found, hostile.scores(events), atol=TOLERANCE, rtol=0)


@COMPILED
def test_it_refuses_to_be_compiled_where_missing_values_are_unknown(
    make_classifier: Make, tmp_path: Path
) -> None:
    import subprocess

    (tmp_path / "classifier.hpp").write_text(build_cpp_header(lower(make_classifier([]))))
    (tmp_path / "main.cpp").write_text('#include "classifier.hpp"\nint main() {}\n')
    command = ["g++", "-std=c++17", "-ffast-math", "main.cpp", "-o", "main"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode
    assert "compile without it" in found.stderr


def test_identifiers_are_different_and_valid() -> None:
    names = ["a b", "a_b", "a-b", "1", "", "__x", "Ünits", "int", "int_", "_"]
    found = build_identifiers(names)
    assert len(set(found)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", word) and "__" not in word for word in found)
    assert literal("\n") == '"\\012"'


# lwtnn

LWTNN = {
    "dense": {"layers": [{"nodes": 16}] * 2},
    **{
        name: {"layers": [{"nodes": 16, "activation": name}] * 2}
        for name in ("linear", "tanh", "sigmoid", "elu", "silu", "leaky_relu")
    },
    "batch": {"layers": [{"nodes": 16, "normalisation": "batch"}] * 2},
    "sparse": {"layers": [{"type": "sparse", "nodes": 16, "fan_in": 3}]},
    "logistic": {"layers": []},
    "one output": {"layers": [{"nodes": 8}], **TWO},
}


@pytest.mark.parametrize("name", LWTNN)
def test_lwtnn_gives_the_scores_by_its_formula(
    name: str, make_classifier: Make, make_events: Make, tmp_path: Path
) -> None:
    # without what lies hundreds of deviations out: 32 bits, in which the classifier computes, do not keep 10^-6 there
    events = make_events(7)[3:]
    classifier = make_classifier(**{"scaling": "standard", **LWTNN[name]})
    one = Scaling((0.8,) * len(classifier.classes), (0.0,) * len(classifier.classes))
    classifier = replace(classifier, calibration=Calibration("temperature", one)).with_reference(events)
    classifier.save(tmp_path)
    found = export_classifier(tmp_path, ["lwtnn"])
    assert 0 < found.agreements["lwtnn"].difference <= TOLERANCE
    said = json.loads(found.files[0].read_text())
    # the formula of lwtnn, written down once more
    events = make_events(11)[3:]
    given = compute_lwtnn_inputs(classifier, events)
    x = np.stack([np.float64(given[each["name"]]) for each in said["inputs"]])
    for row, each in zip(x, said["inputs"], strict=True):
        row[np.isnan(row)] = said["defaults"].get(each["name"], np.nan)
    x = (x + [[each["offset"]] for each in said["inputs"]]) * [[each["scale"]] for each in said["inputs"]]
    for layer in said["layers"]:
        rows = np.array(layer["weights"]).reshape(-1, len(x))
        x = rows @ x + np.array(layer["bias"])[:, None]
        match layer["activation"]:
            case "rectified":
                x = np.maximum(x, 0)
            case "tanh":
                x = np.tanh(x)
            case "sigmoid":
                x = 1 / (1 + np.exp(-x))
            case "softmax":
                x = np.exp(x) / np.exp(x).sum(axis=0)
            case {"function": "elu", "alpha": alpha}:
                x = np.where(x >= 0, x, alpha * (np.exp(x) - 1))
            case {"function": "swish", "alpha": alpha}:
                x = x / (1 + np.exp(-alpha * x))
            case {"function": "leakyrelu", "alpha": alpha}:
                x = np.where(x > 0, x, alpha * x)
            case other:
                assert other == "linear"
    np.testing.assert_allclose(x.T, classifier.scores(events), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": []}, r"preprocessing\.scaling is robust"),
        ({"layers": [], "embedding": {"type": "periodic"}}, r"network\.embedding is periodic"),
        ({"layers": [{"nodes": 4}, {"nodes": 4, "activation": "mish"}]}, r"network\.layers\[1\] .* mish"),
        ({"layers": quantized("RND", "SAT")}, r"network\.layers\[0\] is quantized"),
        ({"layers": [{"nodes": 4, "normalisation": "layer"}]}, "has a layer normalisation"),
        ({"layers": [{"nodes": 4}, {"nodes": 4, "residual": True}]}, r"network\.layers\[1\] is residual"),
        ({"layers": [], "folds": (0, 1)}, "averages 2 networks"),
        ({"layers": [], "shared_members": 2}, r"network\.shared_members"),
        ({"layers": [], "symmetries": SYMMETRIES, "copies": 2}, "averages over symmetries"),
        ({"layers": [], "logarithm": (True,) * 4}, r"preprocessing\.logarithm"),
    ],
)
def test_what_lwtnn_has_no_words_for_is_named(
    options: dict[str, Any], message: str, make_classifier: Make
) -> None:
    with pytest.raises(UntranslatableError, match=message):
        build_lwtnn_document(build_plain_document(make_classifier(**options)))


# the files


@pytest.fixture
def saved(make_classifier: Make, make_events: Make, tmp_path: Path) -> tuple[Classifier, Path]:
    classifier = make_classifier([{"nodes": 8}], folds=(0, 1))
    classifier = calibrated(classifier).with_reference(make_events(5), np.arange(500) % 2)
    classifier.save(tmp_path / "model")
    return classifier, tmp_path / "model"


def test_the_command_writes_every_form_that_can_express_it(
    saved: tuple[Classifier, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = saved
    with pytest.raises(SystemExit) as ended:
        main(["export", str(folder.parent), "--format", "all"])
    assert ended.value.code in (0, None)
    said = capsys.readouterr().out
    assert "note: no lwtnn: lwtnn cannot express this classifier" in said
    for name in ("onnx", "json", *(["cpp"] if has_compiler() else [])):
        assert f"{name}: the scores of " in said
    loaded = Classifier.load(folder)
    assert (folder / "classifier.hpp").is_file()
    assert loaded.class_names == ("class_0", "class_1", "class_2")
    with pytest.raises(SystemExit) as ended:
        main(["export", str(folder.parent), "--format", "lwtnn"])
    assert ended.value.code == 2
    assert "lwtnn cannot express" in capsys.readouterr().err


def test_a_model_of_another_run_is_refused_with_both_hashes(
    saved: tuple[Classifier, Path],
    make_classifier: Make,
    make_events: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, folder = saved
    run = folder.parent
    own = sha256(folder / "classifier.json")
    make_classifier([{"nodes": 4}]).with_reference(make_events(5)).save(run / "other")
    write_json(run / "provenance.json", {"format": FORMAT, "outputs": {"model/classifier.json": own}})
    assert find_model(run) == folder
    assert find_model(folder) == folder
    folder.rename(run / "before")
    (run / "other").rename(folder)
    other = sha256(folder / "classifier.json")
    for form in ("onnx", "json", "all", "fpga"):
        with pytest.raises(SystemExit) as ended:
            main(["export", str(run), "--format", form])
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert f"(SHA-256 {other}, and provenance.json has {own})" in said
    assert not (folder / "classifier.onnx").exists()
    with pytest.raises(SystemExit) as ended:  # alone it is a classifier as any other
        main(["export", str(folder), "--format", "json"])
    assert not ended.value.code


@pytest.mark.parametrize("output", ["file", "file/out", "n" * 300])
def test_an_output_that_cannot_be_made_is_refused(
    output: str, saved: tuple[Classifier, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for form in ("json", "all"):
        with pytest.raises(SystemExit) as ended:
            main(["export", str(saved[1]), "--format", form, "-o", str(tmp_path / output)])
        assert ended.value.code == 2
        assert "choose another folder (--output; in Python `output`)" in capsys.readouterr().err


def test_a_translation_replaces_nothing_else(tmp_path: Path) -> None:
    from tamis.export.fpga_files import BOUNDARY, check_output

    for name in ("mine", "empty", "old"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    (tmp_path / "old" / BOUNDARY).write_text('{"document_sha256": "0123"}')
    for name, overwrite in (("mine", True), ("mine/thesis.tex", True), ("old", False)):
        with pytest.raises(RequestError):
            check_output(tmp_path / name, "4567", of_run=False, overwrite=overwrite)
    for name in ("empty", "old", "new"):
        check_output(tmp_path / name, "0123", of_run=False, overwrite=False)
        check_output(tmp_path / name, "4567", of_run=False, overwrite=True)


def test_another_folder_gets_the_files_and_the_model_stays_as_it_is(
    saved: tuple[Classifier, Path], tmp_path: Path
) -> None:
    _, folder = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = export_classifier(folder, ["onnx", "json"], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in found.files}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_exports_of_another_classifier_are_replaced_only_on_request(
    saved: tuple[Classifier, Path], make_classifier: Make, make_events: Make, tmp_path: Path
) -> None:
    one, other, output = saved[1], tmp_path / "other", tmp_path / "out"
    make_classifier([{"nodes": 4}]).with_reference(make_events(5)).save(other)
    arguments = ["export", str(one), "-o", str(output), "--format", "json", "--format", "onnx"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    assert len(before) == 4
    assert export_classifier(one, ["json"], output).files  # the same classifier
    for form in ("json", "onnx", "cpp"):
        with pytest.raises(RequestError):
            export_classifier(other, [form], output)  # type: ignore[list-item]
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    notes = export_classifier(other, ["json"], output, overwrite=True).notes
    assert any(note.startswith("removed ") and "classifier.onnx" in note for note in notes)
    assert [path.name for path in output.iterdir()] == ["classifier_plain.json"]
    assert (output / "classifier_plain.json").read_bytes() != before["classifier_plain.json"]


def test_an_export_goes_neither_to_another_classifier_nor_into_a_run(
    saved: tuple[Classifier, Path], make_classifier: Make, make_events: Make, tmp_path: Path
) -> None:
    make_classifier([{"nodes": 4}]).with_reference(make_events(5)).save(tmp_path / "other")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "provenance.json").touch()
    for output in ("other", "run", "run/out"):
        with pytest.raises(RequestError):
            export_classifier(saved[1], ["json"], tmp_path / output, overwrite=True)
    Classifier.load(tmp_path / "other")


def test_a_file_that_many_programs_have_is_left_alone(saved: tuple[Classifier, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "preprocess.json").write_text("{}")
    export_classifier(saved[1], ["json"], tmp_path / "out")
    with pytest.raises(RequestError):
        export_classifier(saved[1], ["onnx"], tmp_path / "out")
    assert (tmp_path / "out" / "preprocess.json").read_text() == "{}"


def test_damaged_files_are_written_again_and_never_passed_as_whole(saved: tuple[Classifier, Path]) -> None:
    from tamis.errors import InputError

    _, folder = saved
    export_classifier(folder, ["onnx", "json"])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "classifier_plain.json").write_text("{}")
    (folder / "preprocess.json").write_text("{}")
    export_classifier(folder, ["onnx"])
    with pytest.raises(InputError):
        Classifier.load(folder)
    export_classifier(folder, ["json"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    Classifier.load(folder)


@pytest.mark.parametrize("form", ["json", pytest.param("cpp", marks=COMPILED)])
def test_a_form_that_gives_other_scores_is_not_written(
    form: Any, saved: tuple[Classifier, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    honest = build_plain_document

    def slightly_wrong(classifier: Classifier) -> Any:
        document = honest(classifier)
        document["networks"][1]["outputs"][0]["bias"][2] += 2e-5
        return document

    monkeypatch.setattr(lowering, "build_plain_document", slightly_wrong)
    with pytest.raises(ExportError):
        export_classifier(folder, [form])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_without_a_compiler_the_header_is_written_and_said_to_be_unchecked(
    saved: tuple[Classifier, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = saved
    monkeypatch.setattr(formats, "has_compiler", lambda: False)
    found = export_classifier(folder, ["cpp"])
    assert found.notes == ("the scores of cpp were not compared, because g++ is not installed",)
    assert "cpp" not in found.agreements
    Classifier.load(folder)
