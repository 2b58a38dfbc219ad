"""The keys of `metrics.json` that the study stability writes."""

from collections.abc import Mapping

from tamis.studies.keys import ClassName, Keys, key
from tamis.studies.stability.result import Spread


class MemberMetrics(Keys):
    """Numbers of one member on events that it did not learn from."""

    fold: int | None = key("of these events; null without folds")
    loss: float = key("loss, with balanced weights")
    loss_error: float = key("its standard deviation from the finite number of events")
    accuracy: float = key("accuracy, with balanced weights")
    accuracy_error: float = key("its standard deviation")
    auc: Mapping[ClassName, float | None] = key("areas under the ROC curves, with physics weights")
    auc_error: Mapping[ClassName, float | None] = key("their standard deviations")


class Stability(Keys):
    """How much the numbers depend on seed and fold."""

    sentence: str = key("the result in a few sentences")
    p_value: float | None = key(
        "the smallest p-value of the folds, corrected for the number of quantities; null without folds"
    )
    level: float = key("0.05")
    members: tuple[MemberMetrics, ...] = key("in the order of the classifier")
    spreads: tuple[Spread, ...] = key("of the loss, the accuracy and the areas")


KEYS = {"stability": (Stability | None, key("null for a single network"))}
