"""Runtimes that are not ours give the same scores: onnxruntime-node, and onnxruntime-web in a browser.

`TAMIS_NEEDS_RUNTIMES=1` makes the absence of a runtime an error. `TAMIS_CASES` names a folder where the cases are
kept, for old versions of ONNX Runtime, which the sessions of `noxfile.py` run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import tamis
from tamis.classifier import Classifier
from tamis.config import Exchange, Reflection, Rotation, parse_config
from tamis.config.layers import Activation, Overflow, Rounding
from tamis.export import export_onnx
from tamis.export.agreement import choose_events, vary_missing_values
from tamis.export.lower import lower
from tamis.export.onnx_builder import Operator
from tamis.export.onnx_writer import Inputs, build_model

pytestmark = pytest.mark.slow  # programs that are not ours, and a browser
Float32 = NDArray[np.float32]
Make = Callable[..., Any]
HERE = Path(__file__).parents[1] / "runtimes"
MODULES = HERE / "node_modules"
TOLERANCE = 1e-6
"""Several times what float32 costs these networks."""
ORIGIN = "http://tamis.test"
"""Nobody answers there: the test gives every file itself."""


def quantized(index: int, **keys: Any) -> dict[str, Any]:
    """Give a layer with the rounding and overflow of this number."""
    roundings, overflows = Rounding.__args__, Overflow.__args__
    form = {"rounding": roundings[index % len(roundings)], "overflow": overflows[index % len(overflows)]}
    formats = {"output": {"bits": 8, "integer": 3, **form}, "input": {"bits": 9, "integer": 3, **form}}
    return {"type": "quantized", "nodes": 16, **formats, **keys}


SYMMETRIES = (
    Rotation(features=("phi",), start=-np.pi, period=2 * np.pi),
    Reflection(features=("eta",)),
    Exchange(objects=(("mass",), ("eta",))),
)
# together they use every operator that an exported graph can hold
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "dense": {"layers": [{"nodes": 16, "normalisation": "batch"}, {"nodes": 16, "normalisation": "layer"}]},
    "activations": {
        "layers": [{"nodes": 16, "activation": name, "residual": name == "linear"} for name in Activation.__args__],
        "logarithm": (False, True, True, False),
    },
    "sparse": {"layers": [{"type": "sparse", "nodes": 16, "density": 0.3, "activation": "relu"}] * 2},
    "quantized": {"layers": [quantized(number) for number in range(len(Rounding.__args__))], "gains": None,
                  "quantized_output": {}},
    # one step of 32 bits in the preprocessing shows
    "finely_quantized": {"layers": [{"type": "quantized", "nodes": 16, "input": {"bits": 17, "integer": 4},
                                     "weight": {"bits": 4, "integer": 1}, "output": {"bits": 17, "integer": 4}}],
                         "quantized_output": {"weight": {"bits": 3, "integer": 1},
                                              "output": {"bits": 17, "integer": 5}},
                         "gains": None},
    "periodic": {"layers": [{"nodes": 16}], "embedding": {"type": "periodic", "sigma": 1.0}, "scaling": "quantile"},
    "piecewise_linear": {"layers": [{"nodes": 16}], "embedding": {"type": "piecewise_linear", "bins": 5}},
    "shared_members": {"layers": [{"nodes": 16}] * 2, "shared_members": 4, "classes": 2, "outputs": 1},
    "folds_and_symmetries": {
        "layers": [{"nodes": 16}], "folds": (0, 1), "symmetries": SYMMETRIES, "copies": 4, "scaling": "standard",
    },
}  # fmt: skip


def events_to_score(classifier: Classifier, features: Float32) -> tuple[Float32, NDArray[np.int32], Float32]:
    """Give events as a user passes them, with their folds and the scores that the classifier gives them.

    They have every spelling of a missing value and the extremes; the last two lack what may not be missing.
    """
    fold = (np.arange(len(features)) % (classifier.plan.n_folds + 1) - 1).astype(np.int32)
    pairs = list(vary_missing_values(classifier, choose_events(features, fold)))
    given = np.concatenate([values for _, values in pairs] + [features[-2:]])
    given[-2:, 0] = np.nan, np.inf
    own = np.concatenate([sample.fold for sample, _ in pairs] + [fold[-2:]])
    expected = [classifier.scores(sample.features, sample.fold) for sample, _ in pairs]
    lacking = np.full((2, len(classifier.classes)), np.nan, np.float32)
    return given, own, np.concatenate([*expected, lacking])


def write_case(folder: Path, name: str, model: Path, form: Inputs, inputs: Any) -> dict[str, Any]:
    """Write a model and its events as files that every language reads."""

    def written(part: str, values: Float32) -> dict[str, Any]:
        path = folder / f"{name}_{part}.f32"
        np.ascontiguousarray(values, "<f4").tofile(path)
        return {"file": path.name, "shape": list(values.shape)}

    classifier, (given, fold, expected) = inputs
    names = classifier.feature_names if form == "named" else ("features",)
    values = np.split(given, given.shape[1], axis=1) if form == "named" else [given]
    columns = dict(zip(names, values, strict=True))
    if classifier.plan.is_cross_training:
        columns["fold"] = fold.astype(np.float32)[:, None]
    shutil.copy(model, folder / f"{name}.onnx")
    return {
        "name": name,
        "model": f"{name}.onnx",
        "inputs": {
            each: written(str(number), column) for number, (each, column) in enumerate(columns.items())
        },
        "expected": written("expected", expected),
    }


@pytest.fixture(scope="module")
def cases(
    once: Make,
    make_classifier: Make,
    make_events: Make,
    module_classes: Make,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Write models of all kinds, as `tamis export` does, with events and their scores."""
    kept = os.environ.get("TAMIS_CASES")

    def write(folder: Path) -> None:
        write_cases(folder, make_classifier, make_events, module_classes, tmp_path_factory)
        if kept:
            shutil.copytree(folder, kept, dirs_exist_ok=True)

    return once("cases", write)


def write_cases(
    folder: Path,
    make_classifier: Make,
    make_events: Make,
    module_classes: Make,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    classifiers = {}
    for name, options in ARCHITECTURES.items():
        built = make_classifier(
            options["layers"], **{key: options[key] for key in options if key != "layers"}
        )
        classifiers[name] = built, make_events(7, 20_000 if name == "finely_quantized" else 300)
    trained = tamis.train(parse_config(module_classes(300)))
    classifiers["trained"] = trained.classifier, trained.prepared.events.features
    listed = []
    for name, (classifier, events) in classifiers.items():
        saved = tmp_path_factory.mktemp(name)
        paths: dict[Inputs, Path] = {"packed": saved / "classifier_packed.onnx"}
        if name == "trained":
            paths["named"] = saved / "classifier.onnx"
            classifier.save(saved)
            export_onnx(saved)
        else:
            onnx.save(build_model(lower(classifier), "packed"), paths["packed"])
        scored = classifier, events_to_score(classifier, events)
        listed += [write_case(folder, f"{name}_{form}", path, form, scored) for form, path in paths.items()]
    (folder / "cases.json").write_text(json.dumps(listed))


def missing(reason: str) -> None:
    """Skip, or fail where the runtimes are required."""
    if os.environ.get("TAMIS_NEEDS_RUNTIMES"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def node() -> str:
    program = shutil.which("node")
    if program is None:
        missing("Node is not installed (apt-get install nodejs npm)")
    if not MODULES.is_dir():
        missing("the packages of Node are not installed (make node)")
    return str(program)


def pinned(package: str) -> str:
    """Give the version that is asked for."""
    version: str = json.loads((HERE / "package.json").read_text())["dependencies"][package]
    return version


def check(cases: Path, found: dict[str, Float32]) -> None:
    """Compare the scores of every case."""
    listed = json.loads((cases / "cases.json").read_text())
    assert set(found) == {case["name"] for case in listed}
    largest = 0.0
    for case in listed:
        where = case["expected"]
        expected = np.fromfile(cases / where["file"], np.float32).reshape(where["shape"])
        scores = found[case["name"]]
        assert scores.shape == expected.shape
        assert np.isnan(expected).sum() == expected[-2:].size
        np.testing.assert_array_equal(np.isnan(scores), np.isnan(expected), case["name"])
        difference = float(np.nanmax(np.abs(scores - expected)))
        assert difference <= TOLERANCE, case["name"]
        largest = max(largest, difference)
    assert largest > 0  # other programs sum in another order


def test_the_cases_use_every_operator(cases: Path) -> None:
    used = {node.op_type for path in cases.glob("*.onnx") for node in onnx.load(path).graph.node}
    assert used == set(Operator.__args__)


def test_the_runtime_that_is_installed_gives_the_scores(cases: Path) -> None:
    command = [sys.executable, str(HERE / "score.py"), str(cases)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_script_finds_other_scores(cases: Path, tmp_path: Path) -> None:
    case = json.loads((cases / "cases.json").read_text())[0]
    for path in cases.glob(f"{case['name']}*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "cases.json").write_text(json.dumps([case]))
    changed = tmp_path / case["expected"]["file"]
    scores = np.fromfile(changed, np.float32)
    scores[5] += 2e-6
    scores.tofile(changed)
    command = [sys.executable, str(HERE / "score.py"), str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_node_gives_the_scores(cases: Path, node: str, tmp_path: Path) -> None:
    command = [node, str(HERE / "score_in_node.mjs"), str(cases), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    found = {
        name: np.fromfile(tmp_path / f"{name}.f32", np.float32).reshape(shape)
        for name, shape in said["shapes"].items()
    }
    assert said["version"] == pinned("onnxruntime-node")
    check(cases, found)


@pytest.fixture
def page(browser: Any, cases: Path, node: str) -> Iterator[Any]:
    """Open the page without a network; every file comes from the disk, and nothing else is asked for."""
    del node
    folders = {"runtime": MODULES / "onnxruntime-web" / "dist", "cases": cases, "": HERE}
    context = browser.new_context(offline=True)
    heard: list[str] = []

    def answer(route: Any) -> None:
        *folder, name = route.request.url.removeprefix(f"{ORIGIN}/").split("/")
        path = folders.get("/".join(folder), Path("/nowhere")) / name
        if route.request.url.startswith(ORIGIN) and path.is_file():
            route.fulfill(path=path)
        else:
            heard.append(f"asked for {route.request.url}")
            route.abort()

    context.route("**/*", answer)
    page = context.new_page()
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.goto(f"{ORIGIN}/score_in_browser.html")
    yield page
    context.close()
    assert heard == []


def test_a_browser_gives_the_scores(cases: Path, page: Any) -> None:
    page.wait_for_function("window.scoreCases !== undefined")
    said = page.evaluate("window.scoreCases()")
    found = {
        each["name"]: np.array(each["bits"], np.int64)
        .astype(np.int32)
        .view(np.float32)
        .reshape(each["shape"])
        for each in said["cases"]
    }
    assert said["version"] == pinned("onnxruntime-web")
    check(cases, found)
