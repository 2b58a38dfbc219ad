"""The colours of a figure that neither follow the theme of the page nor are of data."""

from __future__ import annotations

import re

from matplotlib.colors import Colormap, to_hex
from matplotlib.figure import Figure

from tamis.plots.book import svg_text
from tamis.plots.cells import SHADES, SIGNED_SHADES
from tamis.plots.style import DARK_ON_FILL, LIGHT_ON_FILL, SIX_COLOURS, TEN_COLOURS
from tamis.report.vector import inline_text
from tamis.studies.sculpting.plot import CUT_SHADES

OF_DATA = {*SIX_COLOURS, *TEN_COLOURS, DARK_ON_FILL, LIGHT_ON_FILL}


def colours_without_theme(svg: str) -> set[str]:
    """Return the colours of figures inside a page that are the same on a light and on a dark page without reason."""
    found = set(re.findall(r"(?:fill|stroke)\s*[:=]\s*[\"']?(#\w{6}|#\w{3}\b|white|black)", svg))
    return found - OF_DATA - set().union(*map(shades_of, (SHADES, SIGNED_SHADES, CUT_SHADES)))


def colours_of_figure(figure: Figure) -> set[str]:
    return colours_without_theme(inline_text(svg_text(figure), "", "").svg)


def shades_of(shades: Colormap) -> set[str]:
    return {to_hex(shades(number)) for number in range(shades.N)}
