"""The keys of `metrics.json` that the study discovery writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tamis.statistics.asimov import Requirements
from tamis.statistics.counts import Counts
from tamis.studies.keys import ClassName, Interval, Keys, key


@dataclass(frozen=True)
class CutCounts(Counts):
    """Expected events that pass the cut on the signal score.

    Args:
        significance_interval: 68.3% interval from the finite simulation.
    """

    significance_interval: Interval = None


@dataclass(frozen=True)
class BinCounts(Counts):
    """Expected events of one bin, or of one category.

    Args:
        yields: expected events of each class.
    """

    yields: Mapping[ClassName, float] = field(default_factory=dict)


class Scan(Keys):
    """Expected events and significance for every cut on the signal score, or for as many as a figure can show."""

    thresholds: tuple[float, ...] = key("of the cuts, falling; events with score >= threshold pass")
    signal: tuple[float, ...] = key("expected signal events")
    background: tuple[float, ...] = key("expected background events")
    signal_error: tuple[float, ...] = key("standard deviation of `signal` from the finite simulation")
    background_error: tuple[float, ...] = key("standard deviation of `background` from the finite simulation")
    significance: tuple[float | None, ...] = key("null where there is not enough background")
    significance_error: tuple[float | None, ...] = key(
        "standard deviation of `significance` from the finite simulation"
    )
    without_uncertainty: tuple[float | None, ...] = key(
        "the significance if the background were known exactly"
    )


class Bins(Keys):
    """Bins of the signal score."""

    edges: tuple[float, ...] = key("chosen on validation events")
    bins: tuple[BinCounts, ...] = key("filled with test events")
    significance: float | None = key("of all bins together")
    significance_interval: Interval = key("68.3% interval from the finite simulation")


class BackgroundPulls(Keys):
    """Largest pull of the simulated background in the background-only fit of each significance.

    In standard deviations of the Gaussian constraint; null without a significance.
    """

    cut: float | None = key("after the cut")
    bins: float | None = key("in the bins")
    categories: float | None = key("in the categories")


class Discovery(Keys):
    """Expected discovery significance of the signal score."""

    signal: tuple[ClassName, ...] = key("the classes that are signal")
    events_per_weight: float | None = key(
        "expected events for a sum of weights of one; null without `evaluation.luminosity`"
    )
    requirements: Requirements = key("minimum background after a cut or in a bin, and its uncertainty")
    scan: Scan = key("cuts on the signal score of test events")
    cut: float | None = key("threshold with the largest significance on validation events")
    after_cut: CutCounts | None = key("test events that pass it")
    bins: Bins | None = key("null where there is not enough background")
    no_workspace_reason: str | None = key("why there is no workspace for pyhf")
    categories: Mapping[ClassName, BinCounts] = key("test events by the class with the highest score")
    background_pulls: BackgroundPulls = key("how far the fit moves the simulated background")
    significance_of_categories: float | None = key("of all categories together")
    significance_of_categories_interval: Interval = key("68.3% interval from the finite simulation")


KEYS = {"discovery": (Discovery | None, key("expected significance"))}
