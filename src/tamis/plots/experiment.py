"""The label of an experiment above a figure, such as "CMS Simulation Preliminary" and "138 fb^-1"."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tamis.errors import RequestError
from tamis.plots.labels import checked_label, compute_font_size
from tamis.plots.style import TEXT_COLOUR

HEIGHT = 0.3
"""Height of the strip with the label above a figure, in inches."""
_BASELINE = 0.08  # inches above the lower end of the strip
_MARGIN = 0.1  # inches
_SIZE = 12.0  # points


@dataclass(frozen=True)
class ExperimentLabel:
    r"""The label above a figure: experiment and status at the left, luminosity at the right.

    Args:
        text: the first word, the name of the experiment, is drawn bold, the others in italics; text with mathtext is
            drawn unchanged.
        luminosity: may hold mathtext; the exponent of `138 fb^{-1}` is raised.

    Raises:
        RequestError: a text is not valid mathtext.

    Example:
        >>> ExperimentLabel("CMS Simulation Preliminary", "138 fb^{-1}").drawn
        ('$\\mathbf{CMS}$ $\\mathit{Simulation}$ $\\mathit{Preliminary}$', '138 $\\mathrm{fb}^{-1}$')
    """

    text: str = ""
    luminosity: str = ""

    def __post_init__(self) -> None:
        """Check that both texts can be drawn."""
        for text, subject in zip(
            self.drawn, ("the label (--label)", "the luminosity label (--luminosity-label)"), strict=True
        ):
            checked_label(text, subject)
        if not _has_balanced_braces(self.luminosity):
            raise RequestError(
                f"the luminosity label (--luminosity-label): '{self.luminosity}' has a brace without its counterpart; "
                "write it as in 138 fb^{-1} (13 TeV)"
            )

    @property
    def drawn(self) -> tuple[str, str]:
        """Texts for matplotlib."""
        text, words = self.text, self.text.split()
        if all(word.isalnum() for word in words):
            text = " ".join(
                f"$\\math{'it' if number else 'bf'}{{{word}}}$" for number, word in enumerate(words)
            )
        return text, " ".join(_raise_exponent(word) for word in self.luminosity.split())


def _has_balanced_braces(text: str) -> bool:
    depths = [0]
    for letter in text:
        depths.append(depths[-1] + (letter == "{") - (letter == "}"))
    return min(depths) == depths[-1] == 0


def _raise_exponent(word: str) -> str:
    """Write a unit with an exponent, such as fb^{-1}, as mathtext."""
    unit, power, exponent = word.partition("^")
    if not power or "$" in word or not unit.isalpha():
        return word
    return f"$\\mathrm{{{unit}}}^{{{exponent.strip('{}')}}}$"


def draw_strip(label: ExperimentLabel, width: float) -> Figure:
    """Draw only the strip with the label, for a figure of a width in inches."""
    figure = Figure(figsize=(width, HEIGHT))
    add_label(figure, label, bottom=0.0)
    return figure


def add_label(figure: Figure, label: ExperimentLabel, *, bottom: float) -> None:
    """Draw a label on a strip whose lower end is at `bottom` inches; the page must have `HEIGHT` inches for it."""
    width, height = figure.get_size_inches()
    strip = Rectangle((0, bottom / height), 1, HEIGHT / height, transform=figure.transFigure)
    strip.set(facecolor="white", linewidth=0, clip_on=False)
    figure.add_artist(strip)
    baseline = (bottom + _BASELINE) / height
    positions = ((_MARGIN / width, "left"), (1 - _MARGIN / width, "right"))
    for text, (x, side) in zip(label.drawn, positions, strict=True):
        if text:
            size = compute_font_size(text, width / 2 - _MARGIN, _SIZE)
            figure.text(x, baseline, text, ha=side, va="baseline", fontsize=size, color=TEXT_COLOUR)
