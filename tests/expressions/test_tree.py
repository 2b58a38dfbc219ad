import dataclasses

import pytest

from tamis.expressions import MAXIMUM_DEPTH, parse
from tamis.expressions.tree import Branch, Call, Chain, Compare, Link, Number, Unary, list_children, walk


def test_operands_come_from_left_to_right() -> None:
    chain = Chain(Branch("a"), (Link("+", Branch("b")), Link("-", Number(1))))
    assert list_children(chain) == (Branch("a"), Branch("b"), Number(1))


def test_a_walk_follows_the_text() -> None:
    tree = parse("a + f_b * -c > max(d, e[0])").tree
    names = [node.name for node, _ in walk(tree) if hasattr(node, "name")]
    assert names == ["a", "f_b", "c", "d", "e"]


def test_a_walk_tells_the_depth() -> None:
    tree = Compare(">", Unary("-", Branch("a")), Number(1))
    assert [depth for _, depth in walk(tree)] == [1, 2, 3, 2]


def test_a_walk_does_not_recurse() -> None:
    tree = Unary("-", Branch("a"))
    for _ in range(5000):
        tree = Unary("-", tree)
    assert max(depth for _, depth in walk(tree)) == 5002


def test_the_place_takes_no_part_in_equality() -> None:
    assert Branch("pt", at=3) == Branch("pt", at=7)
    assert hash(Branch("pt", at=3)) == hash(Branch("pt", at=7))


@pytest.mark.parametrize("node", [Number(1), Branch("pt"), Call("pi", ()), parse("pt > 20")])
def test_nothing_can_be_changed(node: object) -> None:
    field = dataclasses.fields(node)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(node, field, None)


def test_names_of_branches_are_sorted_and_told_once() -> None:
    expression = parse("pt + eta * pt - jet[1] + jet[0]")
    assert expression.branches == ("eta", "jet", "pt")
    assert expression.scalars == {"eta", "pt"}
    assert expression.indexed == {"jet"}
    assert [leaf.name for leaf in expression.leaves] == ["pt", "eta", "pt", "jet", "jet"]


def test_a_formula_without_branches_has_none() -> None:
    assert parse("2 * pi()").branches == ()


def test_the_deepest_tree_can_be_printed_hashed_and_compared() -> None:
    text = "-" * (MAXIMUM_DEPTH - 1) + "pt"
    expression = parse(text)
    assert max(depth for _, depth in walk(expression.tree)) == MAXIMUM_DEPTH
    assert repr(expression.tree).count("Unary") == MAXIMUM_DEPTH - 1
    assert hash(expression) == hash(parse(text))
    assert expression == parse(text)
