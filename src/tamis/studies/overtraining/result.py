"""The result of the study of overtraining, and its computation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tamis.data.split import TRAINING
from tamis.statistics.distributions import Distribution, compute_score_distributions
from tamis.statistics.overtraining import KolmogorovSmirnov, compute_kolmogorov_smirnov_tests
from tamis.statistics.split_metrics import FirstOrder
from tamis.studies.context import Context
from tamis.studies.overtraining.permutation import PermutationTest, compute_permutation_test
from tamis.studies.shared import compute_test_metrics, compute_training_metrics
from tamis.studies.study import Undefined


@dataclass(frozen=True)
class OvertrainingResult:
    """Training events beside test events: the overtraining test, and the distributions of the scores.

    Args:
        permutation_test: the overtraining test; or the reason why these events do not allow it.
        smirnov_tests: the Kolmogorov-Smirnov test of training and test events for each true class and each score;
            None for a class without a positive sum of weights in one of them.
        distributions: of each score, for each true class, in training and test events.
    """

    class_names: tuple[str, ...]
    permutation_test: PermutationTest | Undefined
    smirnov_tests: tuple[tuple[KolmogorovSmirnov | None, ...], ...]
    distributions: tuple[Distribution, ...]

    @property
    def smallest_p_value(self) -> tuple[float, int] | None:
        """The smallest p-value of the Kolmogorov-Smirnov tests and their number; None if there are none."""
        p_values = [test.p_value for row in self.smirnov_tests for test in row if test is not None]
        return (min(p_values), len(p_values)) if p_values else None

    def tests_of_score(self, column: int) -> tuple[KolmogorovSmirnov | None, ...]:
        """Return the tests of the score of a class, with the numbers of the permutation test, if there is one."""
        tests = tuple(row[column] for row in self.smirnov_tests)
        if isinstance(self.permutation_test, Undefined):
            return tests
        compared = {
            comparison.class_name: comparison
            for comparison in self.permutation_test.comparisons
            if comparison.score == self.class_names[column]
        }
        return tuple(
            test and replace(test, distance=compared[name].difference, p_value=compared[name].p_value)
            for name, test in zip(self.class_names, tests, strict=True)
        )

    def to_metrics(self) -> dict[str, Any]:
        """Return the values of the keys of `metrics.json`."""
        test, (p_value, n_tests) = self.permutation_test, self.smallest_p_value or (None, 0)
        reason = test.reason if isinstance(test, Undefined) else None
        return {
            "permutation_test": test if reason is None else None,
            "not_tested_reason": reason,
            "kolmogorov_smirnov": {
                "test": "two-sample Kolmogorov-Smirnov, training against test, weighted, unbinned",
                "smallest_p_value": p_value,
                "tests": n_tests,
                "by_class_and_score": [
                    {f"score_{score}": test for score, test in zip(self.class_names, row, strict=True)}
                    for row in self.smirnov_tests
                ],
            },
        }


def compute_overtraining(context: Context) -> OvertrainingResult:
    """Compare training and test events.

    With cross-training, the permutation test compares two scores of each training event. The Kolmogorov-Smirnov tests
    need independent samples: they use the events that may be compared (`ScoredEvents.to_compare`), so that no event is
    in both. The distributions hold all training and test events.
    """
    splits = context.splits["training"], context.splits["test"]
    return OvertrainingResult(
        context.class_names,
        _test_by_permutations(context),
        compute_kolmogorov_smirnov_tests(*(events.to_compare() for events in splits)),
        compute_score_distributions(*splits),
    )


def _test_by_permutations(context: Context) -> PermutationTest | Undefined:
    if context.dropped_weight is not None:
        return Undefined(
            "events with negative weights were dropped from the training, so that training and test events are of "
            "different kinds"
        )

    def measure_splits() -> tuple[FirstOrder, FirstOrder]:
        return context.once(compute_training_metrics).balanced, context.once(compute_test_metrics).balanced

    training, test = context.splits["training"], context.splits["test"]
    paired = test.split is not None
    return compute_permutation_test(
        training,
        # the other test events are validation events, of which no network learned
        test if test.split is None else test.take(test.split == TRAINING),
        context.class_names,
        generator=context.random_stream("overtraining"),
        numbers=None if paired else measure_splits,
        paired=paired,
    )
