"""The keys of `metrics.json` that the study sculpting writes."""

from collections.abc import Mapping

from tamis.statistics.sculpting import Dependence, Shift, Slice
from tamis.studies.context import Decorrelation
from tamis.studies.keys import ClassName, Keys, SpectatorName, key


class HistogramContents(Keys):
    """A histogram of unit area."""

    density: tuple[float, ...] = key("in each bin")
    uncertainty: tuple[float, ...] = key("its standard deviation")


class SpectatorHistograms(Keys):
    """Distribution of a spectator before and after the cuts."""

    edges: tuple[float, ...] = key("of the bins", "binning.edges")
    outside_below: bool = key("whether the first bin also holds lower values", "binning.below")
    outside_above: bool = key("whether the last bin also holds higher values", "binning.above")
    before: HistogramContents | None = key("all events")
    after: tuple[HistogramContents | None, ...] = key("events that pass each of the cuts")


class ClassSculpting(Keys):
    """How a spectator depends on the signal score in one class."""

    slices: tuple[Slice, ...] = key("mean of the spectator in slices of the score")
    shift: Shift | None = key(
        "the two slices that differ most; null for fewer than 25 effective events in a slice"
    )
    dependence: Dependence | None = key("distance correlation; null for fewer than 25 effective events")
    passing: tuple[float, ...] = key("effective events with a value of the spectator after each cut")
    shapes: tuple[float | None, ...] = key(
        "Jensen-Shannon distance of the shape after each cut from that before; null if `passing` is below 20"
    )
    shapes_by_chance: tuple[float | None, ...] = key(
        "what these distances would be for cuts that are independent of the spectator"
    )
    shape_p_values: tuple[float | None, ...] = key(
        "p-value of the test that the cut is independent of the spectator; null like `shapes`, if all events "
        "pass, or if the spectator is constant"
    )
    histograms: SpectatorHistograms | None = key("the shapes")
    warning: str | None = key("a sentence if the cuts sculpt the spectator")


class Sculpting(Keys):
    """Dependence of the spectators on the signal score."""

    cuts: tuple[float | None, ...] = key("thresholds at the working points")
    spectators: Mapping[SpectatorName, Mapping[ClassName, ClassSculpting]] = key(
        "of each spectator in each class", "by_class"
    )
    decorrelation: Decorrelation | None = key(
        "what the training made the score independent of; null without `training.decorrelate`"
    )


KEYS = {"sculpting": (Sculpting | None, key("null without spectators"))}
