"""The figures of the correlations: panels, numbers, what is not defined."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tamis.errors import TamisError
from tamis.plots.cells import CellNumbers
from tamis.plots.labels import axis_label
from tamis.statistics.correlations import Correlations, compute_correlations
from tamis.studies.inputs import class_pages
from tamis.studies.inputs.correlation_plot import plot_correlation_difference, plot_correlation_page


def found(features: int, seed: int = 1, constant: int | None = None) -> Correlations:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2000, features)) @ (
        np.eye(features) + 0.5 * rng.normal(size=(features, features))
    )
    if constant is not None:
        values[:, constant] = 1.0
    return compute_correlations(values, np.ones(2000))


def labels(features: int) -> list[str]:
    return [axis_label(f"x_{number}", "$p_T$" if number == 1 else None) for number in range(features)]


def texts(figure: Figure, panel: int = 0) -> list[str]:
    (numbers,) = (each for each in figure.axes[panel].artists if isinstance(each, CellNumbers))
    return [number.text for number in numbers.numbers]


@pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 55}, tolerance=5)
def test_correlations_image() -> Figure:
    classes = [("BKG 1", found(5)), ("bkg2", found(5, 2, constant=3)), ("SIGNAL", found(5, 3))]
    return plot_correlation_page(classes, features=labels(5))


@pytest.mark.parametrize(("classes", "panels"), [(1, [1]), (2, [2]), (4, [4]), (6, [6]), (8, [6, 2])])
@pytest.mark.parametrize("features", [1, 2, 30])
def test_each_class_has_a_panel(classes: int, panels: list[int], features: int) -> None:
    matrices = [("c", found(features))] * classes
    pages = [
        plot_correlation_page(matrices[page], features=labels(features)) for _, page in class_pages(classes)
    ]
    # the last axes are those of the scale
    assert [len(page.axes) - 1 for page in pages] == panels
    for page in pages:
        page.draw_without_rendering()
        assert page.axes[0].get_title() == "c"
        assert [tick.get_text() for tick in page.axes[0].get_yticklabels()] == labels(features)


def test_the_numbers_are_those_of_the_matrix_as_far_as_there_is_room() -> None:
    each = found(4)
    figure = plot_correlation_page([("c", each)], features=labels(4))
    drawn = [float(text.replace("\N{MINUS SIGN}", "-")) for text in texts(figure)]
    assert drawn == pytest.approx(each.matrix[~np.eye(4, dtype=bool)], abs=0.0051)
    wide = plot_correlation_page([("c", found(30))], features=labels(30))
    assert texts(wide) == []


def test_what_is_not_defined_is_hatched_and_has_no_number() -> None:
    figure = plot_correlation_page([("c", found(3, constant=1))], features=labels(3))
    patches = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert sum(patch.get_hatch() is not None for patch in patches) == 5
    assert len(texts(figure)) == 2


def test_only_certain_differences_are_written() -> None:
    matrix = np.array([[0.0, 0.3, -0.3], [0.3, 0.0, 0.01], [-0.3, 0.01, 0.0]])
    difference = Correlations(matrix, np.full((3, 3), 0.1))
    figure = plot_correlation_difference(difference, features=labels(3), title="signal minus background")
    assert texts(figure) == [".30", "\N{MINUS SIGN}.30", ".30", "\N{MINUS SIGN}.30"]
    unsure = Correlations(matrix, np.full((3, 3), 0.2))
    without = plot_correlation_difference(unsure, features=labels(3), title="d")
    assert texts(without) == []
    assert [len(shown.axes[0].texts) for shown in (figure, without)] == [0, 0]
    titles = [shown.axes[0].get_title() for shown in (figure, without)]
    assert titles == ["signal minus background", "d: none significant"]
    assert without.axes[1].get_ylabel() == "difference of the linear correlation coefficients"


def test_a_matrix_of_another_size_is_refused() -> None:
    with pytest.raises(TamisError):
        plot_correlation_page([("c", found(3))], features=labels(2))
    with pytest.raises(TamisError):
        plot_correlation_difference(found(3), features=labels(2), title="d")


@pytest.mark.parametrize(("features", "image"), [(50, False), (60, True)])
def test_many_cells_are_the_pixels_of_an_image(features: int, image: bool) -> None:
    matrix = np.random.default_rng(2).uniform(-1, 1, (features, features))
    matrix[3, 5] = np.nan
    each = Correlations(matrix, np.full_like(matrix, 0.1))
    figure = plot_correlation_page([("bkg", each)], features=labels(features))
    axes = figure.axes[0]
    assert len(axes.collections) == (not image)
    assert len(axes.images) == image
    if image:
        (drawn,) = axes.images
        np.testing.assert_array_equal(drawn.get_array().filled(np.nan), matrix)
        assert tuple(drawn.get_extent()) == (-0.5, features - 0.5, features - 0.5, -0.5)
        assert drawn.get_interpolation() == "none"  # sharp where it is enlarged
