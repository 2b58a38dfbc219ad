"""Schemas of files: trees, entries and types of branches, which are read before any event."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal

from tamis.errors import Problem
from tamis.expressions import Expression, format_branch
from tamis.wording import find_close_names, join_first

Kind = Literal["scalar", "jagged", "array", "other", "ambiguous", "incomplete"]

_NUMBER_TYPES = {
    "double": "float64", "float": "float32", "Double32_t": "float32", "Float16_t": "float32",
    "bool": "bool", "char": "int8", "signed char": "int8", "unsigned char": "uint8",
    "short": "int16", "unsigned short": "uint16", "int": "int32", "unsigned int": "uint32",
    "long": "int64", "unsigned long": "uint64", "long long": "int64", "unsigned long long": "uint64",
    "Long64_t": "int64", "ULong64_t": "uint64", "real32_t": "float32", "real16_t": "float32",
}  # fmt: skip
_MOST_CHOICES = 1000  # the time to compare names grows with their number
_LISTED = 12
_FIXED_WIDTH = re.compile(r"u?int(8|16|32|64)(?:_t)?|float(16|32|64)")
_JAGGED = re.compile(r"(?:vector|ROOT::VecOps::RVec|ROOT::RVec)<(.+)>|(.+)\[\]")
_ARRAY = re.compile(r"array<(.+),\s*\d+>|(.+)\[\d+\]")


@dataclass(frozen=True)
class BranchType:
    """The type of one branch.

    Args:
        kind: `scalar` (one number per event), `jagged` (a list of numbers), `array` (a fixed number of numbers),
            `other` (text, objects, nested lists), `ambiguous` (several branches share the name) or `incomplete`
            (fewer or more entries than the tree).
        number: name of the NumPy type of the numbers; empty if the branch cannot be used.
        type_name: the type as it is written in the file; for `ambiguous` the full names, for `incomplete` the entries
            of branch and tree.
    """

    kind: Kind
    number: str
    type_name: str

    @property
    def usable(self) -> bool:
        """Return whether an expression can use the branch."""
        return self.kind in ("scalar", "jagged", "array")


@lru_cache(maxsize=4096)
def parse_branch_type(type_name: str) -> BranchType:
    """Parse a C++ type name of a ROOT file.

    >>> parse_branch_type("std::vector<float>")
    BranchType(kind='jagged', number='float32', type_name='std::vector<float>')
    >>> parse_branch_type("uint32_t").number
    'uint32'
    """
    plain = type_name.replace("std::", "").strip()
    if number := _number_type(plain):
        return BranchType("scalar", number, type_name)
    for kind, pattern in (("jagged", _JAGGED), ("array", _ARRAY)):
        if match := pattern.fullmatch(plain):
            number = _number_type(match.group(1) or match.group(2))
            return BranchType(kind if number else "other", number, type_name)  # type: ignore[arg-type]
    return BranchType("other", "", type_name)


def _number_type(plain: str) -> str:
    plain = plain.strip()
    return plain.removesuffix("_t") if _FIXED_WIDTH.fullmatch(plain) else _NUMBER_TYPES.get(plain, "")


@dataclass(frozen=True)
class SourceFile:
    """One input file of a sample.

    Args:
        path: an absolute path or a URL.
        file_key: the POSIX path relative to the data folder, or the absolute path or URL of a file elsewhere. It does
            not depend on the position of the file in a list or on the location of the data folder.
    """

    sample: str
    path: str
    file_key: str


@dataclass(frozen=True)
class FileSchema:
    """The schema of one tree of a file, without name in a Parquet file; the sample may read several trees of a file."""

    source: SourceFile
    tree: str
    entries: int
    branches: Mapping[str, BranchType]
    several: bool = False

    @property
    def file_key(self) -> str:
        """The file, and the tree if there may be several; event IDs are computed from it."""
        return f"{self.source.file_key}:{self.tree}" if self.several else self.source.file_key

    @property
    def where(self) -> str:
        """The file and the tree, for messages."""
        return f"{self.source.path}:{self.tree}" if self.tree else self.source.path


def find_schema_problems(
    schemas: Sequence[FileSchema],
    expressions: Collection[Expression],
    *,
    trained: Collection[str] | None = None,
) -> list[Problem]:
    """Check that the files of one sample, except those without entries, have the branches that its expressions use.

    `trained` are, when a classifier is applied, the branches of its features, whose expressions are fixed; all other
    branches belong to the selection.
    """
    filled = [schema for schema in schemas if schema.entries]
    scalars: set[str] = set().union(*(expression.scalars for expression in expressions))
    indexed: set[str] = set().union(*(expression.indexed for expression in expressions))
    names = sorted(scalars | indexed)
    problems = [
        Problem(schema.where, message)
        for schema in filled
        for name in names
        if (message := _explain_unfit_branch(name, schema, scalars, indexed, trained))
    ]
    reported = {problem.where for problem in problems}
    for name in names:
        problems += _differences(name, [schema for schema in filled if name in schema.branches], reported)
    return problems


def _explain_unfit_branch(
    name: str, schema: FileSchema, scalars: set[str], indexed: set[str], trained: Collection[str] | None
) -> str:
    """Return why a branch cannot be used as in the expressions, and what to do; empty if it can."""
    branch = schema.branches.get(name)
    if branch is None:
        return f"branch {name!r} is missing{_suggest_branches(name, schema)}"
    if branch.kind == "ambiguous":
        if trained is not None:
            return f"several branches are called {name!r}, {branch.type_name}, but there was only one in training"
        *names, last = map(format_branch, branch.type_name.split(" and "))
        return f"several branches are called {name!r}; write {', '.join(names)} or {last}"
    if branch.kind == "incomplete":
        return (
            f"branch {name!r} has {branch.type_name}, so its values do not match the events; fill it for every "
            "event, or do not use it"
        )
    if branch.kind == "other":
        return (
            f"branch {name!r} has type {branch.type_name}; expected whole numbers, floats or true and false: write it "
            f"as one of these{', or choose another branch' if trained is None else ''}"
        )
    if name in scalars and branch.kind != "scalar":
        if trained is not None and name in trained:
            remedy = "as in training; write such a branch, or use files of the kind used in training"
        elif trained is not None:
            remedy = f"write {format_branch(name)}[0] in --selection"
        else:
            remedy = (
                f"write {format_branch(name)}[0] (and, for a feature, declare missing values with `missing`)"
            )
        return f"branch {name!r} has several values per event ({branch.type_name}); expected one: {remedy}"
    if name in indexed and branch.kind == "scalar":
        return f"branch {name!r} has one value per event ({branch.type_name}); remove the index"
    return ""


def _suggest_branches(name: str, schema: FileSchema) -> str:
    """Suggest branches, written as in an expression."""
    lists = (
        branch
        for branch in schema.branches
        if branch.startswith(f"{name}[") and schema.branches[branch].usable
    )
    if (of_lists := next(lists, None)) is not None:
        return f"; {of_lists!r} has several values per event: write {format_branch(of_lists)}[0] for the first of them"
    near = find_close_names(name, islice(schema.branches, _MOST_CHOICES))
    if near:
        formatted = (
            repr(branch) if format_branch(branch) == branch else format_branch(branch) for branch in near
        )
        return f"; did you mean {' or '.join(formatted)}?"
    return f"; there are {join_first(sorted(schema.branches), _LISTED) or 'none'}"


def _differences(name: str, schemas: Sequence[FileSchema], reported: Collection[str]) -> list[Problem]:
    """Compare the types of a branch in all files, without files that were reported for a branch of a wrong kind."""
    if not schemas:
        return []
    kinds = [(schema.branches[name].kind, schema.branches[name].number) for schema in schemas]
    usual, _ = Counter(kinds).most_common(1)[0]  # the first one if two are equally frequent
    model = schemas[kinds.index(usual)]
    return [
        Problem(
            schema.where,
            f"branch {name!r} has type {schema.branches[name].type_name}, but {model.branches[name].type_name} in "
            f"{model.source.path}; the files of a sample must agree: convert one of them, "
            "or make two samples of the same class",
        )
        for schema, kind in zip(schemas, kinds, strict=True)
        if kind != usual and not (kind[0] != usual[0] and schema.where in reported)
    ]
