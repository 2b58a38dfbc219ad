"""The parser of expressions: text to tree, by precedence climbing; nothing is ever executed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import get_args

import tamis.expressions.tree as tree
from tamis.errors import ExpressionError
from tamis.expressions.diagnostic import build_error, suggest_names
from tamis.expressions.functions import ALIASES, DIFFERENT, FUNCTIONS
from tamis.expressions.tokens import Token, read_tokens
from tamis.expressions.tree import Expression, Node, walk
from tamis.wording import counted


class _Binding(IntEnum):
    """Precedence of operators: that of Python, with `? :` below all others."""

    NOTHING = 0
    CONDITIONAL = 1
    OR = 2
    AND = 3
    NOT = 4
    COMPARE = 5
    BAR = 6
    AMPERSAND = 7
    SUM = 8
    PRODUCT = 9
    SIGN = 10
    POWER = 11


_COMPARISONS: Mapping[str, tree.CompareOperator] = {
    symbol: symbol for symbol in get_args(tree.CompareOperator)
}
_SUMS: Mapping[str, tree.ArithmeticOperator] = {"+": "+", "-": "-"}
_PRODUCTS: Mapping[str, tree.ArithmeticOperator] = {"*": "*", "/": "/", "//": "//", "%": "%"}
_SIGNS: Mapping[str, tree.SignOperator] = {symbol: symbol for symbol in get_args(tree.SignOperator)}
_BINDINGS: Mapping[str, _Binding] = {
    "?": _Binding.CONDITIONAL,
    "||": _Binding.OR,
    "&&": _Binding.AND,
    **dict.fromkeys(_COMPARISONS, _Binding.COMPARE),
    "|": _Binding.BAR,
    "&": _Binding.AMPERSAND,
    **dict.fromkeys(_SUMS, _Binding.SUM),
    **dict.fromkeys(_PRODUCTS, _Binding.PRODUCT),
    "**": _Binding.POWER,
}
_TRUTH = {"true": True, "True": True, "false": False, "False": False}
_LARGEST_INTEGER = 2**63 - 1
_BRACKET_REMEDY = (
    "'&' and '|' bind tighter than a comparison in Python and looser in ROOT: write && and || for logic, "
    "or brackets, as in (a > 1) & (b < 2) or (bits & 4) != 0"
)
# symbols instead of an operator
_MISPLACED = {
    ")": "')' closes no bracket: remove it",
    "]": "']' closes no bracket: remove it",
    "[": "an index follows directly on the name of a branch, such as jet_pt[0]",
    ".": "attributes are not available: write a dotted branch name in one piece, such as Jet.pt, with its index last",
    ":": "':' is only part of c ? a : b: slices and lambda are not available",
    ",": "',' only separates the arguments of a function",
}


def parse(text: str) -> Expression:
    """Parse an expression in the style of Python or ROOT, such as `pt > 20 && abs(eta) < 2.4`.

    Raises:
        ExpressionError: the text violates a rule of the language (`docs/expressions.md`); the message shows the
            position.

    >>> parse("(pt > 20) & (abs(eta) < 2.4)").branches, parse("jet_pt[0] / met").indexed
    (('eta', 'pt'), frozenset({'jet_pt'}))
    """
    if len(text) > tree.MAXIMUM_LENGTH:
        message = f"an expression of {len(text)} characters is too long: {tree.MAXIMUM_LENGTH} are allowed"
        raise build_error(text, tree.MAXIMUM_LENGTH, message)
    if not text.strip():
        raise build_error(text, 0, "the expression is empty: write a branch name or a formula of branches")
    expression = Expression(text, _Parser(text).parse())
    if max(depth for _, depth in walk(expression.tree)) > tree.MAXIMUM_DEPTH:
        raise _too_deep(text, 0)
    for leaf in expression.leaves:
        if isinstance(leaf, tree.Branch) and leaf.name in expression.indexed:
            message = f"the branch {leaf.name!r} is used with and without an index: write {format_branch(leaf.name)}[0]"
            raise build_error(text, leaf.at, message)
    return expression


def format_branch(name: str) -> str:
    """Format the name of a branch as an expression, in backticks if necessary.

    >>> format_branch("Jet.pt"), format_branch("arr[3]"), format_branch("class")
    ('Jet.pt', '`arr[3]`', '`class`')
    """
    try:
        bare = parse(name).branches == (name,)
    except ExpressionError:
        bare = False
    return name if bare else f"`{name}`"


def _too_deep(text: str, at: int) -> ExpressionError:
    message = f"brackets and operators are nested more than {tree.MAXIMUM_DEPTH} deep: split the expression"
    return build_error(text, at, message)


class _Parser:
    """A parser with its position in the text, and one method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = read_tokens(text)
        self._token = next(self._tokens)
        self._depth = 0

    def parse(self) -> Node:
        node = self._expression(_Binding.NOTHING)
        if self._token.kind != "end":
            raise self._operator_expected()
        return node

    def _advance(self) -> Token:
        token = self._token
        self._token = next(self._tokens)
        return token

    def _error(self, message: str) -> ExpressionError:
        return build_error(self._text, self._token.at, message)

    def _expression(self, minimum: _Binding) -> Node:
        """Read an operand and all operators after it that bind tighter than `minimum`."""
        self._depth += 1
        if self._depth > tree.MAXIMUM_DEPTH:
            raise _too_deep(self._text, self._token.at)
        node = self._operand(minimum)
        while _BINDINGS.get(self._token.symbol, _Binding.NOTHING) > minimum:
            node = self._operation(node)
        self._depth -= 1
        return node

    # Operands

    def _operand(self, minimum: _Binding) -> Node:
        """Read a literal, a branch, a call, a bracket or a signed operand."""
        match self._token.kind:
            case "number":
                return self._number()
            case "name":
                return self._name()
            case "quoted":
                return self._branch(self._advance())
        symbol, at = self._token.symbol, self._token.at
        if symbol == "(":
            self._advance()
            node = self._expression(_Binding.NOTHING)
            self._close(")", at)
            return node
        if symbol in _SIGNS:
            self._advance()
            return tree.Unary(_SIGNS[symbol], self._expression(_Binding.SIGN), at=at)
        if symbol == "not" and minimum <= _Binding.NOT:
            self._advance()
            return tree.Unary("!", self._expression(_Binding.NOT), at=at)
        raise self._operand_expected()

    def _number(self) -> tree.Number:
        word = self._token.text
        value: int | float
        if word.isdigit():
            if len(word) > 1 and word.startswith("0"):
                raise self._error("a leading zero means base 8 in C: remove it")
            value = int(word)
        else:
            value = int(word, 16) if word[:2].lower() == "0x" else float(word)
        if isinstance(value, int) and value > _LARGEST_INTEGER:
            raise self._error(f"the whole number is larger than {_LARGEST_INTEGER}: write it as 1e20")
        if value == float("inf"):
            raise self._error("the number is too large for 64 bits: write a smaller one")
        return tree.Number(value, at=self._advance().at)

    def _name(self) -> Node:
        """Read a truth value, a call or a branch."""
        token = self._advance()
        if self._token.symbol == "(":
            return self._call(token)
        if token.text in _TRUTH:
            return tree.Boolean(_TRUTH[token.text], at=token.at)
        if "::" in token.text or token.text.startswith(("np.", "numpy.")):
            message = (
                f"{token.text!r} is not called: write brackets after a function, and pi() for the constant"
            )
            raise build_error(self._text, token.at, f"{message}; a branch of this name goes into `backticks`")
        return self._branch(token)

    def _branch(self, token: Token) -> tree.Branch | tree.Index:
        """Read the optional index after the name of a branch."""
        if self._token.symbol != "[":
            return tree.Branch(token.text, at=token.at)
        opening = self._advance()
        if not self._token.text.isdecimal() or self._token.kind != "number":
            raise self._error("an index is a whole number, counted from 0, such as jet_pt[0]")
        position = self._number()
        self._close("]", opening.at)
        if self._token.symbol == "[":
            raise self._error("only one index is possible: a branch holds numbers or lists of numbers")
        return tree.Index(token.text, int(position.value), at=token.at)

    def _call(self, token: Token) -> tree.Call:
        """Read the arguments of a function, and check their number."""
        name = self._function(token)
        opening = self._advance()
        arguments: list[Node] = []
        while self._token.symbol != ")" or arguments:
            arguments.append(self._expression(_Binding.NOTHING))
            if self._token.symbol != ",":
                break
            self._advance()
        self._close(")", opening.at)
        function = FUNCTIONS[name]
        if not function.accepts(len(arguments)):
            message = f"write {token.text}{function.signature}, found {counted(len(arguments), 'argument')}"
            raise build_error(self._text, token.at, message)
        return tree.Call(name, tuple(arguments), at=token.at)

    def _function(self, token: Token) -> tree.FunctionName:
        """Return the name of a function from an alias."""
        if token.text in ALIASES:
            return ALIASES[token.text]
        if token.text in DIFFERENT:
            raise build_error(self._text, token.at, f"{token.text} {DIFFERENT[token.text]}")
        last = token.text.replace("::", ".").rpartition(".")[2]
        message = f"there is no function {token.text!r}: {suggest_names(last, FUNCTIONS)}"
        raise build_error(self._text, token.at, message)

    def _close(self, symbol: str, opened: int) -> None:
        if self._token.symbol == symbol:
            self._advance()
        elif self._token.kind == "end":
            raise build_error(
                self._text, opened, f"this bracket is never closed: write {symbol!r} after its content"
            )
        else:
            raise self._operator_expected()

    # Operators

    def _operation(self, first: Node) -> Node:
        """Read the current operator and its right operands."""
        at = self._token.at
        match self._token.symbol:
            case "?":
                return self._conditional(first)
            case "||" | "&&" as operator:
                return tree.Logic(operator, self._operands(first), at=at)
            case "|" | "&" as operator:
                operands = self._operands(first)
                if self._token.symbol in _COMPARISONS:
                    raise self._error(_BRACKET_REMEDY)
                return tree.Bits(operator, operands, at=at)
            case "+" | "-":
                return self._chain(first, _SUMS)
            case "*" | "/" | "//" | "%":
                return self._chain(first, _PRODUCTS)
            case "**":
                self._advance()
                # the exponent may have a sign, and `**` is right-associative
                return tree.Call("pow", (first, self._expression(_Binding.SIGN)), at=at)
            case _:
                return self._comparison(first)

    def _conditional(self, condition: Node) -> tree.Call:
        """Read `? a : b`, which is right-associative."""
        at = self._advance().at
        if_true = self._expression(_Binding.NOTHING)
        if self._token.symbol != ":":
            raise self._error("the ':' of c ? a : b is expected here")
        self._advance()
        return tree.Call("where", (condition, if_true, self._expression(_Binding.NOTHING)), at=at)

    def _operands(self, first: Node) -> tuple[Node, ...]:
        """Read all operands of a chain of one operator."""
        symbol = self._token.symbol
        operands = [first]
        while self._token.symbol == symbol:
            self._advance()
            operands.append(self._expression(_BINDINGS[symbol]))
        return tuple(operands)

    def _chain(self, first: Node, operators: Mapping[str, tree.ArithmeticOperator]) -> tree.Chain:
        """Read arithmetic of one precedence, from left to right."""
        at, binding = self._token.at, _BINDINGS[self._token.symbol]
        links: list[tree.Link] = []
        while self._token.symbol in operators:
            token = self._advance()
            links.append(tree.Link(operators[token.symbol], self._expression(binding), at=token.at))
        return tree.Chain(first, tuple(links), at=at)

    def _comparison(self, first: Node) -> tree.Compare:
        """Read one comparison, and refuse operators after it that Python and ROOT interpret differently."""
        token = self._advance()
        # the right operand ends before '&' and '|', so that they can be refused here
        second = self._expression(_Binding.AMPERSAND)
        if self._token.symbol in _COMPARISONS:
            message = "chained comparisons mean different things in Python and in ROOT"
            raise self._error(f"{message}: write a < b && b < c instead of a < b < c")
        if self._token.symbol in {"&", "|"}:
            raise self._error(_BRACKET_REMEDY)
        return tree.Compare(_COMPARISONS[token.symbol], first, second, at=token.at)

    # Errors

    def _operand_expected(self) -> ExpressionError:
        """Build the error for a token instead of an operand."""
        symbol = self._token.symbol
        if symbol == "not":
            return self._error("'not' binds loosely, as in Python: put brackets around (not x), or write !x")
        expected = "a branch, a number, a function or a bracket is expected here"
        reasons = {
            "": "the expression ends too early",
            "[": "lists are not available",
            ":": "slices are not available",
        }
        return self._error(
            f"{reasons[symbol]}: {expected}" if symbol in reasons else f"{expected}, found {symbol!r}"
        )

    def _operator_expected(self) -> ExpressionError:
        """Build the error for a token instead of an operator or the end."""
        if self._token.kind == "end":
            return self._error("the expression ends too early: a bracket is still open")
        word = self._token.text
        missing = f"an operator is missing before {word!r}: write *, && or another one"
        return self._error(_MISPLACED.get(self._token.symbol, missing))
