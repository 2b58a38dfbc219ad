"""ONNX Runtime in whichever Python runs this: `python onnx_peer.py FOLDER OUTPUT`, with NumPy alone beside it."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime


def main(folder, output):
    """Score the only case of a folder twice; the second time counts."""
    case = json.loads((folder / "cases.json").read_text())[0]
    session = onnxruntime.InferenceSession(str(folder / case["model"]), providers=["CPUExecutionProvider"])
    inputs = {
        name: np.fromfile(str(folder / where["file"]), np.float32).reshape(where["shape"])
        for name, where in case["inputs"].items()
    }
    for _ in range(2):
        start = time.perf_counter()
        scores = session.run(["scores"], inputs)[0]
        seconds = time.perf_counter() - start
    scores.tofile(str(output))
    print(json.dumps({"version": onnxruntime.__version__, "seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
