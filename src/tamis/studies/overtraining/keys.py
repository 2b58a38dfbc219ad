"""The keys of `metrics.json` that the study overtraining writes."""

from collections.abc import Mapping

from tamis.statistics.overtraining import KolmogorovSmirnov
from tamis.studies.keys import ClassName, Keys, key
from tamis.studies.overtraining.permutation import ComparedQuantity


class PermutationTest(Keys):
    """The overtraining test: permutations of training and test events."""

    overtrained: bool = key("whether `p_value` is at most `level`")
    sentence: str = key("the result in a sentence that can be quoted")
    p_value: float = key("the smallest corrected p-value")
    level: float = key("0.05")
    permutations: int = key("how many")
    smallest_p_value: float = key(
        "the smallest p-value that they can give, 1 / (permutations + 1): one that equals it is an upper limit"
    )
    paired: bool = key(
        "with cross-training: whether both are the training events, `training` with the scores of members that "
        "learned from them, `test` with out-of-fold scores"
    )
    comparisons: tuple[ComparedQuantity, ...] = key("of each quantity, the loss first")


class SmirnovTests(Keys):
    """Kolmogorov-Smirnov tests of training against test events."""

    test: str = key("which test it is")
    smallest_p_value: float | None = key(
        "the smallest of all p-values, without a correction for their number"
    )
    tests: int = key("how many tests there are")
    by_class_and_score: Mapping[ClassName, Mapping[str, KolmogorovSmirnov | None]] = key(
        "for each true class and each `score_CLASS`"
    )


class Overtraining(Keys):
    """Training events against test events."""

    permutation_test: PermutationTest | None = key("the overtraining test")
    not_tested_reason: str | None = key("why there is no overtraining test")
    kolmogorov_smirnov: SmirnovTests = key("tests of each score in each class")


KEYS = {"overtraining": (Overtraining | None, key("training against test events"))}
