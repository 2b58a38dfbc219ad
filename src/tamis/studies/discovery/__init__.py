"""How significant would a discovery of the signal be?

The expected significance of the signal score is computed after the best cut, in bins and in categories, with the
uncertainties of the backgrounds. Validation events choose the cut and the bins, test events are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from tamis.blocks import Block, Caption, Cell, Finding, Table, Text, Tile
from tamis.blocks.numbers import Interval, cell, short, significant, with_interval
from tamis.figure_data import Column, FigureData, Labels
from tamis.statistics.arrays import replace_undefined
from tamis.statistics.bins import ScoreBinning
from tamis.statistics.counts import Counts
from tamis.studies.columns import build_bin_column, build_error_column
from tamis.studies.discovery.result import DiscoveryResult, compute_discovery
from tamis.studies.study import Study, import_figures, import_keys
from tamis.wording import counted, format_metric, name_interval

_COUNTED = "the other events, with out-of-fold scores"
"""The events that are counted with cross-training."""
_CONSTRAINT = "the statistical uncertainty of their simulation, with a Gaussian constraint in each bin"

CAPTIONS = (
    Caption(
        "significance",
        "Significance after a cut",
        "Expected significance and yields of test events against the cut on the signal score. The line marks the cut "
        "chosen on validation events.",
    ),
    Caption(
        "binning",
        "Bins of the signal score",
        "Yields in each bin, and the significance of each bin alone. The uncertainty of a background is constrained by "
        "all bins together.",
    ),
)


def section(result: DiscoveryResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    binning = result.expected.binning
    yield Text(" ".join(_sentences(result)))
    if binning is not None:
        yield _bins_table(binning, cross_trained=result.cross_trained)
    yield _categories_table(result)


def tiles(result: DiscoveryResult) -> Iterator[Tile]:
    """Return the significance of the bins; nothing if yields are sums of weights instead of expected events."""
    expected = result.expected
    if expected.binning is None or expected.events_per_weight is None:
        return
    note = f"Asimov, {counted(len(expected.binning.bins), 'bin')}; {describe_uncertainty(result)}"
    value, interval = with_interval(expected.binning.significance, expected.intervals["bins"])
    yield Tile("Significance", value, name_interval(interval), note)


def findings(result: DiscoveryResult) -> Iterator[Finding]:
    """Return warnings of too few simulated background events; nothing if no significance is quoted at the top."""
    if result.warnings and result.expected.events_per_weight is not None:
        sentence = (
            f"{' '.join(result.warnings)} Simulate more background, or choose a looser cut and wider bins."
        )
        yield Finding("look", "Discovery significance", sentence)


def _sentences(result: DiscoveryResult) -> Iterator[str]:
    expected = result.expected
    after, intervals = expected.after_cut, expected.intervals
    if expected.events_per_weight is None:
        yield (
            "evaluation.luminosity is not set: yields are sums of weights, and the significances are those of an "
            "experiment with as many expected events."
        )
    if after is not None:
        yield (
            f"The best cut, a signal score of at least {format_metric(expected.cut or 0.0)[0]}, "
            f"selects {significant(after.signal)} signal "
            f"and {significant(after.background)} background events: significance "
            f"{_write(after.significance, intervals['cut'])}."
        )
    if expected.binning is not None:
        number = len(expected.binning.bins)
        reach = "reaches" if number == 1 else "together reach"
        significance = _write(expected.binning.significance, intervals["bins"])
        yield f"{counted(number, 'bin')} of the score {reach} {significance}."
    yield f"Categories by the highest score reach {_write(expected.by_categories, intervals['categories'])}."
    events = _COUNTED if result.cross_trained else "test events"
    yield f"Cut and bins are optimised on validation events; all numbers are those of {events}."
    uncertainty = describe_uncertainty(result)
    yield (
        f"The 68.3% intervals show the statistical uncertainty of the simulation. Assumed: {uncertainty}. Test "
        "events are scaled to the sum of weights of all used events of their class."
    )
    yield from result.warnings
    if expected.events_per_weight is not None:
        yield f"A sum of weights of one stands for {significant(expected.events_per_weight)} expected events."


def _write(significance: float | None, interval: Interval) -> str:
    text, written = with_interval(significance, interval)
    return f"{text} ({name_interval(written)})" if written else text


def describe_uncertainty(result: DiscoveryResult) -> str:
    """Return which background uncertainties the significances assume, as the middle of a sentence."""
    numbers = result.background_uncertainty
    if not any(numbers.values()):
        return f"no systematic uncertainty of the backgrounds, only {_CONSTRAINT}"
    if len(set(numbers.values())) == 1:
        percentage = f"{100 * next(iter(numbers.values())):g}%"
        uncertainty = f"an uncorrelated systematic uncertainty of {percentage} for each background"
    else:
        by_background = ", ".join(f"{name} {100 * number:g}%" for name, number in numbers.items())
        uncertainty = f"uncorrelated systematic uncertainties of the backgrounds ({by_background})"
    return f"{uncertainty}, and {_CONSTRAINT}"


def _bins_table(binning: ScoreBinning, *, cross_trained: bool) -> Table:
    rows = tuple(
        (
            Cell(f"{format_metric(low)[0]} to {format_metric(high)[0]}", low),
            short(counts.signal),
            short(counts.background),
            short(counts.background_error),
            short(counts.effective_sample_size),
            _significance_cell(counts),
        )
        for (low, high), counts in zip(pairwise(binning.edges), binning.bins, strict=True)
    )
    columns = ("signal score", "signal", "background", "background error", "effective events", "significance")
    events = _COUNTED if cross_trained else "test events"
    caption = (
        f"Bins chosen on validation events, filled with {events}. The error is that of the finite simulation."
    )
    return Table(columns, rows, caption)


def _significance_cell(counts: Counts) -> Cell:
    """Return a cell with as many digits as the error from the simulation supports."""
    z, error = counts.significance, counts.significance_error
    return replace(cell(z, None if z is None or error is None else (z - error, z + error)), note="")


def _categories_table(result: DiscoveryResult) -> Table:
    rows = tuple(
        (
            Cell(name),
            *(short(number) for number in category.yields),
            short(category.counts.signal),
            short(category.counts.background),
            _significance_cell(category.counts),
        )
        for name, category in zip(result.class_names, result.expected.categories, strict=True)
    )
    columns = ("highest score", *result.class_names, "signal", "background", "significance")
    caption = (
        f"{result.expected.yields_are.capitalize()} of each true class by the class with the highest score."
    )
    return Table(columns, rows, caption)


_SIMULATION = "statistical uncertainty of the simulation"


def figure_data(result: DiscoveryResult, _labels: Labels) -> Iterator[FigureData]:
    """Return a table of the scan of cuts, and one of the bins if there are any."""
    expected, scan = result.expected, result.expected.scan
    yields_are = expected.yields_are.capitalize()
    significance, signal, background = (
        build_error_column(
            name,
            replace_undefined(values),
            replace_undefined(errors),
            label=_SIMULATION,
            qualifiers=qualifiers,
        )
        for name, values, errors, qualifiers in (
            ("Significance", scan.significance, scan.significance_error, {}),
            (yields_are, scan.signal, scan.signal_error, {"Events": "signal"}),
            (yields_are, scan.background, scan.background_error, {"Events": "background"}),
        )
    )
    exactly = Column(
        "Significance",
        replace_undefined(scan.without_uncertainty),
        qualifiers={"Background": "background known exactly"},
    )
    yield FigureData(
        "significance",
        "Expected discovery significance, and yields after each cut on the signal score, of test events.",
        (Column("Cut on the signal score", scan.thresholds.tolist()),),
        (significance, exactly, signal, background),
    )
    binning, yields = expected.binning, expected.yields
    if binning is None or yields is None:
        return
    of_classes = (
        build_error_column(yields_are, numbers, errors, label=_SIMULATION, qualifiers={"Class": name})
        for name, numbers, errors in zip(result.class_names, yields.numbers, yields.errors, strict=True)
    )
    yield FigureData(
        "binning",
        "Yields of each class in the bins of the signal score, and the significance of each bin alone, of test events.",
        (build_bin_column("Signal score", list(pairwise(binning.edges))),),
        (*of_classes, Column("Significance", [counts.significance for counts in binning.bins])),
    )


DISCOVERY = Study(
    name="discovery",
    title="Discovery significance",
    result=DiscoveryResult,
    compute=compute_discovery,
    keys=import_keys(f"{__name__}.keys"),
    metrics=DiscoveryResult.to_metrics,
    section=section,
    figures=import_figures(f"{__name__}.plot"),
    captions=CAPTIONS,
    data=figure_data,
    tiles=tiles,
    findings=findings,
)
