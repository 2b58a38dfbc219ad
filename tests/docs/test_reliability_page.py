"""The tables of the page of reliability are those of the counts that are kept."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tables_are_made_of_the_counts() -> None:
    specification = importlib.util.spec_from_file_location("make_reliability", DOCS / "make_reliability.py")
    maker = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(maker)
    page = maker.PAGE.read_text(encoding="utf-8")
    assert page.split(maker.BEGIN)[1].split(maker.END)[0] == f"\n{maker.text()}\n"
    tests = {row[3] for row in maker.rows({})}
    assert all(
        (DOCS.parent / "tests" / "faults" / name).exists() for name in tests if name.startswith("test_")
    )
