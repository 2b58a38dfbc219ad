"""YAML text to plain values, with the line of every key; YAML 1.2's core schema and nothing that runs code.

PyYAML composes nodes only, never objects. Numbers and words are recognised as YAML 1.2 does it
(https://yaml.org/spec/1.2.2/#103-core-schema): `1e-3` is a number, `no` and `on` are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tamis.config.place import Finding, Place, render_place
from tamis.config.wording import describe
from tamis.errors import ConfigurationError, Problem

LARGEST = 2_000_000
"""Bytes of a configuration; what it lists file by file may be some ten thousand files."""
DEEPEST = 32
MOST_NODES = 100_000
"""Keys, values, lists and mappings of a configuration: each takes a thousand times the memory of its text."""

_STANDARD = "tag:yaml.org,2002:"
_ALIAS = "alias"
_LONGEST_TAG = 100
_SCALARS = {
    f"{_STANDARD}null": re.compile(r"(?:null|Null|NULL|~|)\Z"),
    f"{_STANDARD}bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
    f"{_STANDARD}int": re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    f"{_STANDARD}float": re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
}

Resolvers = dict[str | None, list[tuple[str, re.Pattern[str]]]]
"""What PyYAML calls implicit resolvers: first character (None: any) to the tags of plain words."""

CORE_RESOLVERS: Resolvers = {None: list(_SCALARS.items())}


@dataclass(frozen=True)
class Document:
    """Plain values and where they stand.

    Args:
        values: what the sections are made of: mappings, sequences, text, numbers, true, false and None.
        lines: lines of keys and of items of lists, counted from 1.
        overridden: places whose values come from the command line instead.
        findings: what is wrong although it could be read, such as duplicate keys.
    """

    values: Mapping[str, object]
    lines: Mapping[Place, int] = field(default_factory=dict)
    overridden: frozenset[Place] = frozenset()
    findings: tuple[Finding, ...] = ()

    def problem(self, finding: Finding) -> Problem:
        """Turn a finding into a problem with its line, or with a note that it comes from `--set`."""
        prefixes = [finding.place[:length] for length in range(len(finding.place), -1, -1)]
        where = render_place(finding.place)
        if finding.line is not None:
            return Problem(where, finding.message, finding.line)
        if not self.overridden.isdisjoint(prefixes):
            return Problem(f"{where} (from --set)", finding.message)
        known = (self.lines[prefix] for prefix in prefixes if prefix in self.lines)
        return Problem(where, finding.message, next(known, None))


def read_document(text: str | bytes, *, title: str = "configuration") -> Document:
    """Read the YAML text of a configuration.

    Args:
        text: the YAML text; bytes are UTF-8.
        title: what is being read, for the error.

    Returns:
        Plain values with their lines. What is wrong but does not hinder reading is in `findings`.

    Raises:
        ConfigurationError: the text is not YAML, is empty, too large or too deep, or is not a mapping.

    Example:
        >>> document = read_document("training: {epochs: 20}")
        >>> document.values, document.lines[("training", "epochs")]
        ({'training': {'epochs': 20}}, 1)
    """
    node = _compose(_decode(text, title), title)
    reading = _Reading()
    values = reading.value(node, ()) if node is not None else None
    if isinstance(values, dict):
        return Document(values, reading.lines, findings=tuple(reading.findings))
    message = f"expected a mapping of sections (key: value) at the top, found {describe(values)}"
    if values is None:
        message = "the file is empty; a configuration needs samples, classes and features"
    findings = reading.findings or [Finding((), message, reading.lines.get(()))]
    raise ConfigurationError(title, [Problem("", finding.message, finding.line) for finding in findings])


def read_value(text: str, *, title: str = "value") -> tuple[object, tuple[Finding, ...]]:
    """Read one value, as it stands behind a key.

    Args:
        text: YAML text of the value.
        title: what is being read, for the error.

    Returns:
        The plain value, and what is wrong inside it.

    Raises:
        ConfigurationError: the text is not YAML.

    Example:
        >>> read_value("[{nodes: 8}, 1e-3]")
        ([{'nodes': 8}, 0.001], ())
    """
    node = _compose(_decode(text, title), title)
    reading = _Reading()
    value = None if node is None else reading.value(node, ())
    return value, tuple(reading.findings)


def _decode(text: str | bytes, title: str) -> str:
    if len(text) > LARGEST:
        problem = Problem("", f"the file is larger than {LARGEST // 1_000_000} MB; is this the right file?")
        raise ConfigurationError(title, [problem])
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{text[error.start]:02x} is not UTF-8; save the file as UTF-8 text"
        raise ConfigurationError(title, [Problem("", message, line)]) from error


class _Loader(yaml.SafeLoader):
    """Compose nodes with the words of YAML 1.2's core schema; aliases stay visible, depth and number are limited."""

    yaml_implicit_resolvers = CORE_RESOLVERS
    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # the stubs leave these methods without types
        get_event: Callable[[], Any] = self.get_event
        peek_event: Callable[[], Any] = self.peek_event
        self.nodes += 1
        if self.nodes > MOST_NODES:
            words = f"there are more than {MOST_NODES:,} keys and values; is this the right file?"
            raise yaml.MarkedYAMLError(problem=words, problem_mark=peek_event().start_mark)
        if self.check_event(yaml.AliasEvent):
            alias = get_event()
            return yaml.ScalarNode(_ALIAS, alias.anchor, alias.start_mark, alias.end_mark)
        if self.depth == DEEPEST:
            words = f"lists and mappings are nested more than {DEEPEST} deep"
            raise yaml.MarkedYAMLError(problem=words, problem_mark=peek_event().start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(text: str, title: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character {chr(error.character)!r} is not allowed in YAML; remove it"
        raise ConfigurationError(title, [Problem("", message, line)]) from error
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError(title, [_syntax_problem(error)]) from error
    except (ValueError, OverflowError) as error:  # PyYAML lets escapes such as "\U00110000" through to chr()
        problem = Problem("", "an escape or a directive cannot be read as YAML", loader.line + 1)
        raise ConfigurationError(title, [problem]) from error


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    if "'\\t'" in (error.problem or ""):
        return Problem("", "a tab stands where YAML allows only spaces; indent with spaces", line)
    if error.problem == "but found another document":
        return Problem("", "a second document begins here (---); a configuration is one document", line)
    words = ", ".join(part for part in (error.context, error.problem) if part)
    return Problem("", f"cannot be read as YAML: {words}", line)


@dataclass
class _Reading:
    """What is noted on the way from nodes to plain values."""

    lines: dict[Place, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def value(self, node: yaml.Node, place: Place) -> object:
        self.lines.setdefault(place, _line(node))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_STANDARD}map":
            return self._mapping(node.value, place)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_STANDARD}seq":
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        self._refuse_tag(node, place)
        return None

    def _mapping(self, pairs: Iterable[tuple[yaml.Node, yaml.Node]], place: Place) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in pairs:
            key = self._key(key_node, place)
            if key is None:
                continue
            if key in values:
                self._note_duplicate((*place, key), _line(key_node))
                continue
            self.lines[(*place, key)] = _line(key_node)
            values[key] = self.value(value_node, (*place, key))
        return values

    def _key(self, node: yaml.Node, place: Place) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_STANDARD}str":
            return str(node.value)
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS and node.value:
            found = describe(self._scalar(node, place))
            read = f", which YAML reads as {found}," if found != node.value else ""
            message = f"the key {node.value}{read} is no text; put it in quotes: '{node.value}'"
            self._note((*place, str(node.value)), message, _line(node))
            # it is plain enough to go on with, so that what stands below is still checked
            return str(node.value)
        self._note(place, "expected a name before the colon, found something else", _line(node))
        return None

    def _note_duplicate(self, place: Place, line: int) -> None:
        first = self.lines[place]
        lines = f"line {line}" if first == line else f"lines {first} and {line}"
        self._note(place, f"this key stands twice, in {lines}; remove one", line)

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> object:
        text = str(node.value)
        if node.tag == f"{_STANDARD}str":
            return text
        if node.tag == _ALIAS:
            self._note(place, f"aliases (*{text}) are not allowed; write the value out", _line(node))
            return None
        if node.tag not in _SCALARS:
            self._refuse_tag(node, place)
            return None
        kind = node.tag.removeprefix(_STANDARD)
        if not _SCALARS[node.tag].match(text):
            self._note(place, f"{describe(text)} cannot be read as {kind}", _line(node))
            return None
        try:
            return _READERS[kind](text)
        except ValueError:  # Python refuses decimal numbers of thousands of digits
            self._note(place, f"a number of {len(text)} digits is too long to be read", _line(node))
            return None

    def _refuse_tag(self, node: yaml.Node, place: Place) -> None:
        # a tag may spell any character, such as those that clear a terminal
        tag = ascii(str(node.tag).replace(_STANDARD, "!!")[:_LONGEST_TAG])[1:-1]
        self._note(place, f"the tag {tag} is not allowed here; write plain values", _line(node))

    def _note(self, place: Place, message: str, line: int) -> None:
        self.findings.append(Finding(place, message, line))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _read_integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _read_float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_READERS: Mapping[str, Callable[[str], object]] = {
    "null": lambda _text: None,
    "bool": lambda text: text.lower() == "true",
    "int": _read_integer,
    "float": _read_float,
}
