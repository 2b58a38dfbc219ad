"""Does the result depend on the seed, or on the fold?

The study compares the members of an ensemble with each other, on events that they did not learn from, and measures what
averaging their scores gains.
"""

from __future__ import annotations

from collections.abc import Iterator

from tamis.blocks import Block, Caption, Cell, Finding, Light, Table, Text
from tamis.blocks.numbers import cell, metric, p_value, short, typeset, with_error
from tamis.figure_data import Column, FigureData, Labels
from tamis.studies.columns import build_error_column
from tamis.studies.stability.result import LEVEL, Spread, StabilityResult, compute_stability
from tamis.studies.study import Study, import_figures, import_keys

CAPTIONS = (
    Caption(
        "stability",
        "Members of the ensemble",
        "Each member on test events that it did not learn from, beside all test events together (the band). Scores of "
        "several members that score the same events are averaged in the band; with folds of one member each, nothing "
        "is averaged. If the members differ by more than their error bars, the result depends on the seed or the fold.",
    ),
)


def section(result: StabilityResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    yield Text(typeset(result.sentence))
    yield _table(result)


def _table(result: StabilityResult) -> Table:
    has_seeds = any(spread.between_seeds is not None for spread in result.spreads)
    has_folds = any(spread.between_folds is not None for spread in result.spreads)
    rows = tuple(
        (
            Cell(spread.quantity if spread.class_name is None else f"AUC of {spread.class_name}"),
            metric(spread.mean),
            metric(spread.lowest),
            metric(spread.highest),
            *([short(spread.between_seeds, 2)] if has_seeds else []),
            *(
                (short(spread.between_folds, 2), short(spread.expected, 2), p_value(spread.p_value))
                if has_folds
                else []
            ),
            *([_gain(spread)] if has_seeds else []),
        )
        for spread in result.spreads
    )
    columns = (
        "quantity",
        "mean",
        "lowest",
        "highest",
        *(["between seeds"] if has_seeds else []),
        *(["between folds", "expected", "p"] if has_folds else []),
        *(["gain of the ensemble"] if has_seeds else []),
    )
    caption = "Each member on test events that it did not learn from, with the physics weights."
    if has_seeds:
        same_fold = " of the same fold" if has_folds else ""
        caption += (
            f" Between seeds: standard deviation of the members{same_fold}. Gain: how much better the ensemble is than "
            "its average member, with the standard deviation."
        )
    if has_folds:
        caption += (
            " Between folds: standard deviation of the folds, each with its own events, so that the mean of the folds "
            "is not the number of all test events. Expected: the deviation that their different events explain."
        )
    return Table(columns, rows, caption)


def _gain(spread: Spread) -> Cell:
    if spread.gain is None:
        return cell(None)
    return Cell(with_error(spread.gain, spread.gain_error, signed=True), spread.gain)


def findings(result: StabilityResult) -> Iterator[Finding]:
    """Return whether the members agree; without folds nothing is tested, and the finding is for information."""
    p = result.p_value
    light: Light = "info" if p is None else "look" if p <= LEVEL else "good"
    yield Finding(light, "Stability", typeset(result.sentence))


def figure_data(result: StabilityResult, _labels: Labels) -> Iterator[FigureData]:
    """Return a table of the loss, the accuracy and the areas of each member and of the ensemble."""
    numbers = (*result.members, result.ensemble)
    columns = [
        build_error_column(
            quantity.capitalize(),
            [getattr(member, quantity) for member in numbers],
            [getattr(member, f"{quantity}_error") for member in numbers],
        )
        for quantity in ("loss", "accuracy")
    ]
    columns += [
        build_error_column(
            f"AUC of {name}",
            [member.auc[index] for member in numbers],
            [member.auc_error[index] for member in numbers],
        )
        for index, name in enumerate(result.class_names)
    ]
    names = Column("Member", [*result.member_names, "ensemble"])
    description = "Numbers of each member on test events that it did not learn from, and of the ensemble."
    yield FigureData("stability", description, (names,), tuple(columns))


STABILITY = Study(
    name="stability",
    title="Stability",
    result=StabilityResult,
    compute=compute_stability,
    keys=import_keys(f"{__name__}.keys"),
    metrics=StabilityResult.to_metrics,
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
    findings=findings,
    summary=lambda result: (result.sentence,),
)
