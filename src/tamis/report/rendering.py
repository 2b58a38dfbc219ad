"""Render a page as one HTML file that loads nothing and runs only its own script."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

from tamis.blocks import Page


def render(page: Page) -> str:
    """Return a page as HTML.

    All text is escaped. A content security policy forbids the page to load anything and to run any other script.

    >>> from tamis.blocks import PageSection, Text
    >>> "<b>" in render(Page("<b>", "", [PageSection("one", "One", (Text("<b>"),))], ""))
    False
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data"] = _data
    script, style = _template("page.js"), _template("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html: str = environment.get_template("page.html").render(
        page=page, script=script, style=style, script_hash=f"sha256-{digest}"
    )
    return html


def _template(name: str) -> str:
    return files("tamis.report").joinpath("templates", name).read_text(encoding="utf-8")


def _data(value: Any) -> str:
    """Write JSON that cannot end the script element around it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=dict)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
