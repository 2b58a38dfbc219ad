import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.errors import RequestError
from tamis.expressions.diagnostic import build_error, suggest_names


def _caret(message: str) -> tuple[str, str]:
    """Give the shown line and the character above the caret."""
    shown, pointer = message.split("\n")[-2:]
    return shown, shown[len(pointer) - 1 : len(pointer)]


@settings(deadline=None)
@given(st.text(alphabet="abcdefgh .", min_size=1, max_size=300), st.data())
def test_the_caret_stands_below_the_place(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    assert _caret(str(build_error(text, at, "wrong")))[1] == text[at]


@pytest.mark.parametrize("at", [0, 17, 21])
def test_only_the_line_of_the_place_is_shown(at: int) -> None:
    text = "pt > 20\n  && eta < 2\n  && mass > 60"
    shown, character = _caret(str(build_error(text, at, "wrong")))
    assert shown.strip() in text.split("\n") or shown.strip() in {line.strip() for line in text.split("\n")}
    assert character == text[at]


def test_a_long_line_is_cut_on_both_sides() -> None:
    shown, character = _caret(str(build_error("x" * 1000 + "!" + "x" * 1000, 1000, "wrong")))
    assert character == "!"
    assert len(shown) < 100
    assert shown.startswith("  ...")
    assert shown.endswith("...")


def test_the_end_of_the_text_can_be_pointed_at() -> None:
    assert str(build_error("pt +", 4, "wrong")) == "wrong\n  pt +\n      ^"


def test_characters_that_cannot_be_seen_keep_their_width() -> None:
    assert str(build_error("a\x00\tb", 3, "wrong")) == "wrong\n  a  b\n     ^"


def test_a_fault_is_a_wrong_request() -> None:
    error = build_error("pt", 0, "wrong")
    assert isinstance(error, RequestError)
    assert error.exit_status == 2


@pytest.mark.parametrize(
    ("name", "candidates", "expected"),
    [
        ("ptt", ["pt", "eta"], "did you mean pt?"),
        ("PT", ["pt", "eta"], "did you mean pt?"),
        ("jet_pt", ["Jet_pt", "JET_PT"], "did you mean Jet_pt or JET_PT?"),
        ("q", [], "there are none"),
        ("q", [f"branch{i}" for i in range(20)], "12 more"),
    ],
)
def test_near_names_are_told(name: str, candidates: list[str], expected: str) -> None:
    assert expected in suggest_names(name, candidates)
