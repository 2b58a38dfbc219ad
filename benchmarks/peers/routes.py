"""The ways from features to scores: each scores the same events twice, and the second time counts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
ROOT = Path(__file__).parents[2]
RUNTIMES = ROOT / "tests" / "runtimes"
MODULES = RUNTIMES / "node_modules"
PEERS = Path(__file__).parent
ORIGIN = "http://tamis.test"
"""Nobody answers there: every file comes from the disk."""


class UnavailableError(Exception):
    """A route is not there; the message is what the table shows."""


@dataclass(frozen=True)
class Case:
    """A classifier in all its forms, and events.

    Args:
        name: what the tables call it.
        folder: has `model` with every form, and `cases.json` with the events for ONNX.
        classifier: of tamis.
        features: as a user passes them, [n, n_features].
    """

    name: str
    folder: Path
    classifier: Any
    features: Float32


@dataclass(frozen=True)
class Scored:
    """What a route gave.

    Args:
        scores: [n, classes].
        seconds: of the second time.
    """

    scores: Float32
    seconds: float


def write_case(case: Case) -> None:
    """Write events and model as files that every language reads."""
    shutil.copy(case.folder / "model" / "classifier_packed.onnx", case.folder / "case.onnx")
    np.ascontiguousarray(case.features, "<f4").tofile(case.folder / "features.f32")
    where = {"file": "features.f32", "shape": list(case.features.shape)}
    listed = [{"name": "case", "model": "case.onnx", "inputs": {"features": where}}]
    (case.folder / "cases.json").write_text(json.dumps(listed))


def twice(score: Callable[[], Float32]) -> Scored:
    score()
    start = time.perf_counter()
    scores = score()
    return Scored(np.asarray(scores, np.float32), time.perf_counter() - start)


def with_tamis(case: Case) -> Scored:
    return twice(lambda: case.classifier.scores(case.features))


def with_onnx(python: str) -> Callable[[Case], Scored]:
    """Give the route of the ONNX Runtime that a Python has."""

    def score(case: Case) -> Scored:
        if not Path(python).exists():
            raise UnavailableError("not installed")
        output = case.folder / "scores.f32"
        said = _ran([python, str(PEERS / "onnx_peer.py"), str(case.folder), str(output)])
        return Scored(_read(output, case), said["seconds"])

    return score


def with_node(case: Case) -> Scored:
    if shutil.which("node") is None or not MODULES.is_dir():
        raise UnavailableError("not installed")
    said = _ran(["node", str(RUNTIMES / "score_in_node.mjs"), str(case.folder), str(case.folder), "2"])
    return Scored(_read(case.folder / "case.f32", case), said["seconds"]["case"])


def with_browser(case: Case) -> Scored:
    program = shutil.which("chromium")
    if program is None or not MODULES.is_dir() or find_spec("playwright") is None:
        raise UnavailableError("not installed")
    from playwright.sync_api import sync_playwright

    folders = {"runtime": MODULES / "onnxruntime-web" / "dist", "cases": case.folder, "": RUNTIMES}

    def answer(route: Any) -> None:
        *folder, name = route.request.url.removeprefix(f"{ORIGIN}/").split("/")
        route.fulfill(path=folders["/".join(folder)] / name)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(offline=True)
        context.route("**/*", answer)
        page = context.new_page()
        page.goto(f"{ORIGIN}/score_in_browser.html")
        page.wait_for_function("window.scoreCases !== undefined")
        (found,) = page.evaluate("window.scoreCases(2)")["cases"]
        browser.close()
    bits = np.array(found["bits"], np.int64).astype(np.int32)
    return Scored(bits.view(np.float32).reshape(found["shape"]), found["seconds"])


_TIMED = """#include <chrono>
#include <cstdio>
#include <vector>
#include "{header}"

int main(int, char** names) {{
  namespace model = {namespace};
  std::vector<std::array<float, model::n_features>> events({events});
  std::FILE* file = std::fopen(names[1], "rb");
  if (std::fread(events.data(), sizeof(events[0]), events.size(), file) != events.size()) return 1;
  std::fclose(file);
  std::vector<std::array<float, {classes}>> scores(events.size());
  double seconds = 0;
  for (int round = 0; round < 2; ++round) {{
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < events.size(); ++i) {{
      const auto found = model::predict(events[i], -1);
      for (std::size_t k = 0; k < {classes}; ++k) scores[i][k] = static_cast<float>(found[k]);
    }}
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }}
  file = std::fopen(names[2], "wb");
  std::fwrite(scores.data(), sizeof(scores[0]), scores.size(), file);
  std::fclose(file);
  std::printf("{{\\"seconds\\": %.9f}}\\n", seconds);
}}
"""


def with_header(case: Case) -> Scored:
    """Compile the header with -O2 and time the loop over the events, on one core."""
    from tamis.classifier.exported_names import HEADER
    from tamis.export.cpp_writer import build_namespace
    from tamis.export.plain import build_plain_document

    if shutil.which("g++") is None:
        raise UnavailableError("not installed")
    source, program = case.folder / "timed.cpp", case.folder / "timed"
    text = _TIMED.format(
        header=(case.folder / "model" / HEADER).resolve(),
        namespace=build_namespace(build_plain_document(case.classifier)),
        events=len(case.features),
        classes=len(case.classifier.classes),
    )
    source.write_text(text)
    subprocess.run(["g++", "-std=c++17", "-O2", "-o", str(program), str(source)], check=True)
    said = _ran([str(program), str(case.folder / "features.f32"), str(case.folder / "header.f32")])
    return Scored(_read(case.folder / "header.f32", case), said["seconds"])


def with_plain_json(case: Case) -> Scored:
    from tamis.classifier.exported_names import PLAIN
    from tamis.export.evaluate import compute_scores
    from tamis.export.lower import lower_document

    graph = lower_document(json.loads((case.folder / "model" / PLAIN).read_text()))
    return twice(lambda: compute_scores(graph, case.features).astype(np.float32))


def with_lwtnn(case: Case) -> Scored:
    from tamis.classifier.exported_names import LWTNN
    from tamis.export.lwtnn import compute_lwtnn_inputs, compute_lwtnn_scores

    path = case.folder / "model" / LWTNN
    if not path.is_file():
        raise UnavailableError("cannot express it")
    document = json.loads(path.read_text())
    return twice(lambda: compute_lwtnn_scores(document, compute_lwtnn_inputs(case.classifier, case.features)))


def with_fpga(case: Case) -> Scored:
    """Compute the logits with the C++ that stands for the FPGA, and their softmax in 64 bits."""
    from tamis.errors import UntranslatableError
    from tamis.export.fpga_network import build_fixed_point_network

    try:
        build_fixed_point_network(case.classifier)
    except UntranslatableError:
        raise UnavailableError("cannot express it") from None
    own = ROOT / ".nox" / "fpga" / "bin" / "python"
    python = sys.executable if find_spec("hls4ml") else str(own)
    if not Path(python).exists():
        raise UnavailableError("not installed")
    given, found, folder = (case.folder / name for name in ("features.npy", "logits.npy", "project"))
    np.save(given, case.features)
    folder.mkdir(exist_ok=True)
    said = _ran(
        [python, str(PEERS / "fpga_peer.py"), *map(str, (case.folder / "model", folder, given, found))]
    )
    logits = np.load(found)
    wrong = int((logits != _logits(case)).any(axis=1).sum())
    if wrong:
        raise RuntimeError(f"the C++ of hls4ml gives {wrong} events other logits than tamis")
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return Scored((power / power.sum(axis=1, keepdims=True)).astype(np.float32), said["seconds"])


def _logits(case: Case) -> Float32:
    """Compute the logits with tamis, which those of an FPGA have to equal bit by bit."""
    import jax

    from tamis.network.network import map_events

    inputs = case.classifier.preprocessing.apply(case.features)
    with jax.default_matmul_precision("float32"):
        return np.asarray(map_events(case.classifier.network, jax.numpy.asarray(inputs.T))).T


def all_routes() -> Mapping[str, Callable[[Case], Scored]]:
    """Give every route by its name; older versions of ONNX Runtime are where `make runtimes` puts them."""
    older = ("1.10.0", "1.14.1", "1.15.1", "1.17.1", "1.20.1")
    return {
        "tamis (JAX)": with_tamis,
        f"ONNX Runtime {version('onnxruntime')}": with_onnx(sys.executable),
        **{
            f"ONNX Runtime {each}": with_onnx(
                str(ROOT / ".nox" / f"runtime-{each.replace('.', '-')}" / "bin" / "python")
            )
            for each in reversed(older)
        },
        f"onnxruntime-node {_pinned('onnxruntime-node')}": with_node,
        f"onnxruntime-web {_pinned('onnxruntime-web')}, Chromium, 1 thread": with_browser,
        "C++ header, g++ -O2, 1 thread": with_header,
        "plain JSON, by its formula in NumPy": with_plain_json,
        "lwtnn JSON, by its formula in NumPy": with_lwtnn,
        "C++ of hls4ml, simulated": with_fpga,
    }


def _pinned(package: str) -> str:
    pinned: str = json.loads((RUNTIMES / "package.json").read_text())["dependencies"][package]
    return pinned


def _ran(command: list[str]) -> Any:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{ran.stderr[-2000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def _read(path: Path, case: Case) -> Float32:
    return np.fromfile(path, np.float32).reshape(len(case.features), -1)
