"""The keys of `metrics.json` that the study pairs writes."""

from collections.abc import Mapping

from tamis.studies.keys import ClassName, Interval, Keys, key


class PairArea(Keys):
    """One class against one other."""

    auc: float | None = key("area under the ROC curve of p(first) / (p(first) + p(second)) on test events")
    interval: Interval = key(
        "68.3% interval to first order; null for fewer than 25 effective events of a class, or an area of one"
    )


KEYS = {
    "pairs": (
        Mapping[ClassName, Mapping[ClassName, PairArea]] | None,
        key("each class against each other one; null with two classes"),
    )
}
