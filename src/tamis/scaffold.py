"""The configuration that `tamis init` writes, from the content of files."""

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

from tamis.arrays import Int32
from tamis.config import Feature, parse_config
from tamis.data.chunks import read_chunks
from tamis.data.roles import find_branch_role, find_event_id_branches, find_observed_data_word, is_signal_name
from tamis.data.scanning import scan_files
from tamis.data.schema import FileSchema, SourceFile
from tamis.data.sources import expand_files
from tamis.data.survey import Suspicion, survey_columns
from tamis.errors import ExpressionError, InputError, Problem, RequestError
from tamis.expressions import format_branch, parse
from tamis.files import write_text
from tamis.paths import check_writable
from tamis.wording import counted, format_value, is_clean, join_first

LOOKED_AT = 100_000
"""Number of entries of each file in which suspicious columns are searched."""

_ENDINGS = re.compile(r"(?i)([_.-]?(events?|tree|ntuples?|nano(aod)?|flat|skim(med)?))+$")
_SIMULATION = re.compile(r"(?i)bkg|background|(^|[^a-z])(mc|sim\w*)([^a-z]|$)")
SIGNAL_QUESTION = "Which class is the signal?"
"""The question in a configuration if the names of the files do not indicate the signal."""


@dataclass(frozen=True)
class _Weight:
    """The proposed weight of a sample, with a comment."""

    expression: str
    comment: str


def build_configuration(
    files: Sequence[str], *, tree: str | None = None, folder: Path, name: str | None = None
) -> str:
    """Build a commented configuration with one class per ROOT or Parquet file of simulated events.

    Files of observed data become comments instead of classes, and weights, corrections and pile-up variables comments
    instead of features. If the names of the files do not indicate the signal, the configuration asks for it: `tamis
    train` refuses it until the user has marked the signal. Files below the folder get relative paths.

    Raises:
        RequestError: there are fewer than two files of simulated events, or no branch that all of them share.
        InputError: a file cannot be read.
    """
    sources = expand_files("", files, Path.cwd())
    # the order of the arguments is that of the classes; the files of one pattern are sorted
    order = [source.path for pattern in files for source in expand_files("", [pattern], Path.cwd())]
    sources = sorted(sources, key=lambda source: order.index(source.path))
    if len(sources) < 2:
        raise RequestError(
            f"a classifier needs at least two classes, one file each; found {counted(len(sources), 'file')}"
        )
    unwritable = [
        path for path in (str(folder.resolve()), *(source.path for source in sources)) if not is_clean(path)
    ]
    if unwritable:
        raise RequestError(
            f"the name {unwritable[0]!r} has characters that a configuration cannot hold; rename it"
        )
    schemas = scan_files(sources, tree, naming="--tree NAME")
    observed = _observed_data(schemas, folder)
    simulated = [schema for schema in schemas if schema not in observed.values()]
    if len(simulated) < 2:
        listing = "; ".join(reason for reason in observed)
        raise RequestError(
            f"a classifier needs at least two classes of simulated events, one file each; {listing}; give more files "
            "of simulated events, or write the configuration by hand if data are a class"
        )
    names = choose_class_names([schema.source for schema in simulated])
    branches = _shared_branches(simulated)
    columns, class_index = _read_first_chunks(simulated, branches)
    suspicions = [
        *survey_columns(columns, class_index, names),
        *_inexpressible(branches),
        *_absent_in_data(branches, list(observed.values()), folder),
    ]
    features = _feature_lines(branches, suspicions, _not_finite(simulated, branches))
    title = "# name: analysis  # name of the run; by default that of this file"
    before = [
        "# Written by `tamis init`. Read it, change it, then: tamis check, tamis train.",
        title if name is None else f"name: {_quoted(name)}",
        "seed: 1",
        "",
        "samples:  # one for each process; several may belong to one class",
        *(f"  # {reason}: it is not a class; `tamis apply RUN FILE` scores it." for reason in observed),
        *_sample_lines(simulated, names, suspicions, folder, tree),
        "",
    ]
    after = [
        "",
        "features:  # every branch with one number per event that all files share",
        *features,
        *_other_branches(simulated),
        "",
        "# All other keys have defaults, see docs/configuration.md. Often used:",
        "# weights: {balance: classes, negative: keep}",
        f"# split: {{test: 0.25, validation: 0.2{_split_by(simulated, branches)}}}",
        "# training: {epochs: auto, batch_size: auto, time_budget: 60s}",
    ]

    def text(signal: Sequence[str]) -> str:
        return "\n".join([*before, *_class_lines(names, signal), *after]) + "\n"

    signal = [name for name in names if is_signal_name(name)]
    if len(signal) == len(names):
        signal = []  # all names indicate a signal, so the user decides
    parse_config(text(signal or names[:1]), data=folder)  # checks that it is valid once it has a signal
    return text(signal)


def check_new_configuration(path: Path) -> None:
    """Check that a configuration is new and can be written (`RequestError`), before the input files are read."""
    if path.exists():
        raise RequestError(f"{path} exists already; choose another name with --output")
    check_writable(path, "choose another --output")


def write_configuration(text: str, path: Path) -> None:
    """Write a new configuration, or raise a `RequestError`."""
    check_new_configuration(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def choose_class_names(sources: Sequence[SourceFile]) -> list[str]:
    """Choose the name of each class from the name of its file, without common suffixes.

    >>> choose_class_names([SourceFile("", "a/bkg_Events.root", ""), SourceFile("", "a/sig_Events.root", "")])
    ['bkg', 'sig']
    """
    names: list[str] = []
    for source in sources:
        stem = _file_name(source).removesuffix(".root").removesuffix(".parquet")
        name = re.sub(r"[^A-Za-z0-9_]+", "_", _ENDINGS.sub("", stem) or stem).strip("_") or "class"
        while name in names:
            name = f"{name}_{len(names) + 1}"
        names.append(name)
    return names


def _file_name(source: SourceFile) -> str:
    return source.path.split("?")[0].rsplit("/", 1)[-1]


def _observed_data(schemas: Sequence[FileSchema], folder: Path) -> dict[str, FileSchema]:
    """Find the files of observed data, by their names and by missing generator weights, each by the reason."""
    observed: dict[str, FileSchema] = {}
    paths = [schema.source.path.split("?")[0].split("/") for schema in schemas]
    shared = set.intersection(*(set(path[:-1]) for path in paths))  # does not distinguish the files
    for schema, (*folders, stem) in zip(schemas, paths, strict=True):
        folders = [name for name in folders if name not in shared]
        word = find_observed_data_word(re.sub(r"\.(root|parquet)$", "", stem), folders)
        if word is not None:
            reason = f"its path contains {word!r}"
            observed[f"{_relative(schema.source.path, folder)} looks like observed data ({reason})"] = schema
    unnamed = [schema for schema in schemas if schema not in observed.values()]
    generated = [schema for schema in unnamed if _generator_weights(schema)]
    if len(generated) < 2:  # a single file with such a weight does not show that the others are data
        return observed
    for schema in unnamed:
        stem = schema.source.path.rsplit("/", 1)[-1]
        if schema in generated or is_signal_name(stem) or _SIMULATION.search(stem):
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
        if kind.kind == "scalar" and find_branch_role(name, schema.branches) == role and _can_be_written(name)
    ]


def _absent_in_data(branches: Sequence[str], observed: Sequence[FileSchema], folder: Path) -> list[Suspicion]:
    suspicions = []
    for name in branches:
        schema = next((schema for schema in observed if name not in schema.branches), None)
        if schema is not None:
            path = _relative(schema.source.path, folder)
            reason = f"is not in {path}, which looks like observed data"
            suspicions.append(Suspicion(name, "truth", reason))
    return suspicions


def _propose_weight(schema: FileSchema) -> _Weight:
    """Propose the physics weight of a sample from its branches.

    An event weight has priority over a generator weight, which it usually contains.
    """
    usual = "the physics weight: a number or an expression of branches"
    candidates = [*_scalars(schema, "event weight"), *_generator_weights(schema)]
    if not candidates:
        return _Weight("1.0", usual)
    name, *alternatives = candidates
    finite, total = True, 0.0
    for chunk in read_chunks(schema, [name]):
        values = np.asarray(chunk.columns[name]).astype(np.float64)
        finite = finite and bool(np.isfinite(values).all())
        total += float(values[np.isfinite(values)].sum())
    if not finite or total <= 0:
        problem = "is not finite in every event" if not finite else "has a sum that is not above 0"
        return _Weight("1.0", f"{usual}; {name} looks like one, but {problem}")
    comment = usual + "".join(
        f"; if {name} does not contain {alternative}: {name} * {alternative}" for alternative in alternatives
    )
    return _Weight(_quoted(format_branch(name)), comment)


def _corrections(weights: Sequence[_Weight], suspicions: Sequence[Suspicion]) -> list[str]:
    """Write comments on corrections that the proposed weights do not contain."""
    factors = [
        format_branch(suspicion.column) for suspicion in suspicions if suspicion.kind == "scale factor"
    ]
    variations = [suspicion.column for suspicion in suspicions if suspicion.kind == "variation"]
    lines = []
    if factors:
        base = next((weight.expression for weight in weights if weight.expression != "1.0"), None)
        product = " * ".join(([] if base is None else [base.strip('"')]) + factors)
        lines.append(
            f"  # Scale factors are not part of the weights; to correct the simulation with them: "
            f"weight: {_quoted(product)}"
        )
    if variations:
        lines.append(f"  # Systematic variations, for studies of uncertainties: {', '.join(variations)}")
    if any(weight.expression != "1.0" for weight in weights):
        lines.append(
            "  # Generator weights are not normalised; for expected yields, multiply them by cross section * "
            "luminosity / sum of weights."
        )
    return lines


def _shared_branches(schemas: Sequence[FileSchema]) -> list[str]:
    filled = [schema for schema in schemas if schema.entries]
    empty = [schema for schema in schemas if not schema.entries]
    if empty:
        problems = [Problem(schema.where, "has no entries, but each class needs events") for schema in empty]
        raise InputError("input files", problems)
    first = filled[0].branches
    shared = [
        name
        for name, kind in first.items()
        if kind.kind == "scalar" and all(schema.branches.get(name) == kind for schema in filled)
    ]
    if not shared:
        raise RequestError(
            f"no branch with one number per event is in all files with the same type: {_explain_unshared(filled)}"
        )
    return shared


def _explain_unshared(schemas: Sequence[FileSchema]) -> str:
    first = schemas[0]
    for name, kind in first.branches.items():
        different = next(
            (schema for schema in schemas if name in schema.branches and schema.branches[name] != kind), None
        )
        if kind.kind == "scalar" and different is not None and different.branches[name].kind == "scalar":
            return (
                f"{name} is {kind.type_name} in {first.where} and {different.branches[name].type_name} in "
                f"{different.where}; convert one of them, or write the configuration by hand: different classes may "
                "have different types"
            )
    scalars = [
        [name for name, kind in schema.branches.items() if kind.kind == "scalar"] for schema in schemas
    ]
    listing = "; ".join(
        f"{schema.where} has {join_first(names, 8) or 'none'}"
        for schema, names in zip(schemas[:3], scalars, strict=False)
    )
    return f"{listing}; give files with the same branches"


def _read_first_chunks(
    schemas: Sequence[FileSchema], branches: Sequence[str]
) -> tuple[dict[str, NDArray[np.generic]], Int32]:
    chunks = [next(read_chunks(schema, branches, LOOKED_AT)) for schema in schemas]
    columns = {
        name: np.concatenate([np.asarray(chunk.columns[name]) for chunk in chunks]) for name in branches
    }
    return columns, np.repeat(np.arange(len(chunks), dtype=np.int32), [chunk.length for chunk in chunks])


def _not_finite(schemas: Sequence[FileSchema], branches: Sequence[str]) -> set[str]:
    """Find the branches that hold anything but finite 32-bit numbers, in any entry of any file."""
    not_finite: set[str] = set()
    for schema in schemas:
        for chunk in read_chunks(schema, branches):
            for name in set(branches) - not_finite:
                with np.errstate(over="ignore"):
                    if not np.isfinite(np.asarray(chunk.columns[name]).astype(np.float32)).all():
                        not_finite.add(name)
    return not_finite


def _inexpressible(branches: Sequence[str]) -> list[Suspicion]:
    reason = "has a name that cannot be a feature's; give it another name with `{name: NEW, expression: ...}`"
    return [Suspicion(name, "name", reason) for name in branches if not _can_be_written(name)]


def _can_be_written(name: str) -> bool:
    try:
        return (
            parse(format_branch(name)).branches == (name,) and Feature(name=name, expression="x").name == name
        )
    except (ExpressionError, ValidationError):
        return False


def _sample_lines(
    schemas: Sequence[FileSchema],
    names: Sequence[str],
    suspicions: Sequence[Suspicion],
    folder: Path,
    tree: str | None,
) -> list[str]:
    weights = [_propose_weight(schema) for schema in schemas]
    lines = _corrections(weights, suspicions)
    generated = any(_generator_weights(schema) for schema in schemas)
    for schema, name, weight in zip(schemas, names, weights, strict=True):
        lines += [
            f"  - name: {_quoted(name)}",
            f"    class: {_quoted(name)}",
            f"    files: {_quoted(_relative(schema.source.path, folder))}  # {schema.entries:,} entries",
            *([f"    tree: {_quoted(schema.tree)}"] if tree is not None else []),
            f"    weight: {weight.expression}  # {weight.comment}",
        ]
        namesakes = [
            _relative(namesake.source.path, folder)
            for namesake in schemas
            if namesake is not schema and _file_name(namesake.source) == _file_name(schema.source)
        ]
        if namesakes:
            lines.append(
                f"    # {join_first(namesakes, 2)} has the same file name: if it is the same process, list both files "
                "in one sample."
            )
        if generated and not _generator_weights(schema):
            lines.append(
                "    # Other files have a generator weight, but not this one: if it is observed data, remove it."
            )
    return lines


def _class_lines(names: Sequence[str], signal: Sequence[str]) -> list[str]:
    question = f"  # {SIGNAL_QUESTION} The names of the files do not show it: set `signal: true` for it."
    return [
        "classes:  # the order is that of the network's outputs",
        *([] if signal else [question]),
        *(f"  {_quoted(name)}: {{signal: {'true' if name in signal else 'false'}}}" for name in names),
    ]


def _feature_lines(
    branches: Sequence[str], suspicions: Sequence[Suspicion], not_finite: set[str]
) -> list[str]:
    """Write an entry for each branch that can be a feature, if any can (`RequestError`); comment why others cannot."""
    refused: dict[str, str] = {}
    sentinels: dict[str, list[Suspicion]] = {name: [] for name in branches}
    for suspicion in suspicions:
        if suspicion.kind == "sentinel":
            sentinels[suspicion.column].append(suspicion)
        elif suspicion.kind != "spike":
            refused.setdefault(suspicion.column, suspicion.reason)
    if len(refused) == len(branches):
        listing = "; ".join(f"{name} {reason}" for name, reason in refused.items())
        raise RequestError(
            f"no branch looks like a feature: {listing}; give other files, or write the configuration by hand with the "
            "features of your choice"
        )
    lines = []
    for name in branches:
        entry = _feature_entry(name, name in not_finite, sentinels[name])
        remark = "; ".join(suspicion.reason for suspicion in sentinels[name])
        if name in refused:
            lines.append(f"  # {entry}  # not used: {refused[name]}")
        else:
            lines.append(f"  {entry}  # {remark}" if remark else f"  {entry}")
    return lines


def _feature_entry(name: str, not_finite: bool, sentinels: Sequence[Suspicion]) -> str:
    parts = [f"name: {_quoted(name)}"]
    if format_branch(name) != name:
        parts.append(f"expression: {_quoted(format_branch(name))}")
    missing = [".nan"] if not_finite else []
    missing += [format_value(suspicion.value or 0.0) for suspicion in sentinels]
    if missing:
        listing = ", ".join(missing)
        parts.append(f"missing: {listing if len(missing) == 1 else f'[{listing}]'}")
    return f"- {{{', '.join(parts)}}}" if len(parts) > 1 else f"- {_quoted(name)}"


def _split_by(schemas: Sequence[FileSchema], shared: Sequence[str]) -> str:
    """Write the key `event_id` with the branches of these files that identify an event; empty if there are none."""
    first = schemas[0].branches
    integer_names = [name for name in shared if "int" in first[name].number and _can_be_written(name)]
    names = find_event_id_branches(integer_names)
    return f", event_id: [{', '.join(map(_quoted, map(format_branch, names)))}]" if names else ""


def _other_branches(schemas: Sequence[FileSchema]) -> list[str]:
    """Write comments for branches that differ between files, and for those with several values per event."""
    lines = []
    for name in dict.fromkeys(name for schema in schemas for name in schema.branches):
        kinds = [schema.branches.get(name) for schema in schemas]
        types = sorted({"missing" if kind is None else kind.type_name for kind in kinds})
        if len(types) > 1 and any(kind is not None and kind.kind == "scalar" for kind in kinds):
            lines.append(f"  # - {_quoted(name)}  # not used: different in some files ({', '.join(types)})")
    first = schemas[0].branches
    for name, kind in first.items():
        role = find_branch_role(name, first)
        if kind.kind not in ("jagged", "array") or role not in (None, "pile-up", "scale factor"):
            continue
        element = f"{format_branch(name)}[0]"
        try:
            parse(element)
        except ExpressionError:
            continue
        column = _quoted(_column_name(name) + "_0")
        entry = f"{{name: {column}, expression: {_quoted(element)}, missing: .nan}}"
        lines.append(f"  # - {entry}  # several values per event")
    return lines


def _column_name(branch: str) -> str:
    """Return the name of a feature for a branch.

    >>> _column_name("event.arr[3]")
    'event_arr_3'
    """
    return re.sub(r"\W+", "_", branch).strip("_") or "list"


def _quoted(text: str) -> str:
    """Quote a text if YAML would not read it as a string."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", text) is not None
    if plain and isinstance(yaml.safe_load(text), str):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _relative(path: str, folder: Path) -> str:
    if "://" in path:
        return path
    inside = os.path.relpath(path, folder)
    return inside if not inside.startswith("..") else path
