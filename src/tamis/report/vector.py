"""Vector figures inside a page: nothing that runs or loads, names of their own, colours that follow the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from tamis.errors import InputError, Problem
from tamis.report.slimming import slim

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_KEPT = frozenset(
    {
        "svg",
        "g",
        "path",
        "defs",
        "clipPath",
        "rect",
        "circle",
        "line",
        "polyline",
        "use",
        "text",
        "tspan",
        "image",
        "pattern",
    }
)
_ATTRIBUTES = frozenset({
    "id", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "viewBox", "transform", "style",
    "clip-path", "href", "points", "preserveAspectRatio", "clip-rule", "fill-rule", "patternUnits", "fill",
})  # fmt: skip
_FAMILY = "'DejaVu Sans', Verdana, 'Bitstream Vera Sans', sans-serif"
_COLOURS = {
    "#1a1a1a": "currentColor",
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    "white": "var(--paper)",
    "#dfe0e4": "var(--line)",
    "#e4e5e8": "var(--line)",
    # areas behind what is drawn: light on paper, dark on a dark page
    "#f6d5d9": "var(--region)",
    "#ededee": "var(--panel)",
}
_COLOUR = re.compile("|".join(_COLOURS))
_PROPERTY = re.compile(
    r"(fill|stroke|opacity|font|text-anchor|clip-path|clip-rule|white-space|mix-blend|image-rendering)[\w-]*\s*:"
)
_LOCAL = re.compile(r"url\(#([^)]*)\)")
_FOREIGN = re.compile(r"url\((?!#)|expression|@|javascript:|[{}<>\\]", re.IGNORECASE)


@dataclass(frozen=True)
class Figure:
    """A figure that can stand in a page.

    Args:
        svg: its text.
        shape: its width over its height.
        width: in points.
    """

    svg: str
    shape: float
    width: float


def inline_svg(path: Path, prefix: str, label: str) -> Figure:
    """Read a figure and make it fit to stand in a page, as `inline_text` does.

    Args:
        path: of the SVG file.
        prefix: of all names in it.
        label: what the figure is, for those who cannot see it.

    Raises:
        InputError: the file is no SVG.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(path, f"cannot be read ({error})") from error
    return inline_text(text, prefix, label, path)


def inline_text(text: str, prefix: str, label: str, where: Path | str = "a figure") -> Figure:
    """Make a figure fit to stand in a page.

    Only shapes and text are kept. Names in it get a prefix, so that several figures can stand in one page. Black
    follows the colour of the text, white that of the paper, and shaded areas behind both those of the page.

    Args:
        text: of the SVG.
        prefix: of all names in it.
        label: what the figure is, for those who cannot see it.
        where: it comes from, for the error.

    Raises:
        InputError: the text is no SVG.
    """
    # figures declare the public document type of SVG, which is not looked up; entities would be
    if "<!ENTITY" in text:
        raise _refused(where, "declares entities, which figures of tamis do not")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise _refused(where, f"is not XML ({error})") from error
    if root.tag != f"{_SVG}svg":
        raise _refused(where, "is no SVG figure")
    clean = _cleaned(root, prefix)
    slim(clean, f"{prefix}s")
    width, height = _size(root, where)
    for name in ("width", "height"):
        clean.attrib.pop(name, None)
    clean.attrib.update({
        "viewBox": f"0 0 {width:g} {height:g}", "style": f"max-width:{width * 4 / 3:.0f}px",
        "role": "img", "aria-label": label,
    })  # fmt: skip
    return Figure(ET.tostring(clean, encoding="unicode"), width / height, width)


def _size(root: Element, where: Path | str) -> tuple[float, float]:
    """Give width and height in points, as matplotlib writes them in the view box."""
    try:
        _, _, width, height = map(float, root.get("viewBox", "").split())
    except ValueError as error:
        raise _refused(where, "says nothing of its size (`viewBox`)") from error
    if not (width > 0 and height > 0):
        raise _refused(where, f"has the impossible size {width:g} x {height:g}")
    return width, height


def _refused(where: Path | str, message: str) -> InputError:
    return InputError("report", [Problem(str(where), f"{message}; train again, or copy the whole run again")])


def _cleaned(element: Element, prefix: str, *, referred: bool = False) -> Element:
    clean = Element(element.tag.removeprefix(_SVG))
    referred = referred or clean.tag == "defs"
    clean.text = element.text if clean.tag in ("text", "tspan") else None
    for name, value in element.attrib.items():
        local = "href" if name == _LINK else name
        if local in _ATTRIBUTES:
            kept = _attribute(clean.tag, local, value, prefix)
            if kept is not None:
                clean.set(local, kept)
    for child in element:
        if child.tag == f"{_SVG}use" and referred:
            continue  # what is referred to refers to nothing, so that no figure grows without end
        if child.tag.startswith(_SVG) and child.tag.removeprefix(_SVG) in _KEPT:
            inside = _cleaned(child, prefix, referred=referred)
            inside.tail = child.tail if clean.tag in ("text", "tspan") else None
            clean.append(inside)
    return clean


def _attribute(tag: str, name: str, value: str, prefix: str) -> str | None:
    """Give the attribute as the page may hold it; None leaves it out."""
    if name == "id":
        return prefix + value
    if name == "href":
        if value.startswith("#"):
            return f"#{prefix}{value[1:]}"
        return value if tag == "image" and value.startswith("data:image/png;base64,") else None
    if _FOREIGN.search(value):
        return None
    value = _LOCAL.sub(rf"url(#{prefix}\1)", value)
    if name == "style":
        value = "; ".join(each.strip() for each in value.split(";") if _PROPERTY.match(each.strip()))
    if name in ("style", "fill"):
        value = _COLOUR.sub(lambda found: _COLOURS[found.group()], value)
        value = value.replace("'DejaVu Sans'", _FAMILY)
    return value
