"""What do the features look like?

A surprising result can have a simple reason: a feature that identifies the class, different distributions in training
and test, or test events outside the range of the training events. The study surveys each feature and all correlations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from tamis.blocks import Block, Caption, Cell, Finding, Table
from tamis.blocks.numbers import cell, count, p_value, percent, short, typeset, with_error
from tamis.figure_data import Column, FigureData, Labels
from tamis.statistics.correlations import CorrelationDifference, Correlations
from tamis.studies.columns import UNLABELLED, build_distribution_table, build_error_column
from tamis.studies.inputs.result import FeatureSurvey, InputsResult, compute_inputs
from tamis.studies.study import Study, import_figures, import_keys

FEATURES_PER_PAGE = 12
CLASSES_PER_PAGE = 6
CAPTIONS = (
    Caption(
        "inputs",
        "Features",
        "Distributions of the features by class, normalised to unit area. The network learns from differences between "
        "the classes; training and test must agree.",
    ),
    Caption(
        "correlations",
        "Correlations",
        "Linear correlations of the features by class. Differences between classes are information that no single "
        "distribution shows.",
    ),
    Caption(
        "correlations_difference",
        "Correlations, signal minus background",
        "All signal and all background classes are pooled with their weights, so that different means of pooled "
        "classes contribute too. Differences below two standard deviations are white and have no number.",
    ),
)


def section(result: InputsResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    survey = result.survey
    incomplete = any(feature.missing for feature in survey.features)
    names = result.class_names if incomplete else ()
    rows = tuple(_row(feature, survey.corrected_p_values(feature), names) for feature in survey.features)
    columns = (
        "feature", *(f"missing in {name}" for name in names), "balanced accuracy alone", "test events outside",
        "expected", "p", "training against test",
    )  # fmt: skip
    caption = (
        "Balanced accuracy alone: mean over the classes of the fraction of events (unweighted) that this feature alone "
        "classifies correctly; near one it identifies the class. Outside: test events beyond the range of the training "
        "events, and the number expected by chance. Training against test: smallest p-value of the classes. p-values "
        "are corrected for the number of features and classes."
    )
    yield Table(columns, rows, caption)
    if survey.differences:
        yield _differences(survey.differences)


def _row(
    feature: FeatureSurvey, corrected: dict[str, float | None], class_names: Sequence[str]
) -> tuple[Cell, ...]:
    outside = feature.outside
    beyond = (cell(None),) * 3
    if outside is not None:
        beyond = (count(outside.events), short(outside.expected, 3), p_value(corrected["outside"]))
    missing = (feature.missing[name].fraction if feature.missing else 0.0 for name in class_names)
    return (
        Cell(feature.name, light="bad" if feature.identifies_class else None),
        *(percent(fraction, 2) for fraction in missing),
        short(feature.purity, 3),
        *beyond,
        p_value(corrected["training_against_test"]),
    )


def _differences(differences: Sequence[CorrelationDifference]) -> Table:
    rows = tuple(
        (
            Cell(" and ".join(pair.features)),
            Cell(" minus ".join(pair.classes)),
            Cell(with_error(pair.difference, pair.error, signed=True), pair.difference),
        )
        for pair in differences
    )
    caption = (
        "Pairs of features whose linear correlation differs most between two classes, in the training events, with "
        "the standard deviation of the difference."
    )
    return Table(("features", "classes", "difference"), rows, caption, numeric=2)


def findings(result: InputsResult) -> Iterator[Finding]:
    """Return the warnings of the survey."""
    for warning in result.survey.warnings:
        yield Finding("look", "Inputs", typeset(warning))


def feature_pages(features: int) -> list[tuple[str, slice]]:
    """Share features among pages of about equal length, each with the name of its figure.

    >>> feature_pages(13)
    [('inputs_1', slice(0, 7, None)), ('inputs_2', slice(7, 13, None))]
    """
    pages = np.array_split(np.arange(features), -(-features // FEATURES_PER_PAGE)) if features else []
    return _named("inputs", [slice(int(page[0]), int(page[-1]) + 1) for page in pages])


def class_pages(classes: int) -> list[tuple[str, slice]]:
    """Share classes among pages, each with the name of its figure.

    >>> class_pages(3)
    [('correlations', slice(0, 6, None))]
    """
    firsts = range(0, classes, CLASSES_PER_PAGE)
    return _named("correlations", [slice(first, first + CLASSES_PER_PAGE) for first in firsts])


def _named(name: str, pages: list[slice]) -> list[tuple[str, slice]]:
    if len(pages) == 1:
        return [(name, pages[0])]
    return [(f"{name}_{number}", page) for number, page in enumerate(pages, start=1)]


def figure_data(result: InputsResult, labels: Labels) -> Iterator[FigureData]:
    """Return a table of the distribution of each feature, and one for each figure of the correlations."""
    survey = result.survey
    names = [feature.name for feature in survey.features]
    for figure, page in feature_pages(len(names)):
        for name, distribution in zip(names[page], result.distributions[page], strict=True):
            if distribution.bins is not None:
                description = (
                    f"Distribution of {name} in each class, of unit area. The first and the last bin may hold all that "
                    "lies outside of the range."
                )
                yield build_distribution_table(
                    f"{figure}_{name}",
                    description,
                    name,
                    distribution,
                    result.class_names,
                    labels.get(name, UNLABELLED),
                )
    if len(names) < 2:
        return
    for figure, page in class_pages(len(result.class_names)):
        by_class = {name: survey.correlations[name] for name in result.class_names[page]}
        description = "Linear correlations of the features, of the training events of each class."
        yield _correlations(figure, description, names, by_class)
    if survey.contrast is not None:
        description = "Linear correlations of the features of all signal minus those of all background."
        contrast = {"signal minus background": survey.contrast}
        yield _correlations("correlations_difference", description, names, contrast)


def _correlations(
    table: str, description: str, features: Sequence[str], by_class: Mapping[str, Correlations]
) -> FigureData:
    pairs = list(combinations(range(len(features)), 2))
    columns = tuple(
        build_error_column(
            "Correlation coefficient",
            [float(correlations.matrix[pair]) for pair in pairs],
            [float(correlations.error[pair]) for pair in pairs],
            qualifiers={"Class": name},
        )
        for name, correlations in by_class.items()
    )
    first = Column("Feature", [features[pair[0]] for pair in pairs])
    second = Column("Other feature", [features[pair[1]] for pair in pairs])
    return FigureData(table, description, (first, second), columns)


INPUTS = Study(
    name="inputs",
    title="Inputs",
    result=InputsResult,
    compute=compute_inputs,
    keys=import_keys(f"{__name__}.keys"),
    metrics=lambda result: result.survey.to_metrics(),
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
    findings=findings,
    summary=lambda result: result.survey.warnings,
)
