from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tamis.config.document import DEEPEST, LARGEST, YamlDocument, read_document, read_value
from tamis.config.key_path import Diagnostic
from tamis.errors import ConfigurationError, Problem


def refusal(text: str | bytes) -> Problem:
    with pytest.raises(ConfigurationError) as caught:
        read_document(text, title="a.yaml")
    (problem,) = caught.value.problems
    assert caught.value.title == "a.yaml"
    assert problem.where == ""
    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E3", 1e3),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("+12", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("Null", None),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
    ],
)
def test_words_are_read_as_in_the_core_schema(text: str, value: object) -> None:
    assert read_value(text) == (value, ())
    assert type(read_value(text)[0]) is type(value)


def test_nan_is_a_number() -> None:
    value, diagnostics = read_value("[.nan, .NaN]")
    assert isinstance(value, list)
    assert all(math.isnan(item) for item in value)
    assert not diagnostics


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "1_000", "1:30", "2020-01-01", "=", "<<", "0b1", "1e", "nan", "tRue"],
)
def test_other_words_stay_text(text: str) -> None:
    assert read_value(text) == (text, ())


@pytest.mark.parametrize("text", ["'1'", '"true"', "'~'", '""'])
def test_what_stands_in_quotes_is_text(text: str) -> None:
    assert read_value(text)[0] == text[1:-1]


def test_every_key_and_entry_has_its_line() -> None:
    document = read_document("a:\n  b: 1\n  c:\n  - x\n  - {d: 2}\n")
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
        ("a", "c", 1, "d"): 5,
    }


def test_a_finding_takes_the_line_of_what_is_nearest() -> None:
    document = read_document("a:\n  b: {}\n")
    assert document.locate(Diagnostic(("a", "b", "c"), "missing")) == Problem("a.b.c", "missing", 2)


def test_a_mapping_from_python_has_no_lines() -> None:
    assert YamlDocument({"a": 1}).locate(Diagnostic(("a",), "wrong")) == Problem("a", "wrong")


@pytest.mark.parametrize(
    "text", [b"a: 1\n", b"\xef\xbb\xbfa: 1\n", b"%YAML 1.2\n---\na: 1\n...\n", b"a: 1\r\n"]
)
def test_ways_to_write_a_file(text: bytes) -> None:
    assert read_document(text).values == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "the file is empty; a configuration needs samples, classes and features", None),
        ("# nothing\n", "the file is empty; a configuration needs samples, classes and features", None),
        ("~", "the file is empty; a configuration needs samples, classes and features", 1),
        ("\n- a\n", "expected a mapping of sections (key: value) at the top, found a list", 2),
        ("a\n", "expected a mapping of sections (key: value) at the top, found the text 'a'", 1),
        ("!x {a: 1}", "the tag !x is not allowed here; write plain values", 1),
        ("a: 1\nb:\n\t- 1\n", "YAML does not allow a tab here; indent with spaces", 3),
        ("a: 1\n---\nb: 1\n", "a second document begins here (---); write only one", 2),
        ("a: 1\nb: \x07\n", "the character '\\x07' is not allowed in YAML; remove it", 2),
        (b"a: 1\nb: \xe4\n", "byte 0xe4 is not UTF-8; save the file as UTF-8 text", 2),
        ('a: 1\nb: "\\U00110000"\n', "an escape or a directive cannot be read as YAML", 2),
        ('a: 1\nb: "\\UFFFFFFFF"\n', "an escape or a directive cannot be read as YAML", 2),
        (
            "a: {b: 1\n",
            "cannot be read as YAML: while parsing a flow mapping, expected ',' or '}', but got '<stream end>'",
            2,
        ),
        (
            "a: " + "[" * DEEPEST + "]" * DEEPEST,
            f"cannot be read as YAML: lists and mappings are nested more than {DEEPEST} deep",
            1,
        ),
        (b"#" * (LARGEST + 1), "the file is larger than 2 MB; is this the right file?", None),
    ],
)
def test_what_cannot_be_read_is_refused(text: str | bytes, message: str, line: int | None) -> None:
    assert refusal(text) == Problem("", message, line)


def test_the_deepest_nesting_is_read() -> None:
    depth = DEEPEST - 2
    assert read_document("a: " + "[" * depth + "1" + "]" * depth).diagnostics == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", Problem("a", "this key is given twice, in lines 1 and 3; remove one", 3)),
        ("a: {b: 1, b: 2}", Problem("a.b", "this key is given twice, in line 1; remove one", 1)),
        ("a: &x 1\nb: *x", Problem("b", "aliases (*x) are not allowed; write the value itself", 2)),
        ("a: *x", Problem("a", "aliases (*x) are not allowed; write the value itself", 1)),
        (
            "a: !!python/object/apply:os.system [ls]",
            Problem(
                "a", "the tag !!python/object/apply:os.system is not allowed here; write plain values", 1
            ),
        ),
        ("a: !!set {b}", Problem("a", "the tag !!set is not allowed here; write plain values", 1)),
        ("a: !!str [b]", Problem("a", "the tag !!str is not allowed here; write plain values", 1)),
        ("a: !!binary aGk=", Problem("a", "the tag !!binary is not allowed here; write plain values", 1)),
        ("a: !!int b", Problem("a", "the text 'b' cannot be read as int", 1)),
        (f"a: {'1' * 5000}", Problem("a", "a number of 5000 digits is too long to be read", 1)),
        (
            "a:\n  1: b",
            Problem('a["1"]', "the key 1 is not text; put it in quotes: '1'", 2),
        ),
        (
            "true: b",
            Problem("true", "the key true is not text; put it in quotes: 'true'", 1),
        ),
        ("a:\n  ? [b]\n  : c", Problem("a", "expected a name before the colon, found something else", 2)),
        ("a: {? : c}", Problem("a", "expected a name before the colon, found something else", 1)),
    ],
)
def test_what_is_wrong_in_a_document_is_noted(text: str, problem: Problem) -> None:
    document = read_document(text)
    assert [document.locate(diagnostic) for diagnostic in document.diagnostics] == [problem]


@settings(deadline=None)
@given(st.text() | st.binary() | st.text(alphabet="ab:-[]{}&*!?|>'\"%@#,~ \n\t01.e\\U", max_size=60))
@example("%YAML " + "1" * 5000 + ".1\n---\n")
@example("[" * 5000)
@example("&a " * 100)
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    try:
        document = read_document(text)
    except ConfigurationError as error:
        problems = list(error.problems)
    else:
        problems = [document.locate(diagnostic) for diagnostic in document.diagnostics]
        assert isinstance(document.values, dict)
    for problem in problems:
        assert problem.message
        assert problem.line is None or 1 <= problem.line <= len(text) + 1
