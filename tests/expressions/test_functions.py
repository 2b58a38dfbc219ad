from pathlib import Path
from typing import get_args

import pytest
import yaml

from tamis.errors import ExpressionError
from tamis.expressions import FUNCTIONS, MAXIMUM_DEPTH, MAXIMUM_LENGTH, parse
from tamis.expressions.functions import ALIASES, DIFFERENT
from tamis.expressions.tree import FunctionName

_PAGE = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text(encoding="utf-8")


def _rows(heading: str) -> list[list[str]]:
    """Give the cells of the table below a heading of the page."""
    section = _PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def _others(name: str) -> str:
    """Give the other spellings of a function as the page lists them."""
    spellings = [spelling for spelling, meaning in ALIASES.items() if meaning == name != spelling]
    return ", ".join(f"`{spelling}`" for spelling in spellings if not spelling.startswith("numpy."))


def test_the_page_lists_exactly_the_functions() -> None:
    expected = [
        [f"`{name}{function.signature}`", function.description, _others(name)]
        for name, function in FUNCTIONS.items()
    ]
    assert _rows("Functions") == expected


def test_the_page_tells_the_limits() -> None:
    assert f"at most {MAXIMUM_LENGTH} characters" in _PAGE
    assert f"at most {MAXIMUM_DEPTH} deep" in _PAGE


@pytest.mark.parametrize("row", _rows("What is refused"), ids=lambda row: row[0])
def test_the_remedies_of_the_page_are_accepted(row: list[str]) -> None:
    refused, _, remedy = (cell.strip("`") for cell in row)
    with pytest.raises(ExpressionError):
        parse(refused)
    assert parse(remedy).text == remedy


def test_the_example_of_the_page_is_accepted() -> None:
    example = yaml.safe_load(_PAGE.split("```yaml\n", 1)[1].split("```", 1)[0])
    formulas = [
        sample[key] for sample in example["samples"] for key in ("selection", "weight") if key in sample
    ]
    formulas += [feature["expression"] for feature in example["features"]]
    assert [parse(formula).text for formula in formulas] == formulas
    assert len(formulas) == 6


def test_every_name_of_a_function_is_described() -> None:
    assert set(get_args(FunctionName)) == set(FUNCTIONS)


def test_no_spelling_has_two_meanings() -> None:
    assert not set(ALIASES) & set(DIFFERENT)


@pytest.mark.parametrize("spelling", ALIASES)
def test_every_spelling_can_be_called(spelling: str) -> None:
    function = FUNCTIONS[ALIASES[spelling]]
    call = f"{spelling}({', '.join(function.arguments)})"
    assert parse(call).tree == parse(f"{ALIASES[spelling]}({', '.join(function.arguments)})").tree


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("count", range(5))
def test_the_number_of_arguments_is_checked(name: FunctionName, count: int) -> None:
    function = FUNCTIONS[name]
    allowed = count >= 2 if name in {"min", "max"} else count == len(function.arguments)
    assert function.accepts(count) == allowed


def test_a_signature_reads_like_a_call() -> None:
    assert FUNCTIONS["clip"].signature == "(x, low, high)"
    assert FUNCTIONS["max"].signature == "(a, b, ...)"
    assert FUNCTIONS["pi"].signature == "()"
