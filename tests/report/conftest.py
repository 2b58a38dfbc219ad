"""The demo of the program as a run directory."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def demo_run(demo_folder: Path) -> Path:
    """Return the run directory of the demo."""
    return demo_folder / "runs" / "demo"
