"""Names say what a value is, and docstrings of functions begin with a verb: a walk over the syntax of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tamis"

# these say where a value comes from, or what happened to it
NAMES = {
    "each", "found", "given", "here", "kept", "left", "one", "other", "others", "own", "place", "rest", "said",
    "taken", "there", "told", "wanted", "whole", "wish",
}  # fmt: skip
VERBS = {
    "Bring", "Give", "Hear", "How", "Judge", "Let", "Look", "Make", "Put", "Say", "Tell", "What", "Where", "Whether",
    "Which", "Why",
}  # fmt: skip
# names of the interfaces that a class follows, and of NumPy's function
ALLOWED_FUNCTIONS = {"put", "where"}


def bound_names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds, without those of methods that Python names, such as `__eq__`."""
    match node:
        case ast.FunctionDef(name=name, args=arguments) if not name.startswith("__"):
            parameters = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            variadic = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
            yield from (argument.arg for argument in (*parameters, *variadic))
        case ast.Lambda(args=arguments):
            yield from (argument.arg for argument in (*arguments.args, *arguments.kwonlyargs))
        case ast.Name(id=name, ctx=ast.Store()) | ast.ExceptHandler(name=str(name)):
            yield name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name


def findings(source: str) -> Iterator[str]:
    """Yield every name and every beginning of a docstring that breaks a rule."""
    for node in ast.walk(ast.parse(source)):
        yield from (name for name in bound_names(node) if name in NAMES)
        if isinstance(node, ast.FunctionDef):
            name = "" if node.name in ALLOWED_FUNCTIONS else node.name
            first_words = {name.lstrip("_").split("_")[0].capitalize(), *_first_word(node)}
            yield from (f"{node.name}: {word}" for word in first_words & VERBS)


def _first_word(function: ast.FunctionDef) -> list[str]:
    return (ast.get_docstring(function) or "").split()[:1]


def public_classes() -> dict[str, list[str]]:
    """Return the packages and modules that define a public class of each name."""
    classes: dict[str, list[str]] = {}
    for name, path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(name)
    return classes


def has_one_meaning(homes: list[str]) -> bool:
    """Return whether one module defines a class, or all others are named after what they describe.

    A section of the configuration has the name of what is built from it, and the keys of `metrics.json` have the name
    of the result that is written.
    """
    sections = [home for home in homes if home.startswith("config.")]
    built = [home for home in homes if home.startswith("network.")]
    described = [home for home in homes if home.endswith("keys")]
    remaining = set(homes) - set(described) - set(sections if built else ())
    return len(remaining) <= 1 and len(sections) <= 1 and len(described) <= 1


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield ".".join(path.relative_to(SOURCE).with_suffix("").parts), path


@pytest.mark.parametrize(
    "snippet",
    [
        "found = 1",
        "found: int = 1",
        "for each in (1, 2): pass",
        "numbers = [each for each in (1, 2)]",
        "key = lambda each: each",
        "def name(found: int) -> int: ...",
        "def name(*, kept: int) -> int: ...",
        "class Bins:\n    whole: bool",
        "if (left := 1): pass",
        "with open(path) as there: pass",
        "match number:\n    case [rest]: pass",
        "def give_scores() -> None: ...",
        'def scores() -> None:\n    """Give the scores."""',
        'class Classes:\n    @property\n    def many(self) -> bool:\n        """Whether there are many."""',
    ],
)
def test_each_breach_is_found(snippet: str) -> None:
    assert list(findings(snippet))


@pytest.mark.parametrize(
    "snippet",
    [
        "found_files = each_file = 1",
        "class Point:\n    def __eq__(self, other: object) -> bool: ...",
        'def scores() -> None:\n    """Return the scores."""',
        '"""What the module is about."""',
    ],
)
def test_what_only_looks_alike_is_not_found(snippet: str) -> None:
    assert not list(findings(snippet))


def test_names_and_docstrings_follow_the_rules() -> None:
    breaches = [
        f"{name}: {finding}"
        for name, path in modules()
        for finding in findings(path.read_text(encoding="utf-8"))
    ]
    assert breaches == []


@pytest.mark.parametrize(
    ("homes", "is_allowed"),
    [
        (["data.events"], True),
        (["config.layers", "network.layers"], True),
        (["statistics.cuts", "studies.cuts.keys"], True),
        (["config.events", "figure_data"], False),
        (["export.formats", "apply.outputs"], False),
        (["config.layers", "network.layers", "export.plain"], False),
    ],
)
def test_a_class_name_has_one_meaning(homes: list[str], is_allowed: bool) -> None:
    assert has_one_meaning(homes) == is_allowed


def test_class_names_are_unique() -> None:
    assert {name: homes for name, homes in public_classes().items() if not has_one_meaning(homes)} == {}
