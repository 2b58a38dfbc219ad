"""From a YAML file, a YAML text or a mapping to a configuration; every problem is told at once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from tamis.config.configuration import Config
from tamis.config.document import LARGEST, Document, read_document
from tamis.config.facts import MOST, find_contradictions
from tamis.config.overrides import override
from tamis.config.place import Finding, Place, existing_place
from tamis.config.problems import find_faults
from tamis.errors import ConfigurationError, Problem


def load_config(path: str | Path, *, data: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration file.

    Args:
        path: the YAML file.
        data: the folder where relative file names are looked up; it replaces `data` of the file.
        overrides: texts `place=value`, such as `training.batch_size=256`.

    Returns:
        The configuration. Its `data` is an absolute folder: that of the file where nothing else is said. Its
        `name` is that of the file where the file gives none.

    Raises:
        ConfigurationError: the file cannot be read or breaks a rule; all problems are told at once.

    Example:
        >>> import tempfile
        >>> lines = [
        ...     "samples: [{name: b, class: b, files: b.root}, {name: s, class: s, files: s.root}]",
        ...     "classes: {b: {label: BKG}, s: {signal: true}}",
        ...     "features: [pt, mass]",
        ... ]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "offshell.yaml"
        ...     _ = file.write_text(chr(10).join(lines))
        ...     config = load_config(file, overrides=["training.epochs=5"])
        >>> config.name, config.training.epochs
        ('offshell', 5)
    """
    path = Path(path)
    title = str(path)
    document, problems = override(read_document(_read_file(path, title), title=title), overrides)
    values = {"name": _folder_name(path), **document.values}
    values["data"] = _data_folder(path, values.get("data")) if data is None else _absolute(data)
    return _validate(dataclasses.replace(document, values=values), title, problems)


def parse_config(
    source: str | Mapping[str, object],
    *,
    title: str = "configuration",
    data: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Config:
    """Make a configuration from YAML text or from a mapping of plain values.

    Args:
        source: YAML text, or what such a text says as dicts, lists, text and numbers.
        title: what errors call it.
        data: the folder where relative file names are looked up; it replaces `data` of the source.
        overrides: texts `place=value`, such as `training.batch_size=256`.

    Returns:
        The configuration. A relative `data` stays as it is written.

    Raises:
        ConfigurationError: the source breaks a rule; all problems are told at once.

    Example:
        >>> config = parse_config(
        ...     {
        ...         "samples": [
        ...             {"name": "background", "class": "bkg", "files": "bkg.root"},
        ...             {"name": "signal", "class": "sig", "files": "sig.root"},
        ...         ],
        ...         "classes": {"bkg": {}, "sig": {"signal": True}},
        ...         "features": ["pt", "mass"],
        ...     }
        ... )
        >>> config.features[0].expression
        'pt'
    """
    read = read_document(source, title=title) if isinstance(source, str) else Document(source)
    document, problems = override(read, overrides)
    if data is not None:
        document = dataclasses.replace(document, values={**document.values, "data": _absolute(data)})
    return _validate(document, title, problems)


def _read_file(path: Path, title: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        advice = {
            FileNotFoundError: "look at its name; `tamis init FILES` writes a new one",
            IsADirectoryError: "give the YAML file, not its folder",
        }.get(type(error), "look at it, and at your right to read it")
        problem = Problem("", f"the file cannot be read ({error.strerror or error}): {advice}")
        raise ConfigurationError(title, [problem]) from error


def _folder_name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", path.stem).lstrip(".+-") or "run"


def _data_folder(path: Path, value: object) -> object:
    """Find the data from the folder of the YAML file; what is no text is refused with all other values."""
    if value is None:
        return _absolute(path.parent)
    if not isinstance(value, str) or not value.strip() or "://" in value:
        return value
    try:
        return _absolute(path.parent / Path(value).expanduser())
    except RuntimeError:  # there is no such user
        return value


def _absolute(folder: str | Path) -> str:
    return str(folder) if "://" in str(folder) else str(Path(folder).absolute())


def _validate(document: Document, title: str, problems: Sequence[Problem]) -> Config:
    config, findings = _check(document.values)
    told = dict.fromkeys(finding.place for finding in document.findings)
    findings = [*document.findings, *(finding for finding in findings if finding.place not in told)]
    found = [*problems, *(document.problem(finding) for finding in findings)]
    if config is None or found:
        raise ConfigurationError(title, _told(sorted(found, key=_order)))
    return config


def _told(problems: Sequence[Problem]) -> Sequence[Problem]:
    """Give as many problems as somebody reads."""
    if len(problems) <= MOST:
        return problems
    return [*problems[:MOST], Problem("", "there are more problems than these; mend them first")]


def _check(values: Mapping[str, object]) -> tuple[Config | None, list[Finding]]:
    try:
        return Config.model_validate(values), []
    except ValidationError as error:
        faults, said = find_faults(error, values), str(error)
    contradictions = [
        dataclasses.replace(finding, place=existing_place(finding.place, values))
        for finding in find_contradictions(values)
    ]
    # what is wrong in itself needs no second reason
    first: dict[Place, Finding] = {}
    for finding in (*faults, *contradictions):
        first.setdefault(finding.place, finding)
    return None, list(first.values()) or [Finding((), said)]


def _order(problem: Problem) -> tuple[bool, int]:
    return problem.line is None, problem.line or 0
