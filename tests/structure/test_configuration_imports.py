from __future__ import annotations

import subprocess
import sys

HEAVY = ["jax", "matplotlib", "uproot", "awkward", "scipy", "pandas", "equinox", "optax", "onnx"]


def test_the_configuration_is_light() -> None:
    code = f"import sys, tamis.config; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
