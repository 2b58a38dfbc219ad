"""What the tests of faults share: the library that makes writes fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(name="shim", scope="session")
def compiled_shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile what is preloaded into the program that is tested."""
    compiler = shutil.which("cc")
    if compiler is None:
        assert "TAMIS_NEEDS_RUNTIMES" not in os.environ, "cc is needed"
        pytest.skip("cc is not installed")
    library = tmp_path_factory.mktemp("shim") / "faults.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, HERE / "faults.c", "-ldl"],
        check=True,
    )
    return library
