"""Consistency checks across sections: names that must exist or differ, and expressions that must parse.

The checks work on plain values and skip values of the wrong type, so that they report as much as possible even if
single fields are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from tamis.config.key_path import Diagnostic, KeyPath, format_key_path
from tamis.config.layers import Network, Quantized, Sparse
from tamis.config.size import LARGEST, MOST_PASSES, count_weights, positive_integer
from tamis.errors import ExpressionError
from tamis.expressions import Node, parse
from tamis.wording import counted, suggest

MOST = 100
"""Diagnostics of one check, and of a configuration, that are reported at once."""
INCONSISTENCY = "inconsistency"
"""The type of the pydantic error of an inconsistent configuration; `find_inconsistencies` returns the paths."""

_UNCERTAINTY = ("evaluation", "background_uncertainty")
_REFERENCES = tuple(("evaluation", "reference", kind) for kind in ("log_density", "discriminant"))
_BY_CLASS = (("weights", "balance"), _UNCERTAINTY, *_REFERENCES)

_NamesWithPaths = list[tuple[KeyPath, str]]
_TextsWithPaths = list[tuple[KeyPath, object]]


def find_inconsistencies(values: Mapping[str, object]) -> list[Diagnostic]:
    """Run all consistency checks on plain values as in the YAML file, short forms included.

    Example:
        >>> classes = {"bkg": None, "sig": {"signal": True}}
        >>> values = {"classes": classes, "samples": [{"name": "a", "class": "sgi"}]}
        >>> [diagnostic.message for diagnostic in find_inconsistencies(values)]
        ["there is no class 'sgi'; did you mean 'sig'?"]
    """
    checks = (
        _check_names,
        _check_sample_classes,
        _check_repetitions,
        _check_signal,
        _check_class_keys,
        _check_missing_classes,
        _check_listed_features,
        _check_flatten,
        _check_decorrelate,
        _check_first_layer,
        _check_size,
        _check_outputs,
        _check_symmetries,
        _check_expressions,
    )
    # a diagnostic compares its name with all valid names, so an endless list would take endless time
    return [diagnostic for check in checks for diagnostic in islice(check(values), MOST)]


def _get(values: Any, *keys: str) -> Any:
    """Return the value at a path of keys; None if there is none."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _mapping(value: object) -> Mapping[str, object]:
    """Return the entries of a mapping whose key is text; no entries of any other value."""
    entries = value.items() if isinstance(value, Mapping) else ()
    return {name: entry for name, entry in entries if isinstance(name, str)}


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _sections(values: Mapping[str, object], key: str) -> list[tuple[KeyPath, Mapping[str, object]]]:
    """Return the mappings of a list; a text stands for a mapping with that name."""
    return [
        ((key, index), {"name": section} if isinstance(section, str) else _mapping(section))
        for index, section in enumerate(_items(values.get(key)))
    ]


def _section_names(values: Mapping[str, object], key: str) -> list[object]:
    return [section.get("name") for _, section in _sections(values, key)]


def _quoted(names: Iterable[object]) -> str:
    return ", ".join(map(repr, names))


def _check_names(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    for keys in (("samples",), ("features", "spectators")):
        sections = [section for key in keys for section in _sections(values, key)]
        for path, name, first in _with_first((path, section.get("name")) for path, section in sections):
            if path != first:
                message = f"the name {name!r} is already used by {format_key_path(first)}"
                yield Diagnostic((*path, "name"), f"{message}; names of {' and '.join(keys)} must differ")


def _check_sample_classes(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    classes = _mapping(values.get("classes"))
    class_of_sample = [(path, section.get("class")) for path, section in _sections(values, "samples")]
    with_samples = {name for _, name in class_of_sample if isinstance(name, str) and name in classes}
    for path, name in class_of_sample:
        if isinstance(name, str) and classes and name not in classes:
            yield Diagnostic((*path, "class"), _no_class(name, classes))
    # if a sample misspells its class, the correct spelling would seem to have no samples
    if class_of_sample and all(isinstance(name, str) and name in with_samples for _, name in class_of_sample):
        for name in classes:
            if name not in with_samples:
                message = f"no sample has the class {name!r}; add one, or remove the class"
                yield Diagnostic(("classes", name), message)


def _no_class(name: str, classes: Iterable[str]) -> str:
    return f"there is no class {name!r}{suggest(name, classes) or f'; the classes are {_quoted(classes)}'}"


def _check_repetitions(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    file_message = "the file {!r} is listed twice in this sample; its events would count twice"
    baselines = ("evaluation", "baselines")
    baseline_message = "the baseline {!r} is listed twice; remove it here"
    lists: list[tuple[KeyPath, object, str]] = [
        *(
            ((*path, "files"), section.get("files"), file_message)
            for path, section in _sections(values, "samples")
        ),
        (baselines, _get(values, *baselines), baseline_message),
    ]
    for list_path, entries, message in lists:
        texts = [str(entry) if isinstance(entry, PurePath) else entry for entry in _items(entries)]
        for path, text, first in _with_first(_with_paths(list_path, texts)):
            if path != first:
                yield Diagnostic(path, message.format(text))


def _check_signal(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    classes = _mapping(values.get("classes"))
    flags = [_mapping(section).get("signal", False) for section in classes.values()]
    if len(flags) < 2 or not all(isinstance(flag, bool) for flag in flags):
        return
    if not any(flags):
        message = "no class is marked as signal; mark at least one, the one that you search for: `NAME: {signal: true}`"
        yield Diagnostic(("classes",), message)
    if all(flags):
        yield Diagnostic(("classes",), "every class is marked as signal; at least one must be a background")


def _check_class_keys(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    classes = _mapping(values.get("classes"))
    for path in _BY_CLASS:
        for name in _mapping(_get(values, *path)):
            if classes and name not in classes:
                yield Diagnostic((*path, name), _no_class(name, classes))


def _check_missing_classes(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    """Report mappings that need an entry for every class, or for every background, and lack some."""
    classes = _mapping(values.get("classes"))
    signal = [name for name, section in classes.items() if _get(section, "signal") is True]
    for name in _mapping(_get(values, *_UNCERTAINTY)):
        if name in signal:
            message = f"class {name!r} is signal; only backgrounds have an uncertainty"
            yield Diagnostic((*_UNCERTAINTY, name), message)
    backgrounds = [name for name in classes if name not in signal]
    for path, names, expected, advice in (
        (_REFERENCES[0], classes, "an expression for every class", ""),
        (
            _UNCERTAINTY,
            backgrounds,
            "a number for every background",
            "; write 0 for a background without uncertainty",
        ),
    ):
        entries = _get(values, *path)
        missing = [name for name in names if name not in _mapping(entries)]
        if isinstance(entries, Mapping) and missing:
            yield Diagnostic(path, f"expected {expected}, but there is none for {_quoted(missing)}{advice}")


def _check_flatten(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    path = ("weights", "flatten", "spectators")
    yield from _check_spectators(values, _with_paths(path, _get(values, *path)))


def _check_spectators(values: Mapping[str, object], names: _NamesWithPaths) -> Iterator[Diagnostic]:
    """Report names that are not spectators."""
    spectators = _section_names(values, "spectators")
    spectator_names = [name for name in spectators if isinstance(name, str)]
    for path, name in names:
        if len(spectator_names) == len(spectators) and name not in spectator_names:
            hint = suggest(name, spectator_names) or "; add it to `spectators`"
            if name in _section_names(values, "features"):
                hint = ", but a feature, which the network sees; move it from `features` to `spectators`"
            yield Diagnostic(path, f"there is no spectator {name!r}{hint}")


def _check_decorrelate(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    classes = _mapping(values.get("classes"))
    path = ("training", "decorrelate")
    names = _with_paths((*path, "spectators"), _get(values, *path, "spectators"))
    yield from _check_spectators(values, names)
    class_names = _with_paths((*path, "classes"), _get(values, *path, "classes"))
    for entry_path, name in class_names:
        if classes and name not in classes:
            yield Diagnostic(entry_path, _no_class(name, classes))
    for kind, entries in (("spectator", names), ("class", class_names)):
        for entry_path, name, first in _with_first(entries):
            if entry_path != first:
                message = f"the {kind} {name!r} is already listed at {format_key_path(first)}; remove it"
                yield Diagnostic(entry_path, message)
    yield from _check_visible_spectators(values, names)


def _check_visible_spectators(values: Mapping[str, object], names: _NamesWithPaths) -> Iterator[Diagnostic]:
    """Report spectators to decorrelate from that are computed by the same expression as a feature."""
    feature_of_tree: dict[Node | None, object] = {}
    for path, section in _sections(values, "features"):
        feature_of_tree.setdefault(_parse_or_none(_column_text(path, section)[1]), section.get("name"))
    text_of_spectator = {
        name: _column_text(path, section)[1]
        for path, section in _sections(values, "spectators")
        if isinstance(name := section.get("name"), str)  # the validation of the section reports any other
    }
    for path, name in names:
        tree = _parse_or_none(text_of_spectator.get(name))
        if tree is not None and tree in feature_of_tree:
            message = f"the spectator {name!r} is the same as the feature {feature_of_tree[tree]!r}, which the network"
            yield Diagnostic(path, f"{message} sees; remove the feature")


def _parse_or_none(text: object) -> Node | None:
    """Parse an expression; None for one that is missing or has an error, which another check reports."""
    try:
        return parse(text.strip()).tree if isinstance(text, str) and text.strip() else None
    except ExpressionError:
        return None


def _check_first_layer(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    """Report a first layer that does not fit the number of features."""
    layers, embedding = _items(_get(values, "network", "layers")), _get(values, "network", "embedding")
    # the number of inputs after an embedding is not known here
    if not layers or embedding not in (None, "auto"):
        return
    features, indicators = _count_inputs(values)
    message = _layer_problem(_mapping(layers[0]), features, indicators)
    if features and message:
        yield Diagnostic(("network", "layers", 0), message)


def _count_inputs(values: Mapping[str, object]) -> tuple[int, int]:
    """Return the number of features, and of features with an indicator of missing values."""
    sections = [section for _, section in _sections(values, "features")]
    return len(sections), sum(section.get("missing") is not None for section in sections)


def _layer_problem(layer: Mapping[str, object], features: int, indicators: int) -> str | None:
    try:
        match layer.get("type"):
            case "sparse":
                return Sparse.model_validate(layer).find_inconsistency(features + indicators)
            case "quantized":
                quantized = Quantized.model_validate(layer)
                if quantized.input is not None:
                    return quantized.find_inconsistency(features, quantized.input)
    except ValidationError:
        pass  # the validation of the layer itself reports it
    return None


def _check_size(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    """Report networks that are too large for any machine."""
    network, training = _mapping(values.get("network")), _mapping(values.get("training"))
    nodes = [positive_integer(_get(layer, "nodes"), 1) for layer in _items(network.get("layers"))]
    if "layers" not in network:
        nodes = [layer.nodes for layer in Network().layers]
    weights = count_weights(
        sum(_count_inputs(values)),
        nodes,
        len(_mapping(values.get("classes"))),
        embedding=_mapping(network.get("embedding")),
        members=positive_integer(network.get("shared_members"), 1),
    )
    folds = _get(values, "split", "folds")
    n_folds = positive_integer(_mapping(folds).get("number", folds), 1)
    networks = positive_integer(training.get("ensemble"), 1) * n_folds
    if weights * networks > LARGEST:
        message = f"{weights:,} weights in each of {counted(networks, 'network')} are more than the {LARGEST:,} allowed"
        path = ("split", "folds") if n_folds > 1 and weights <= LARGEST else ("network",)
        yield Diagnostic(path, f"{message}; use fewer {'networks' if networks > 1 else 'layers or nodes'}")
    copies = positive_integer(training.get("test_time_augmentation"), 0)
    if networks * copies > MOST_PASSES:
        message = f"{networks:,} networks times {copies:,} copies of an event are more than the {MOST_PASSES:,} allowed"
        yield Diagnostic(("training", "test_time_augmentation"), f"{message}; use fewer of either")


def _check_outputs(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    loss, n_classes = _get(values, "training", "loss"), len(_mapping(values.get("classes")))
    if "binary_cross_entropy" in (loss, _get(loss, "name")) and n_classes > 2:
        message = f"binary_cross_entropy has one output, for two classes, but there are {n_classes}"
        yield Diagnostic(("training", "loss"), f"{message}; write cross_entropy")


def _check_listed_features(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    for path in (("preprocessing", "logarithm"), ("evaluation", "ablation")):
        yield from _check_features(values, _with_paths(path, _get(values, *path)))


def _check_symmetries(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    kinds: dict[str, _NamesWithPaths] = {"rotation": [], "exchange": []}
    for index, symmetry in enumerate(_items(_get(values, "training", "symmetries"))):
        path: KeyPath = ("training", "symmetries", index)
        names = _with_paths((*path, "features"), _get(symmetry, "features"))
        for number, features in enumerate(_items(_get(symmetry, "objects"))):
            names += _with_paths((*path, "objects", number), features)
        yield from _check_features(values, names)
        kind = _get(symmetry, "type")
        if isinstance(kind, str) and kind in kinds:
            kinds[kind] += names
    # two symmetries of one kind would transform a feature independently
    for kind, names in kinds.items():
        for path, name, first in _with_first(names):
            if path[:3] != first[:3]:
                message = f"the feature {name!r} is already used by the {kind} {format_key_path(first[:3])}"
                yield Diagnostic(path, f"{message}; list all features that belong together in one {kind}")


def _with_paths(path: KeyPath, names: object) -> _NamesWithPaths:
    return [((*path, index), name) for index, name in enumerate(_items(names)) if isinstance(name, str)]


def _with_first(names: Iterable[tuple[KeyPath, object]]) -> Iterator[tuple[KeyPath, str, KeyPath]]:
    """Yield each name with its path and the path of its first occurrence."""
    first: dict[str, KeyPath] = {}
    for path, name in names:
        if isinstance(name, str):
            yield path, name, first.setdefault(name, path)


def _check_features(values: Mapping[str, object], names: _NamesWithPaths) -> Iterator[Diagnostic]:
    """Report names that are not features, and names that are listed twice."""
    features = _section_names(values, "features")
    # a mapping, because it is searched for each name and keeps the order for the message
    feature_names = dict.fromkeys(name for name in features if isinstance(name, str))
    complete = all(isinstance(name, str) for name in features)
    for path, name, first in _with_first(names):
        if feature_names and complete and name not in feature_names:
            hint = suggest(name, feature_names) or f"; the features are {_quoted(feature_names)}"
            yield Diagnostic(path, f"there is no feature {name!r}{hint}")
        elif path != first:
            message = f"the feature {name!r} is already listed at {format_key_path(first)}; remove it"
            yield Diagnostic(path, message)


def _check_expressions(values: Mapping[str, object]) -> Iterator[Diagnostic]:
    """Report expressions that do not parse or do not vary, and features that the network must not see."""
    features, hidden, remaining = _expressions(values)
    parsed = {}
    for path, text in (*features, *hidden, *remaining):
        if not isinstance(text, str) or not text.strip():
            continue  # the validation of the fields reports it
        try:
            parsed[path] = parse(text.strip())
        except ExpressionError as error:
            yield Diagnostic(path, str(error).replace("\n", "\n    "))
    for path, _ in (*features, *hidden):
        is_varying = path[0] == "features" or path[:2] == ("split", "event_id")
        if is_varying and path in parsed and not parsed[path].branches:
            yield Diagnostic(path, "this expression has no branch, so it is the same for every event")
    first: dict[Node, KeyPath] = {}
    for path, _ in hidden:
        if path in parsed:
            first.setdefault(parsed[path].tree, path)
    for path, _ in features:
        if path in parsed and parsed[path].branches and parsed[path].tree in first:
            source = format_key_path(first[parsed[path].tree])
            message = f"this is the same as {source}, which the network must not see; remove the feature"
            yield Diagnostic(path, message)


def _expressions(values: Mapping[str, object]) -> tuple[_TextsWithPaths, _TextsWithPaths, _TextsWithPaths]:
    """Return the expressions of features, those that the network must not see, and all others."""
    samples = _sections(values, "samples")
    path = ("split", "event_id")
    event_id = _get(values, *path)
    columns: _TextsWithPaths = [((*path, index), text) for index, text in enumerate(_items(event_id))]
    columns = columns or [(path, event_id)]
    references = [
        ((*path, name), text) for path in _REFERENCES for name, text in _mapping(_get(values, *path)).items()
    ]
    return (
        [_column_text(*column) for column in _sections(values, "features")],
        [*(((*path, "weight"), section.get("weight")) for path, section in samples), *columns, *references],
        [
            *(_column_text(*column) for column in _sections(values, "spectators")),
            *(((*path, "selection"), section.get("selection")) for path, section in samples),
        ],
    )


def _column_text(path: KeyPath, section: Mapping[str, object]) -> tuple[KeyPath, object]:
    key = "name" if section.get("expression") is None else "expression"
    return (*path, key), section.get(key)
