"""What the tests of faults share: the library that makes writes fail, and where their counts go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
COUNTS = HERE.parents[1] / "build" / "faults"


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


@pytest.fixture(name="record", scope="session")
def recorder() -> Callable[[str, dict[str, Any]], None]:
    """Give what keeps the counts of a long form, from where the page of reliability takes them."""

    def record(name: str, counts: dict[str, Any]) -> None:
        COUNTS.mkdir(parents=True, exist_ok=True)
        (COUNTS / f"{name}.json").write_text(json.dumps(counts, indent=1) + "\n")

    return record
