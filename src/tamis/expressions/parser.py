"""The grammar of expressions: text to tree, by precedence climbing; nothing is ever executed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from tamis.errors import ExpressionError
from tamis.expressions.fault import fault, nearest
from tamis.expressions.functions import DIFFERENT, FUNCTIONS, SPELLINGS
from tamis.expressions.tokens import Token, tokens
from tamis.expressions.tree import (
    MAXIMUM_DEPTH,
    MAXIMUM_LENGTH,
    ArithmeticOperator,
    BitOperator,
    Bits,
    Boolean,
    Branch,
    Call,
    Chain,
    Compare,
    CompareOperator,
    Expression,
    FunctionName,
    Index,
    Link,
    Logic,
    Node,
    Number,
    SignOperator,
    Unary,
    walk,
)


class _Binding(IntEnum):
    """How tightly an operator holds its operands; the order is Python's, with `? :` below all."""

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


_COMPARISONS: Mapping[str, CompareOperator] = {
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "==": "==",
    "!=": "!=",
}
_SUMS: Mapping[str, ArithmeticOperator] = {"+": "+", "-": "-"}
_PRODUCTS: Mapping[str, ArithmeticOperator] = {"*": "*", "/": "/", "//": "//", "%": "%"}
_SIGNS: Mapping[str, SignOperator] = {"+": "+", "-": "-", "!": "!", "~": "~"}
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
_LARGEST_WHOLE = 2**63 - 1
_BRACKET_REMEDY = (
    "'&' and '|' bind tighter than a comparison in Python and looser in ROOT: write && and || for logic, "
    "or brackets, as in (a > 1) & (b < 2) or (bits & 4) != 0"
)


def parse(text: str) -> Expression:
    """Read an expression in the style of Python or of ROOT.

    Args:
        text: the expression, such as `pt > 20 && abs(eta) < 2.4`; see `docs/expressions.md`.

    Returns:
        The expression with its tree and the names of its branches.

    Raises:
        ExpressionError: when the text breaks a rule of the language; the message shows the place.

    Example:
        >>> expression = parse("(pt > 20) & (abs(eta) < 2.4)")
        >>> expression.branches
        ('eta', 'pt')
        >>> parse("jet_pt[0] / met").indexed
        frozenset({'jet_pt'})
    """
    if len(text) > MAXIMUM_LENGTH:
        message = f"an expression of {len(text)} characters is too long: {MAXIMUM_LENGTH} are allowed"
        raise fault(text, MAXIMUM_LENGTH, message)
    if not text.strip():
        raise fault(text, 0, "the expression is empty: write a branch name or a formula of branches")
    expression = Expression(text, _Parser(text).whole())
    if max(depth for _, depth in walk(expression.tree)) > MAXIMUM_DEPTH:
        raise _too_deep(text, 0)
    _refuse_mixed_use(expression)
    return expression


def spell_branch(name: str) -> str:
    """Write the name of a branch as an expression: bare where that is read as this branch, else in backticks.

    >>> spell_branch("Jet.pt"), spell_branch("arr[3]"), spell_branch("class")
    ('Jet.pt', '`arr[3]`', '`class`')
    """
    try:
        bare = parse(name).branches == (name,)
    except ExpressionError:
        bare = False
    return name if bare else f"`{name}`"


def _too_deep(text: str, at: int) -> ExpressionError:
    """Make the error about brackets and operators inside each other."""
    message = f"brackets and operators are nested more than {MAXIMUM_DEPTH} deep: split the expression"
    return fault(text, at, message)


def _refuse_mixed_use(expression: Expression) -> None:
    """Refuse a branch that is used both as one number and as several numbers per event."""
    for leaf in expression.leaves:
        if isinstance(leaf, Branch) and leaf.name in expression.indexed:
            message = f"the branch {leaf.name!r} is used with and without an index: write {spell_branch(leaf.name)}[0]"
            raise fault(expression.text, leaf.at, message)


class _Parser:
    """The place in the text and the rules of the grammar, one method each."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._token = next(self._tokens)
        self._depth = 0

    def whole(self) -> Node:
        """Read the whole text."""
        node = self._expression(_Binding.NOTHING)
        if self._token.kind != "end":
            raise self._operator_expected()
        return node

    def _advance(self) -> Token:
        """Take the token and look at the next one."""
        token = self._token
        self._token = next(self._tokens)
        return token

    def _fault(self, message: str) -> ExpressionError:
        """Make an error about the token."""
        return fault(self._text, self._token.at, message)

    def _expression(self, minimum: _Binding) -> Node:
        """Read an operand and all operators after it that bind tighter than `minimum`."""
        self._depth += 1
        if self._depth > MAXIMUM_DEPTH:
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
            case _:
                return self._bracket_or_sign(minimum)

    def _bracket_or_sign(self, minimum: _Binding) -> Node:
        """Read an operand that begins with a symbol."""
        symbol, at = self._token.symbol, self._token.at
        if symbol == "(":
            self._advance()
            node = self._expression(_Binding.NOTHING)
            self._close(")", at)
            return node
        if symbol in _SIGNS:
            self._advance()
            return Unary(_SIGNS[symbol], self._expression(_Binding.SIGN), at=at)
        if symbol == "not" and minimum <= _Binding.NOT:
            self._advance()
            return Unary("!", self._expression(_Binding.NOT), at=at)
        raise self._operand_expected()

    def _number(self) -> Number:
        """Read a literal number."""
        word = self._token.text
        value: int | float
        if word.isdigit():
            if len(word) > 1 and word.startswith("0"):
                raise self._fault("a leading zero means base 8 in C: leave it out")
            value = int(word)
        else:
            value = int(word, 16) if word[:2].lower() == "0x" else float(word)
        if isinstance(value, int) and value > _LARGEST_WHOLE:
            raise self._fault(f"the whole number is larger than {_LARGEST_WHOLE}: write it as 1e20")
        if value == float("inf"):
            raise self._fault("the number is too large for 64 bits: write a smaller one")
        return Number(value, at=self._advance().at)

    def _name(self) -> Node:
        """Read a truth value, a call or a branch."""
        token = self._advance()
        if self._token.symbol == "(":
            return self._call(token)
        if token.text in _TRUTH:
            return Boolean(_TRUTH[token.text], at=token.at)
        if "::" in token.text or token.text.startswith(("np.", "numpy.")):
            message = (
                f"{token.text!r} is not called: write brackets after a function, and pi() for the constant"
            )
            raise fault(self._text, token.at, f"{message}; a branch of this name goes into `backticks`")
        return self._branch(token)

    def _branch(self, token: Token) -> Branch | Index:
        """Read what may follow the name of a branch: one index."""
        if self._token.symbol != "[":
            return Branch(token.text, at=token.at)
        opening = self._advance()
        if not self._token.text.isdecimal() or self._token.kind != "number":
            raise self._fault("an index is one literal whole number from 0 on, such as jet_pt[0]")
        position = self._number()
        self._close("]", opening.at)
        if self._token.symbol == "[":
            raise self._fault("only one index is possible: a branch holds numbers or lists of numbers")
        return Index(token.text, int(position.value), at=token.at)

    def _call(self, token: Token) -> Call:
        """Read the arguments of a function, and check how many there are."""
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
            message = f"write {token.text}{function.signature}, found {_counted(len(arguments))}"
            raise fault(self._text, token.at, message)
        return Call(name, tuple(arguments), at=token.at)

    def _function(self, token: Token) -> FunctionName:
        """Find the one name of a function among its spellings."""
        if token.text in SPELLINGS:
            return SPELLINGS[token.text]
        if token.text in DIFFERENT:
            raise fault(self._text, token.at, f"{token.text} {DIFFERENT[token.text]}")
        last = token.text.replace("::", ".").rpartition(".")[2]
        message = f"there is no function {token.text!r}: {nearest(last, FUNCTIONS)}"
        raise fault(self._text, token.at, message)

    def _close(self, symbol: str, opened: int) -> None:
        """Take a closing bracket."""
        if self._token.symbol == symbol:
            self._advance()
        elif self._token.kind == "end":
            raise fault(
                self._text, opened, f"this bracket is never closed: write {symbol!r} after its content"
            )
        else:
            raise self._operator_expected()

    # Operators

    def _operation(self, left: Node) -> Node:
        """Read the operator at hand and its right operands."""
        at = self._token.at
        match self._token.symbol:
            case "?":
                return self._conditional(left)
            case "||":
                return Logic("||", self._operands(left, _Binding.OR), at=at)
            case "&&":
                return Logic("&&", self._operands(left, _Binding.AND), at=at)
            case "|":
                return self._bits("|", left, _Binding.BAR)
            case "&":
                return self._bits("&", left, _Binding.AMPERSAND)
            case "+" | "-":
                return self._chain(left, _SUMS, _Binding.SUM)
            case "*" | "/" | "//" | "%":
                return self._chain(left, _PRODUCTS, _Binding.PRODUCT)
            case "**":
                self._advance()
                # The exponent may begin with a sign, and `**` associates to the right.
                return Call("pow", (left, self._expression(_Binding.SIGN)), at=at)
            case _:
                return self._comparison(left)

    def _conditional(self, condition: Node) -> Call:
        """Read `? a : b`, which associates to the right."""
        at = self._advance().at
        yes = self._expression(_Binding.NOTHING)
        if self._token.symbol != ":":
            raise self._fault("the ':' of c ? a : b is expected here")
        self._advance()
        return Call("where", (condition, yes, self._expression(_Binding.NOTHING)), at=at)

    def _operands(self, left: Node, binding: _Binding) -> tuple[Node, ...]:
        """Read all operands that one operator joins."""
        symbol = self._token.symbol
        operands = [left]
        while self._token.symbol == symbol:
            self._advance()
            operands.append(self._expression(binding))
        return tuple(operands)

    def _bits(self, operator: BitOperator, left: Node, binding: _Binding) -> Bits:
        """Read `& b & c ...` or `| b | c ...`, away from comparisons without brackets."""
        at = self._token.at
        operands = self._operands(left, binding)
        if self._token.symbol in _COMPARISONS:
            raise self._fault(_BRACKET_REMEDY)
        return Bits(operator, operands, at=at)

    def _chain(self, left: Node, operators: Mapping[str, ArithmeticOperator], binding: _Binding) -> Chain:
        """Read arithmetic of one precedence, from left to right."""
        at = self._token.at
        links: list[Link] = []
        while self._token.symbol in operators:
            token = self._advance()
            links.append(Link(operators[token.symbol], self._expression(binding), at=token.at))
        return Chain(left, tuple(links), at=at)

    def _comparison(self, left: Node) -> Compare:
        """Read one comparison, and refuse what the two languages read differently after it."""
        token = self._advance()
        # The right operand stops before '&' and '|', so that they can be refused here.
        right = self._expression(_Binding.AMPERSAND)
        if self._token.symbol in _COMPARISONS:
            message = "chained comparisons mean different things in Python and in ROOT"
            raise self._fault(f"{message}: write a < b && b < c instead of a < b < c")
        if self._token.symbol in {"&", "|"}:
            raise self._fault(_BRACKET_REMEDY)
        return Compare(_COMPARISONS[token.symbol], left, right, at=token.at)

    # What is told where the grammar allows nothing

    def _operand_expected(self) -> ExpressionError:
        """Make the error about a token where a value should begin."""
        expected = "a branch, a number, a function or a bracket is expected here"
        match self._token.kind, self._token.symbol:
            case "end", _:
                return self._fault(f"the expression ends too early: {expected}")
            case _, "not":
                return self._fault(
                    "'not' binds loosely, as in Python: put brackets around (not x), or write !x"
                )
            case _, "[":
                return self._fault(f"lists are not available: {expected}")
            case _, ":":
                return self._fault(f"slices are not available: {expected}")
            case _, symbol:
                return self._fault(f"{expected}, found {symbol!r}")

    def _operator_expected(self) -> ExpressionError:
        """Make the error about a token where an operator or the end should come."""
        match self._token.kind, self._token.symbol:
            case _, ")" | "]" as symbol:
                return self._fault(f"no bracket is open that {symbol!r} could close: leave it out")
            case _, "[":
                return self._fault("an index stands directly after the name of a branch, such as jet_pt[0]")
            case _, ".":
                return self._fault(
                    "attributes are not available: a dotted branch name is written in one piece, "
                    "such as Jet.pt, with its index last"
                )
            case _, ":":
                return self._fault("':' belongs to c ? a : b only: slices and lambda are not available")
            case _, ",":
                return self._fault("',' stands between the arguments of a function only")
            case "end", _:
                return self._fault("the expression ends too early: a bracket is still open")
            case _:
                found = self._token.text
                return self._fault(f"an operator is missing before {found!r}: write *, && or another one")


def _counted(count: int) -> str:
    """Say how many arguments there are."""
    return "1 argument" if count == 1 else f"{count} arguments"
