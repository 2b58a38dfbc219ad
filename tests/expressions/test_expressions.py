"""What an attacker would write as an expression, and what a tired user does: refused while it is read."""

from __future__ import annotations

import time

import awkward
import numpy as np
import pandas as pd
import pytest

from tamis.classifier.columns import feature_values
from tamis.config import Feature
from tamis.errors import ExpressionError, RequestError
from tamis.expressions import MAXIMUM_DEPTH, MAXIMUM_LENGTH, evaluate, parse

ATTACKS = [
    # the insides of Python's objects
    "().__class__",
    "().__class__.__bases__[0].__subclasses__()", "(1).__class__", "1 .__class__", "1.0.__class__", "[].__class__",
    "{}.__class__",
    "''.__class__", "np.__loader__", "numpy.__builtins__",
    "x::__y", "std::__y(1)", "TMath::__class__",
    "x.__getattribute__('a')",
    "pt.__len__()", "(pt).__class__",
    # attributes and methods
    "(pt).real", "pt[0].real", "abs(pt).tofile", "(pt + 1).dump", "pt.tofile('x')", "pt.dump('x')", "pt.sum()",
    "np.load('x')",
    "np.lib.npyio.load", "np.fromfile('x')", "np.frompyfunc(abs, 1, 1)", "np.vectorize(abs)", "np.sqrt.reduce(pt)",
    "np.linalg.inv(x)",
    "numpy.ctypeslib.load_library('x', 'y')", "os.system('id')", "sys.exit()", "ROOT::gSystem",
    "gSystem->Exec('id')", "gROOT->ProcessLine(1)",
    "TMath::Pi", "np.pi", "pt->at(0)", "std::system(1)", "TFile::Open(1)",
    # calls that are not there
    "eval(1)", "eval('1')", "exec(1)", "compile(x)", "open(x)", "open('/etc/passwd')", "input()", "print(pt)",
    "getattr(pt, x)",
    "setattr(x, y, z)", "globals()", "locals()", "vars()", "dir()", "type(x)", "breakpoint()", "help()", "exit()",
    "quit()", "memoryview(x)",
    "bytes(10)", "bytearray(10)", "range(10)", "list(x)", "map(abs, x)", "int(pt)", "float(pt)", "str(pt)",
    "chr(1)", "sum(pt)", "len(pt)",
    "system(1)", "__import__('os')", "__import__('os').system('id')", "importlib.import_module('os')", "abs(pt)(1)",
    "(abs)(pt)",
    "abs(pt)(eta)(1)", "pt[0](1)", "`abs`(pt)", "pow(2, 3, 5)", "abs()", "abs(pt,)(1)", "abs(pt, eta)", "abs(*pt)",
    "abs(**pt)", "abs(x=pt)",
    "abs(pt for pt in x)", "max()", "min(pt)", "where(a, b)", "pi(1)",
    # statements and other syntax of Python
    "lambda: 1", "lambda x: x", "(lambda: 1)()", "[x for x in pt]", "{x for x in pt}", "{1: 2}", "(x for x in pt)",
    "[1, 2]", "(1, 2)", "1, 2",
    "x := 1", "(x := 1)", "x = 1", "x == (y = 1)", "x += 1", "import os", "from os import system",
    "pt if eta else mass", "if pt: 1",
    "yield pt", "await pt", "async pt", "del pt", "return pt", "raise pt", "assert pt", "global pt",
    "class X: pass", "def f(): 1", "while 1",
    "for x in pt", "with open", "try: 1", "pass", "None", "nonlocal x", "pt is eta", "pt in eta", "pt not in eta",
    "pt is not None", "print pt",
    "f'{pt}'", "f\"{__import__('os')}\"", "'pt'", '"pt"', "b'pt'", "r'pt'", "'''pt'''", "'a' 'b'", "'%s' % pt",
    "u'x'", "$HOME", "${HOME}",
    "$(id)", "`id`;", "{{7*7}}", "{% import os %}", "%(pt)s", "<%= 1 %>", "<script>", "@pt", "pt @ eta", "pt ^ 2",
    "pt << 2", "pt >> 2", "~pt ^ 1",
    "...", "pt...", "pt[...]", "pt[:]", "pt[1:]", "pt[::2]", "pt[-1]", "pt[1.0]", "pt[1e0]", "pt[0x1]", "pt[i]",
    "pt[0, 0]", "pt[0][0]", "pt[]",
    "pt[0", "pt[0]]", "(pt)[0]", "abs(pt)[0]", "pt[pt]", "pt[True]", "pt['a']", "pt[99999999999999999999999]",
    "pt[0] + pt",
    # numbers
    "1_000", "0b1", "0o7", "007", "1j", "1J + 2", "1e", "1e+", "1.2.3", "1..2", "0x", "0xg", "0x1p3", "1f", "1L",
    "10u", "1e400", "-1e999",
    "9" * 30, "9" * 4000, "9223372036854775808", "0x" + "f" * 17, "0x" + "f" * 3000, "1" + "0" * 3000 + ".0",
    "\u0661", "\u00b2", "pt\u00b2",
    "\u2160", "\u0967\u0968",
    # characters that look like others, or that normalise to others (NFKC), or that cannot be seen
    "\uff45\uff56\uff41\uff4c(1)", "\uff3f\uff3fclass\uff3f\uff3f", "x._\uff3fclass__", "\u212cy", "p\u0442",
    "\u0440t", "\u03b7", "\u00b5", "\ufb01", "\u1d49\u1d65",
    "\U0001d52d\U0001d531", "pt\u200b", "\u200bpt", "pt\u200d", "\ufeffpt", "pt\u00a0+\u00a01", "pt\u2028+ 1",
    "pt\u2029", "pt\u0085+ 1", "pt\u202e + 1", "\u2066pt",
    "pt\u2212 1", "pt \u2264 1", "pt \u00d7 2", "pt \u00f7 2", "\u221apt", "pt\uff0a2", "\uff08pt\uff09",
    "pt\u037e", "pt \u2227 eta", "\u00acpt", "pt\u0301", "\u0301",
    "\ud800", "pt\udfff", "`\ud800`", "`a\u200bb`", "`a\u202eb`", "`a\nb`", "`a\x00b`", "\U0010ffff", "\ue000",
    # what cannot be seen, comments, quotes, backticks
    "\x00", "pt\x00", "pt\x00.__class__", "pt\x1b[2J", "pt\x07", "pt\x7f", "\x0bpt", "pt\x0c+ 1", "# pt",
    "pt # eta", "pt // eta //", "pt /* a */",
    "pt -- // x", "pt; eta", ";", "pt\n;eta", "pt\neta", "pt\r\nimport os", "\\", "pt \\\n + 1 \\", "`", "``",
    "` `", "```", "`pt", "pt`", "`pt``eta`",
    "`a`b", "pt.`eta`", "`pt`.eta", "`pt`(1)",
    # structure that is not closed, empty or wrong
    "", " ", "\n", "\t\r\n", "(", ")", "()", "(()", "(pt", "pt)", "((pt)", "[", "]", "{", "}", "pt +", "+", "* pt",
    "pt * / eta", "pt ** ", "** 2", "pt &&",
    "&& pt", "pt & & eta", "pt || || eta", "pt & eta < 2", "pt < 1 & eta", "1 < pt < 2", "pt == eta == 1",
    "pt === 1", "pt !== 1", "pt <> 1", "pt =< 1",
    "pt => 1", "pt =! 1", "! ", "not", "not not", "pt not", "a + not b", "pt ? 1", "pt ? : 1", "pt : 1", "? 1 : 2",
    "pt ? 1 : ", "pt eta", "pt 1", "1 pt", "2pt",
    "pt(eta)", "abs pt", "abs(", "abs)", "abs((pt)", "abs(pt", "abs(,pt)", "abs(pt,,eta)", ",", "pt,", ".", "pt.",
    ".pt", "pt..eta", "pt::", "::pt",
    "pt:::eta", "pt. eta", "pt ::eta", "TMath::", "np.", "and", "or", "pt and", "and pt", "pt and or eta",
    "True False", "true(1)",
    # what could cost endless time or memory
    "(" * 5000, ")" * 5000, "(" * 2000 + "pt" + ")" * 2000, "-" * 4000 + "pt", "!" * 4000 + "pt", "~" * 4000,
    "not " * 1000 + "pt",
    "abs(" * 900 + "pt" + ")" * 900, "pt[" * 1300, "[" * 4000, "{" * 4000, "`" * 4001, "1?" * 1000 + "1",
    "1?1:" * 1000 + "1", "2**" * 1300 + "2",
    "pt ** " * 600 + "pt", "a" * 5000, "1" * 5000, "pt + " * 900, "pt," * 1300, "((" * 1000 + "1" + "+" * 1000,
    "pt" + " " * 5000, "." * 4000,
    "a." * 2000, "a::" * 1300, "0x" * 2000, "e" * 4000 + "(1)", "max(" + "a," * 2000, "9**9**9**9;" * 200,
]  # fmt: skip


# the insides of Python's objects, which are names of branches and nothing else: Belle II has `__weight__`
HIDDEN = [
    "__import__", "__builtins__", "__class__", "x.__class__", "x.__class__.__bases__", "x.__init__.__globals__",
    "x.__dict__", "x.a.__b", "abs.__self__", "abs.__globals__", "`__class__`", "`x.__class__`", "`a b.__init__`",
    "__x", "_x.__y__.z", "__debug__", "__name__", "__file__", "pt.__array__", "pt.__len__", "`pt`", "keys", "__len__",
]  # fmt: skip


def shown(text: str) -> str:
    return f"{len(text)} {text[:30]!a}"


def test_there_are_enough_and_none_is_there_twice() -> None:
    assert len(ATTACKS) + len(HIDDEN) >= 400
    assert len({*ATTACKS, *HIDDEN}) == len(ATTACKS) + len(HIDDEN)


@pytest.mark.parametrize("text", ATTACKS, ids=shown)
def test_an_attack_is_refused_while_it_is_read(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert time.process_time() - began < 2
    message = str(caught.value)
    assert 0 < len(message) < MAXIMUM_LENGTH + 1000
    assert all(character.isprintable() or character == "\n" for character in message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9**9**9**9", np.inf),
        ("9**9**9", np.inf),
        ("10**400", np.inf),
        ("(-8)**(1/3)", np.nan),
        ("2**-1", 0.5),
        ("1e308 * 10", np.inf),
        ("exp(exp(exp(9)))", np.inf),
        ("0x7fffffffffffffff", 2**63 - 1),
        ("pow(9, 1e300)", np.inf),
        ("9 % 5e-324", 0.0),
        ("max(" + ",".join(["1"] * 2000) + ")", 1),
        ("1" + "+1" * 2000, 2001),
        ("(" * (MAXIMUM_DEPTH - 2) + "1" + ")" * (MAXIMUM_DEPTH - 2), 1),
    ],
    ids=str,
)
def test_numbers_that_would_never_end_in_python_are_numbers_of_64_bits(text: str, value: float) -> None:
    began = time.process_time()
    result = evaluate(parse(text), {}, length=3)
    assert time.process_time() - began < 2
    np.testing.assert_array_equal(result, np.full(3, value))


@pytest.mark.parametrize(
    "text", ["9223372036854775807 + 1", "1 // 0", "1 % 0", "-(0 - 9223372036854775807 - 1)"]
)
def test_whole_numbers_that_do_not_fit_are_refused_and_never_wrap(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(parse(text), {}, length=1)


@pytest.mark.parametrize(
    "name", ["eval", "exec", "os", "system", "self", "x._y", "a.b.c", "_", "__", "e9", "inf", "nan", "NaN"]
)
def test_words_that_look_dangerous_are_names_of_branches_and_nothing_else(name: str) -> None:
    assert parse(name).branches == (name,)
    with pytest.raises(ExpressionError):
        evaluate(parse(name), {"pt": np.ones(1)}, length=1)


@pytest.mark.parametrize("text", [name for name in HIDDEN if name != "`pt`"])
def test_a_name_is_looked_up_among_the_branches_and_never_on_an_object(text: str) -> None:
    (name,) = parse(text).branches
    values = np.array([1.5, 2.5])
    tables = (
        {"pt": values, "x": values},
        pd.DataFrame({"pt": values, "x": values}),
        awkward.zip({"pt": values, "x": values}),
    )
    with pytest.raises(ExpressionError):
        evaluate(parse(text), tables[0], length=2)
    feature = Feature(name="f", expression=text)
    for table in tables:
        with pytest.raises(RequestError):
            feature_values([feature], table)
    result = feature_values([feature], {name: values})
    np.testing.assert_array_equal(result[:, 0], values)
