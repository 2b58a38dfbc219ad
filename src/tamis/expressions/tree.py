"""The syntax tree of an expression: a closed union of frozen nodes.

No node is nested deeper than `MAXIMUM_DEPTH`: a chain of operators of one precedence is one node, whatever its length.
So the tree can be walked recursively.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias, assert_never, final

MAXIMUM_LENGTH = 4096
"""The largest number of characters of an expression."""

MAXIMUM_DEPTH = 100
"""The largest depth of nesting of an expression; far below Python's recursion limit."""

SignOperator: TypeAlias = Literal["+", "-", "!", "~"]
ArithmeticOperator: TypeAlias = Literal["+", "-", "*", "/", "//", "%"]
BitOperator: TypeAlias = Literal["&", "|"]
LogicOperator: TypeAlias = Literal["&&", "||"]
CompareOperator: TypeAlias = Literal["<", "<=", ">", ">=", "==", "!="]
FunctionName: TypeAlias = Literal[
    "abs", "sqrt", "exp", "log", "log10", "log2", "log1p", "expm1",
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
    "min", "max", "pow", "hypot", "floor", "ceil", "round", "sign",
    "isnan", "isfinite", "where", "clip", "delta_phi", "pi",
]  # fmt: skip


@dataclass(frozen=True)
class _Placed:
    """A part of a text, with its position in characters from 0, for messages; `==` does not compare the position."""

    at: int = field(default=0, kw_only=True, compare=False, repr=False)


@final
@dataclass(frozen=True)
class Number(_Placed):
    """A literal number: an `int` (64 bits with a sign) or a finite `float`."""

    value: int | float


@final
@dataclass(frozen=True)
class Boolean(_Placed):
    """The literal `true` or `false`."""

    value: bool


@final
@dataclass(frozen=True)
class Branch(_Placed):
    """The value of a branch that holds one number per event."""

    name: str


@final
@dataclass(frozen=True)
class Index(_Placed):
    """One element of a branch that holds several numbers per event, counted from 0."""

    name: str
    position: int


@final
@dataclass(frozen=True)
class Unary(_Placed):
    """A sign or a negation before one operand; the operand of `~` is a boolean, that of `!` any value."""

    operator: SignOperator
    operand: Node


@final
@dataclass(frozen=True)
class Link(_Placed):
    """One step of a `Chain`: the operator and its right operand."""

    operator: ArithmeticOperator
    operand: Node


@final
@dataclass(frozen=True)
class Chain(_Placed):
    """Arithmetic from left to right: `first op operand op operand ...`, all links of one precedence."""

    first: Node
    links: tuple[Link, ...]


@final
@dataclass(frozen=True)
class Bits(_Placed):
    """`a & b & ...` or `a | b | ...`: logic on booleans, bitwise on whole numbers."""

    operator: BitOperator
    operands: tuple[Node, ...]


@final
@dataclass(frozen=True)
class Compare(_Placed):
    """One comparison of two values."""

    operator: CompareOperator
    first: Node
    second: Node


@final
@dataclass(frozen=True)
class Logic(_Placed):
    """`a && b && ...` or `a || b || ...`."""

    operator: LogicOperator
    operands: tuple[Node, ...]


@final
@dataclass(frozen=True)
class Call(_Placed):
    """A function by its name in `FUNCTIONS`; `c ? a : b` is `where`, `a ** b` is `pow`."""

    function: FunctionName
    arguments: tuple[Node, ...]


Leaf: TypeAlias = Branch | Index
Node: TypeAlias = Number | Boolean | Branch | Index | Unary | Chain | Bits | Compare | Logic | Call


def list_children(node: Node) -> tuple[Node, ...]:
    """Return the operands of a node, from left to right; none for a literal and for a branch.

    >>> list_children(Compare(">", Branch("pt"), Number(20)))
    (Branch(name='pt'), Number(value=20))
    """
    match node:
        case Number() | Boolean() | Branch() | Index():
            return ()
        case Unary(operand=operand):
            return (operand,)
        case Chain(first=first, links=links):
            return (first, *(link.operand for link in links))
        case Compare(first=first, second=second):
            return (first, second)
        case Bits(operands=operands) | Logic(operands=operands) | Call(arguments=operands):
            return operands
        case _:
            assert_never(node)


def walk(node: Node) -> Iterator[tuple[Node, int]]:
    """Yield a node and all nodes below it, in the order of the text, with their depths from 1.

    It does not recurse, so it accepts trees of any depth.

    >>> [depth for _, depth in walk(Unary("-", Branch("eta")))]
    [1, 2]
    """
    waiting: list[tuple[Node, int]] = [(node, 1)]
    while waiting:
        current, depth = waiting.pop()
        yield current, depth
        waiting.extend((child, depth + 1) for child in reversed(list_children(current)))


@final
@dataclass(frozen=True)
class Expression:
    """A valid expression: its text and its syntax tree."""

    text: str
    tree: Node = field(repr=False)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every use of a branch, in the order of the text; a branch used twice occurs twice."""
        return tuple(node for node, _ in walk(self.tree) if isinstance(node, Branch | Index))

    @cached_property
    def branches(self) -> tuple[str, ...]:
        """The names of all branches that are needed, sorted."""
        return tuple(sorted(self.scalars | self.indexed))

    @cached_property
    def scalars(self) -> frozenset[str]:
        """The branches used without an index: one number per event."""
        return frozenset(leaf.name for leaf in self.leaves if isinstance(leaf, Branch))

    @cached_property
    def indexed(self) -> frozenset[str]:
        """The branches used with an index: several numbers per event."""
        return frozenset(leaf.name for leaf in self.leaves if isinstance(leaf, Index))


def collect_branches(expressions: Iterable[Expression]) -> frozenset[str]:
    """Return the names of all branches that any of the expressions needs."""
    return frozenset().union(*(expression.branches for expression in expressions))
