"""The keys of `metrics.json` that the study baselines writes."""

from collections.abc import Mapping

from tamis.statistics.baselines import BackgroundRatio, BoxOfCuts
from tamis.statistics.roc import WorkingPoint
from tamis.studies.keys import ClassName, Interval, Intervals, Keys, key


class BaselineDifference(Keys):
    """Network minus baseline."""

    loss: float = key("difference of the losses; negative if the network is better")
    accuracy: float = key("difference of the accuracies")
    auc: Mapping[ClassName, float | None] = key("differences of the areas")
    intervals: Intervals = key("68.3% intervals of the paired differences")


class BaselineWeighting(Keys):
    """Numbers of a baseline on test events."""

    loss: float | None = key("its loss; null for cuts, as all of the next four")
    accuracy: float | None = key("its accuracy")
    auc: Mapping[ClassName, float | None] | None = key("its areas under the ROC curves")
    intervals: Intervals | None = key("68.3% intervals")
    difference: BaselineDifference | None = key("network minus baseline")


class BaselineSignal(Keys):
    """The signal score of a baseline, with the physics weights."""

    auc: float = key("area under its ROC curve, signal against background", "auc.value")
    interval: Interval = key("68.3% interval of the area", "auc.interval")
    network: float = key("area of the signal score of the network", "network_auc")
    difference: float = key("area of the network minus that of the baseline", "auc.difference")
    difference_interval: Interval = key("68.3% interval of the paired difference", "auc.difference_interval")
    working_points: tuple[WorkingPoint, ...] = key("cuts on the score of the baseline")
    background_ratios: tuple[BackgroundRatio, ...] = key("network over baseline, at each of these cuts")


class Baseline(BaselineWeighting):
    """Another classifier on the same test events, with the physics weights."""

    balanced: BaselineWeighting | None = key("the same numbers with balanced weights; null for cuts")
    signal: BaselineSignal = key("signal against background")
    boxes: tuple[BoxOfCuts, ...] | None = key("the cuts at each working point; null for other baselines")
    train_seconds: float = key("wall time of the training", "seconds")
    notes: tuple[str, ...] = key("problems of the training, as sentences")


KEYS = {"baselines": (Mapping[str, Baseline] | None, key("null without `evaluation.baselines`"))}
