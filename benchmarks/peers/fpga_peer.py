"""The C++ of hls4ml, in an environment with the extra `fpga`: `python fpga_peer.py MODEL FOLDER FEATURES OUTPUT`."""

import json
import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np


def main(model, folder, features, output):
    """Translate, compile, and compute the logits twice; the second time counts."""
    from tamis.classifier import Classifier
    from tamis.export.fpga_network import build_fixed_point_network, compute_grid_inputs
    from tamis.export.fpga_translation import EVENTS, EXPECTED, build_keras, compile_project

    classifier = Classifier.load(model)
    network = build_fixed_point_network(classifier)
    inputs = compute_grid_inputs(classifier, np.load(features))
    np.save(folder / EVENTS, inputs[:10])
    np.save(folder / EXPECTED, np.zeros((10, network.outputs), np.float32))
    project = compile_project(build_keras(network), folder)
    for _ in range(2):
        start = time.perf_counter()
        logits = project.predict(np.ascontiguousarray(inputs))
        seconds = time.perf_counter() - start
    np.save(output, logits.reshape(len(inputs), -1))
    return seconds


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "jax"
    with redirect_stdout(sys.stderr):
        measured = main(*map(Path, sys.argv[1:]))
    print(json.dumps({"seconds": measured}))
