"""The figures of the study of the inputs: distributions and correlations, on as many pages as they need."""

from __future__ import annotations

from collections.abc import Iterator

from tamis.plots.book import Drawing
from tamis.plots.labels import FigureLabels, axis_label
from tamis.studies.inputs import class_pages, feature_pages
from tamis.studies.inputs.correlation_plot import (
    plot_correlation_difference,
    plot_correlation_page,
)
from tamis.studies.inputs.distribution_plot import plot_input_page
from tamis.studies.inputs.result import InputsResult


def figures(result: InputsResult, labels: FigureLabels) -> list[Drawing]:
    """Return the figures of the study."""
    return [*_distributions(result, labels), *_correlations(result, labels)]


def _distributions(result: InputsResult, labels: FigureLabels) -> Iterator[Drawing]:
    names = [feature.name for feature in result.survey.features]
    axes = [labels.feature_axes.get(name) or axis_label(name) for name in names]
    for name, page in feature_pages(len(names)):
        arguments = {
            "distributions": result.distributions[page],
            "classes": labels.classes,
            "features": axes[page],
        }
        yield Drawing(name, plot_input_page, arguments, large=True)


def _correlations(result: InputsResult, labels: FigureLabels) -> Iterator[Drawing]:
    # correlations have no units
    features = [
        labels.features.get(feature.name) or axis_label(feature.name) for feature in result.survey.features
    ]
    if len(features) < 2:
        return
    titles = [style.text for style in labels.classes]
    matrices = list(zip(titles, result.survey.correlations.values(), strict=True))
    for name, page in class_pages(len(matrices)):
        arguments = {"correlations": matrices[page], "features": features}
        yield Drawing(name, plot_correlation_page, arguments, large=True)
    if result.survey.contrast is not None:
        yield Drawing(
            "correlations_difference",
            plot_correlation_difference,
            {
                "difference": result.survey.contrast,
                "features": features,
                "title": "all signal minus all background",
            },
            large=True,
        )
