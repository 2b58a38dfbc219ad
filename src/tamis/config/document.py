"""Read YAML text as plain values with the line of every key: the core schema of YAML 1.2, nothing that runs code.

PyYAML composes nodes, never objects. Numbers and words are resolved as in YAML 1.2
(https://yaml.org/spec/1.2.2/#103-core-schema): `1e-3` is a number, `no` and `on` are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tamis.config.key_path import Diagnostic, KeyPath, format_key_path
from tamis.errors import ConfigurationError, Problem
from tamis.wording import describe

LARGEST = 2_000_000
"""Bytes of a configuration, enough to list tens of thousands of files."""
DEEPEST = 32
MOST_NODES = 100_000
"""Keys, values, lists and mappings of a configuration; each takes a thousand times the memory of its text."""

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
"""Implicit resolvers of PyYAML: the tags of plain words by their first character, None for any."""

CORE_RESOLVERS: Resolvers = {None: list(_SCALARS.items())}


@dataclass(frozen=True)
class YamlDocument:
    """Plain values and their lines.

    Args:
        values: mappings, sequences, text, numbers, true, false and None.
        lines: lines of keys and of items of lists, counted from 1.
        overridden: paths whose values come from the command line.
        diagnostics: of text that can be read but is wrong, such as duplicate keys.
    """

    values: Mapping[str, object]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overridden: frozenset[KeyPath] = frozenset()
    diagnostics: tuple[Diagnostic, ...] = ()

    def locate(self, diagnostic: Diagnostic) -> Problem:
        """Return a diagnostic as a problem with its line, or with a note that the value comes from `--set`."""
        prefixes = [diagnostic.path[:length] for length in range(len(diagnostic.path), -1, -1)]
        where = format_key_path(diagnostic.path)
        if diagnostic.line is not None:
            return Problem(where, diagnostic.message, diagnostic.line)
        if not self.overridden.isdisjoint(prefixes):
            return Problem(f"{where} (from --set)", diagnostic.message)
        lines = (self.lines[prefix] for prefix in prefixes if prefix in self.lines)
        return Problem(where, diagnostic.message, next(lines, None))


def read_document(text: str | bytes, *, title: str = "configuration") -> YamlDocument:
    """Read the YAML text of a configuration.

    Args:
        text: the YAML text; bytes are UTF-8.
        title: name of the text in errors.

    Raises:
        ConfigurationError: the text is not YAML, is empty, too large or too deeply nested, or is not a mapping.

    Example:
        >>> document = read_document("training: {epochs: 20}")
        >>> document.values, document.lines[("training", "epochs")]
        ({'training': {'epochs': 20}}, 1)
    """
    values, reader = _read(text, title)
    if isinstance(values, dict):
        return YamlDocument(values, reader.lines, diagnostics=tuple(reader.diagnostics))
    message = f"expected a mapping of sections (key: value) at the top, found {describe(values)}"
    if values is None:
        message = "the file is empty; a configuration needs samples, classes and features"
    diagnostics = reader.diagnostics or [Diagnostic((), message, reader.lines.get(()))]
    raise ConfigurationError(
        title, [Problem("", diagnostic.message, diagnostic.line) for diagnostic in diagnostics]
    )


def read_value(text: str) -> tuple[object, tuple[Diagnostic, ...]]:
    """Read one value, as it is written after a key.

    Returns:
        The plain value, and diagnostics of it.

    Raises:
        ConfigurationError: the text is not YAML.

    Example:
        >>> read_value("[{nodes: 8}, 1e-3]")
        ([{'nodes': 8}, 0.001], ())
    """
    value, reader = _read(text, "value")
    return value, tuple(reader.diagnostics)


def _read(text: str | bytes, title: str) -> tuple[object, _NodeReader]:
    node, reader = _compose(_decode(text, title), title), _NodeReader()
    return None if node is None else reader.value(node, ()), reader


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
    """Compose nodes with the core schema of YAML 1.2; keep aliases as nodes, limit depth and number of nodes."""

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
        return Problem("", "YAML does not allow a tab here; indent with spaces", line)
    if error.problem == "but found another document":
        return Problem("", "a second document begins here (---); write only one", line)
    words = ", ".join(part for part in (error.context, error.problem) if part)
    return Problem("", f"cannot be read as YAML: {words}", line)


@dataclass
class _NodeReader:
    """Converts nodes to plain values and collects lines and diagnostics."""

    lines: dict[KeyPath, int] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        self.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_STANDARD}map":
            return self._mapping(node.value, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_STANDARD}seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._refuse_tag(node, path)
        return None

    def _mapping(self, pairs: Iterable[tuple[yaml.Node, yaml.Node]], path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in pairs:
            key = self._key(key_node, path)
            if key is None:
                continue
            line = _line(key_node)
            if key in values:
                first = self.lines[(*path, key)]
                lines = f"line {line}" if first == line else f"lines {first} and {line}"
                self._note((*path, key), f"this key is given twice, in {lines}; remove one", line)
                continue
            self.lines[(*path, key)] = line
            values[key] = self.value(value_node, (*path, key))
        return values

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_STANDARD}str":
            return str(node.value)
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS and node.value:
            value = describe(self._scalar(node, path))
            meaning = f", which YAML reads as {value}," if value != node.value else ""
            message = f"the key {node.value}{meaning} is not text; put it in quotes: '{node.value}'"
            self._note((*path, str(node.value)), message, _line(node))
            # the text is used as the key, so that the values below it are checked too
            return str(node.value)
        self._note(path, "expected a name before the colon, found something else", _line(node))
        return None

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> object:
        text = str(node.value)
        if node.tag == f"{_STANDARD}str":
            return text
        if node.tag == _ALIAS:
            self._note(path, f"aliases (*{text}) are not allowed; write the value itself", _line(node))
            return None
        if node.tag not in _SCALARS:
            self._refuse_tag(node, path)
            return None
        kind = node.tag.removeprefix(_STANDARD)
        if not _SCALARS[node.tag].match(text):
            self._note(path, f"{describe(text)} cannot be read as {kind}", _line(node))
            return None
        try:
            return _READERS[kind](text)
        except ValueError:  # Python refuses decimal numbers of thousands of digits
            self._note(path, f"a number of {len(text)} digits is too long to be read", _line(node))
            return None

    def _refuse_tag(self, node: yaml.Node, path: KeyPath) -> None:
        # a tag may spell any character, such as those that clear a terminal
        tag = ascii(str(node.tag).replace(_STANDARD, "!!")[:_LONGEST_TAG])[1:-1]
        self._note(path, f"the tag {tag} is not allowed here; write plain values", _line(node))

    def _note(self, path: KeyPath, message: str, line: int) -> None:
        self.diagnostics.append(Diagnostic(path, message, line))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


_READERS: Mapping[str, Callable[[str], object]] = {
    "null": lambda _text: None,
    "bool": lambda text: text.lower() == "true",
    "int": lambda text: int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)),
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}
