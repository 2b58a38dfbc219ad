"""The result of the study of discovery significance, and its computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tamis.errors import RequestError
from tamis.statistics.asimov import LEAST_EFFECTIVE, compute_background_pulls
from tamis.statistics.counts import Counts
from tamis.statistics.expected_significance import ExpectedSignificance
from tamis.studies.context import Context
from tamis.studies.discovery.workspace import build_pyhf_workspace, explain_no_workspace
from tamis.studies.shared import compute_significance
from tamis.studies.study import Undefined

LARGE_PULL = 3.0
"""Pull of the simulated background from which a Gaussian constraint is not trusted."""


@dataclass(frozen=True)
class DiscoveryResult:
    """The expected discovery significance of the signal score: after a cut, in bins and in categories.

    Args:
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
    def counts(self) -> dict[str, tuple[Counts, ...]]:
        """The events of each quoted significance: after the cut, in the bins and in the categories."""
        expected = self.expected
        counts = {
            "cut": () if expected.after_cut is None else (expected.after_cut,),
            "bins": () if expected.binning is None else expected.binning.bins,
            "categories": tuple(category.counts for category in expected.categories),
        }
        return {
            name: tuple(entry for entry in entries if entry.significance is not None)
            for name, entries in counts.items()
        }

    @property
    def background_pulls(self) -> dict[str, float | None]:
        """The largest pull of the simulated background in the fit of each quoted significance; None without one."""
        return {name: self._largest_pull(entries) for name, entries in self.counts.items()}

    def _largest_pull(self, entries: Sequence[Counts]) -> float | None:
        if not entries:
            return None
        pulls = compute_background_pulls(
            np.array([entry.signal for entry in entries]),
            np.stack([entry.powers[0] for entry in entries], axis=1),
            np.array([entry.background_error**2 for entry in entries]),
            self.expected.requirements,
        )
        return float(pulls.max())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons why a significance depends on the simulated background more than its constraint can describe."""
        names = {"cut": "after the cut", "bins": "in the bins", "categories": "in the categories"}
        pulls = [
            f"{names[name]} by up to {pull:.1f}"
            for name, pull in self.background_pulls.items()
            if pull is not None and pull > LARGE_PULL
        ]
        smallest = {
            names[name]: min(entry.effective_sample_size for entry in entries)
            for name, entries in self.counts.items()
            if entries
        }
        few = [
            f"{where} {size:.1f}" for where, size in smallest.items() if size < LEAST_EFFECTIVE * (1 - 1e-9)
        ]
        warnings = []
        if pulls:
            warnings.append(
                f"The fit moves the simulated background {', '.join(pulls)} standard deviations of its statistical "
                "uncertainty. The constraint is Gaussian; with a Poisson constraint the significance can be much "
                "smaller."
            )
        if few:
            warnings.append(
                f"The simulated background has fewer than {LEAST_EFFECTIVE:g} effective events in a quoted region "
                f"({', '.join(few)}), too few for a Gaussian constraint."
            )
        return tuple(warnings)

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
            "background_pulls": self.background_pulls,
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

    The result is None without a signal class or without a background; Undefined if the expected events of a class are
    not known.
    """
    if not 0 < len(context.signal) < len(context.class_names):
        return None
    expected = context.once(compute_significance)
    if expected is None:
        return Undefined(
            "a class has no positive sum of weights in validation, in test, or in all used events"
        )
    return DiscoveryResult(context.class_names, expected, context.plan.is_cross_training)
