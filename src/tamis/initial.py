"""A configuration to start from, made of what the files hold."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from tamis.config import Feature, parse_config
from tamis.data.chunks import read_chunks
from tamis.data.scanning import scan_files
from tamis.data.schema import FileSchema, SourceFile
from tamis.data.sources import expand_files
from tamis.data.survey import Suspicion, survey_columns
from tamis.errors import ExpressionError, InputError, Problem, RequestError
from tamis.expressions import parse, spell_branch
from tamis.files import LONGER_WHILE_WRITTEN, write_text
from tamis.places import obstacle
from tamis.wording import is_clean
from tamis.wording import value as value_text

LOOKED_AT = 100_000
"""Entries of each file that the suspicions rest on."""

_ENDINGS = re.compile(r"(?i)([_.-]?(events?|tree|ntuples?|nano(aod)?|flat|skim(med)?))+$")
_SIGNAL = re.compile(r"(?i)(^|[^a-z])s(i)?g(nal)?([^a-z]|$)|signal")


def initial_configuration(files: Sequence[str], *, tree: str | None = None, folder: Path) -> str:
    """Write a commented configuration with one class per file.

    Args:
        files: paths, globs or URLs of ROOT or Parquet files; each file becomes a class of its own.
        tree: name of the tree, where files hold several.
        folder: where the configuration will stand; files below it are named relative to it.

    Returns:
        YAML that `tamis train` accepts as it is.

    Raises:
        RequestError: there are fewer than two files, or no branch that all of them share.
        InputError: a file cannot be read.
    """
    sources = expand_files("", files, Path.cwd())
    if len(sources) < 2:
        raise RequestError(
            f"a classifier needs at least two classes, one file each; found {len(sources)} file"
        )
    unwritable = [
        each for each in (str(folder.resolve()), *(source.path for source in sources)) if not is_clean(each)
    ]
    if unwritable:
        raise RequestError(
            f"the name {unwritable[0]!r} has a control character or half a character in it, which a configuration "
            "cannot hold; rename it"
        )
    schemas = scan_files(sources, tree, naming="--tree NAME")
    names = class_names([schema.source for schema in schemas])
    branches = _shared_branches(schemas)
    columns, class_index = _look(schemas, branches)
    suspicions = [*survey_columns(columns, class_index, names), *_inexpressible(branches)]
    text = _text(schemas, names, columns, suspicions, _not_finite(schemas, branches), folder, tree)
    parse_config(text, data=folder)  # what is written is accepted
    return text


def write_configuration(text: str, path: Path) -> None:
    """Write a new configuration.

    Raises:
        RequestError: the file exists already, or cannot be written.
    """
    if path.exists():
        raise RequestError(f"{path} exists already; choose another name with --output")
    reason = obstacle(path, longer=LONGER_WHILE_WRITTEN)
    if reason:
        raise RequestError(f"{path} cannot be written: {reason}; choose another --output")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def class_names(sources: Sequence[SourceFile]) -> list[str]:
    """Make a name for each file's class, without what all file names share.

    >>> class_names([SourceFile("", "a/bkg_Events.root", ""), SourceFile("", "a/sig_Events.root", "")])
    ['bkg', 'sig']
    """
    names: list[str] = []
    for source in sources:
        stem = source.path.rsplit("/", 1)[-1].split("?")[0].removesuffix(".root").removesuffix(".parquet")
        name = re.sub(r"[^A-Za-z0-9_]+", "_", _ENDINGS.sub("", stem) or stem).strip("_") or "class"
        while name in names:
            name = f"{name}_{len(names) + 1}"
        names.append(name)
    return names


def _shared_branches(schemas: Sequence[FileSchema]) -> list[str]:
    filled = [schema for schema in schemas if schema.entries]
    empty = [schema for schema in schemas if not schema.entries]
    if empty:
        problems = [
            Problem(schema.where, "has no entries, so its class could not be trained") for schema in empty
        ]
        raise InputError("input files", problems)
    first = filled[0].branches
    shared = [
        name
        for name, kind in first.items()
        if kind.kind == "scalar" and all(schema.branches.get(name) == kind for schema in filled)
    ]
    if not shared:
        raise RequestError(
            f"no branch with one number per event is in all files with the same type: {_why_not_shared(filled)}"
        )
    return shared


def _why_not_shared(schemas: Sequence[FileSchema]) -> str:
    first = schemas[0]
    for name, kind in first.branches.items():
        other = next(
            (each for each in schemas if name in each.branches and each.branches[name] != kind), None
        )
        if kind.kind == "scalar" and other is not None and other.branches[name].kind == "scalar":
            return (
                f"{name} is {kind.found} in {first.where} and {other.branches[name].found} in {other.where}; convert "
                "one of them, or write the configuration by hand: different classes may have different types"
            )
    scalars = [[name for name, kind in each.branches.items() if kind.kind == "scalar"] for each in schemas]
    listing = "; ".join(
        f"{each.where} has {', '.join(names[:8]) or 'none'}"
        for each, names in zip(schemas[:3], scalars, strict=False)
    )
    return f"{listing}; give files with the same branches"


def _look(
    schemas: Sequence[FileSchema], branches: Sequence[str]
) -> tuple[dict[str, NDArray[np.generic]], NDArray[np.int32]]:
    chunks = [next(read_chunks(schema, branches, LOOKED_AT)) for schema in schemas]
    columns = {
        name: np.concatenate([np.asarray(chunk.columns[name]) for chunk in chunks]) for name in branches
    }
    return columns, np.repeat(np.arange(len(chunks), dtype=np.int32), [chunk.length for chunk in chunks])


def _not_finite(schemas: Sequence[FileSchema], branches: Sequence[str]) -> set[str]:
    """Find the branches that hold anything but finite 32-bit numbers, in any entry of any file."""
    found: set[str] = set()
    for schema in schemas:
        for chunk in read_chunks(schema, branches):
            for name in set(branches) - found:
                with np.errstate(over="ignore"):
                    if not np.isfinite(np.asarray(chunk.columns[name]).astype(np.float32)).all():
                        found.add(name)
    return found


def _inexpressible(branches: Sequence[str]) -> list[Suspicion]:
    reason = "has a name that cannot be a feature's; give it another name with `{name: NEW, expression: ...}`"
    return [Suspicion(name, "name", reason) for name in branches if not _can_be_written(name)]


def _can_be_written(name: str) -> bool:
    try:
        return (
            parse(spell_branch(name)).branches == (name,) and Feature(name=name, expression="x").name == name
        )
    except (ExpressionError, ValidationError):
        return False


def _text(
    schemas: Sequence[FileSchema],
    names: Sequence[str],
    columns: dict[str, NDArray[np.generic]],
    suspicions: Sequence[Suspicion],
    not_finite: set[str],
    folder: Path,
    tree: str | None,
) -> str:
    refused = {each.column: each.reason for each in suspicions if each.kind not in ("sentinel", "spike")}
    if len(refused) == len(columns):
        listing = "; ".join(f"{name} {reason}" for name, reason in refused.items())
        raise RequestError(
            f"no branch looks like a feature: {listing}; nothing was written: give files of other or more events, or "
            "write a configuration with the features that you want"
        )
    sentinels = {
        name: [each for each in suspicions if each.column == name and each.kind == "sentinel"]
        for name in columns
    }
    signal = [name for name in names if _SIGNAL.search(name)]
    if len(signal) in (0, len(names)):  # nothing to go by: a person decides
        signal = [names[-1]]
    lines = [
        "# Written by `tamis init`. Read it, change it, then: tamis check, tamis train.",
        f"name: {_quoted(_run_name(folder))}",
        "seed: 1",
        "",
        "samples:  # one for each process; several may belong to one class",
    ]
    for schema, name in zip(schemas, names, strict=True):
        lines += [
            f"  - name: {_quoted(name)}",
            f"    class: {_quoted(name)}",
            f"    files: {_quoted(_relative(schema.source.path, folder))}  # {schema.entries} entries",
            *([f"    tree: {_quoted(schema.tree)}"] if tree is not None else []),
            "    weight: 1.0  # the physics weight: a number or an expression of branches",
        ]
    lines += ["", "classes:  # the order is that of the network's outputs"]
    lines += [f"  {_quoted(name)}: {{signal: {'true' if name in signal else 'false'}}}" for name in names]
    lines += ["", "features:  # every branch with one number per event that all files share"]
    for name in columns:
        lines += _feature(name, name in not_finite, refused.get(name), sentinels[name])
    lines += _others(schemas)
    lines += [
        "",
        "# What is left out here has a default; docs/configuration.md lists all of it. Often wanted:",
        "# weights: {balance: classes, negative: keep}",
        "# split: {test: 0.25, validation: 0.2, by: [run, luminosityBlock, event]}",
        "# training: {epochs: auto, batch_size: auto, time_budget: 60s}",
    ]
    return "\n".join(lines) + "\n"


def _feature(name: str, not_finite: bool, refused: str | None, sentinels: Sequence[Suspicion]) -> list[str]:
    entry = {"name": name}
    if spell_branch(name) != name:
        entry["expression"] = spell_branch(name)
    missing = [".nan"] if not_finite else []
    missing += [value_text(each.value or 0.0) for each in sentinels]
    parts = [f"{key}: {_quoted(value)}" for key, value in entry.items()]
    if missing:
        parts.append(f"missing: {missing[0] if len(missing) == 1 else '[' + ', '.join(missing) + ']'}")
    text = f"- {{{', '.join(parts)}}}" if len(parts) > 1 else f"- {_quoted(name)}"
    if refused is not None:
        return [f"  # {text}  # left out: {refused}"]
    return [f"  {text}" + (f"  # {'; '.join(each.reason for each in sentinels)}" if sentinels else "")]


def _others(schemas: Sequence[FileSchema]) -> list[str]:
    """Name the branches that could be features but for their shape, as comments."""
    first = schemas[0].branches
    jagged = [name for name, kind in first.items() if kind.kind in ("jagged", "array")]
    return [*_unshared(schemas), *_indexed(jagged)]


def _unshared(schemas: Sequence[FileSchema]) -> list[str]:
    """Name the branches that not all files have alike."""
    lines = []
    for name in dict.fromkeys(name for schema in schemas for name in schema.branches):
        found = {schema.branches[name].found if name in schema.branches else "missing" for schema in schemas}
        scalar = any(name in schema.branches and schema.branches[name].kind == "scalar" for schema in schemas)
        if len(found) > 1 and scalar:
            lines.append(
                f"  # - {_quoted(name)}  # left out: not alike in all files ({', '.join(sorted(found))})"
            )
    return lines


def _indexed(jagged: Sequence[str]) -> list[str]:
    lines = []
    for branch in jagged:
        first = f"{spell_branch(branch)}[0]"
        entry = (
            f"{{name: {_quoted(_column_name(branch) + '_0')}, expression: {_quoted(first)}, missing: .nan}}"
        )
        try:
            parse(first)
        except ExpressionError:
            continue
        lines.append(f"  # - {entry}  # several values per event")
    return lines


def _column_name(branch: str) -> str:
    """Make a name of a feature out of that of a branch.

    >>> _column_name("event.arr[3]")
    'event_arr_3'
    """
    return re.sub(r"\W+", "_", branch).strip("_") or "list"


def _quoted(text: str) -> str:
    """Write a text so that YAML reads it as just this text."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", text) is not None
    if plain and isinstance(yaml.safe_load(text), str):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _run_name(folder: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.resolve().name).strip("_")
    return name or "classifier"


def _relative(path: str, folder: Path) -> str:
    if "://" in path:
        return path
    inside = os.path.relpath(path, folder)
    return inside if not inside.startswith("..") else path
