"""The files for an FPGA: QONNX, a Keras model of HGQ2, and an hls4ml project, all simulated before they are written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnx import save_model

from tamis.arrays import Float32
from tamis.classifier import DOCUMENT, Classifier
from tamis.classifier.document import read_document
from tamis.config import FixedPoint
from tamis.errors import ExportError, RequestError
from tamis.export.agreement import build_reference_events
from tamis.export.formats import require_float32
from tamis.export.fpga_network import FixedPointNetwork, build_fixed_point_network, compute_grid_inputs
from tamis.export.fpga_qonnx import build_qonnx
from tamis.export.fpga_translation import EVENTS, EXPECTED, INTERPRETED, PROJECT, SIMULATED
from tamis.files import write_json
from tamis.network.network import Network, map_events
from tamis.paths import check_writable, to_path
from tamis.runs.layout import FPGA

QONNX, BOUNDARY = "classifier.qonnx.onnx", "boundary.json"
COMPARED = 10_000
"""Number of simulated events."""


@dataclass(frozen=True)
class FpgaExport:
    """The result of an export for an FPGA: its folder, the network, and the number of events that agree bit by bit."""

    folder: Path
    events: int
    network: FixedPointNetwork


def export_fpga(
    folder: Path | str, output: Path | str | None = None, *, overwrite: bool = False
) -> FpgaExport:
    """Translate a saved classifier for an FPGA, and simulate the translation.

    The output folder is written completely or not at all: `classifier.qonnx.onnx`, `classifier.keras` of HGQ2, the C++
    project `hls4ml`, `boundary.json` with the computations before and after the FPGA, and the simulated events
    (`inputs.npy`, `logits.npy`). The logits of 10,000 events are computed by the compiled C++, by the interpreter of
    QONNX and by tamis, and must be bit-identical.

    Args:
        folder: the folder `model` of a run.
        output: the output folder; by default `fpga` beside it. An earlier translation of the classifier is replaced.
        overwrite: whether the translation of another classifier is replaced, too.

    Raises:
        InputError: there is no classifier in the folder, or it is damaged.
        RequestError: the extra `fpga` or g++ is not installed, or the output must not be replaced.
        ExportError: a part of the classifier cannot be translated, or a logit differs.
    """
    folder = to_path(folder, "export_fpga")
    classifier = Classifier.load(folder)
    require_float32(classifier, "the boundary of an FPGA")
    network = build_fixed_point_network(classifier)
    default = folder.parent / FPGA
    output = default if output is None else to_path(output, "export_fpga")
    document_sha256 = read_document(folder / DOCUMENT).document_sha256
    is_own = output.resolve() == default.resolve()
    check_output(output, document_sha256, of_run=is_own, overwrite=overwrite)
    _require_tools()
    inputs, expected = simulate_events(classifier, network)
    with _whole_folder(output) as temporary:
        np.save(temporary / EVENTS, inputs)
        np.save(temporary / EXPECTED, expected)
        save_model(build_qonnx(network), str(temporary / QONNX))
        boundary = {**describe_boundary(classifier, network), "document_sha256": document_sha256}
        write_json(temporary / BOUNDARY, boundary)
        _run_translation(folder, temporary)
        for name, program in ((SIMULATED, "the C++ of hls4ml"), (INTERPRETED, "the interpreter of QONNX")):
            _check_logits(np.load(temporary / name), expected, program)
            (temporary / name).unlink()
        _clean_project(temporary, output)
    return FpgaExport(output, len(inputs), network)


def simulate_events(classifier: Classifier, network: FixedPointNetwork) -> tuple[Float32, Float32]:
    """Return the inputs of reference events, mixtures and random numbers, [n, inputs], and their logits, [n, outputs].

    The inputs are numbers of the input format.
    """
    rng = np.random.default_rng(0)
    features = build_reference_events(classifier).features
    real = compute_grid_inputs(classifier, features)
    logits_of_classifier = _logits(classifier.network, classifier.preprocessing.apply(features))
    form = network.input
    steps = rng.integers(form.lowest, form.highest + 1, (COMPARED - len(real), network.inputs))
    inputs = np.concatenate([real, np.ldexp(steps, -form.fraction).astype(np.float32)])
    logits = _logits(Network(classifier.network.layers), inputs)
    _check_logits(logits[: len(real)], logits_of_classifier, "the network behind the quantizer of its inputs")
    return inputs, logits


def _logits(network: Network, inputs: Float32) -> Float32:
    import equinox as eqx
    import jax

    # compiled as one program: operation by operation takes seconds and hundreds of megabytes
    with jax.default_matmul_precision("float32"):
        return np.asarray(eqx.filter_jit(map_events)(network, jax.numpy.asarray(inputs.T))).T


def _check_logits(logits: Float32, expected: Float32, program: str) -> None:
    wrong = (logits != expected).any(axis=1)
    if wrong.any():
        raise ExportError(
            f"the logits of {program} differ from those of tamis for {int(wrong.sum())} of {len(wrong)} events, by up "
            f"to {np.abs(logits - expected).max():.3g}; nothing was written. Please report it with the configuration"
        )


def _require_tools() -> None:
    absent = [name for name in ("hls4ml", "hgq", "qonnx") if find_spec(name) is None]
    if absent:
        raise RequestError(
            f"the export for FPGAs needs {', '.join(absent)}; install with: pip install 'tamis[fpga]'"
        )
    if shutil.which("g++") is None:
        raise RequestError("the export for FPGAs needs g++, to simulate the translation; install it")


def _run_translation(model: Path, folder: Path) -> None:
    folders = [str(path.resolve()) for path in (model, folder)]
    command = [sys.executable, "-m", "tamis.export.fpga_translation", *folders]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ran.returncode:
        reason = (ran.stderr.strip() or f"exit status {ran.returncode}").splitlines()[-1]
        raise ExportError(f"hls4ml could not translate the network, and nothing was written: {reason}")


def check_output(output: Path, document_sha256: str, *, of_run: bool, overwrite: bool) -> None:
    """Check that the output can be written, and holds nothing but an earlier translation, or raise a `RequestError`.

    The translation of another classifier is replaced only with `overwrite`; `of_run` is whether the output is the
    folder of the run itself for this export.
    """
    check_writable(output, "choose another folder (--output; in Python `output`)", of_run=of_run)
    is_replaceable = (output / BOUNDARY).is_file() or (output.is_dir() and not any(output.iterdir()))
    if output.exists() and not is_replaceable:
        raise RequestError(
            f"{output} exists and is not an export for an FPGA; choose another folder (--output; in Python "
            "`output`)"
        )
    boundary = output / BOUNDARY
    if boundary.is_file() and not overwrite and document_sha256.encode() not in boundary.read_bytes():
        raise RequestError(
            f"{output} holds the export of another classifier; choose another folder (--output; in Python `output`), "
            "or replace it (--overwrite; in Python overwrite=True)"
        )


@contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """Yield a temporary folder that gets the final name if no error occurs."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as temporary:
        unfinished = Path(temporary) / "unfinished"
        unfinished.mkdir()
        yield unfinished
        if output.exists():
            output.replace(Path(temporary) / "replaced")
        unfinished.replace(output)


def _clean_project(folder: Path, output: Path) -> None:
    """Remove the compiled simulation, and replace the name of the temporary folder."""
    for path in (folder / PROJECT).rglob("*.so"):
        path.unlink()
    settings = folder / PROJECT / "hls4ml_config.yml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace(str(folder.resolve()), str(output.resolve())), encoding="utf-8")


def describe_boundary(classifier: Classifier, network: FixedPointNetwork) -> dict[str, Any]:
    """Describe the computations before and after the FPGA as strict JSON."""
    preprocessing, gains = classifier.preprocessing, classifier.network.gains
    names = classifier.feature_names
    tails, curves = preprocessing.logarithm, preprocessing.quantiles
    return {
        "format": "tamis fpga boundary",
        "version": 1,
        "before": {
            "features": list(names),
            "indicators": [names[index] for index in preprocessing.indicators],
            "logarithm": tails
            and {
                "features": [names[index] for index in tails.features],
                "lowest": tails.lowest,
                "typical": tails.typical,
            },
            "scaling": preprocessing.scaling,
            "fill": preprocessing.fill,
            "centre": preprocessing.centre,
            "scale": preprocessing.scale,
            "quantiles": curves and {"knots": curves.knots, "values": curves.values},
            "gains": None if gains is None else gains.factors,
            "rule": "in 32 bits: a missing feature gets its fill; with a logarithm, d = (x - lowest) / typical becomes "
            "sign(d) log(1 + |d|); standard and robust compute x = (x - centre) / scale, robust then x / sqrt(1 + (x / "
            "3)^2), quantile interpolates linearly between its knots; indicators follow the features, 1 if missing, "
            "else 0; all inputs are multiplied by their gains, and quantized to the format `input`",
        },
        "input": _describe_format(network.input, network.inputs),
        "output": _describe_format(network.layers[-1].output, network.outputs),
        "behind": {
            "classes": list(classifier.class_names),
            "rule": "the softmax of the logits; a single logit is that of the second of two classes, the first is 0",
            "correction": classifier.calibration and "`calibration` in classifier.json",
        },
    }


def _describe_format(form: FixedPoint, number: int) -> dict[str, Any]:
    bits = {"bits": form.bits, "fraction": form.fraction, "signed": form.signed}
    return {"format": str(form), "number": number, **bits}


def describe_estimate(network: FixedPointNetwork) -> str:
    """Format the estimated cost of each layer, without vendor tools, as a table."""
    layers = network.layers
    rows = [("layer", "inputs", "nodes", "multiplications", "bits of weight, input, sum", "EBOPs")]
    for layer in layers:
        nodes, inputs = layer.weight.steps.shape
        numbers = [f"{number:,}" for number in (inputs, nodes, layer.multiplications)]
        bits = f"{layer.weight_form.bits}, {layer.input.bits}, {layer.sum_bits}"
        rows.append((layer.name, numbers[0], numbers[1], numbers[2], bits, f"{layer.ebops:,}"))
    ebops = sum(layer.ebops for layer in layers)
    rows.append(("all", "", "", f"{sum(layer.multiplications for layer in layers):,}", "", f"{ebops:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
    return "\n".join(
        [
            *lines,
            f"About {ebops:,} LUTs if all multiplications use LUTs; a DSP replaces about 55 (arXiv:2405.00645).",
        ]
    )
