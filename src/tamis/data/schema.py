"""What the files of a sample hold, found out before any event is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal, Protocol

from tamis.errors import Problem
from tamis.expressions import spell_branch
from tamis.wording import close_names

Kind = Literal["scalar", "jagged", "array", "other", "ambiguous", "incomplete"]

_NUMBERS = {
    "double": "float64", "float": "float32", "Double32_t": "float32", "Float16_t": "float32",
    "bool": "bool", "char": "int8", "signed char": "int8", "unsigned char": "uint8",
    "short": "int16", "unsigned short": "uint16", "int": "int32", "unsigned int": "uint32",
    "long": "int64", "unsigned long": "uint64", "long long": "int64", "unsigned long long": "uint64",
    "Long64_t": "int64", "ULong64_t": "uint64", "real32_t": "float32", "real16_t": "float32",
}  # fmt: skip
_MOST_CHOICES = 1000
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
        number: NumPy's name of the number's type, empty where the branch cannot be used.
        found: the type as the file spells it; for `ambiguous` the full names, for `incomplete` the entries of branch
            and tree.
    """

    kind: Kind
    number: str
    found: str

    @property
    def usable(self) -> bool:
        """Whether an expression can use the branch."""
        return self.kind in ("scalar", "jagged", "array")


@lru_cache(maxsize=4096)
def branch_type(spelling: str) -> BranchType:
    """Read a C++ type name as ROOT files spell it.

    >>> branch_type("std::vector<float>")
    BranchType(kind='jagged', number='float32', found='std::vector<float>')
    >>> branch_type("uint32_t").number
    'uint32'
    """
    plain = spelling.replace("std::", "").strip()
    if number := _number(plain):
        return BranchType("scalar", number, spelling)
    for kind, pattern in (("jagged", _JAGGED), ("array", _ARRAY)):
        if match := pattern.fullmatch(plain):
            number = _number(match.group(1) or match.group(2))
            return BranchType(kind if number else "other", number, spelling)  # type: ignore[arg-type]
    return BranchType("other", "", spelling)


def _number(plain: str) -> str:
    plain = plain.strip()
    if _FIXED_WIDTH.fullmatch(plain):
        return plain.removesuffix("_t")
    return _NUMBERS.get(plain, "")


@dataclass(frozen=True)
class SourceFile:
    """One input file of a sample.

    Args:
        sample: name of the sample.
        path: where the file is opened: an absolute path or a URL.
        identity: the path below the data folder, as POSIX text, or the absolute path or URL where the file
            lies elsewhere. It does not depend on the file's position in a list or on where the data folder is.
    """

    sample: str
    path: str
    identity: str


@dataclass(frozen=True)
class FileSchema:
    """What one file holds.

    Args:
        source: the file.
        tree: name of the tree; empty in a Parquet file.
        entries: number of entries.
        branches: type of each branch.
        several: whether the sample may read several trees of a file.
    """

    source: SourceFile
    tree: str
    entries: int
    branches: Mapping[str, BranchType]
    several: bool = False

    @property
    def identity(self) -> str:
        """What the identities of its events begin with: the file, and the tree where there may be several."""
        return f"{self.source.identity}:{self.tree}" if self.several else self.source.identity

    @property
    def where(self) -> str:
        """The file and the tree, as error messages name them."""
        return f"{self.source.path}:{self.tree}" if self.tree else self.source.path


def schema_problems(
    schemas: Sequence[FileSchema],
    scalars: Iterable[str],
    indexed: Iterable[str],
    *,
    trained: Collection[str] | None = None,
) -> list[Problem]:
    """Compare the files of one sample with the branches that its expressions use.

    Args:
        schemas: the files of one sample.
        scalars: branches that are used as one number per event.
        indexed: branches that are used with an index, `jet_pt[0]`.
        trained: where a classifier is applied, the branches that it uses itself, so that nobody can write another
            expression; the others belong to the selection.

    Returns:
        Every missing branch, wrong kind and difference between files; a file without entries needs no branches.
    """
    filled = [schema for schema in schemas if schema.entries]

    def remedy(name: str, *, several: bool) -> str:
        if not several:
            return f"write it as one of these{', or choose another branch' if trained is None else ''}"
        if trained is None:
            first = f"{spell_branch(name)}[0]"
            return f"write {first} (a feature also declares what stands for no such value, with `missing`)"
        if name in trained:
            return "that is how it was in training; write such a branch, or give files of the kind that was trained on"
        return f"write {spell_branch(name)}[0] in --selection"

    problems = [
        problem
        for schema in filled
        for problem in _file_problems(schema, set(scalars), set(indexed), remedy, trained)
    ]
    told = {problem.where for problem in problems}
    for name in sorted({*scalars, *indexed}):
        problems += _differences(name, [schema for schema in filled if name in schema.branches], told)
    return problems


class _Remedy(Protocol):
    def __call__(self, name: str, *, several: bool) -> str: ...


def _file_problems(
    schema: FileSchema,
    scalars: set[str],
    indexed: set[str],
    remedy: _Remedy,
    trained: Collection[str] | None,
) -> list[Problem]:
    problems = []
    for name in sorted(scalars | indexed):
        found = schema.branches.get(name)
        if found is None:
            message = f"branch {name!r} is missing{_nearest(name, schema)}"
        elif found.kind == "ambiguous":
            *names, last = map(spell_branch, found.found.split(" and "))
            message = (
                f"several branches are called {name!r}; write {', '.join(names)} or {last}"
                if trained is None
                else f"several branches are called {name!r}, {found.found}, and only one was there in training"
            )
        elif found.kind == "incomplete":
            message = (
                f"branch {name!r} has {found.found}: its values do not belong to the events; fill it for every event, "
                "or leave it out"
            )
        elif found.kind == "other":
            message = (
                f"branch {name!r} has type {found.found}; expected whole numbers, floats or true and false: "
                f"{remedy(name, several=False)}"
            )
        elif name in scalars and found.kind != "scalar":
            message = (
                f"branch {name!r} has several values per event ({found.found}); expected one: "
                f"{remedy(name, several=True)}"
            )
        elif name in indexed and found.kind == "scalar":
            message = f"branch {name!r} has one value per event ({found.found}) and takes no index"
        else:
            continue
        problems.append(Problem(schema.where, message))
    return problems


def _nearest(name: str, schema: FileSchema) -> str:
    """Name branches that may be meant, in the spelling that an expression takes."""
    lists = [each for each in schema.branches if each.startswith(f"{name}[") and schema.branches[each].usable]
    if lists:
        return f"; {lists[0]!r} has several values per event: write {spell_branch(lists[0])}[0] for the first of them"
    near = close_names(name, islice(schema.branches, _MOST_CHOICES))
    if near:
        return f"; did you mean {' or '.join(_quoted(each) for each in near)}?"
    return f"; there are {_listing(schema.branches)}"


def _quoted(name: str) -> str:
    spelled = spell_branch(name)
    return repr(name) if spelled == name else spelled


def _listing(names: Iterable[str], limit: int = 12) -> str:
    names = sorted(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "none") + more


def _differences(name: str, schemas: Sequence[FileSchema], told: Collection[str]) -> list[Problem]:
    """Compare the types of a branch, but say nothing a second time of a file that has a branch of a wrong kind."""
    if not schemas:
        return []
    kinds = [(schema.branches[name].kind, schema.branches[name].number) for schema in schemas]
    usual, _ = Counter(kinds).most_common(1)[0]  # the first one where two are as frequent
    model = schemas[kinds.index(usual)]
    return [
        Problem(
            schema.where,
            f"branch {name!r} has type {schema.branches[name].found}, but {model.branches[name].found} in "
            f"{model.source.path}; the files of a sample must agree: convert one of them, "
            "or make two samples of the same class",
        )
        for schema, kind in zip(schemas, kinds, strict=True)
        if kind != usual and not (kind[0] != usual[0] and schema.where in told)
    ]
