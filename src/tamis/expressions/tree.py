"""The tree of an expression: a closed union of frozen nodes, shared by evaluation and deployment.

No node is nested deeper than `MAXIMUM_DEPTH`: a chain of operators of one kind is one node, however long it
is. So a consumer may walk the tree by plain recursion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias, assert_never, final

MAXIMUM_LENGTH = 4096
"""The largest number of characters of an expression."""

MAXIMUM_DEPTH = 100
"""The largest depth of nesting of an expression; far below Python's limit of recursion."""

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
    """What stands somewhere in a text.

    Args:
        at: the place in the text, in characters from 0. It serves messages and takes no part in `==`.
    """

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
    """A sign or a negation before one operand; `~` takes booleans only, `!` takes any value."""

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
    left: Node
    right: Node


@final
@dataclass(frozen=True)
class Logic(_Placed):
    """`a && b && ...` or `a || b || ...`."""

    operator: LogicOperator
    operands: tuple[Node, ...]


@final
@dataclass(frozen=True)
class Call(_Placed):
    """A function under its one name in `FUNCTIONS`; `c ? a : b` is `where`, `a ** b` is `pow`."""

    function: FunctionName
    arguments: tuple[Node, ...]


Leaf: TypeAlias = Branch | Index
Node: TypeAlias = Number | Boolean | Branch | Index | Unary | Chain | Bits | Compare | Logic | Call


def children(node: Node) -> tuple[Node, ...]:
    """Give the operands of a node, from left to right.

    Args:
        node: any node.

    Returns:
        The operands; empty for a literal and for a branch.

    Example:
        >>> children(Compare(">", Branch("pt"), Number(20)))
        (Branch(name='pt'), Number(value=20))
    """
    match node:
        case Number() | Boolean() | Branch() | Index():
            return ()
        case Unary(operand=operand):
            return (operand,)
        case Chain(first=first, links=links):
            return (first, *(link.operand for link in links))
        case Compare(left=left, right=right):
            return (left, right)
        case Bits(operands=operands) | Logic(operands=operands) | Call(arguments=operands):
            return operands
        case _:
            assert_never(node)


def walk(node: Node) -> Iterator[tuple[Node, int]]:
    """Give a node and everything below it, in the order of the text, each with its depth.

    It does not recurse, so it may be asked about a tree of any depth.

    Args:
        node: the root, at depth 1.

    Yields:
        Pairs of a node and its depth.

    Example:
        >>> [depth for _, depth in walk(Unary("-", Branch("eta")))]
        [1, 2]
    """
    waiting: list[tuple[Node, int]] = [(node, 1)]
    while waiting:
        current, depth = waiting.pop()
        yield current, depth
        waiting.extend((child, depth + 1) for child in reversed(children(current)))


@final
@dataclass(frozen=True)
class Expression:
    """An expression that was read and found correct.

    Args:
        text: what the user wrote.
        tree: what it means.
    """

    text: str
    tree: Node = field(repr=False)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every use of a branch, in the order of the text; a branch used twice is there twice."""
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
