"""What all tests share: strict JAX, small ROOT files, a small configuration, a browser."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import jax
import numpy as np
import pytest
import uproot

# Commands that tests start get the environment of a user. Variables of a developer's shell change what Python and
# terminals do: with PYTHONUNBUFFERED=1, for example, output is never lost in a buffer.
for name in [name for name in os.environ if name.startswith("PYTHON") and name != "PYTHONPATH"]:
    del os.environ[name]
for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TAMIS_CACHE", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)

jax.config.update("jax_numpy_rank_promotion", "raise")
hypothesis.settings.register_profile("tamis", deadline=None, derandomize=True)
hypothesis.settings.load_profile("tamis")

WriteTree = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def compiled_programs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the programs that commands compile out of the user's cache; commands of one session share them."""
    os.environ["TAMIS_CACHE"] = str(tmp_path_factory.mktemp("compiled"))


def tree_writer(folder: Path) -> WriteTree:
    """Give a function that writes ROOT files with one TTree; columns may be NumPy or awkward arrays."""

    def write(name: str, columns: Mapping[str, Any], tree: str = "tree") -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        types = {
            key: values.dtype if isinstance(values, np.ndarray) else values.type.content
            for key, values in columns.items()
        }
        with uproot.recreate(path) as file:
            made = file.mktree(tree, types)
            if len(next(iter(columns.values()))):
                made.extend(dict(columns))
        return path

    return write


def two_class_maker(write_tree: WriteTree) -> Callable[..., dict[str, Any]]:
    """Give a function that writes a background and a signal that differ in x, with a quick configuration."""

    def make(events: int = 600, **changes: Any) -> dict[str, Any]:
        rng = np.random.default_rng(5)
        for name, shift in (("bkg", 0.0), ("sig", 1.5)):
            columns = {
                "x": rng.normal(shift, 1, events),
                "y": rng.normal(0, 1, events),
                "w": rng.uniform(0.5, 1.5, events),
                "event": np.arange(events, dtype=np.int64),
            }
            path = write_tree(f"{name}.root", columns)
        return {
            "name": "small",
            "data": str(path.parent),
            "samples": [
                {"name": "bkg", "class": "bkg", "files": "bkg.root"},
                {"name": "sig", "class": "sig", "files": "sig.root"},
            ],
            "classes": {"bkg": {}, "sig": {"signal": True}},
            "features": ["x", "y"],
            "network": {"layers": [{"nodes": 4}]},
            "training": {"epochs": 3, "batch_size": 64},
            **changes,
        }

    return make


@pytest.fixture
def write_tree(tmp_path: Path) -> WriteTree:
    return tree_writer(tmp_path)


@pytest.fixture
def two_classes(write_tree: WriteTree) -> Callable[..., dict[str, Any]]:
    return two_class_maker(write_tree)


@pytest.fixture(scope="module")
def module_classes(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """The same as `two_classes`; each call writes to a folder of its own."""

    def make(events: int = 600, **changes: Any) -> dict[str, Any]:
        return two_class_maker(tree_writer(tmp_path_factory.mktemp("classes")))(events, **changes)

    return make


def timeless(folder: Path) -> tuple[bytes, Any, Any]:
    """Give the weights, the metrics and the histories of a run without its times."""
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics.pop("timing")
    history = json.loads((folder / "history.json").read_text())
    members = history.get("members", [history])
    for member in members:
        for epoch in member["epochs"]:
            epoch.pop("seconds")
    return (folder / "model" / "weights.safetensors").read_bytes(), metrics, members


@pytest.fixture(scope="session")
def equal_runs() -> Callable[[Path, Path], None]:
    """Give what asserts that weights, history and metrics of two runs are the same, bit by bit."""

    def check(first: Path, second: Path) -> None:
        for one, other in zip(timeless(first), timeless(second), strict=True):
            assert one == other

    return check


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start Debian's chromium; `TAMIS_NEEDS_BROWSER=1` makes its absence an error."""
    program = shutil.which("chromium")
    if program is None:
        reason = "chromium is not installed (apt-get install chromium)"
        if os.environ.get("TAMIS_NEEDS_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()
