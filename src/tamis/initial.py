"""A configuration to start from, made of what the files hold."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from tamis.config import Feature, parse_config
from tamis.data.chunks import read_chunks
from tamis.data.roles import branch_role, names_signal, observed_data_word
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
_SIMULATION = re.compile(r"(?i)bkg|background|(^|[^a-z])(mc|sim\w*)([^a-z]|$)")
ASKS_FOR_SIGNAL = "Which class is the signal?"
"""What a configuration asks where the names of the files do not say it."""


@dataclass(frozen=True)
class _Weight:
    """The weight that is proposed for a sample, and what a person should know of it."""

    expression: str
    comment: str


def initial_configuration(files: Sequence[str], *, tree: str | None = None, folder: Path) -> str:
    """Write a commented configuration with one class per file of simulated events.

    Files of observed data become no class, and weights, corrections and measures of pile-up no features; comments say
    so. Where the names of the files do not say which class is the signal, the configuration asks: `tamis train`
    refuses it until a person has answered.

    Args:
        files: paths, globs or URLs of ROOT or Parquet files; each file becomes a class of its own.
        tree: name of the tree, where files hold several.
        folder: where the configuration will stand; files below it are named relative to it.

    Returns:
        YAML that `tamis train` accepts as it is, or once it says which class is the signal.

    Raises:
        RequestError: there are fewer than two files of simulated events, or no branch that all of them share.
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
    observed = _observed_data(schemas, folder)
    simulated = [schema for schema in schemas if schema not in observed.values()]
    if len(simulated) < 2:
        listing = "; ".join(reason for reason in observed)
        raise RequestError(
            f"a classifier needs at least two classes of simulated events, one file each; {listing}; give more files "
            "of simulated events, or write the configuration by hand where data are to be a class"
        )
    names = class_names([schema.source for schema in simulated])
    branches = _shared_branches(simulated)
    columns, class_index = _look(simulated, branches)
    suspicions = [
        *survey_columns(columns, class_index, names),
        *_inexpressible(branches),
        *_absent_in_data(branches, list(observed.values()), folder),
    ]
    signal = [name for name in names if names_signal(name)]
    if len(signal) == len(names):
        signal = []  # nothing to go by: a person decides
    not_finite = _not_finite(simulated, branches)
    weights = [_propose_weight(schema) for schema in simulated]

    def text(signal: Sequence[str]) -> str:
        return _text(
            simulated, names, columns, suspicions, not_finite, folder, tree, signal, weights, list(observed)
        )

    parse_config(text(signal or names[:1]), data=folder)  # what is written is accepted, once it has a signal
    return text(signal)


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


def _observed_data(schemas: Sequence[FileSchema], folder: Path) -> dict[str, FileSchema]:
    """Find the files of observed data, by their names and by generator weights that only they do not have.

    Returns:
        The files, by a sentence on each that says why.
    """
    observed: dict[str, FileSchema] = {}
    paths = [schema.source.path.split("?")[0].split("/") for schema in schemas]
    shared = set.intersection(*(set(path[:-1]) for path in paths))  # says nothing about one of them
    for schema, (*folders, stem) in zip(schemas, paths, strict=True):
        folders = [name for name in folders if name not in shared]
        word = observed_data_word(re.sub(r"\.(root|parquet)$", "", stem), folders)
        if word is not None:
            reason = f"its path contains {word!r}"
            observed[f"{_relative(schema.source.path, folder)} looks like observed data ({reason})"] = schema
    rest = [schema for schema in schemas if schema not in observed.values()]
    generated = [schema for schema in rest if _generator_weights(schema)]
    if len(generated) < 2:  # one file alone with such a weight does not show that the others are data
        return observed
    for schema in rest:
        stem = schema.source.path.rsplit("/", 1)[-1]
        if schema in generated or names_signal(stem) or _SIMULATION.search(stem):
            continue
        reason = f"it has no generator weight, and others have {_generator_weights(generated[0])[0]}"
        observed[f"{_relative(schema.source.path, folder)} looks like observed data ({reason})"] = schema
    return observed


def _generator_weights(schema: FileSchema) -> list[str]:
    return _scalars(schema, "generator weight")


def _scalars(schema: FileSchema, role: str) -> list[str]:
    return [
        name
        for name, kind in schema.branches.items()
        if kind.kind == "scalar" and branch_role(name, schema.branches) == role and _can_be_written(name)
    ]


def _absent_in_data(branches: Sequence[str], observed: Sequence[FileSchema], folder: Path) -> list[Suspicion]:
    suspicions = []
    for name in branches:
        schema = next((schema for schema in observed if name not in schema.branches), None)
        if schema is not None:
            place = _relative(schema.source.path, folder)
            reason = f"is not in {place}, which looks like observed data"
            suspicions.append(Suspicion(name, "truth", reason))
    return suspicions


def _propose_weight(schema: FileSchema) -> _Weight:
    """Propose the physics weight of a sample out of its branches.

    The weight of an event stands before that of the generator, which it usually contains.
    """
    usual = "the physics weight: a number or an expression of branches"
    candidates = [*_scalars(schema, "event weight"), *_generator_weights(schema)]
    if not candidates:
        return _Weight("1.0", usual)
    name, *others = candidates
    finite, total = True, 0.0
    for chunk in read_chunks(schema, [name]):
        values = np.asarray(chunk.columns[name]).astype(np.float64)
        finite = finite and bool(np.isfinite(values).all())
        total += float(values[np.isfinite(values)].sum())
    if not finite or total <= 0:
        problem = "is not finite in every event" if not finite else "has a sum that is not above 0"
        return _Weight("1.0", f"{usual}; {name} looks like one, but {problem}")
    comment = usual + "".join(f"; if {name} does not contain {other}: {name} * {other}" for other in others)
    return _Weight(_quoted(spell_branch(name)), comment)


def _corrections(weights: Sequence[_Weight], suspicions: Sequence[Suspicion]) -> list[str]:
    """Write comments on what the proposed weights do not contain."""
    factors = [spell_branch(each.column) for each in suspicions if each.kind == "scale factor"]
    variations = [each.column for each in suspicions if each.kind == "variation"]
    lines = []
    if factors:
        base = next((each.expression for each in weights if each.expression != "1.0"), None)
        product = " * ".join(([] if base is None else [base.strip('"')]) + factors)
        lines.append(
            f"  # Scale factors are in no weight here; where they are to correct the simulation: "
            f"weight: {_quoted(product)}"
        )
    if variations:
        lines.append(f"  # Systematic variations, for studies of uncertainties: {', '.join(variations)}")
    if any(each.expression != "1.0" for each in weights):
        lines.append(
            "  # A generator weight does not normalise a sample; for yields multiply it by cross section * "
            "luminosity / sum of weights."
        )
    return lines


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
    signal: Sequence[str],
    weights: Sequence[_Weight],
    observed: Sequence[str],
) -> str:
    refused: dict[str, str] = {}
    for each in suspicions:
        if each.kind not in ("sentinel", "spike"):
            refused.setdefault(each.column, each.reason)
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
    lines = [
        "# Written by `tamis init`. Read it, change it, then: tamis check, tamis train.",
        f"name: {_quoted(_run_name(folder))}",
        "seed: 1",
        "",
        "samples:  # one for each process; several may belong to one class",
        *(f"  # {reason}: it is not a class. `tamis apply RUN FILE` gives it scores." for reason in observed),
        *_corrections(weights, suspicions),
    ]
    generated = any(_generator_weights(schema) for schema in schemas)
    for schema, name, weight in zip(schemas, names, weights, strict=True):
        lines += [
            f"  - name: {_quoted(name)}",
            f"    class: {_quoted(name)}",
            f"    files: {_quoted(_relative(schema.source.path, folder))}  # {schema.entries} entries",
            *([f"    tree: {_quoted(schema.tree)}"] if tree is not None else []),
            f"    weight: {weight.expression}  # {weight.comment}",
        ]
        if generated and not _generator_weights(schema):
            lines.append(
                "    # Other files have a generator weight and this one has none: if it is observed data, remove it."
            )
    lines += ["", "classes:  # the order is that of the network's outputs"]
    if not signal:
        lines.append(
            f"  # {ASKS_FOR_SIGNAL} The names of the files do not say it: write `signal: true` beside it."
        )
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
    jagged = [
        name
        for name, kind in first.items()
        if kind.kind in ("jagged", "array") and branch_role(name, first) in (None, "pile-up", "scale factor")
    ]
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
