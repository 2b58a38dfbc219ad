from __future__ import annotations

import subprocess
import sys

import tamis.config

HEAVY = ["jax", "matplotlib", "uproot", "awkward", "scipy", "pandas", "equinox", "optax", "onnx"]


def test_the_configuration_is_light() -> None:
    code = f"import sys, tamis.config; print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_sorted() -> None:
    assert all(hasattr(tamis.config, name) for name in tamis.config.__all__)
    assert sorted(tamis.config.__all__, key=lambda name: (name[0].islower(), name)) == tamis.config.__all__
