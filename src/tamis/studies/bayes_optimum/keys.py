"""The keys of `metrics.json` that the study bayes_optimum writes."""

from collections.abc import Mapping

from tamis.studies.keys import ClassName, Keys, key


class Optimum(Keys):
    """The optimal classifier of the known densities, on test events with balanced weights."""

    loss: float = key("its loss", "optimum.loss")
    accuracy: float = key("its accuracy", "optimum.accuracy")
    auc: Mapping[ClassName, float | None] = key("its areas under the ROC curves", "optimum.auc")
    excess_loss: float = key("loss of the network minus that of the optimum")
    excess_loss_interval: tuple[float, float] | None = key(
        "its 68.3% interval; null with too few events", "intervals.loss"
    )
    auc_deficit: Mapping[ClassName, float | None] = key("area of the optimum minus that of the network")
    auc_deficit_interval: Mapping[ClassName, tuple[float, float] | None] = key(
        "their 68.3% intervals", "intervals.auc"
    )


class KnownDiscriminant(Keys):
    """A known discriminant of one class, on test events with the physics weights."""

    auc: float = key("area under its ROC curve, against all other classes")
    auc_deficit: float = key("that area minus the area of the network")


class BayesOptimum(Keys):
    """The network beside the Bayes optimum and known discriminants."""

    optimum: Optimum | None = key("null if the densities are not known")
    discriminants: Mapping[ClassName, KnownDiscriminant] = key(
        "by the class that they separate from all others"
    )


KEYS = {"bayes_optimum": (BayesOptimum | None, key("null without `evaluation.reference`"))}
