"""The keys of `metrics.json` that the study inputs writes."""

from collections.abc import Mapping

from tamis.statistics.correlations import CorrelationDifference
from tamis.statistics.overtraining import KolmogorovSmirnov
from tamis.statistics.training_range import Outside
from tamis.studies.inputs.result import Missing
from tamis.studies.keys import ClassName, FeatureName, Keys, key


class CorrectedPValues(Keys):
    """P-values of a feature, corrected for the number of such tests of all features."""

    training_against_test: float | None = key("the smallest of all classes")
    outside: float | None = key("of test events beyond the training events")


class FeatureSurvey(Keys):
    """One feature."""

    missing: Mapping[ClassName, Missing] = key("missing values, of the classes that have any")
    balanced_accuracy: float = key(
        "mean fraction of events that this feature alone classifies correctly", "purity"
    )
    identifies_class: bool = key("whether that is at least 0.98")
    outside: Outside | None = key("test events beyond the range of the training events")
    training_against_test: Mapping[ClassName, KolmogorovSmirnov | None] = key(
        "distributions of training and test events", "compared"
    )
    suspicions: tuple[str, ...] = key("sentences of `tamis check`", "suspicions.reason")
    corrected_p_values: CorrectedPValues = key("of the two kinds of tests")


class CorrelationMatrix(Keys):
    """Correlations of the features, in their order."""

    matrix: tuple[tuple[float | None, ...], ...] = key("coefficients")
    error: tuple[tuple[float | None, ...], ...] = key("standard deviations")


class Inputs(Keys):
    """Survey of the features."""

    features: tuple[FeatureName, ...] = key("in the order of the inputs", "features.name")
    by_feature: Mapping[FeatureName, FeatureSurvey] = key("one by one")
    correlations: Mapping[ClassName, CorrelationMatrix] = key("of the training events")
    signal_minus_background: CorrelationMatrix | None = key(
        "difference of the correlations of all signal and all background", "contrast"
    )
    largest_differences: tuple[CorrelationDifference, ...] = key(
        "pairs of features whose correlations differ most between classes", "differences"
    )
    warnings: tuple[str, ...] = key("warnings, as sentences")


KEYS = {"inputs": (Inputs | None, key("survey of the features"))}
