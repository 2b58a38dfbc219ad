from __future__ import annotations

from pathlib import Path

import pytest

from tamis.wording import describe, expected_one_of, suggest


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (False, "false"),
        (3, "3"),
        (1e-5, "1e-05"),
        ("a" * 100, f"the text '{'a' * 56}..."),
        ("\ud800\n", "the text '\\ud800\\n'"),
        ({}, "a mapping"),
        ((1,), "a list"),
        (Path("a"), f"a Python {type(Path()).__name__}"),
    ],
)
def test_values_are_described_in_a_few_words(value: object, words: str) -> None:
    assert describe(value) == words


def test_a_number_that_python_does_not_write_is_described() -> None:
    assert describe(10**5000) == "a very large number"


def test_case_does_not_hide_the_nearest_spelling() -> None:
    assert suggest("Balance", ["balance", "negative"]) == "; did you mean 'balance'?"


def test_one_choice_is_told_without_a_list() -> None:
    assert expected_one_of(["median"], 3) == "expected median; found 3"
