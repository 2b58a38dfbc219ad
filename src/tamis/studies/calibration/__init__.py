"""Are the scores probabilities?

Among events with a score of 0.7 for a class, 70% should belong to it. The study compares the two in bins, and measures
what corrections that are fitted on validation events would change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tamis.blocks import Block, Caption, Cell, Finding, Light, Table, Text
from tamis.blocks.numbers import p_value, short, significant, typeset, with_error
from tamis.figure_data import Column, FigureData, Labels
from tamis.statistics.reliability import LEAST, SIMULATIONS, Reliability
from tamis.studies.calibration.result import CalibrationResult, compute_calibration, find_most_deviating
from tamis.studies.columns import build_error_column
from tamis.studies.study import Study, import_figures, import_keys
from tamis.wording import format_metric, format_p_value

LEVEL = 0.05
"""p-value, corrected for the number of classes, up to which scores are called not calibrated."""
_CLEAR = 2.0
"""Standard deviations by which a correction must lower the loss to be recommended."""

CAPTIONS = (
    Caption(
        "calibration",
        "Reliability",
        "Of the events with a score of 0.7 for a class, 70% should belong to it. Points "
        "below the diagonal: the scores are too high; above: too low. The pull is the distance from the diagonal in "
        "standard deviations, a triangle at the edge a pull beyond five. Only bins in which the scores predict at "
        f"least {LEAST:g} effective events of the class and of the other classes have a pull and count in p.",
    ),
)


def section(result: CalibrationResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    error = result.temperature_error if math.isfinite(result.temperature_error) else None
    temperature, vector = (with_error(*change, signed=True) for change in result.changes.values())
    yield Text(
        f"{_describe_applied(result)}The temperature fitted on validation events is "
        f"{with_error(1 / result.temperature.scale[0], error)} (with its standard deviation, also below); above one "
        "the scores are overconfident, below one underconfident. Temperature scaling changes the balanced loss of the "
        f"test events, {format_metric(result.loss)[0]}, by {temperature}, vector scaling by {vector}. {_advice(result)}"
    )
    yield _table(result)


def _describe_applied(result: CalibrationResult) -> str:
    """Describe the correction that is part of the scores; return nothing if there is none."""
    if result.applied is None:
        return ""
    scaling, folds = result.applied.of_all, len(result.applied.of_folds)
    factors, offsets = (
        ", ".join(
            f"{name} {number:{digits}}" for name, number in zip(result.class_names, numbers, strict=True)
        )
        for numbers, digits in ((scaling.scale, ".4f"), (scaling.offset, "+z.4f"))
    )
    correction = (
        f"a temperature of {1 / scaling.scale[0]:.4f}"
        if result.applied.method == "temperature"
        else f"vector scaling (factors of the logits: {factors}; offsets: {offsets})"
    )
    of_folds = f", and one more for each of {folds} folds" if folds else ""
    return (
        f"The scores are already calibrated: the classifier applies {correction}, fitted on validation "
        f"events{of_folds}. The following numbers show what a second correction would change. "
    )


def _advice(result: CalibrationResult) -> str:
    """Return a recommendation whether to calibrate the scores in the training."""
    gains = {method: change for method, (change, error) in result.changes.items() if change < -_CLEAR * error}
    if not gains:
        return (
            "Neither of these corrections helps: none lowers the loss by more than two standard deviations."
        )
    best = min(gains, key=lambda method: gains[method])
    return f"If you use the scores as probabilities, train with training.calibration: {best}."


def _table(result: CalibrationResult) -> Table:
    weightings = {"balanced": result.balanced, "physics": result.physics or ()}
    rows = tuple(
        (
            Cell(name),
            Cell(weighting),
            short(reliability.error, 3),
            short(reliability.error_by_chance, 3),
            p_value(reliability.p_value, smallest=1 / (SIMULATIONS + 1)),
        )
        for weighting, reliabilities in weightings.items()
        for name, reliability in zip(result.class_names, reliabilities, strict=False)
    )
    columns = ("class", "weights", "calibration error", "by chance", "p")
    caption = (
        "Calibration error: expected calibration error (ECE), the weighted mean distance between score and fraction, "
        "in bins of equal numbers of events. By chance: its mean for a perfectly calibrated classifier on the same "
        "events. p: probability that such a classifier has at least this sum of squared pulls, not corrected for the "
        "number of classes. Physics: the scores are first converted to physics weights, p(c) / w(c) divided by its sum "
        "over the classes, with the class weights w of the training."
    )
    return Table(columns, rows, caption, numeric=2)


def findings(result: CalibrationResult) -> Iterator[Finding]:
    """Return whether the scores are calibrated, with balanced weights and converted to physics weights."""
    light, sentence = _describe_reliability(
        result.class_names, result.balanced, "The scores", "balanced weights"
    )
    if result.physics:
        physics_light, physics = _describe_reliability(
            result.class_names, result.physics, "The scores converted to physics weights", "physics weights"
        )
        if physics_light != "good":
            sentence = f"{sentence} {physics}"
            light = "look" if "look" in (light, physics_light) else "info"
    yield Finding(light, "Calibration", sentence)


def _describe_reliability(
    class_names: Sequence[str], reliabilities: Sequence[Reliability], scores: str, weights: str
) -> tuple[Light, str]:
    index, corrected = find_most_deviating(reliabilities)
    reliability, chance = reliabilities[index], len(reliabilities) / (SIMULATIONS + 1)
    light: Light
    if corrected > LEVEL:
        light, statement = "good", "are well calibrated"
    elif reliability.error > 2 * reliability.error_by_chance:
        light, statement = "look", "are not calibrated"
    else:
        light, statement = "info", "deviate from perfect calibration in single bins, but little on average"
    return light, (
        f"{scores} {statement} ({weights}): the score of {class_names[index]} deviates most "
        f"({typeset(format_p_value(corrected, smallest=chance))}, corrected for {len(reliabilities)} classes), with a "
        f"calibration error of {significant(reliability.error, 2)}; by chance it would be "
        f"{significant(reliability.error_by_chance, 2)} on average."
    )


def figure_data(result: CalibrationResult, _labels: Labels) -> Iterator[FigureData]:
    """Return a table of the reliability of each class, as it is and after temperature scaling."""
    weightings = (
        ("", "", result.balanced),
        ("_temperature", " after temperature scaling", result.with_temperature),
    )
    for index, name in enumerate(result.class_names):
        for suffix, when, reliabilities in weightings:
            bins = reliabilities[index].bins
            scores = [reliability_bin.score for reliability_bin in bins]
            edges = [(reliability_bin.low, reliability_bin.high) for reliability_bin in bins]
            fraction = build_error_column(
                f"Fraction of {name}",
                [reliability_bin.fraction for reliability_bin in bins],
                [reliability_bin.error for reliability_bin in bins],
                label="statistical, for exact scores",
            )
            yield FigureData(
                f"calibration_{name}{suffix}",
                f"Fraction of {name} among test events of similar score for {name}{when}, with balanced weights.",
                (Column(f"Score of {name}", scores, edges=edges),),
                (Column("Mean score", scores), fraction),
            )


CALIBRATION = Study(
    name="calibration",
    title="Calibration",
    result=CalibrationResult,
    compute=compute_calibration,
    keys=import_keys(f"{__name__}.keys"),
    metrics=CalibrationResult.to_metrics,
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
    findings=findings,
)
