"""Only shapes and text of a figure come into the page."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tamis.plots.style import MUTED_COLOUR, WARNING_COLOUR
from tamis.report.vector import inline_svg

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 200 100">'


def inlined(tmp_path: Path, inside: str) -> str:
    path = tmp_path / "figure.svg"
    path.write_text(f"{HEAD}{inside}</svg>")
    return inline_svg(path, "one-", "a figure").svg


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        "<foreignObject><body/></foreignObject>",
        '<rect onclick="alert(1)" width="1"/>',
        '<a href="https://example.org"><rect/></a>',
        '<image href="https://example.org/a.png"/>',
        '<image xlink:href="javascript:alert(1)"/>',
        '<use href="https://example.org/a.svg#x"/>',
        '<rect style="fill: url(https://example.org/a)"/>',
        "<style>@import url(https://example.org)</style>",
        '<animate attributeName="href" to="javascript:alert(1)"/>',
    ],
)
def test_nothing_runs_and_nothing_loads(tmp_path: Path, inside: str) -> None:
    svg = inlined(tmp_path, inside)
    for bad in ("script", "onclick", "example.org", "foreignObject", "animate", "@import"):
        assert bad not in svg


def test_names_get_a_prefix_everywhere(tmp_path: Path) -> None:
    inside = (
        '<defs><path id="a" d="M0 0"/><clipPath id="c"/></defs>'
        '<g clip-path="url(#c)"><use xlink:href="#a" style="clip-path: url(#c)"/></g>'
    )
    root = ET.fromstring(inlined(tmp_path, inside))
    names = {each.get("id") for each in root.iter() if each.get("id")}
    assert names == {"one-a", "one-c"}
    (use,) = (each for each in root.iter() if each.tag == "use")
    assert use.get("href") == "#one-a"
    assert use.get("style") == "clip-path: url(#one-c)"
    assert "url(#one-c)" in {each.get("clip-path") for each in root.iter()}


def test_black_and_white_follow_the_page_and_text_stays_text(tmp_path: Path) -> None:
    text = '<text style="fill: #e42536">&lt;b&gt; <tspan>c</tspan></text>'
    inside = f'<rect style="fill: #ffffff; stroke: #1a1a1a"/>{text}'
    svg = inlined(tmp_path, inside)
    assert "fill: var(--paper); stroke: currentColor" in svg
    assert "#e42536" in svg
    muted = inlined(tmp_path, f'<text style="fill: {MUTED_COLOUR}"/><text style="fill: {WARNING_COLOUR}"/>')
    assert "fill: var(--muted)" in muted
    assert "fill: var(--bad)" in muted
    assert "&lt;b&gt; <tspan>c</tspan>" in svg


def test_a_style_cannot_leave_its_rule(tmp_path: Path) -> None:
    twice = '<rect style="fill: red} * {display: none"/><rect style="fill: red} * {display: none"/>'
    assert "display" not in inlined(tmp_path, twice)


def test_figures_are_slimmed_without_changing_them(tmp_path: Path) -> None:
    inside = (
        '<g id="a"><g id="b"><path id="c" d="M 1.23456 -0.000001 L 7 8.5" style="fill: red"/></g></g>'
        '<g><path d="M 0 0" style="fill: red"/><use href="#d" style="fill: blue"/></g><path id="d" d="M 1 1"/>'
    )
    root = ET.fromstring(inlined(tmp_path, inside))
    assert [each.tag for each in root] == ["path", "path", "use", "path", "style"]
    assert root[0].attrib == {"d": "M 1.23 0 L 7 8.5", "class": "one-s0"}
    assert root[2].attrib == {"href": "#one-d", "style": "fill: blue"}
    assert root[3].get("id") == "one-d"
    assert root[4].text == ".one-s0{fill: red}"


def test_the_shape_is_known(tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    path.write_text(f"{HEAD}</svg>")
    assert inline_svg(path, "", "").shape == 2


def test_a_figure_cannot_grow_without_end(tmp_path: Path) -> None:
    doubled = "".join(
        f'<g id="a{n}"><use href="#a{n - 1}"/><use href="#a{n - 1}"/></g>' for n in range(1, 40)
    )
    svg = inlined(tmp_path, f'<defs><path id="a0" d="M0 0"/>{doubled}</defs><use href="#a39"/>')
    assert svg.count("<use") == 1


def test_a_style_only_paints(tmp_path: Path) -> None:
    svg = inlined(tmp_path, '<rect style="fill: red; position: fixed; inset: 0; stroke-width: 2"/>')
    assert 'style="fill: red; stroke-width: 2"' in svg
