"""Embed SVG figures in a page: without scripts and links, with unique IDs and the colours of the page, and smaller."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

from tamis.errors import InputError, Problem
from tamis.plots.style import MUTED_COLOUR, REGION_COLOUR, SHADE_COLOUR, TEXT_COLOUR, WARNING_COLOUR

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_ELEMENTS = frozenset({
    "svg", "g", "path", "defs", "clipPath", "rect", "circle", "line", "polyline", "use", "text", "tspan", "image",
    "pattern",
})  # fmt: skip
_COORDINATES = frozenset({
    "d", "points", "transform", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height",
})  # fmt: skip
_ATTRIBUTES = _COORDINATES | {
    "id", "r", "viewBox", "style", "clip-path", "href", "preserveAspectRatio", "clip-rule", "fill-rule", "patternUnits",
    "fill",
}  # fmt: skip
_FAMILY = "'DejaVu Sans', Verdana, 'Bitstream Vera Sans', sans-serif"
# colours that are not of data follow the theme of the page
_COLOURS = {
    TEXT_COLOUR: "currentColor",
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    "white": "var(--paper)",
    MUTED_COLOUR: "var(--muted)",
    WARNING_COLOUR: "var(--bad)",
    SHADE_COLOUR: "var(--line)",
    REGION_COLOUR: "var(--region)",
}
_COLOUR = re.compile("|".join(_COLOURS))
_PROPERTY = re.compile(
    r"(fill|stroke|opacity|font|text-anchor|clip-path|clip-rule|white-space|mix-blend|image-rendering)[\w-]*\s*:"
)
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_UNSAFE = re.compile(r"url\((?!#)|expression|@|javascript:|[{}<>\\]", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+\.\d{3,}(?![\d.]*e)")


@dataclass(frozen=True)
class EmbeddedFigure:
    """The text of an SVG that is safe to embed in a page, its width over its height, and its width in points."""

    svg: str
    shape: float
    width: float


def inline_svg(path: Path, prefix: str, label: str) -> EmbeddedFigure:
    """Read a figure and convert it for use inside a page (`inline_text`); raise an `InputError` if it is not an SVG."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _error(path, f"cannot be read ({error})") from error
    return inline_text(text, prefix, label, path)


def inline_text(text: str, prefix: str, label: str, source: Path | str = "a figure") -> EmbeddedFigure:
    """Convert the text of an SVG for use inside a page; the label describes the figure for screen readers.

    Only shapes and text remain. IDs and classes get a prefix, so that a page can hold several figures. Black becomes
    the text colour of the page, white its background colour, and shaded areas follow its theme. The result has a third
    of the size: coordinates are rounded to hundredths of a point, unused IDs and empty groups are removed, and a
    repeated style becomes a class.
    """
    # figures declare the public document type of SVG, which the parser does not read; it would read entities
    if "<!ENTITY" in text:
        raise _error(source, "declares entities, which figures of tamis do not")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise _error(source, f"is not XML ({error})") from error
    if root.tag != f"{_SVG}svg":
        raise _error(source, "is not an SVG figure")
    try:
        _, _, width, height = map(
            float, root.get("viewBox", "").split()
        )  # in points, as matplotlib writes it
    except ValueError as error:
        raise _error(source, "has no valid size (`viewBox`)") from error
    if not (width > 0 and height > 0):
        raise _error(source, f"has the impossible size {width:g} x {height:g}")
    clean = _copy_safe_parts(root, prefix)
    _slim(clean, prefix)
    for name in ("width", "height"):
        clean.attrib.pop(name, None)
    clean.attrib.update({
        "viewBox": f"0 0 {width:g} {height:g}", "style": f"--width:{width * 4 / 3:.0f}px",
        "role": "img", "aria-label": label,
    })  # fmt: skip
    return EmbeddedFigure(ET.tostring(clean, encoding="unicode"), width / height, width)


def _error(source: Path | str, message: str) -> InputError:
    return InputError(
        "report", [Problem(str(source), f"{message}; train again, or copy the whole run again")]
    )


def _copy_safe_parts(element: Element, prefix: str, *, in_definition: bool = False) -> Element:
    clean = Element(element.tag.removeprefix(_SVG))
    in_definition = in_definition or clean.tag == "defs"
    has_text = clean.tag in ("text", "tspan")
    clean.text = element.text if has_text else None
    for name, value in element.attrib.items():
        local_name = "href" if name == _LINK else name
        safe_value = _clean_attribute(clean.tag, local_name, value, prefix)
        if local_name in _ATTRIBUTES and safe_value is not None:
            clean.set(local_name, safe_value)
    for child in element:
        if child.tag == f"{_SVG}use" and in_definition:
            continue  # definitions refer to nothing, so that a small figure cannot grow without limit
        if child.tag.startswith(_SVG) and child.tag.removeprefix(_SVG) in _ELEMENTS:
            clean_child = _copy_safe_parts(child, prefix, in_definition=in_definition)
            clean_child.tail = child.tail if has_text else None
            clean.append(clean_child)
    return clean


def _clean_attribute(tag: str, name: str, value: str, prefix: str) -> str | None:
    """Return a safe form of an attribute; None to remove it."""
    if name == "id":
        return prefix + value
    if name == "href":
        if value.startswith("#"):
            return f"#{prefix}{value[1:]}"
        return value if tag == "image" and value.startswith("data:image/png;base64,") else None
    if _UNSAFE.search(value):
        return None
    value = _REFERENCE.sub(rf"url(#{prefix}\1)", value)
    if name == "style":
        declarations = map(str.strip, value.split(";"))
        value = "; ".join(declaration for declaration in declarations if _PROPERTY.match(declaration))
    if name in ("style", "fill"):
        value = _COLOUR.sub(lambda match: _COLOURS[match.group()], value)
        value = value.replace("'DejaVu Sans'", _FAMILY)
    return value


def _slim(root: Element, prefix: str) -> None:
    """Shorten a figure without changing how it looks."""
    values = [item for element in root.iter() for item in element.attrib.items()]
    used_ids = {value.removeprefix("#") for name, value in values if name == "href"}
    used_ids.update(reference for _, value in values for reference in _REFERENCE.findall(value))
    for element in root.iter():
        if element.get("id") not in used_ids:
            element.attrib.pop("id", None)
        for name in _COORDINATES.intersection(element.attrib):
            element.set(name, _NUMBER.sub(_round, element.attrib[name]))
    _unwrap_groups(root)
    counts = Counter(element.attrib["style"] for element in root.iter() if "style" in element.attrib)
    classes = {
        style: f"{prefix}s{number}" for number, (style, count) in enumerate(counts.items()) if count > 1
    }
    for element in root.iter():
        if element.get("style") in classes:
            element.set("class", classes[element.attrib.pop("style")])
    if classes:
        sheet = SubElement(root, "style")
        sheet.text = "".join(f".{name}{{{style}}}" for style, name in classes.items())


def _round(match: re.Match[str]) -> str:
    text = f"{float(match.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _unwrap_groups(element: Element) -> None:
    """Replace groups without attributes by their content."""
    for child in list(element):
        _unwrap_groups(child)
        if child.tag == "g" and not child.attrib:
            position = list(element).index(child)
            element[position : position + 1] = list(child)
