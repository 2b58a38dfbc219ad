"""The keys of `metrics.json` that the study cuts writes."""

from collections.abc import Mapping

from tamis.studies.keys import ClassName, Keys, key


class CutTable(Keys):
    """Events that pass each of many cuts on one score."""

    score_of: tuple[ClassName, ...] = key("the classes whose scores are added")
    thresholds: tuple[float, ...] = key("of the cuts, rising from 0; events with score >= threshold pass")
    yields: Mapping[ClassName, tuple[float, ...]] = key("expected events that pass")
    efficiency: Mapping[ClassName, tuple[float | None, ...]] = key("fraction of the class that passes")
    signal: tuple[float, ...] = key("expected events of the classes in `score_of`")
    background: tuple[float, ...] = key("expected events of all other classes")
    background_error: tuple[float, ...] = key("standard deviation of `background` from the finite simulation")
    signal_efficiency: tuple[float | None, ...] = key("fraction of the signal that passes")
    rejection: tuple[float | None, ...] = key("1 / background efficiency; null if no background passes")
    purity: tuple[float | None, ...] = key("fraction of the events that is signal; null if no event passes")
    significance: tuple[float | None, ...] = key("Asimov significance; null if too little background passes")
    background_limit: float | None = key(
        "upper limit on `background` with 95% confidence if no simulated background passes (its error is then 0)"
    )
    rejection_limit: float | None = key("the corresponding lower limit of the rejection")
    purity_limit: tuple[float | None, ...] = key(
        "the corresponding lower limit of the purity; null if simulated background or no signal passes"
    )


class Cuts(Keys):
    """Tables of cuts."""

    tables: tuple[CutTable, ...] = key(
        "of the signal score, if there is signal and background, and of the score of each class"
    )


KEYS = {"cuts": (Cuts | None, key("expected events after cuts on the scores"))}
