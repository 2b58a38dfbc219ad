"""Does a cut on the score change the distribution of a variable that the network does not see?

For each spectator, such as a mass, the study compares its distribution before and after cuts on the signal score, its
mean in slices of the score, and measures their dependence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from tamis.blocks import Block, Caption, Cell, Finding, Table, Text
from tamis.blocks.numbers import p_value, short, significant
from tamis.figure_data import FigureData, Labels
from tamis.statistics.histogram import Binning
from tamis.statistics.sculpting import EVENTS, LARGE, LARGE_SHIFT, LEVEL, SIGNS, Shift
from tamis.studies.columns import UNLABELLED, build_bin_column, build_density_column, build_error_column
from tamis.studies.context import Decorrelation
from tamis.studies.sculpting.result import FEWEST_EVENTS, Sculpting, SculptingResult, compute_sculpting
from tamis.studies.study import Study, import_figures, import_keys
from tamis.wording import format_metric, format_p_value

CAPTIONS = (
    Caption(
        "sculpting",
        "Spectators after cuts",
        "Filled: all events of a class. Lines: events after cuts on the signal score. The score sculpts a distribution "
        "if the lines have another shape: background may then look like a signal. Below: the mean of the spectator in "
        "slices of the score, which is constant without sculpting. A panel shows the central 99% of its class, or less "
        "if a tail is long; the first and the last bin hold everything outside.",
    ),
)


def section(result: SculptingResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    cuts = (
        f"shape at {100 * target:g}% (score \N{GREATER-THAN OR EQUAL TO} {format_metric(cut)[0]})"
        for target, cut in zip(result.working_points, result.cuts, strict=True)
    )
    columns = ("spectator", "class", "distance correlation", "p", "mean moves by", *cuts, "result")
    caption = (
        f"Distance correlation of spectator and score, from 0 (independent) to 1 (a copy), of about {EVENTS} random "
        "events of each class: it misses weak dependences. Mean: largest difference of the mean of the spectator "
        "between five slices of the score, in standard deviations of the spectator, from all events; below it in "
        "standard deviations of the difference. Shape: Jensen-Shannon distance, from 0 to 1, between the distributions "
        "before and after the cut on the signal score with the given signal efficiency; below it the expected "
        "distance for a cut independent of the spectator, and the p-value of a test of independence; there are none if "
        "fewer than "
        f"{FEWEST_EVENTS:g} effective events pass. Sculpted: a distance correlation of at least {LARGE:g}, or "
        f"a mean that moves by at least {LARGE_SHIFT:g}, with p \N{LESS-THAN OR EQUAL TO} {LEVEL:g}. Weak: a smaller "
        "shift of the mean, or a change of a shape, with such a p, that of shapes corrected for the number of cuts."
    )
    if result.decorrelation is not None:
        yield Text(_describe_decorrelation(result.decorrelation))
    yield Table(columns, tuple(_row(sculpting) for sculpting in result.spectators), caption, numeric=2)


def _describe_decorrelation(decorrelation: Decorrelation) -> str:
    measure = {"distance_correlation": "distance correlation", "flatness": "differences between bins"}
    return (
        f"The training decorrelated the signal score from {_join(decorrelation.spectators, 'and')} in "
        f"{_join(decorrelation.classes, 'and')} ({measure[decorrelation.method]}, strength "
        f"{decorrelation.strength:g}). For the dependence without it, train a second run with "
        "--set training.decorrelate=null, and compare both with tamis compare."
    )


def _row(sculpting: Sculpting) -> tuple[Cell, ...]:
    dependence = sculpting.dependence
    return (
        Cell(sculpting.spectator),
        Cell(sculpting.class_name),
        short(None if dependence is None else dependence.distance_correlation, 3),
        p_value(None if dependence is None else dependence.p_value, smallest=1 / (SIGNS + 1)),
        _shift_cell(sculpting.shift),
        *_build_shape_cells(sculpting),
        _result_cell(sculpting),
    )


def _build_shape_cells(sculpting: Sculpting) -> Iterator[Cell]:
    """Yield for each cut the distance of the shapes, with that by chance and the p-value."""
    for shape, chance, p in zip(
        sculpting.shapes, sculpting.shapes_by_chance, sculpting.shape_p_values, strict=True
    ):
        note = "too few events"
        if chance is not None:
            note = f"[{significant(chance, 3)}]{'' if p is None else f' {format_p_value(p)}'}"
        yield replace(short(shape, 3), note=note)


def _shift_cell(shift: Shift | None) -> Cell:
    if shift is None:
        return short(None)
    return replace(short(shift.size, 2), note=f"[{significant(shift.significance, 2)}]")


def _result_cell(sculpting: Sculpting) -> Cell:
    if sculpting.warning:
        return Cell("sculpted", light="look")
    if sculpting.is_weak:
        return Cell("weak", light="info")
    return Cell("no sign", light="good") if sculpting.is_known else Cell("too few events", light="info")


def comparison(result: SculptingResult) -> dict[str, Cell]:
    """Return the dependence of each spectator, in each class and at each working point, by its name."""
    cells = {}
    for sculpting in result.spectators:
        name, dependence = f"{sculpting.spectator} in {sculpting.class_name}", sculpting.dependence
        correlation = short(None if dependence is None else dependence.distance_correlation, 3)
        cells[f"distance correlation of score and {name}"] = correlation
        for point, shape_cell in zip(result.working_points, _build_shape_cells(sculpting), strict=True):
            cells[f"shape of {name} at {100 * point:g}% signal efficiency"] = shape_cell
    return cells


def findings(result: SculptingResult) -> Iterator[Finding]:
    """Return whether the score sculpts a spectator."""
    tested = (
        f"Tested: does {_join(result.names, 'or')} depend on the signal score within a class? If it does, a cut on the "
        "score changes its distribution, and background may look like a signal."
    )
    sculpted = [sculpting for sculpting in result.spectators if sculpting.warning]
    unknown = [
        f"{sculpting.spectator} in {sculpting.class_name}"
        for sculpting in result.spectators
        if not sculpting.is_known
    ]
    untested = f" Too few events to test {_join(unknown, 'and')}." if unknown else ""
    if sculpted:
        dependences = " ".join(
            sentence
            for name in result.names
            if (sentence := _describe_dependence(name, sculpted, result.signal))
        )
        is_background = any(sculpting.class_name not in result.signal for sculpting in sculpted)
        remedy = "decorrelate the score (training.decorrelate)"
        if result.decorrelation is not None:
            remedy = "raise training.decorrelate.strength"
        advice = (
            f" Look at these distributions after your cut. If a background peaks like the signal, {remedy}, remove the "
            "features that the spectator depends on, or include the changed shape in the background model."
        )
        yield Finding(
            "look" if is_background else "info",
            "Sculpting",
            f"{tested} Result: {dependences}{untested}{advice if is_background else ''}",
        )
    elif len(unknown) == len(result.spectators):
        yield Finding("info", "Sculpting", f"{tested} Result: too few events to test it.")
    else:
        yield _build_finding_without_warning(result, tested, untested)


def _build_finding_without_warning(result: SculptingResult, tested: str, untested: str) -> Finding:
    weak = [sculpting for sculpting in result.spectators if sculpting.is_weak]
    in_background = any(sculpting.class_name not in result.signal for sculpting in weak)
    advice = "There is nothing to do."
    if in_background:
        advice = "Look at these distributions after your cut: does your background model allow such a change?"
    return Finding(
        "info" if in_background else "good",
        "Sculpting",
        f"{tested} Result: {'no strong' if weak else 'no sign of'} sculpting. In every class the distance correlation "
        f"is below {LARGE:g}, and the mean moves by less than {LARGE_SHIFT:g} standard deviations between slices of "
        f"the score, or larger values can be chance (p > {LEVEL:g}).{_small_shift(result)}{_changed_shapes(weak)}"
        f"{untested} {advice}",
    )


def _describe_dependence(name: str, sculpted: Sequence[Sculpting], signal: Sequence[str]) -> str:
    """Name the classes in which a spectator depends on the score, backgrounds first; an empty text for none."""
    classes = [sculpting.class_name for sculpting in sculpted if sculpting.spectator == name]
    backgrounds = [class_name for class_name in classes if class_name not in signal]
    signals = [class_name for class_name in classes if class_name in signal]
    parts = [", ".join(backgrounds)] if backgrounds else []
    if signals:
        parts.append(f"{', '.join(signals)} (signal, whose shape may change)")
    return f"{name} depends on the score in {' and in '.join(parts)}." if classes else ""


def _join(names: Sequence[str], word: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def _small_shift(result: SculptingResult) -> str:
    """Describe the largest significant shift of a mean that is too small for a warning."""
    shifts = [
        (shift.size, shift.significance, f"{sculpting.spectator} in {sculpting.class_name}")
        for sculpting in result.spectators
        if (shift := sculpting.shift) and shift.size is not None and shift.is_significant
    ]
    if not shifts:
        return ""
    size, significance, where = max(shifts)
    return (
        f" There is a small but significant dependence: the mean of {where} moves by {significant(size, 2)} standard "
        f"deviations, {significant(significance, 2)} times its error."
    )


def _changed_shapes(weak: Sequence[Sculpting]) -> str:
    """Name the distributions that a cut changes significantly."""
    names = [
        f"{sculpting.spectator} in {sculpting.class_name}" for sculpting in weak if sculpting.changes_shape
    ]
    return f" A cut changes the shape of {_join(names, 'and')} a little, but significantly." if names else ""


def figure_data(result: SculptingResult, labels: Labels) -> Iterator[FigureData]:
    """Return for each spectator and class a table of the distributions, and one of the means in slices of the score."""
    cuts = ("no cut", *(f"{100 * point:g}% signal efficiency" for point in result.working_points))
    for sculpting in result.spectators:
        spectator, class_name = sculpting.spectator, sculpting.class_name
        label = labels.get(spectator, UNLABELLED)
        if sculpting.binning is not None:
            bins = list(pairwise(sculpting.binning.edges.tolist()))
            densities = tuple(
                build_density_column(histogram, len(bins), {"Cut": cut}, label)
                for histogram, cut in zip((sculpting.before, *sculpting.after), cuts, strict=True)
            )
            yield FigureData(
                f"sculpting_{spectator}_shape_{class_name}",
                f"Distribution of {spectator} of {class_name} before and after cuts on the signal score, of unit area."
                f"{_describe_overflow(sculpting.binning)}",
                (build_bin_column(spectator, bins, label),),
                densities,
            )
        if sculpting.slices:
            edges = [(score_slice.low, score_slice.high) for score_slice in sculpting.slices]
            mean = build_error_column(
                f"Mean of {spectator}",
                [score_slice.mean for score_slice in sculpting.slices],
                [score_slice.error for score_slice in sculpting.slices],
            )
            yield FigureData(
                f"sculpting_{spectator}_mean_{class_name}",
                f"Mean of {spectator} of {class_name} in slices of the signal score.",
                (build_bin_column("Signal score", edges),),
                (replace(mean, unit=label.unit, label=f"Mean of {label.text or spectator}"),),
            )


def _describe_overflow(binning: Binning) -> str:
    """Return a sentence about the bins that hold all values outside the range; an empty text for none."""
    ends = [name for name, outside in (("first", binning.below), ("last", binning.above)) if outside]
    if not ends:
        return ""
    return f" The {' and the '.join(ends)} bin {'holds' if len(ends) == 1 else 'hold'} all values outside the range."


SCULPTING = Study(
    name="sculpting",
    title="Sculpting of spectators",
    result=SculptingResult,
    compute=compute_sculpting,
    keys=import_keys(f"{__name__}.keys"),
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
    findings=findings,
    comparison=comparison,
)
