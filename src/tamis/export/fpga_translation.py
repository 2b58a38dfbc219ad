"""Translate a network in fixed point with HGQ2 and hls4ml to C++: `python -m` with two folders.

It runs as a separate process, because hls4ml prints, Keras chooses its backend from the environment, and both keep
global state. It needs the extra `fpga`: `pip install "tamis[fpga]"`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tamis.arrays import Float32
from tamis.classifier import Classifier
from tamis.config import FixedPoint
from tamis.export.fpga_network import ROUNDINGS, FixedPointNetwork, build_fixed_point_network
from tamis.export.fpga_qonnx import build_qonnx

KERAS, PROJECT = "classifier.keras", "hls4ml"
EVENTS, EXPECTED, SIMULATED, INTERPRETED = "inputs.npy", "logits.npy", "simulated.npy", "interpreted.npy"


def translate(model: Path, folder: Path) -> None:
    """Write the Keras model and the project of hls4ml, and score the events of the folder with C++ and with QONNX.

    The folder has `inputs.npy` and `logits.npy`; all other files are written there. `model` is that of a run.
    """
    network = build_fixed_point_network(Classifier.load(model))
    inputs: Float32 = np.load(folder / EVENTS)
    keras_model = build_keras(network)
    keras_model.save(folder / KERAS)
    simulated = compile_project(keras_model, folder).predict(np.ascontiguousarray(inputs))
    np.save(folder / SIMULATED, np.asarray(simulated, np.float32).reshape(len(inputs), -1))
    np.save(folder / INTERPRETED, interpret(network, inputs))


def build_keras(network: FixedPointNetwork) -> Any:
    """Build a network of HGQ2's layers in Keras."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    from hgq.layers import QDense
    from hgq.quantizer import Quantizer

    inputs = keras.Input((network.inputs,), name="inputs")
    x = Quantizer(_quantizer(network.input, "datalane"), name="input_quantizer")(inputs)
    for layer in network.layers:
        x = QDense(
            len(layer.bias.steps),
            activation="relu" if layer.rectified else None,
            kq_conf=_quantizer(_plain(layer.weight_form), "weight"),
            bq_conf=_quantizer(_plain(layer.bias_form), "bias"),
            enable_iq=False,
            enable_oq=False,
            name=layer.name,
        )(x)
        x = Quantizer(_quantizer(layer.output, "datalane"), name=f"{layer.name}_quantizer")(x)
    model = keras.Model(inputs, x)
    for layer in network.layers:
        dense = model.get_layer(layer.name)
        dense.kernel.assign(layer.weight.values.T.astype(np.float32))
        dense.bias.assign(layer.bias.values.astype(np.float32))
    return model


def _plain(form: FixedPoint) -> FixedPoint:
    # weights are on their grid already, so that rounding and overflow do not matter
    return form.model_copy(update={"rounding": "RND", "overflow": "SAT"})


def _quantizer(form: FixedPoint, kind: str) -> Any:
    from hgq.quantizer import QuantizerConfig

    plain = form if form.rounding in ROUNDINGS and form.overflow != "SAT_ZERO" else _plain(form)
    return QuantizerConfig(
        q_type="kif",
        place=kind,
        k0=int(form.signed),
        i0=form.integer - form.signed,
        f0=form.fraction,
        round_mode=plain.rounding,
        overflow_mode=plain.overflow,
        trainable=False,
        homogeneous_axis=None,
        heterogeneous_axis=(),
    )


def compile_project(keras_model: Any, folder: Path) -> Any:
    """Write the project into a folder, compile it with g++, and return hls4ml's model of it."""
    from hls4ml.converters import convert_from_keras_model

    # with a precision of no bits, hls4ml derives every type from the quantizers
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
    name, output = model.graph.input[0].name, model.graph.output[0].name
    return np.asarray(execute_onnx(model, {name: inputs})[output], np.float32)


if __name__ == "__main__":
    translate(Path(sys.argv[1]), Path(sys.argv[2]))
