import ast
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tamis.errors import ExpressionError
from tamis.expressions import MAXIMUM_DEPTH, MAXIMUM_LENGTH, Expression, Node, parse
from tamis.expressions.tree import (
    Bits,
    Boolean,
    Branch,
    Call,
    Chain,
    Compare,
    Index,
    Link,
    Logic,
    Number,
    Unary,
    walk,
)

PT, ETA, A, B, C, D = (Branch(name) for name in ["pt", "eta", "a", "b", "c", "d"])


def _bracketed(node: Node) -> str:
    """Write a tree with brackets around everything, the operators from left to right."""
    match node:
        case Number(value=value) | Boolean(value=value):
            return repr(value)
        case Branch(name=name):
            return name
        case Index(name=name, position=position):
            return f"{name}[{position}]"
        case Unary(operator=operator, operand=operand):
            return f"({'not ' if operator == '!' else operator}{_bracketed(operand)})"
        case Chain(first=first, links=links):
            text = _bracketed(first)
            for link in links:
                text = f"({text} {link.operator} {_bracketed(link.operand)})"
            return text
        case Bits(operator=operator, operands=operands):
            text = _bracketed(operands[0])
            for operand in operands[1:]:
                text = f"({text} {operator} {_bracketed(operand)})"
            return text
        case Compare(operator=operator, first=left, second=right):
            return f"({_bracketed(left)} {operator} {_bracketed(right)})"
        case Logic(operator=operator, operands=operands):
            word = {"&&": " and ", "||": " or "}[operator]
            return f"({word.join(_bracketed(operand) for operand in operands)})"
        case Call(function="pow", arguments=(base, exponent)):
            return f"({_bracketed(base)} ** {_bracketed(exponent)})"
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(_bracketed(argument) for argument in arguments)})"


_PYTHON = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.BitAnd: "&", ast.BitOr: "|", ast.USub: "-", ast.UAdd: "+", ast.Not: "not ", ast.Invert: "~",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.And: " and ", ast.Or: " or ",
}  # fmt: skip


def _bracketed_by_python(node: ast.expr) -> str:
    """Write a tree of Python's own parser with brackets around everything."""
    match node:
        case ast.Constant(value=value):
            return repr(value)
        case ast.Name(id=name):
            return name
        case ast.UnaryOp(op=operator, operand=operand):
            return f"({_PYTHON[type(operator)]}{_bracketed_by_python(operand)})"
        case ast.BinOp(left=left, op=operator, right=right):
            return f"({_bracketed_by_python(left)} {_PYTHON[type(operator)]} {_bracketed_by_python(right)})"
        case ast.BoolOp(op=operator, values=values):
            return f"({_PYTHON[type(operator)].join(_bracketed_by_python(value) for value in values)})"
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return f"({_bracketed_by_python(left)} {_PYTHON[type(operator)]} {_bracketed_by_python(right)})"
        case _:  # a chained comparison
            return "chained"


_OPERATORS = [
    "+", "-", "*", "/", "//", "%", "**", "&", "|", "<", "<=", ">", ">=", "==", "!=", "and", "or", "and", "or",
]  # fmt: skip


def _read_by_python(text: str) -> str:
    """Write a text as Python reads it, or say that Python refuses it."""
    try:
        return _bracketed_by_python(ast.parse(text, mode="eval").body)
    except SyntaxError:
        return "refused"


def _formulas(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Formulas in Python's style, of a few operands without brackets."""
    operators = st.sampled_from(_OPERATORS)
    signed = st.builds(
        lambda sign, operand: sign + operand, st.sampled_from(["", "", "", "-", "+", "~", "not "]), inner
    )
    pairs = st.lists(st.tuples(operators, signed), max_size=5)
    return st.builds(
        lambda first, operations: " ".join(
            [first, *(f"{operator} {operand}" for operator, operand in operations)]
        ),
        signed,
        pairs,
    )


_ON_PURPOSE = re.compile("chained comparisons|bind tighter than a comparison")
_ATOMS = st.sampled_from(["a", "b", "c", "d", "1", "2.5", "True"])
_PYTHON_FORMULAS = _formulas(_ATOMS | _formulas(_ATOMS).map(lambda text: f"({text})"))


@settings(deadline=None, max_examples=300)
@given(_PYTHON_FORMULAS)
@example("not a == b and - a ** - b ** c % d // 2 < c or (a | b & c)")
@example("a and b or c and (d or a)")
@example("a == not b")
def test_formulas_are_read_as_python_reads_them_or_refused_on_purpose(text: str) -> None:
    try:
        read = _bracketed(parse(text).tree)
    except ExpressionError as error:
        read = "on purpose" if _ON_PURPOSE.search(str(error)) else "refused"
    assert read in {"on purpose", _read_by_python(text)}


_NAMES = st.sampled_from(["pt", "eta", "Jet.phi", "m_yy"])


def _larger(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Nodes of every kind around smaller ones."""
    several = st.lists(nodes, min_size=2, max_size=3).map(tuple)
    links = [
        st.lists(st.builds(Link, st.sampled_from(operators), nodes), min_size=1, max_size=3).map(tuple)
        for operators in (["+", "-"], ["*", "/", "//", "%"])
    ]
    return st.one_of(
        st.builds(Unary, st.sampled_from(["-", "+", "!", "~"]), nodes),
        st.builds(Chain, nodes, st.one_of(links)),
        st.builds(Bits, st.sampled_from(["&", "|"]), several),
        st.builds(Compare, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), nodes, nodes),
        st.builds(Logic, st.sampled_from(["&&", "||"]), several),
        st.builds(Call, st.just("max"), several),
        st.builds(Call, st.just("pow"), st.tuples(nodes, nodes)),
        st.builds(Call, st.just("where"), st.tuples(nodes, nodes, nodes)),
        st.just(Call("pi", ())),
    )


_TREES: st.SearchStrategy[Node] = st.recursive(
    st.one_of(
        st.builds(Number, st.integers(0, 2**63 - 1) | st.floats(0, 1e300)),
        st.builds(Boolean, st.booleans()),
        st.builds(Branch, _NAMES),
        st.builds(Index, st.sampled_from(["jet_pt", "jet_eta"]), st.integers(0, 9)),
    ),
    _larger,
    max_leaves=15,
)


def _written(node: Node) -> str:
    """Write a tree in ROOT's style, so that chains stay chains."""
    match node:
        case Number(value=value):
            return repr(value)
        case Boolean(value=value):
            return "true" if value else "false"
        case Branch(name=name):
            return name
        case Index(name=name, position=position):
            return f"{name}[{position}]"
        case Unary(operator=operator, operand=operand):
            return f"{operator}({_written(operand)})"
        case Chain(first=first, links=links):
            steps = "".join(f" {link.operator} ({_written(link.operand)})" for link in links)
            return f"({_written(first)}){steps}"
        case Bits(operator=operator, operands=operands) | Logic(operator=operator, operands=operands):
            return f" {operator} ".join(f"({_written(operand)})" for operand in operands)
        case Compare(operator=operator, first=left, second=right):
            return f"({_written(left)}) {operator} ({_written(right)})"
        case Call(function="where", arguments=(condition, yes, no)):
            return f"({_written(condition)}) ? {_written(yes)} : {_written(no)}"
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(_written(argument) for argument in arguments)})"


@settings(deadline=None)
@given(_TREES)
def test_reading_what_was_written_gives_the_tree_back(tree: Node) -> None:
    assert parse(_written(tree)).tree == tree


_PIECES = st.sampled_from(
    [
        "pt", "eta", "jet[0]", "1", "2.5", "1e-3", "(", ")", "[", "]", ",", ".", "?", ":", "+", "-", "*", "/",
        "//", "%", "**", "<", ">", "<=", ">=", "==", "!=", "=", "!", "~", "&", "|", "&&", "||", "and", "or",
        "not", "abs(", "max(", "np.", "std::", "::", "`", "'", '"', ";", "#", "@", "$", "^", "{", "}", "\\",
        ":=", "lambda", "if", "__", "\x00", "\u2212", "e", "E", "0x", " ", "\n",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60) | st.lists(_PIECES, max_size=30).map("".join) | st.lists(_PIECES).map(" ".join))
def test_any_text_is_read_or_refused_with_a_caret(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionError as error:
        last = str(error).split("\n")[-1].strip()
    else:
        last = "^"
        assert max(depth for _, depth in walk(expression.tree)) <= MAXIMUM_DEPTH
    assert last == "^"


@pytest.mark.parametrize(
    ("python", "root"),
    [
        ("(pt > 20) & (abs(eta) < 2.4)", "(pt > 20) & (TMath::Abs(eta) < 2.4)"),
        ("pt > 20 and not b", "pt > 20 && !b"),
        ("a or b and c", "a || b && c"),
        ("np.sqrt(a ** 2 + b ** 2)", "sqrt(pow(a, 2) + TMath::Power(b, 2))"),
        ("np.where(a > 0, a, -1)", "a > 0 ? a : -1"),
        ("np.minimum(a, b)", "std::min(a, b)"),
        ("True", "true"),
        ("numpy.arctan2(a, b)", "TMath::ATan2(a, b)"),
        ("np.clip(a, 0, 1)", "std::clamp(a, 0, 1)"),
    ],
)
def test_both_styles_give_one_tree(python: str, root: str) -> None:
    assert parse(python).tree == parse(root).tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("pt", PT),
        ("Jet.pt", Branch("Jet.pt")),
        ("EventInfoAuxDyn.m_yy", Branch("EventInfoAuxDyn.m_yy")),
        ("`my branch-1`", Branch("my branch-1")),
        ("`pt`", PT),
        ("`lambda`", Branch("lambda")),
        ("`true`", Branch("true")),
        ("jet_pt[0]", Index("jet_pt", 0)),
        ("Jet.pt[12]", Index("Jet.pt", 12)),
        ("`my jets` [ 1 ]", Index("my jets", 1)),
        ("abs", Branch("abs")),
        ("3", Number(3)),
        ("0", Number(0)),
        ("0x1F", Number(31)),
        ("3.", Number(3.0)),
        (".5", Number(0.5)),
        ("1e-3", Number(0.001)),
        ("1.E+2", Number(100.0)),
        ("((((pt))))", PT),
        ("!a == b", Compare("==", Unary("!", A), B)),
        ("not a == b", Unary("!", Compare("==", A, B))),
        ("-a ** b", Unary("-", Call("pow", (A, B)))),
        ("a ** -b", Call("pow", (A, Unary("-", B)))),
        ("a ** b ** c", Call("pow", (A, Call("pow", (B, C))))),
        ("a - b - c", Chain(A, (Link("-", B), Link("-", C)))),
        ("a - b * c", Chain(A, (Link("-", Chain(B, (Link("*", C),))),))),
        ("(a - b) - c", Chain(Chain(A, (Link("-", B),)), (Link("-", C),))),
        ("a & b | c", Bits("|", (Bits("&", (A, B)), C))),
        ("a & b && c | d", Logic("&&", (Bits("&", (A, B)), Bits("|", (C, D))))),
        ("(a & 4) != 0", Compare("!=", Bits("&", (A, Number(4))), Number(0))),
        ("~a & b", Bits("&", (Unary("~", A), B))),
        ("a ? b : c ? d : 1", Call("where", (A, B, Call("where", (C, D, Number(1)))))),
        ("a ? b ? c : d : 1", Call("where", (A, Call("where", (B, C, D)), Number(1)))),
        ("a || b ? c : d", Call("where", (Logic("||", (A, B)), C, D))),
        ("max ( a , b , c )", Call("max", (A, B, C))),
        ("pi()", Call("pi", ())),
        ("pt\n  > 20", Compare(">", PT, Number(20))),
    ],
)
def test_known_trees(text: str, tree: Node) -> None:
    assert parse(text).tree == tree


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("", 0, "empty"),
        (" \n", 0, "empty"),
        ("pt ^ 2", 3, r"\*\*"),
        ("a < b < c", 6, "a < b && b < c"),
        ("a == b != c", 7, "chained"),
        ("pt > 20 & eta < 2", 8, "brackets"),
        ("pt > 20 | b", 8, "brackets"),
        ("bits & 4 != 0", 9, "brackets"),
        ("a | b & c == d", 10, "brackets"),
        ("not a & b == c", 10, "brackets"),
        ("pt > (20) & b", 10, "brackets"),
        ("max(a & b > c, d)", 10, "brackets"),
        ("a => b", 2, "=="),
        ("a <> b", 3, "expected here"),
        ("f(x).y", 0, "no function 'f'"),
        ("abs(x).y", 6, "attributes"),
        ("jet[0].pt", 6, "index last"),
        ("Jet..pt", 3, "attributes"),
        ("().x", 1, "expected here"),
        ("[x]", 0, "lists"),
        ("x[1:2]", 3, "slices"),
        ("x[:2]", 2, "counted from 0"),
        ("x[-1]", 2, "counted from 0"),
        ("x[i]", 2, "counted from 0"),
        ("x[1.0]", 2, "counted from 0"),
        ("x[0x1]", 2, "counted from 0"),
        ("x[]", 2, "counted from 0"),
        ("x[", 2, "counted from 0"),
        ("x[0", 1, "never closed"),
        ("x[0][1]", 4, "only one index"),
        ("(a)[0]", 3, "directly on"),
        ("max(a, b)[0]", 9, "directly on"),
        ("true[0]", 4, "directly on"),
        ("a + x[0] * x", 11, "with and without an index"),
        ("x * x[0]", 0, r"write x\[0\]"),
        ("a b", 2, "operator is missing"),
        ("2(a)", 1, "operator is missing"),
        ("a !b", 2, "operator is missing"),
        ("(a", 0, "never closed"),
        ("max(a", 3, "never closed"),
        ("a)", 1, "closes no bracket"),
        ("a]", 1, "closes no bracket"),
        ("a, b", 1, "arguments"),
        ("(a, b)", 2, "arguments"),
        ("max(a, b,)", 9, "expected here"),
        ("max(, a)", 4, "expected here"),
        ("clip(x, *y)", 8, "expected here"),
        ("clip(x, low=1)", 11, "=="),
        ("a ? b", 5, "':'"),
        ("a : b", 2, r"c \? a : b"),
        ("a +", 3, "too early"),
        ("!", 1, "too early"),
        ("a == not b", 5, "brackets"),
        ("!not a", 1, "brackets"),
        ("010", 0, "base 8"),
        ("9223372036854775808", 0, "larger than"),
        ("0xffffffffffffffff", 0, "larger than"),
        ("1e999", 0, "too large"),
        ("np.pi", 0, r"pi\(\)"),
        ("TMath::Pi", 0, r"pi\(\)"),
        ("sqrtt(x)", 0, "did you mean sqrt?"),
        ("math.sqrt(x)", 0, "did you mean sqrt?"),
        ("TMath::Sqrtt(x)", 0, "did you mean sqrt?"),
        ("abs(a, b)", 0, r"write abs\(x\), found 2 arguments"),
        ("max(a)", 0, r"write max\(a, b, ...\), found 1 argument"),
        ("pi(1)", 0, r"write pi\(\)"),
        ("std::clamp(x)", 0, r"write std::clamp\(x, low, high\)"),
        ("std::round(x)", 0, "halves"),
        ("TMath::Sign(a, b)", 0, "sign"),
        ("np.max(a)", 0, "max"),
        ("`abs`(x)", 5, "operator is missing"),
    ],
)
def test_what_is_refused_is_told_at_its_place(text: str, at: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        parse(text)
    assert len(str(caught.value).split("\n")[-1]) == at + 3


@pytest.mark.parametrize(
    "text",
    [
        "(" * 2000,
        "(" * 2000 + "a" + ")" * 2000,
        "-" * 4000 + "a",
        "!" * 4000 + "a",
        "not " * 1000 + "a",
        "**".join("a" * 1000),
        "abs(" * 1000,
        "a?" * 2000,
        "a?b:" * 1000 + "a",
        "(a*" * 1000,
        "(" * 220 + "a" + "*b+c<d&&a||b?c:d)" * 220,
    ],
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match=f"more than {MAXIMUM_DEPTH} deep"):
        parse(text)


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "//", "%", "&", "|", "&&", "||", " and ", " or "])
def test_a_long_chain_is_flat(operator: str) -> None:
    tree = parse(operator.join("a" * 500)).tree
    assert [depth for _, depth in walk(tree)] == [1] + [2] * 500


def test_nesting_up_to_the_limit_is_accepted() -> None:
    assert parse("(" * (MAXIMUM_DEPTH - 1) + "pt" + ")" * (MAXIMUM_DEPTH - 1)).tree == PT


def test_the_length_is_limited() -> None:
    assert parse("pt" + " " * (MAXIMUM_LENGTH - 2)).branches == ("pt",)
    with pytest.raises(ExpressionError, match=f"{MAXIMUM_LENGTH} are allowed"):
        parse("pt" + " " * (MAXIMUM_LENGTH - 1))


def test_every_node_knows_its_place() -> None:
    text = "aa + bb[0] * -cc > max(dd, 2)"
    places = {type(node).__name__: text[node.at] for node, _ in walk(parse(text).tree)}
    assert places == {
        "Compare": ">", "Chain": "*", "Branch": "d", "Index": "b", "Unary": "-", "Call": "m", "Number": "2",
    }  # fmt: skip


def test_equal_texts_give_equal_expressions() -> None:
    assert parse("pt > 20") == parse("pt > 20")
    assert isinstance(parse("pt"), Expression)
    assert parse("pt > 20") != parse("pt>20")
