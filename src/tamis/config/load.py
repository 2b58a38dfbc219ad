"""Read a configuration from a YAML file, a YAML text or a mapping; all problems are reported at once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from tamis.config.configuration import Config
from tamis.config.consistency import MOST, find_inconsistencies
from tamis.config.document import LARGEST, YamlDocument, read_document
from tamis.config.key_path import Diagnostic, KeyPath, existing_key_path
from tamis.config.overrides import apply_overrides
from tamis.config.problems import explain_errors
from tamis.errors import ConfigurationError, Problem
from tamis.paths import to_path


def load_config(path: str | Path, *, data: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration file.

    Args:
        path: the YAML file; its folder is the default of `data`, and its name that of `name`.
        data: folder of relative file names; replaces `data` of the file.
        overrides: texts `path=value`, such as `training.batch_size=256`.

    Raises:
        ConfigurationError: the file cannot be read or is not valid; lists all problems.

    Example:
        >>> load_config("absent.yaml")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        tamis.errors.ConfigurationError: absent.yaml: the file cannot be read (No such file or directory): check ...
    """
    path = to_path(path, "load_config")
    title = str(path)
    document, problems = apply_overrides(read_document(_read_file(path, title), title=title), overrides)
    values = {"name": default_name(path), **document.values}
    values["data"] = _data_folder(path, values.get("data")) if data is None else _absolute(data)
    return _validate(dataclasses.replace(document, values=values), title, problems)


def parse_config(
    source: str | Mapping[str, object],
    *,
    title: str = "configuration",
    data: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Config:
    """Build a configuration from YAML text or from a mapping of plain values.

    Args:
        source: YAML text, or its content as dicts, lists, text and numbers.
        title: name of the source in errors.
        data: folder of relative file names; replaces `data` of the source.
        overrides: texts `path=value`, such as `training.batch_size=256`.

    Returns:
        The configuration. A relative `data` stays relative.

    Raises:
        ConfigurationError: the source is not valid; lists all problems.

    Example:
        >>> samples = [{"name": name, "class": name, "files": f"{name}.root"} for name in ("bkg", "sig")]
        >>> classes = {"bkg": {}, "sig": {"signal": True}}
        >>> config = parse_config({"samples": samples, "classes": classes, "features": ["pt", "mass"]})
        >>> config.features[0].expression
        'pt'
    """
    original = read_document(source, title=title) if isinstance(source, str) else YamlDocument(source)
    document, problems = apply_overrides(original, overrides)
    if data is not None:
        document = dataclasses.replace(document, values={**document.values, "data": _absolute(data)})
    return _validate(document, title, problems)


def _read_file(path: Path, title: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        advice = {
            FileNotFoundError: "check the path; `tamis init FILES` writes a new one",
            IsADirectoryError: "give the YAML file, not its folder",
        }.get(type(error), "check that it is a file and that you may read it")
        problem = Problem("", f"the file cannot be read ({error.strerror or error}): {advice}")
        raise ConfigurationError(title, [problem]) from error


def default_name(path: Path) -> str:
    """Return the default name of a run: that of the configuration file, in characters that a folder name may have.

    >>> default_name(Path("studies/my analysis.yaml"))
    'my_analysis'
    """
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", path.stem).lstrip(".+-") or "run"


def _data_folder(path: Path, value: object) -> object:
    """Return `data` relative to the folder of the YAML file; the validation reports values that are not text."""
    if value is None:
        return _absolute(path.parent)
    if not isinstance(value, str) or not value.strip() or "://" in value:
        return value
    try:
        return _absolute(path.parent / Path(value).expanduser())
    except RuntimeError:  # the user in ~user does not exist
        return value


def _absolute(folder: str | Path) -> str:
    return str(folder) if "://" in str(folder) else str(to_path(folder, "data").absolute())


def _validate(document: YamlDocument, title: str, problems: Sequence[Problem]) -> Config:
    config, diagnostics = _check(document.values)
    reported = {diagnostic.path for diagnostic in document.diagnostics}
    diagnostics = [
        *document.diagnostics,
        *(diagnostic for diagnostic in diagnostics if diagnostic.path not in reported),
    ]
    all_problems = [*problems, *map(document.locate, diagnostics)]
    if config is None or all_problems:
        # by their lines; those of the command line are last
        all_problems.sort(key=lambda problem: (problem.line is None, problem.line or 0))
        more = [Problem("", "there are more problems; fix these first")] if len(all_problems) > MOST else []
        raise ConfigurationError(title, [*all_problems[:MOST], *more])
    return config


def _check(values: Mapping[str, object]) -> tuple[Config | None, list[Diagnostic]]:
    try:
        return Config.model_validate(values), []
    except ValidationError as error:
        errors, text = explain_errors(error, values), str(error)
    inconsistencies = [
        dataclasses.replace(diagnostic, path=existing_key_path(diagnostic.path, values))
        for diagnostic in find_inconsistencies(values)
    ]
    # one diagnostic for each path: a wrong value needs no second reason
    first: dict[KeyPath, Diagnostic] = {}
    for diagnostic in (*errors, *inconsistencies):
        first.setdefault(diagnostic.path, diagnostic)
    return None, list(first.values()) or [Diagnostic((), text)]
