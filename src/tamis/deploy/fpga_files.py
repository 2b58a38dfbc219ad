"""The files for an FPGA: QONNX, a Keras model of HGQ2, and a project of hls4ml, simulated before they are kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import save_model

from tamis.classifier import Classifier
from tamis.deploy.agreement import reference_events
from tamis.deploy.fpga_network import FixedPointNetwork, fixed_point_network, grid_inputs
from tamis.deploy.fpga_qonnx import build_qonnx
from tamis.deploy.fpga_translation import EVENTS, EXPECTED, INTERPRETED, PROJECT, SIMULATED
from tamis.deploy.resolution import require_float32
from tamis.errors import ExportError, RequestError
from tamis.files import LONGER_WHILE_WRITTEN, write_json
from tamis.network.embeddings import Gains
from tamis.network.network import Network, map_events
from tamis.network.quantized import layer_costs
from tamis.places import obstacle

Float32 = NDArray[np.float32]

QONNX, BOUNDARY = "classifier.qonnx.onnx", "boundary.json"
COMPARED = 10_000
"""How many events are simulated."""


@dataclass(frozen=True)
class LayerEstimate:
    """What a layer costs on an FPGA, from its weights and formats alone.

    Args:
        name: of the layer.
        inputs: how many it has.
        nodes: how many it has.
        multiplications: by weights that are not zero.
        weight_bits: of a weight.
        input_bits: of an input.
        sum_bits: of the sums, with their sign.
        ebops: effective bit operations: for each multiplication the bits of the weight times those of the input.
    """

    name: str
    inputs: int
    nodes: int
    multiplications: int
    weight_bits: int
    input_bits: int
    sum_bits: int
    ebops: int


@dataclass(frozen=True)
class FpgaExport:
    """What was written.

    Args:
        folder: where.
        events: how many were simulated, all with the same bits.
        estimate: of each layer.
    """

    folder: Path
    events: int
    estimate: tuple[LayerEstimate, ...]

    @property
    def ebops(self) -> int:
        """Effective bit operations of the network: about LUTs + 55 DSPs (arXiv:2405.00645)."""
        return sum(layer.ebops for layer in self.estimate)


def export_fpga(folder: Path | str, output: Path | str | None = None) -> FpgaExport:
    """Translate a saved classifier for an FPGA, and simulate the translation.

    A folder appears as a whole or not at all: `classifier.qonnx.onnx`, `classifier.keras` of HGQ2, the project
    `hls4ml` of C++, `boundary.json` that says what happens before and behind, and the simulated events
    (`inputs.npy`, `logits.npy`). The logits of 10,000 events are computed by the C++ that g++ has compiled, by the
    interpreter of QONNX and by tamis, and have to be the same bits.

    Args:
        folder: the folder `model` of a run.
        output: the new folder; by default `fpga` beside it. One that is there is replaced.

    Raises:
        InputError: there is no classifier in the folder, or it is damaged.
        RequestError: the extra `fpga` or g++ is not installed, or the folder would replace something else.
        ExportError: a part of the classifier has no translation, or a logit differs.
    """
    folder = Path(folder)
    classifier = Classifier.load(folder)
    require_float32(classifier, "the boundary of an FPGA")
    network = fixed_point_network(classifier)
    output = folder.parent / "fpga" if output is None else Path(output)
    check_output(output)
    _require_tools()
    inputs, expected = simulated_events(classifier, network)
    with _whole_folder(output) as temporary:
        np.save(temporary / EVENTS, inputs)
        np.save(temporary / EXPECTED, expected)
        save_model(build_qonnx(network), str(temporary / QONNX))
        write_json(temporary / BOUNDARY, boundary(classifier, network))
        _run_translation(folder, temporary)
        _compare(np.load(temporary / SIMULATED), expected, "the C++ of hls4ml")
        _compare(np.load(temporary / INTERPRETED), expected, "the interpreter of QONNX")
        _tidy(temporary, output)
    return FpgaExport(output, len(inputs), estimate(classifier, network))


def simulated_events(classifier: Classifier, network: FixedPointNetwork) -> tuple[Float32, Float32]:
    """Give inputs on the grid and the logits that tamis computes: the reference events and mixtures, then any inputs.

    Returns:
        Inputs, [n, inputs], and logits, [n, outputs].
    """
    rng = np.random.default_rng(0)
    features = reference_events(classifier).features
    real = grid_inputs(classifier, features)
    whole = _logits(classifier.network, classifier.preprocessing.apply(features))
    form = network.input
    steps = rng.integers(form.lowest, form.highest + 1, (COMPARED - len(real), network.inputs))
    inputs = np.concatenate([real, np.ldexp(steps, -form.fraction).astype(np.float32)])
    logits = _logits(Network(classifier.network.layers), inputs)
    _compare(logits[: len(whole)], whole, "the network behind the quantizer of its inputs")
    return inputs, logits


def _logits(network: Network, inputs: Float32) -> Float32:
    import equinox as eqx
    import jax

    # compiled as a whole: operation by operation takes seconds and hundreds of megabytes
    with jax.default_matmul_precision("float32"):
        return np.asarray(eqx.filter_jit(map_events)(network, jax.numpy.asarray(inputs.T))).T


def _compare(found: Float32, expected: Float32, what: str) -> None:
    wrong = (found != expected).any(axis=1)
    if wrong.any():
        raise ExportError(
            f"{what} gives {int(wrong.sum())} of {len(wrong)} events other logits than tamis, by up to "
            f"{np.abs(found - expected).max():.3g}; this form was not written. Please report it with the configuration"
        )


def _require_tools() -> None:
    absent = [name for name in ("hls4ml", "hgq", "qonnx") if find_spec(name) is None]
    if absent:
        raise RequestError(
            f"the export for FPGAs needs {', '.join(absent)}; install with: pip install 'tamis[fpga]'"
        )
    if shutil.which("g++") is None:
        raise RequestError("the export for FPGAs is simulated before it is kept, which needs g++; install it")


def _run_translation(model: Path, folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tamis.deploy.fpga_translation",
        str(model.resolve()),
        str(folder.resolve()),
    ]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ran.returncode:
        reason = (ran.stderr.strip() or f"it ended with status {ran.returncode}").splitlines()[-1]
        raise ExportError(f"hls4ml could not translate the network, and this form was not written: {reason}")


def check_output(output: Path) -> None:
    """Refuse to replace what is no translation, and places where nothing can be made.

    Raises:
        RequestError: with what is there, or why nothing can be.
    """
    reason = obstacle(output, longer=LONGER_WHILE_WRITTEN)
    if reason:
        raise RequestError(f"{output} cannot be made: {reason}; choose another folder (`output`)")
    if output.exists() and not (output / BOUNDARY).is_file() and not (output.is_dir() and _is_empty(output)):
        raise RequestError(
            f"{output} is there, is no translation for an FPGA, and would be replaced; choose another folder (`output`)"
        )


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


@contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """Give a temporary folder, which gets the final name when all went well."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        yield made
        if output.exists():
            output.replace(Path(temporary) / "replaced")
        made.replace(output)


def _tidy(folder: Path, output: Path) -> None:
    """Take away what only the simulation needed, and the name of the temporary folder."""
    for name in (SIMULATED, INTERPRETED):
        (folder / name).unlink()
    for path in (folder / PROJECT).rglob("*.so"):
        path.unlink()
    settings = folder / PROJECT / "hls4ml_config.yml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace(str(folder.resolve()), str(output.resolve())), encoding="utf-8")


def estimate(classifier: Classifier, network: FixedPointNetwork) -> tuple[LayerEstimate, ...]:
    """Estimate what each layer costs, without any tool of a vendor.

    Args:
        classifier: with the network.
        network: its translation.
    """
    return tuple(
        LayerEstimate(
            layer.name,
            cost.inputs,
            cost.outputs,
            cost.multiplications,
            layer.weight_form.bits,
            layer.given.bits,
            layer.sum_bits,
            int(cost.ebops or 0),
        )
        for layer, cost in zip(network.layers, layer_costs(classifier.network.layers), strict=True)
    )


def boundary(classifier: Classifier, network: FixedPointNetwork) -> dict[str, Any]:
    """Say, as strict JSON, what is computed before the FPGA and behind it."""
    preprocessing, gains = classifier.preprocessing, classifier.network.embedding
    factor = 1 + gains.speed * np.asarray(gains.gain) if isinstance(gains, Gains) else None
    names = classifier.feature_names
    tails, curves = preprocessing.logarithm, preprocessing.quantiles
    return {
        "format": "tamis fpga boundary",
        "version": 1,
        "before": {
            "features": list(names),
            "indicators": [names[index] for index in preprocessing.indicators],
            "logarithm": None
            if tails is None
            else {
                "features": [names[index] for index in tails.features],
                "lowest": tails.lowest,
                "typical": tails.typical,
            },
            "scaling": preprocessing.scaling,
            "fill": preprocessing.fill,
            "centre": preprocessing.centre,
            "scale": preprocessing.scale,
            "quantiles": None if curves is None else {"knots": curves.knots, "values": curves.values},
            "gains": factor,
            "rule": "in 32 bits: a missing feature gets its fill; d = (x - lowest) / typical becomes sign(d) log(1 + "
            "|d|) where there is a logarithm; standard and robust take x = (x - centre) / scale, robust also x / "
            "sqrt(1 + (x / 3)^2), quantile follows the line between its knots; indicators come behind the features, "
            "1 where missing, else 0; all inputs are multiplied by their gains, and brought to the format `input`",
        },
        "input": {"format": str(network.input), "number": network.inputs, **_bits(network.input)},
        "output": {
            "format": str(network.layers[-1].output),
            "number": network.outputs,
            **_bits(network.layers[-1].output),
        },
        "behind": {
            "classes": list(classifier.class_names),
            "rule": "the softmax of the logits; one logit is that of the second of two classes, and the first has 0",
            "correction": None if classifier.calibration is None else "`calibration` in classifier.json",
        },
    }


def _bits(form: Any) -> dict[str, Any]:
    return {"bits": form.bits, "fraction": form.fraction, "signed": form.signed}


def describe_estimate(layers: Sequence[LayerEstimate]) -> str:
    """Write an estimate as a table.

    >>> print(describe_estimate([LayerEstimate("layer_0", 3, 4, 11, 8, 10, 18, 880)]))
    layer    inputs  nodes  multiplications  bits of weight, input, sum  EBOPs
    layer_0       3      4               11                   8, 10, 18    880
    all                                  11                                880
    About 880 LUTs if all multiplications are made of them; a DSP replaces about 55 (arXiv:2405.00645).
    """
    rows: list[tuple[str, ...]] = [
        ("layer", "inputs", "nodes", "multiplications", "bits of weight, input, sum", "EBOPs")
    ]
    for each in layers:
        bits = f"{each.weight_bits}, {each.input_bits}, {each.sum_bits}"
        numbers = (each.inputs, each.nodes, each.multiplications)
        rows.append((each.name, *(f"{number:,}" for number in numbers), bits, f"{each.ebops:,}"))
    ebops = sum(each.ebops for each in layers)
    rows.append(("all", "", "", f"{sum(each.multiplications for each in layers):,}", "", f"{ebops:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.append(
        f"About {ebops:,} LUTs if all multiplications are made of them; a DSP replaces about 55 (arXiv:2405.00645)."
    )
    return "\n".join(lines)
