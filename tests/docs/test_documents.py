"""The documents say what is true: links, figures, configurations, commands and the example of the README."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import pytest
import typer

from tamis.cli.commands import app
from tamis.config import load_config, parse_config
from tamis.config.document import read_document
from tamis.data.simulate import write_sample

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
# the pages whose fragments of a configuration are changes of the workshop's example
ABOUT_THE_WORKSHOP = [ROOT / "README.md", ROOT / "docs" / "tutorial.md"]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
WORKSHOP = ROOT / "examples" / "offshell" / "workshop.yaml"
LARGEST_FIGURE = 120_000

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")
_ASSIGNMENT = re.compile(r"^(\w+)=(?=['\"])", re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for language, body in _FENCE.findall(text_of(page)) if language in languages]


def links(page: Path) -> list[str]:
    prose = re.sub(r"`[^`\n]+`", "", _FENCE.sub("", text_of(page)))
    return [first or second for first, second in _LINK.findall(prose)]


def anchor(heading: str) -> str:
    """Give the anchor that a heading has on a page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def command_lines(page: Path) -> Iterator[list[str]]:
    """Give the arguments of every call of tamis in a block, without the program's name."""
    variables: dict[str, str] = {}
    for body in blocks(page, "", "bash", "sh"):
        for line in body.replace("\\\n", " ").splitlines():
            if assigned := _ASSIGNMENT.match(line):
                variables[assigned.group(1)] = shlex.split(line)[0].split("=", 1)[1]
            elif line.startswith("tamis "):
                words = shlex.split(line, comments=True)[1:]
                yield [Template(word).safe_substitute(variables) for word in words]


def mentions(page: Path) -> list[list[str]]:
    """Give every `tamis ...` that stands in a sentence."""
    return [shlex.split(text)[1:] for text in re.findall(r"`(tamis [^`]+)`", _FENCE.sub("", text_of(page)))]


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def options(command: Any) -> set[str]:
    return {"--help", "--debug", *(name for each in command.params for name in each.opts)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, place = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if place:
            headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text_of(target)), re.MULTILINE)
            assert place in {anchor(heading) for heading in headings}, link


def test_every_figure_is_small_and_shown() -> None:
    shown = {
        (page.parent / link).resolve() for page in PAGES for link in links(page) if link.endswith(".png")
    }
    figures = sorted((ROOT / "docs" / "figures").iterdir())
    assert figures
    for figure in figures:
        assert figure.stat().st_size < LARGEST_FIGURE, figure
        assert figure.resolve() in shown, figure


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_every_example_is_right(example: Path) -> None:
    assert load_config(example).name == example.stem


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_configuration_is_right(page: Path) -> None:
    for block in blocks(page, "yaml"):
        if {"samples", "classes", "features"} <= set(read_document(block).values):
            parse_config(block, title=name_of(page))


@pytest.mark.parametrize("page", ABOUT_THE_WORKSHOP, ids=name_of)
def test_every_fragment_fits_the_example(page: Path) -> None:
    example = read_document(text_of(WORKSHOP)).values
    for block in blocks(page, "yaml"):
        parse_config({**example, **read_document(block).values}, title=block)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_can_be_typed(page: Path) -> None:
    known = commands()
    for words in command_lines(page):
        assert words[0] in known, words
        # reads the arguments as the command would, and runs nothing
        parsed = (
            known[words[0]].make_context(words[0], [word for word in words[1:] if word != "--debug"]).params
        )
        config = parsed.get("config")
        if config is not None and (ROOT / config).is_file():
            load_config(ROOT / config, overrides=parsed["overrides"] or ())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_a_sentence_exists(page: Path) -> None:
    known = commands()
    for words in mentions(page):
        if words[0].startswith("-"):
            continue
        assert words[0] in known, words
        given = {word.split("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        assert given <= options(known[words[0]]), words


def test_the_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `tamis (\w+)", text_of(ROOT / "README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(commands())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    typed = [line for body in blocks(page, "", "bash", "sh") for line in body.splitlines()]
    found = [re.match(r"make ([\w-]+)", line) for line in typed]
    named = re.findall(r"`make ([\w-]+)[^`]*`", _FENCE.sub("", text_of(page)))
    assert {*named, *(each.group(1) for each in found if each)} <= targets


@pytest.mark.slow  # trains, and draws every figure of a run
def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "examples" / "offshell"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "offshell" / "recommended.yaml", folder)
    write_sample(folder / "data", events=400, seed=1)
    (code,) = blocks(ROOT / "README.md", "python")
    script = tmp_path / "example.py"
    script.write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(script))
    assert names["scores"].shape == (2, 3)
    assert (tmp_path / "runs" / "recommended" / "metrics.json").is_file()
