"""The names of the files of a run directory stand in one module."""

from __future__ import annotations

import ast
from pathlib import Path

import tamis
from tamis.runs import layout

SOURCE = Path(tamis.__file__).parent
FILES = sorted(name for name in layout.ENTRIES if "." in name)


def literals(tree: ast.AST) -> list[str]:
    """Return every text of a module that is not a docstring."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def test_no_other_module_spells_the_name_of_a_file_of_a_run() -> None:
    spelt = [
        f"{path.relative_to(SOURCE)}: {text!r}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path != Path(layout.__file__)
        for text in literals(ast.parse(path.read_text(encoding="utf-8")))
        if any(name in text for name in FILES)
    ]
    assert spelt == []


def test_every_name_is_an_entry() -> None:
    names = {name for name in vars(layout) if name.isupper()}
    beside = {"STORED", "ENTRIES", "LOCK", "UNFINISHED", "PREVIOUS", "LONGER_WHILE_REPLACED"}
    assert {getattr(layout, name) for name in names - beside} == layout.ENTRIES
