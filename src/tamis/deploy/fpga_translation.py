"""A network in fixed point through HGQ2 and hls4ml to C++, in a process of its own: `python -m` with two folders.

hls4ml prints, Keras chooses its backend from the environment, and both keep state: nothing of it shall stay in the
process of a user. All of it needs the extra `fpga`: `pip install "tamis[fpga]"`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier
from tamis.config import FixedPoint
from tamis.deploy.fpga_network import FixedPointLayer, FixedPointNetwork, fixed_point_network
from tamis.deploy.fpga_qonnx import build_qonnx

Float32 = NDArray[np.float32]

KERAS, PROJECT = "classifier.keras", "hls4ml"
EVENTS, EXPECTED, SIMULATED, INTERPRETED = "inputs.npy", "logits.npy", "simulated.npy", "interpreted.npy"


def translate(model: Path, folder: Path) -> None:
    """Write the Keras model and the project of hls4ml, and score the events of the folder with C++ and with QONNX.

    Args:
        model: the folder `model` of a run.
        folder: has `inputs.npy` and `logits.npy`; gets all else.
    """
    network = fixed_point_network(Classifier.load(model))
    inputs: Float32 = np.load(folder / EVENTS)
    keras_model = build_keras(network)
    keras_model.save(folder / KERAS)
    np.save(folder / SIMULATED, simulate(keras_model, folder, inputs).reshape(len(inputs), -1))
    np.save(folder / INTERPRETED, interpret(network, inputs))


def build_keras(network: FixedPointNetwork) -> Any:
    """Build a network of HGQ2's layers in Keras."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    from hgq.quantizer import Quantizer

    given = keras.Input((network.inputs,), name="inputs")
    x = Quantizer(_quantizer(network.input, "datalane"), name="input_quantizer")(given)
    for layer in network.layers:
        x = _dense(layer)(x)
        x = Quantizer(_quantizer(layer.output, "datalane"), name=f"{layer.name}_quantizer")(x)
    model = keras.Model(given, x)
    for layer in network.layers:
        _fill(model.get_layer(layer.name), layer)
    return model


def _dense(layer: FixedPointLayer) -> Any:
    from hgq.layers import QDense

    return QDense(
        len(layer.bias.steps),
        activation="relu" if layer.rectified else None,
        kq_conf=_quantizer(_plain(layer.weight_form), "weight"),
        bq_conf=_quantizer(_plain(layer.bias_form), "bias"),
        enable_iq=False,
        enable_oq=False,
        name=layer.name,
    )


def _plain(form: FixedPoint) -> FixedPoint:
    # weights are on their grid already: how they got there does not matter any more
    return form.model_copy(update={"rounding": "RND", "overflow": "SAT"})


def _quantizer(form: FixedPoint, place: str) -> Any:
    from hgq.quantizer import QuantizerConfig

    plain = (
        form if form.rounding in ("RND", "RND_CONV", "TRN") and form.overflow != "SAT_ZERO" else _plain(form)
    )
    return QuantizerConfig(
        q_type="kif",
        place=place,
        k0=int(form.signed),
        i0=form.integer - form.signed,
        f0=form.fraction,
        round_mode=plain.rounding,
        overflow_mode=plain.overflow,
        trainable=False,
        homogeneous_axis=None,
        heterogeneous_axis=(),
    )


def _fill(dense: Any, layer: FixedPointLayer) -> None:
    dense.kernel.assign(layer.weight.values.T.astype(np.float32))
    dense.bias.assign(layer.bias.values.astype(np.float32))


def simulate(keras_model: Any, folder: Path, inputs: Float32) -> Float32:
    """Write the project, have g++ compile it, and compute the logits with it.

    Args:
        keras_model: what `build_keras` gives.
        folder: where the project goes; has `inputs.npy` and `logits.npy` for its test bench.
        inputs: on the grid, [n, inputs].
    """
    project = compile_project(keras_model, folder)
    return np.asarray(project.predict(np.ascontiguousarray(inputs)), np.float32)


def compile_project(keras_model: Any, folder: Path) -> Any:
    """Write the project into a folder, have g++ compile it, and give what hls4ml knows of it."""
    from hls4ml.converters import convert_from_keras_model

    # a precision of no bits has every type follow from the quantizers
    fitting = {"Model": {"Precision": "fixed<-1,0>", "ReuseFactor": 1, "Strategy": "latency"}}
    project = convert_from_keras_model(
        keras_model,
        output_dir=str(folder / PROJECT),
        project_name="classifier",
        backend="Vitis",
        hls_config=fitting,
        input_data_tb=str(folder / EVENTS),
        output_data_tb=str(folder / EXPECTED),
    )
    project.compile()
    return project


def interpret(network: FixedPointNetwork, inputs: Float32) -> Float32:
    """Compute the logits with the interpreter of QONNX."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    model = cleanup_model(ModelWrapper(build_qonnx(network, len(inputs))))
    given, found = model.graph.input[0].name, model.graph.output[0].name
    return np.asarray(execute_onnx(model, {given: inputs})[found], np.float32)


if __name__ == "__main__":
    translate(Path(sys.argv[1]), Path(sys.argv[2]))
