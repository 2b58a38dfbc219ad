"""Score the cases of a folder with whichever ONNX Runtime is installed, and compare: `python score.py CASES`.

It needs NumPy and ONNX Runtime alone, so that old versions of both and of Python run it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

TOLERANCE = 1e-6


def read(folder, where):
    """Read 32-bit numbers as an array."""
    return np.fromfile(str(folder / where["file"]), np.float32).reshape(where["shape"])


def largest_difference(found, expected):
    """Give the largest difference; infinity where only one of both is a number."""
    if found.shape != expected.shape or (np.isnan(found) != np.isnan(expected)).any():
        return float("inf")
    return float(np.nanmax(np.abs(found - expected), initial=0))


def main(folder):
    """Score all cases; the exit status is 1 where one of them differs."""
    worst = 0.0
    cases = json.loads((folder / "cases.json").read_text())
    for case in cases:
        session = onnxruntime.InferenceSession(
            str(folder / case["model"]), providers=["CPUExecutionProvider"]
        )
        inputs = {name: read(folder, where) for name, where in case["inputs"].items()}
        found = session.run(["scores"], inputs)[0]
        difference = largest_difference(found, read(folder, case["expected"]))
        sys.stdout.write(f"{case['name']:30} {len(found):8} events, largest difference {difference:.2g}\n")
        worst = max(worst, difference)
    python = ".".join(map(str, sys.version_info[:2]))
    versions = f"ONNX Runtime {onnxruntime.__version__}, NumPy {np.__version__}, Python {python}"
    sys.stdout.write(f"{versions}: {len(cases)} models, largest difference {worst:.2g}\n")
    return 0 if cases and worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
