"""The result of the study of discovery significance, and its computation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tamis.errors import RequestError
from tamis.statistics.expected_significance import ExpectedSignificance
from tamis.studies.context import Context
from tamis.studies.discovery.workspace import build_pyhf_workspace, explain_no_workspace
from tamis.studies.shared import compute_significance
from tamis.studies.study import Undefined


@dataclass(frozen=True)
class DiscoveryResult:
    """The expected discovery significance of the signal score: after a cut, in bins and in categories.

    Args:
        class_names: in the order of the scores.
        expected: yields and significances.
        cross_trained: whether the counted events are all but the validation events, with out-of-fold scores.
    """

    class_names: tuple[str, ...]
    expected: ExpectedSignificance
    cross_trained: bool

    @property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the signal classes."""
        return tuple(self.class_names[index] for index in self.expected.signal)

    @property
    def background_names(self) -> tuple[str, ...]:
        """Names of the background classes."""
        return tuple(name for name in self.class_names if name not in self.signal_names)

    @property
    def background_uncertainty(self) -> dict[str, float]:
        """Relative systematic uncertainty of each background."""
        numbers = self.expected.requirements.of_each(len(self.background_names)).tolist()
        return dict(zip(self.background_names, numbers, strict=True))

    @property
    def no_workspace_reason(self) -> str:
        """Reason why there is no pyhf workspace of the bins; an empty text if there is one."""
        if self.expected.yields is None:
            return "there is not enough background for one bin of the score"
        return explain_no_workspace(self.expected.yields, self.class_names)

    def workspace(self) -> dict[str, Any]:
        """Return the bins as a workspace for pyhf.

        Raises:
            RequestError: there are no bins, or HistFactory does not support their contents.
        """
        expected = self.expected
        if expected.yields is None:
            raise RequestError(self.no_workspace_reason)
        return build_pyhf_workspace(
            expected.yields, self.class_names, expected.signal, relative=expected.requirements.relative
        )

    def to_metrics(self) -> dict[str, Any]:
        """Return the values of the keys of `metrics.json`."""
        expected, intervals, bins = self.expected, self.expected.intervals, None
        if expected.binning is not None and expected.yields is not None:
            of_bins = zip(expected.binning.bins, zip(*expected.yields.numbers, strict=True), strict=True)
            bins = {
                **vars(expected.binning),
                "bins": [{**vars(counts), "yields": yields} for counts, yields in of_bins],
                "significance_interval": intervals["bins"],
            }
        cut = expected.after_cut
        return {
            **vars(expected),
            "signal": self.signal_names,
            "after_cut": cut and {**vars(cut), "significance_interval": intervals["cut"]},
            "bins": bins,
            "no_workspace_reason": self.no_workspace_reason,
            "categories": [
                {**vars(category.counts), "yields": category.yields} for category in expected.categories
            ],
            "significance_of_categories": expected.by_categories,
            "significance_of_categories_interval": intervals["categories"],
        }


def compute_discovery(context: Context) -> DiscoveryResult | Undefined | None:
    """Choose cut and bins of the signal score on validation events, and count test events in them.

    Returns:
        None without a signal class or without a background; Undefined if the expected events of a class are not
        known.
    """
    if not 0 < len(context.signal) < len(context.class_names):
        return None
    expected = context.once(compute_significance)
    if expected is None:
        return Undefined(
            "a class has no positive sum of weights in validation, in test, or in all used events"
        )
    return DiscoveryResult(context.class_names, expected, context.plan.is_cross_training)
