"""The figure of the confusion matrix: every number is where it belongs and can be read."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tamis.errors import TamisError
from tamis.plots.labels import class_styles
from tamis.studies.performance.plot import plot_confusion


def shares(count: int) -> list[list[float]]:
    parts = np.random.default_rng(3).random((count, count)) + 3 * np.eye(count)
    rows: list[list[float]] = (parts / parts.sum(axis=1, keepdims=True)).tolist()
    return rows


def numbers(axes: Axes) -> dict[tuple[float, float], str]:
    return {text.get_position(): text.get_text() for text in axes.texts}


@pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 55}, tolerance=5)
def test_confusion_image() -> Figure:
    classes = class_styles(["ttbar_$", "w_jets", "sig"], [None, r"$W$+jets", r"$H \to \tau\tau$"])
    return plot_confusion([shares(3)[0], None, shares(3)[2]], classes=classes)


@pytest.mark.parametrize("count", [2, 3, 6, 12])
def test_rows_are_true_classes_and_columns_predicted_ones(count: int) -> None:
    rows = shares(count)
    (axes,) = plot_confusion(rows, classes=class_styles([f"class {index}" for index in range(count)])).axes
    assert numbers(axes) == {
        (column, row): f"{rows[row][column]:.3f}" for row in range(count) for column in range(count)
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"class {index}" for index in range(count)
    ]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted class", "True class")
    # The first true class is at the top.
    assert axes.get_ylim() == (count - 0.5, -0.5)


def luminance(colour: object) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in to_rgb(colour)  # type: ignore[arg-type]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_numbers_can_be_read_on_every_shade() -> None:
    rows = np.linspace(-0.2, 1.2, 49).reshape(7, 7)
    (axes,) = plot_confusion(rows.tolist(), classes=class_styles(list("abcdefg"))).axes
    (image,) = axes.collections
    for share, drawn in zip(rows.ravel(), axes.texts, strict=True):
        background = luminance(image.cmap(image.norm(share)))
        text = luminance(drawn.get_color())
        contrast = (max(text, background) + 0.05) / (min(text, background) + 0.05)
        # The least that the Web Content Accessibility Guidelines ask for large text.
        assert contrast >= 3.0


def test_an_undefined_row_is_hatched_and_has_no_numbers() -> None:
    (axes,) = plot_confusion([[0.25, 0.75], None], classes=class_styles(["a", "b"])).axes
    assert numbers(axes) == {(0, 0): "0.250", (1, 0): "0.750"}
    assert len([patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_hatch()]) == 2


@pytest.mark.parametrize("wrong", [[[1.0, 0.0]], [[1.0], [0.0]], []])
def test_a_matrix_of_another_size_is_refused(wrong: list[list[float]]) -> None:
    with pytest.raises(TamisError):
        plot_confusion(wrong, classes=class_styles(["a", "b"]))


@pytest.mark.parametrize("name", ["x" * 200, "a very long name of a process (with its generator, 13 TeV)"])
def test_long_names_stay_inside_the_figure(name: str) -> None:
    figure = plot_confusion(shares(3), classes=class_styles([name, "b", "c"]))
    figure.draw_without_rendering()
    assert figure.get_tightbbox().x0 >= 0
    assert figure.get_tightbbox().y0 >= 0
