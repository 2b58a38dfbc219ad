"""Imports point left in the picture of docs/architecture.md, and there are no cycles."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tamis"

# rooms from left to right; a room may import itself and what stands before it
ROOMS = [
    "arrays",
    "wording",
    "errors",
    "arguments",
    "blocks",
    "files",
    "records",
    "figure_data",
    "runs.layout",
    "paths",
    "machine",
    "random_streams",
    "notebook",
    "expressions",
    "config",
    "data",
    "network",
    "training",
    "calibration",
    "classifier",
    "export",
    "baselines",
    "statistics",
    "estimator",
    "plots",
    "studies",
    "pipeline",
    "report",
    "runs",
    "comparison",
    "apply",
    "check",
    "scaffold",
    "demo",
    "cli",
]
# they import lazily and are imported by nobody
ENTRANCES = {"__init__", "__main__"}


def room_of(module: str) -> str:
    """Return the room of a module; the names of files of a run directory are one of their own, that imports nothing."""
    if "." not in module:
        return "__init__"
    name = module.split(".", 1)[1]
    return name if name in ROOMS else name.split(".")[0]


@cache
def list_arrows() -> list[tuple[str, str]]:
    """Return each import of a module of the package by another."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(("tamis", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [(module, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module}: imports are absolute"
                modules = (
                    [f"tamis.{alias.name}" for alias in node.names]
                    if node.module == "tamis"
                    else [node.module]
                )
                found += [(module, target or "") for target in modules]
    return [(source, target) for source, target in found if target.split(".")[0] == "tamis"]


def test_every_module_is_in_a_known_room() -> None:
    rooms = {path.stem if path.is_file() else path.name for path in SOURCE.iterdir()} - {"__pycache__", "py"}
    assert rooms == {*(room for room in ROOMS if "." not in room), *ENTRANCES}


def test_imports_point_left() -> None:
    wrong = [
        f"{source} imports {target}"
        for source, target in list_arrows()
        if room_of(source) not in ENTRANCES and ROOMS.index(room_of(target)) > ROOMS.index(room_of(source))
    ]
    assert wrong == []


def test_modules_have_no_cycle() -> None:
    graph: dict[str, set[str]] = {}
    for source, target in list_arrows():
        if room_of(source) not in ENTRANCES and source != target:
            graph.setdefault(source, set()).add(target)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"cycle: {' -> '.join((*path, module))}"
        if module not in done:
            for target in graph.get(module, ()):
                visit(target, (*path, module))
            done.add(module)

    for module in list(graph):
        visit(module, ())


def test_only_pipeline_and_what_stands_right_of_it_sees_the_whole_configuration() -> None:
    names = ("Config", "load_config")
    for path in SOURCE.rglob("*.py"):
        room = room_of(".".join(("tamis", *path.relative_to(SOURCE).with_suffix("").parts)))
        if room in ENTRANCES or room == "config" or ROOMS.index(room) >= ROOMS.index("pipeline"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tamis.config"):
                assert not {alias.name for alias in node.names} & set(names), path


def test_no_module_is_a_drawer_for_everything() -> None:
    words = {"utils", "util", "helpers", "helper", "core", "base", "common", "manager", "handler"}
    assert not [path for path in SOURCE.rglob("*") if path.stem in words]


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("tamis", ("jax", "matplotlib", "uproot", "pydantic", "onnx", "onnxruntime")),
        ("tamis.cli", ("jax", "matplotlib", "uproot", "pydantic", "scipy", "onnx", "onnxruntime")),
        ("tamis.classifier", ("onnx", "onnxruntime")),
        ("tamis.runs.write", ("jax", "onnx", "onnxruntime")),
        ("tamis.config", ("jax", "matplotlib", "uproot", "scipy")),
        ("tamis.expressions", ("jax", "matplotlib", "pydantic", "uproot")),
        ("tamis.check", ("jax", "matplotlib", "scipy.stats")),
        ("tamis.cli.progress", ("jax", "matplotlib", "scipy.stats")),
        ("tamis.data.events", ("jax", "matplotlib")),
        ("tamis.estimator", ("jax", "matplotlib", "uproot")),
        ("tamis.studies", ("jax", "matplotlib", "uproot")),
    ],
)
def test_what_is_heavy_is_imported_where_it_is_used(module: str, forbidden: tuple[str, ...]) -> None:
    code = f"import {module}, sys; print([name for name in {forbidden} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
