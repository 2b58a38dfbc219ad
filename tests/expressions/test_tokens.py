import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.errors import ExpressionError
from tamis.expressions.tokens import Token, read_tokens

_WORDS = ["pt", "Jet.pt", "TMath::Abs", "3", "0x1f", ".5", "1.", "2.5e-3", "`my branch`"]
_SYMBOLS = [
    "**", "//", "<=", ">=", "==", "!=", "&&", "||", "-", "+", "*", "/", "%",
    "<", ">", "!", "~", "&", "|", "?", ":", "(", ")", "[", "]", ",",
]  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.sampled_from(_WORDS + _SYMBOLS)), st.sampled_from([" ", "\n", "\t  "]))
def test_words_between_spaces_are_read_as_they_are(words: list[str], space: str) -> None:
    text = space.join(words)
    tokens = list(read_tokens(text))
    assert [token.text for token in tokens[:-1]] == [word.strip("`") for word in words]
    assert tokens[-1] == Token("end", "", len(text))


@settings(deadline=None)
@given(st.lists(st.sampled_from(_WORDS + _SYMBOLS)))
def test_every_word_knows_its_place(words: list[str]) -> None:
    text = " ".join(words)
    for token in read_tokens(text):
        assert text[token.at :].startswith(("`" if token.kind == "quoted" else "") + token.text)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("pt>20", ["name", "symbol", "number"]),
        ("a?b:c", ["name", "symbol", "name", "symbol", "name"]),
        ("1e-3-x", ["number", "symbol", "name"]),
        ("a**-b", ["name", "symbol", "symbol", "name"]),
        ("not a and b or c", ["symbol", "name", "symbol", "name", "symbol", "name"]),
        ("notable", ["name"]),
        ("`not` `+`", ["quoted", "quoted"]),
    ],
)
def test_kinds(text: str, kinds: list[str]) -> None:
    assert [token.kind for token in read_tokens(text)] == [*kinds, "end"]


def test_a_quoted_name_is_no_symbol() -> None:
    assert [token.symbol for token in read_tokens("`+` +")] == ["", "+", ""]


def test_the_first_fault_is_told_first() -> None:
    with pytest.raises(ExpressionError):
        list(read_tokens("pt ^ 2 # comment"))


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("pt = 3", 3, "=="),
        ("(x := 3)", 3, "would assign"),
        ("x; y", 1, "remove ';'"),
        ("x # y", 2, "comments"),
        ("x << 2", 2, "multiply"),
        ("x >> 2", 2, "//"),
        ("a->b", 1, "Jet.pt"),
        ("Sum$(x)", 3, "plain branches"),
        ("'text'", 0, "backticks"),
        ('f"{x}"', 1, "backticks"),
        ("{x}", 0, "round"),
        ("x \\ y", 2, "several lines"),
        ("x @ y", 2, "branch name"),
        ("a if b else c", 2, r"c \? a : b"),
        ("lambda: 0", 0, "backticks"),
        ("import os", 0, "backticks"),
        ("await x", 0, "backticks"),
        ("2pt", 1, r"write \*"),
        ("1.f", 2, "suffixes"),
        ("10L", 2, "suffixes"),
        ("1_000", 1, "'_'"),
        ("1.5.2", 3, "is followed by"),
        ("5.pt", 2, "is followed by"),
        ("`open", 0, "not closed"),
        ("``", 0, "backticks"),
        ("`\u202e`", 0, "invisible characters"),
        ("x\x00", 1, r"U\+0000"),
        ("\u2212x", 0, "minus sign"),
        ("a\u00a0b", 1, "no-break space"),
        ("\uff50\uff54", 0, "fullwidth"),
    ],
)
def test_what_is_no_word_is_refused_at_its_place(text: str, at: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        list(read_tokens(text))
    assert len(str(caught.value).split("\n")[-1]) == at + 3


def test_underscores_are_letters_of_a_name() -> None:
    assert [token.text for token in read_tokens("a__b _c Jet_.d__ __e__")] == [
        "a__b",
        "_c",
        "Jet_.d__",
        "__e__",
        "",
    ]
