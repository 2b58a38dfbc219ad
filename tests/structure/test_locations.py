"""The tests of `x/y.py` are in `tests/x/test_y.py`, and those of the package `x` as a whole in `tests/x/test_x.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "src" / "tamis"
# what does not belong to one module
ACROSS = {"docs", "faults", "integration", "laws", "structure"}
OTHER_PROGRAMS = {"export/test_runtimes.py", "report/test_browser.py"}


def subjects() -> set[str]:
    """Return where tests may be: one place for each module, one for each package as a whole."""
    modules = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py")]
    packages = {path.parent for path in modules if path.name == "__init__.py"}
    of_modules = {path.with_name(f"test_{path.name}").as_posix() for path in modules}
    return of_modules | {f"{package.as_posix()}/test_{package.name}.py" for package in packages}


def misplaced(tests: Iterator[str]) -> list[str]:
    """Return the tests that no module explains."""
    allowed = subjects() | OTHER_PROGRAMS
    return sorted(name for name in tests if name.split("/")[0] not in ACROSS and name not in allowed)


def test_every_test_is_where_its_module_is() -> None:
    assert misplaced(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")) == []


@pytest.mark.parametrize(
    "name", ["test_nothing.py", "data/test_nothing.py", "test_split.py", "data/test_evaluation.py"]
)
def test_a_test_of_no_module_is_found(name: str) -> None:
    assert misplaced(iter([name])) == [name]


@pytest.mark.parametrize(
    "name", ["noxfile.py", "Makefile", "CONTRIBUTING.md", "docs/evaluation.md", "docs/overtraining.md"]
)
def test_the_test_files_that_a_file_names_exist(name: str) -> None:
    text = (TESTS.parent / name).read_text(encoding="utf-8")
    named = re.findall(r"\btests/[\w/]+\.py\b", text)
    assert named
    assert [path for path in named if not (TESTS.parent / path).is_file()] == []
