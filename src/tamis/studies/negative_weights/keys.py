"""The keys of `metrics.json` that the study negative_weights writes."""

from collections.abc import Mapping

from tamis.statistics.negative_weights import NegativeShare
from tamis.studies.keys import ClassName, Keys, key


class ChangedMetric(Keys):
    """A quoted number with and without the events of negative weight."""

    quantity: str = key("`loss`, `accuracy`, `auc`, `background_efficiency` or `significance`")
    name: str | None = key("the class; or `cut`, `bins` or `categories`; null for all events")
    target: float | None = key("signal efficiency at which a background efficiency is quoted")
    quoted: float = key("with the signed weights")
    without_negative_weights: float = key("if the events of negative weight were dropped")
    error: float | None = key("standard deviation of the change")
    change: float = key("`without_negative_weights` minus `quoted`")


class NegativeWeights(Keys):
    """The loss of precision by negative weights."""

    sentence: str = key("the result in a few sentences")
    classes: Mapping[ClassName, NegativeShare] = key("of the test events")
    changes: tuple[ChangedMetric, ...] = key("of the numbers that are quoted")


KEYS = {"negative_weights": (NegativeWeights | None, key("null without negative weights"))}
