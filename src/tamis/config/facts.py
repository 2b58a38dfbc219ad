"""Facts across fields: names that must exist, names that must differ, and expressions that can be read.

All works on plain values and leaves out what has the wrong type, so that what can be checked is checked even
where single fields are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import PurePath

from pydantic import ValidationError

from tamis.config.layers import Network, Quantized, Sparse
from tamis.config.place import Finding, Place, render_place
from tamis.config.size import LARGEST, MOST_PASSES, count_weights, whole
from tamis.errors import ExpressionError
from tamis.expressions import Node, parse
from tamis.wording import counted, suggest

MOST = 100
"""Findings of one kind that are told at once."""
FACTS = "contradiction"
"""The type of pydantic error that says: look for contradictions again, they have places."""


def find_contradictions(values: Mapping[str, object]) -> list[Finding]:
    """Check all facts across fields of a configuration.

    Args:
        values: plain values as the YAML file has them, shorthands allowed.

    Returns:
        What is wrong, in the order of the sections.

    Example:
        >>> classes = {"bkg": None, "sig": {"signal": True}}
        >>> values = {"classes": classes, "samples": [{"name": "a", "class": "sgi"}]}
        >>> [finding.message for finding in find_contradictions(values)]
        ["there is no class 'sgi'; did you mean 'sig'?"]
    """
    checks = (
        _check_sample_names,
        _check_sample_classes,
        _check_files,
        _check_signal,
        _check_column_names,
        _check_class_keys,
        _check_log_densities,
        _check_uncertainties,
        _check_baselines,
        _check_logarithm,
        _check_left_out,
        _check_flatten,
        _check_first_layer,
        _check_size,
        _check_outputs,
        _check_symmetries,
        _check_expressions,
    )
    # each finding may compare its name with all that there are: an endless list would take endless time
    return [finding for check in checks for finding in islice(check(values), MOST)]


def _mapping(value: object) -> Mapping[str, object]:
    """Give the entries of a mapping that have a name, and nothing for anything else."""
    entries = value.items() if isinstance(value, Mapping) else ()
    return {name: entry for name, entry in entries if isinstance(name, str)}


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _sections(values: Mapping[str, object], key: str) -> Iterator[tuple[Place, Mapping[str, object]]]:
    """Give the mappings of a list, a text standing for a mapping with that name."""
    for index, section in enumerate(_items(values.get(key))):
        yield (key, index), {"name": section} if isinstance(section, str) else _mapping(section)


def _repeated(names: object) -> Iterator[tuple[int, str]]:
    """Give the texts of a list that already stood in it, with their places."""
    seen: set[str] = set()
    for index, name in enumerate(_items(names)):
        if isinstance(name, str | PurePath):
            if str(name) in seen:
                yield index, str(name)
            seen.add(str(name))


def _check_sample_names(values: Mapping[str, object]) -> Iterator[Finding]:
    yield from _check_names(_sections(values, "samples"), "samples")


def _check_column_names(values: Mapping[str, object]) -> Iterator[Finding]:
    columns = chain(_sections(values, "features"), _sections(values, "spectators"))
    yield from _check_names(columns, "features and spectators")


def _check_names(sections: Iterable[tuple[Place, Mapping[str, object]]], what: str) -> Iterator[Finding]:
    first: dict[str, Place] = {}
    for place, section in sections:
        name = section.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            used = f"the name {name!r} is already used by {render_place(first[name])}"
            yield Finding((*place, "name"), f"{used}; names of {what} must differ")
        first.setdefault(name, place)


def _check_files(values: Mapping[str, object]) -> Iterator[Finding]:
    for place, section in _sections(values, "samples"):
        for index, file in _repeated(section.get("files")):
            message = f"the file {file!r} stands twice in this sample; its events would count twice"
            yield Finding((*place, "files", index), message)


def _check_sample_classes(values: Mapping[str, object]) -> Iterator[Finding]:
    classes = _mapping(values.get("classes"))
    used = [(place, section.get("class")) for place, section in _sections(values, "samples")]
    known = {name for _, name in used if isinstance(name, str) and name in classes}
    for place, name in used:
        if isinstance(name, str) and classes and name not in classes:
            yield Finding((*place, "class"), _no_class(name, classes))
    # a misspelt class would make its right spelling look empty
    if used and all(isinstance(name, str) and name in known for _, name in used):
        for name in classes:
            if name not in known:
                yield Finding(
                    ("classes", name), f"no sample has the class {name!r}; add one, or remove the class"
                )


def _no_class(name: str, classes: Iterable[str]) -> str:
    hint = suggest(name, classes) or f"; the classes are {', '.join(map(repr, classes))}"
    return f"there is no class {name!r}{hint}"


def _check_signal(values: Mapping[str, object]) -> Iterator[Finding]:
    classes = _mapping(values.get("classes"))
    flags = [_mapping(section).get("signal", False) for section in classes.values()]
    if len(flags) < 2 or not all(isinstance(flag, bool) for flag in flags):
        return
    if not any(flags):
        message = (
            "no class is marked as signal; write signal: true for at least one, the one that you look for: "
            "`NAME: {signal: true}`"
        )
        yield Finding(("classes",), message)
    if all(flags):
        yield Finding(("classes",), "every class is marked as signal; at least one must be a background")


def _check_class_keys(values: Mapping[str, object]) -> Iterator[Finding]:
    classes = _mapping(values.get("classes"))
    for place, by_class in _mappings_by_class(values):
        for name in by_class:
            if classes and name not in classes:
                yield Finding((*place, name), _no_class(name, classes))


def _mappings_by_class(values: Mapping[str, object]) -> Iterator[tuple[Place, Mapping[str, object]]]:
    yield ("weights", "balance"), _mapping(_mapping(values.get("weights")).get("balance"))
    place = ("evaluation", "background_uncertainty")
    yield place, _mapping(_mapping(values.get("evaluation")).get("background_uncertainty"))
    for kind in ("log_density", "discriminant"):
        yield ("evaluation", "reference", kind), _mapping(_reference(values).get(kind))


def _reference(values: Mapping[str, object]) -> Mapping[str, object]:
    return _mapping(_mapping(values.get("evaluation")).get("reference"))


def _check_log_densities(values: Mapping[str, object]) -> Iterator[Finding]:
    given = _reference(values).get("log_density")
    absent = [name for name in _mapping(values.get("classes")) if name not in _mapping(given)]
    if isinstance(given, Mapping) and absent:
        message = (
            f"expected an expression for every class, but there is none for {', '.join(map(repr, absent))}"
        )
        yield Finding(("evaluation", "reference", "log_density"), message)


def _check_uncertainties(values: Mapping[str, object]) -> Iterator[Finding]:
    uncertainties = _mapping(values.get("evaluation")).get("background_uncertainty")
    classes = _mapping(values.get("classes"))
    if not isinstance(uncertainties, Mapping) or not classes:
        return
    signal = [name for name, each in classes.items() if _mapping(each).get("signal") is True]
    place = ("evaluation", "background_uncertainty")
    for name in (name for name in uncertainties if name in signal):
        yield Finding(
            (*place, name), f"class {name!r} is signal; expected an uncertainty of backgrounds alone"
        )
    absent = [name for name in classes if name not in signal and name not in uncertainties]
    if absent:
        message = (
            f"expected a number for every background, but there is none for {', '.join(map(repr, absent))}; "
            "write 0 for one that is known exactly"
        )
        yield Finding(place, message)


def _check_baselines(values: Mapping[str, object]) -> Iterator[Finding]:
    for index, name in _repeated(_mapping(values.get("evaluation")).get("baselines")):
        message = f"the baseline {name!r} already stands in this list; remove it"
        yield Finding(("evaluation", "baselines", index), message)


def _check_logarithm(values: Mapping[str, object]) -> Iterator[Finding]:
    yield from _check_features(
        values, _named(("preprocessing", "logarithm"), _mapping(values.get("preprocessing")).get("logarithm"))
    )


def _check_left_out(values: Mapping[str, object]) -> Iterator[Finding]:
    named = _named(("evaluation", "leave_out"), _mapping(values.get("evaluation")).get("leave_out"))
    yield from _check_features(values, named)


def _check_first_layer(values: Mapping[str, object]) -> Iterator[Finding]:
    """Refuse a first layer that the number of features already contradicts."""
    network = _mapping(values.get("network"))
    layers, embedding = _items(network.get("layers")), _mapping(network.get("embedding"))
    # other embeddings make more inputs of a feature than is known here
    if not layers or embedding.get("type", "gains") != "gains":
        return
    columns = [section for _, section in _sections(values, "features")]
    indicators = sum(section.get("missing") is not None for section in columns)
    message = _contradiction(_mapping(layers[0]), len(columns), indicators)
    if columns and message:
        yield Finding(("network", "layers", 0), message)


def _contradiction(layer: Mapping[str, object], features: int, indicators: int) -> str | None:
    try:
        match layer.get("type"):
            case "sparse":
                return Sparse.model_validate(layer).find_contradiction(features + indicators)
            case "quantized":
                quantized = Quantized.model_validate(layer)
                given = quantized.input
                return None if given is None else quantized.find_contradiction(features, given)
    except ValidationError:
        pass  # what is wrong with the layer itself is told elsewhere
    return None


def _check_size(values: Mapping[str, object]) -> Iterator[Finding]:
    """Refuse networks with more weights than any machine that is meant for them holds."""
    network, training = _mapping(values.get("network")), _mapping(values.get("training"))
    by_layer = [whole(_mapping(layer).get("nodes"), 1) for layer in _items(network.get("layers"))]
    if "layers" not in network:
        by_layer = [layer.nodes for layer in Network().layers]
    columns = [section for _, section in _sections(values, "features")]
    inputs = len(columns) + sum(section.get("missing") is not None for section in columns)
    each = count_weights(
        inputs,
        by_layer,
        len(_mapping(values.get("classes"))),
        embedding=_mapping(network.get("embedding")),
        members=whole(network.get("members"), 1),
    )
    folds = _mapping(values.get("split")).get("folds")
    of_folds = whole(_mapping(folds).get("number", folds), 1)
    networks = whole(training.get("seeds"), 1) * of_folds
    if each * networks > LARGEST:
        weights = f"{each:,} weights in each of {counted(networks, 'network')}"
        message = f"{weights} are more than the {LARGEST:,} that are allowed"
        place = ("split", "folds") if of_folds > 1 and each <= LARGEST else ("network",)
        yield Finding(place, f"{message}; take fewer {'networks' if networks > 1 else 'layers or nodes'}")
    draws = whole(training.get("average_symmetries"), 0)
    if networks * draws > MOST_PASSES:
        message = (
            f"{networks:,} networks for each of {draws:,} draws are more than the {MOST_PASSES:,} allowed"
        )
        yield Finding(("training", "average_symmetries"), f"{message}; take fewer of either")


def _check_outputs(values: Mapping[str, object]) -> Iterator[Finding]:
    loss = _mapping(values.get("training")).get("loss")
    name = loss if isinstance(loss, str) else _mapping(loss).get("name")
    classes = _mapping(values.get("classes"))
    if name == "binary_cross_entropy" and len(classes) > 2:
        message = f"binary_cross_entropy has one output, for two classes, but there are {len(classes)}"
        yield Finding(("training", "loss"), f"{message}; write cross_entropy")


def _check_flatten(values: Mapping[str, object]) -> Iterator[Finding]:
    spectators = [section.get("name") for _, section in _sections(values, "spectators")]
    known = [name for name in spectators if isinstance(name, str)]
    flatten = _mapping(_mapping(values.get("weights")).get("flatten")).get("spectators")
    for place, name in _named(("weights", "flatten", "spectators"), flatten):
        if len(known) == len(spectators) and name not in known:
            hint = suggest(name, known) or "; add it to `spectators`"
            yield Finding(place, f"there is no spectator {name!r}{hint}")


_Named = list[tuple[Place, str]]
"""Names of features with their places."""


def _check_symmetries(values: Mapping[str, object]) -> Iterator[Finding]:
    kinds: dict[str, list[_Named]] = {"rotation": [], "exchange": []}
    for index, symmetry in enumerate(_items(_mapping(values.get("training")).get("symmetries"))):
        place: Place = ("training", "symmetries", index)
        named = [*_named((*place, "features"), _mapping(symmetry).get("features"))]
        for number, features in enumerate(_items(_mapping(symmetry).get("objects"))):
            named += _named((*place, "objects", number), features)
        yield from _check_features(values, named)
        kind = _mapping(symmetry).get("type")
        if isinstance(kind, str) and kind in kinds:
            kinds[kind].append(named)
    for kind, groups in kinds.items():
        yield from _check_shared(kind, groups)


def _named(place: Place, names: object) -> _Named:
    return [((*place, index), name) for index, name in enumerate(_items(names)) if isinstance(name, str)]


def _check_features(values: Mapping[str, object], named: _Named) -> Iterator[Finding]:
    """Refuse names that are no features, and those that stand twice."""
    features = [section.get("name") for _, section in _sections(values, "features")]
    # a mapping, not a list: it is asked once for each name, and keeps the order for the message
    known = dict.fromkeys(name for name in features if isinstance(name, str))
    complete = all(isinstance(name, str) for name in features)
    first: dict[str, Place] = {}
    for place, name in named:
        # the right spelling of a feature that is misspelt in its own section is not known
        if known and complete and name not in known:
            hint = suggest(name, known) or f"; the features are {', '.join(map(repr, known))}"
            yield Finding(place, f"there is no feature {name!r}{hint}")
        elif name in first:
            yield Finding(
                place, f"the feature {name!r} already stands in {render_place(first[name])}; remove it"
            )
        first.setdefault(name, place)


def _check_shared(kind: str, groups: Iterable[_Named]) -> Iterator[Finding]:
    """Refuse a feature that two symmetries of one kind would move apart from what it belongs to."""
    used: dict[str, Place] = {}
    for named in groups:
        for place, name in named:
            if name in used:
                before = f"the feature {name!r} is already used by the {kind} {render_place(used[name][:3])}"
                yield Finding(place, f"{before}; put what belongs together into one {kind}")
        for place, name in named:
            used.setdefault(name, place)


@dataclass(frozen=True)
class _Written:
    """An expression as it stands in the configuration; `tree` is None where it cannot be read."""

    place: Place
    tree: Node | None = None
    branches: tuple[str, ...] = ()
    fault: str = ""


def _check_expressions(values: Mapping[str, object]) -> Iterator[Finding]:
    features = _read(_column_texts(values, "features"))
    secret = _read([*_weight_texts(values), *_identity_texts(values), *_reference_texts(values)])
    others = _read([*_column_texts(values, "spectators"), *_selection_texts(values)])
    for written in (*features, *secret, *others):
        if written.fault:
            yield Finding(written.place, written.fault)
    varying = [*features, *(written for written in secret if written.place[:2] == ("split", "by"))]
    for written in varying:
        if written.tree is not None and not written.branches:
            yield Finding(written.place, "this names no branch, so it is the same for every event")
    yield from _check_leaks(features, secret)


def _check_leaks(features: Iterable[_Written], secret: Sequence[_Written]) -> Iterator[Finding]:
    """Refuse features that are a weight, a number of the event or a known discriminant."""
    first: dict[Node, Place] = {}
    for written in secret:
        if written.tree is not None:
            first.setdefault(written.tree, written.place)
    for feature in features:
        if feature.tree is not None and feature.branches and feature.tree in first:
            message = (
                f"this is the same as {render_place(first[feature.tree])}, which the network must not see"
            )
            yield Finding(feature.place, f"{message}; remove the feature")


def _read(texts: Iterable[tuple[Place, object]]) -> list[_Written]:
    # empty texts are refused where the fields are checked
    return [_read_one(place, text) for place, text in texts if isinstance(text, str) and text.strip()]


def _read_one(place: Place, text: str) -> _Written:
    try:
        expression = parse(text.strip())
    except ExpressionError as error:
        return _Written(place, fault=str(error).replace("\n", "\n    "))
    return _Written(place, expression.tree, expression.branches)


def _column_texts(values: Mapping[str, object], key: str) -> Iterator[tuple[Place, object]]:
    for place, section in _sections(values, key):
        used = "name" if section.get("expression") is None else "expression"
        yield (*place, used), section.get(used)


def _weight_texts(values: Mapping[str, object]) -> Iterator[tuple[Place, object]]:
    return (((*place, "weight"), section.get("weight")) for place, section in _sections(values, "samples"))


def _selection_texts(values: Mapping[str, object]) -> Iterator[tuple[Place, object]]:
    return (
        ((*place, "selection"), section.get("selection")) for place, section in _sections(values, "samples")
    )


def _identity_texts(values: Mapping[str, object]) -> Iterator[tuple[Place, object]]:
    by = _mapping(values.get("split")).get("by")
    if isinstance(by, str):
        yield ("split", "by"), by
    yield from ((("split", "by", index), text) for index, text in enumerate(_items(by)))


def _reference_texts(values: Mapping[str, object]) -> Iterator[tuple[Place, object]]:
    for kind in ("log_density", "discriminant"):
        for name, text in _mapping(_reference(values).get(kind)).items():
            yield ("evaluation", "reference", kind, name), text
