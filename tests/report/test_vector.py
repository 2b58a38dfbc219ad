"""Only shapes and text of a figure come into the page."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

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


def test_black_and_white_follow_the_page_and_text_stays_text(tmp_path: Path) -> None:
    text = '<text style="fill: #e42536">&lt;b&gt; <tspan>c</tspan></text>'
    inside = f'<rect style="fill: #ffffff; stroke: #1a1a1a"/>{text}'
    svg = inlined(tmp_path, inside)
    assert "fill: var(--paper); stroke: currentColor" in svg
    assert "#e42536" in svg
    assert "&lt;b&gt; <tspan>c</tspan>" in svg


def test_the_shape_is_known(tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    path.write_text(f"{HEAD}</svg>")
    assert inline_svg(path, "", "").shape == 2
