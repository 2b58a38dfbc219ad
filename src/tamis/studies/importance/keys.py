"""The keys of `metrics.json` that the study importance writes."""

from collections.abc import Mapping

from tamis.studies.keys import ClassName, FeatureName, Interval, Keys, key


class PerformanceDrop(Keys):
    """Decrease of the performance, with balanced weights."""

    loss: float = key("increase of the loss")
    loss_interval: Interval = key("68.3% interval")
    auc: Mapping[ClassName, float | None] = key("decrease of the areas under the ROC curves")
    auc_interval: Mapping[ClassName, Interval] = key("68.3% intervals")


class FeatureImportance(PerformanceDrop):
    """Decrease of the performance if the values of a group of features are permuted between events."""

    features: tuple[FeatureName, ...] = key("names; several if they are correlated")
    gradient: float | None = key("gradient sensitivity of the loss", "gradient.loss")
    gradient_interval: Interval = key("68.3% interval", "gradient.loss_interval")
    gradient_scores: Mapping[ClassName, float] | None = key(
        "gradient sensitivity of each score", "gradient.scores"
    )
    gradient_scores_interval: Mapping[ClassName, Interval] | None = key(
        "68.3% intervals", "gradient.scores_interval"
    )
    ablation: PerformanceDrop | None = key(
        "if the network is trained again without these features; null without `evaluation.ablation`",
        "ablated",
    )


class Importance(Keys):
    """Importance of the features on test events."""

    groups: tuple[FeatureImportance, ...] = key("groups of correlated features, by falling importance")
    retrained: PerformanceDrop | None = key(
        "if the network is trained again with all features and another seed; null without an ablation"
    )


KEYS = {"importance": (Importance | None, key("of the features"))}
