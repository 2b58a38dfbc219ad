"""The keys of `metrics.json` that the study performance writes."""

from collections.abc import Mapping

from tamis.statistics.roc import WorkingPoint
from tamis.studies.keys import ClassName, Intervals, Keys, key


class Unweighted(Keys):
    """Numbers of one split with one weight per event."""

    loss: float = key(
        "weighted mean of -log(score of the true class), in nats; the scores are probabilities for the balanced "
        "weights, so only the balanced loss measures their quality"
    )
    accuracy: float = key(
        "weighted fraction of events whose highest score is that of their class; equal highest scores share the event"
    )
    auc: Mapping[ClassName, float | None] = key(
        "area under the ROC curve of the score of the class, against all other classes"
    )
    confusion: tuple[tuple[float, ...] | None, ...] = key(
        "a row for each true class, a column for each class with the highest score; rows sum to 1"
    )
    sum_of_weights: Mapping[ClassName, float] = key("sum of the weights")
    events: Mapping[ClassName, int] = key("number of events")


class Weighted(Unweighted):
    """Numbers of one split with one weight per event, and their intervals."""

    intervals: Intervals = key(
        "bootstrap intervals for test events of which a class has fewer than 1000 effective events, first-order "
        "intervals for the others and for the other splits"
    )


class SplitMetrics(Weighted):
    """Numbers of one split, with the signed physics weights."""

    balanced: Weighted = key("the same numbers, with physics weight times class weight")
    unweighted: Unweighted = key("the same numbers, each event counting as one")


KEYS = {
    "training": (SplitMetrics, key("of the training events", "performance.training")),
    "validation": (SplitMetrics, key("of the validation events", "performance.validation")),
    "test": (SplitMetrics, key("of the test events", "performance.test")),
    "working_points": (
        Mapping[ClassName, tuple[WorkingPoint, ...] | None],
        key(
            "cuts on the score of each class with the efficiencies of `evaluation.working_points`",
            "performance.working_points",
        ),
    ),
}
