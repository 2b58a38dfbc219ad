"""The style of a page: its text can be read on a light, a dark and a printed page."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

TEXT = ("ink", "muted", "accent", "good", "look", "bad", "info")
STYLE = files("tamis.report").joinpath("templates", "page.css").read_text(encoding="utf-8")
LIGHT, DARK, DARK_BY_BUTTON, PRINT = (
    dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root[^{]*{([^}]*)}", STYLE)
)


def luminance(colour: str) -> float:
    """Compute the relative luminance of the Web Content Accessibility Guidelines."""
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [LIGHT, DARK, {**LIGHT, **PRINT}], ids=["light", "dark", "print"])
def test_text_has_a_contrast_of_at_least_4_5(theme: dict[str, str]) -> None:
    for name in TEXT:
        for background in ("paper", "panel"):
            dark, light = sorted(luminance(theme[key]) for key in (name, background))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, background)


def test_the_button_and_the_system_give_the_same_dark_page() -> None:
    assert DARK == DARK_BY_BUTTON
    assert LIGHT.keys() == DARK.keys()
