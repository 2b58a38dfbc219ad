"""Compute the differences of runs on the same test events, with paired intervals and corrected p-values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from tamis.arrays import Float64
from tamis.comparison.events import ScoredRun, align_class_weights, align_events
from tamis.comparison.result import WEIGHTINGS, Difference, PairComparison, RunComparison, RunNumbers
from tamis.errors import RequestError
from tamis.statistics.intervals import compute_central_interval
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.ranking import RankedScores
from tamis.statistics.resampling import Multiplicities, Resampler, resample
from tamis.statistics.split_metrics import FirstOrder, compute_first_order

BOOTSTRAPS = 400
"""Bootstrap samples; the smallest possible p-value is one in one more."""


def compare_runs(
    runs: Sequence[ScoredRun], generator: Generator, *, bootstraps: int = BOOTSTRAPS
) -> RunComparison:
    r"""Compare the first run with each of the others on the same test events.

    A bootstrap sample holds each event equally often for all runs, so that fluctuations common to all runs cancel in
    the differences (B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall 1993; Poisson
    numbers, as in `draw_poisson_counts`). The p-value of a difference d is the fraction of bootstrap samples (including
    the observed events) in which |d* - d| is not smaller than |d|. For the corrected p-value each difference is divided
    by its standard deviation over the samples, and the largest of all differences counts (P. Westfall and S. Young,
    "Resampling-based multiple testing", Wiley 1993): it holds for all quantities, weightings and runs together. The
    result does not include how much another seed would change the networks.

    Raises:
        RequestError: there are fewer than two runs, two have the same name, or their test events are not the same;
            the message lists by how many events, classes or weights each run differs.
        TamisError: the weights of the events have no positive sum.
    """
    names = [run.name for run in runs]
    if len(names) < 2:
        raise RequestError(f"a comparison needs at least two runs, found {len(names)}")
    if len(set(names)) < len(names):
        raise RequestError(f"the runs to compare need different names, found {', '.join(names)}")
    aligned_runs, notes = align_class_weights(align_events(runs))
    first = aligned_runs[0]
    weights = {"physics": first.events.weight, "balanced": first.events.balanced_weight}
    resamplers = [
        [Resampler(run.events.scores, run.events.class_index, weight) for weight in weights.values()]
        for run in aligned_runs
    ]
    numbers, first_orders = [], []
    for run in aligned_runs:
        scores = RankedScores(run.events.scores, store=False)
        first_orders.append(compute_first_order(run.events, list(weights.values()), scores))
        numbers.append(_collect_numbers(run, scores, weights, first_orders[-1]))

    def measure(counts: Multiplicities) -> Float64:
        """Measure all runs with the same resamples, [resamples, runs, weightings, quantities]."""
        of_runs = [
            np.stack([resampler.measure(counts) for resampler in of_run], axis=1) for of_run in resamplers
        ]
        return np.stack(of_runs, axis=1)

    sums = resamplers[0][0].sums_per_resample
    replicas = resample(measure, len(first.events), bootstraps, generator, first.events.units, sums=sums)
    pairs = _compare_pairs(aligned_runs, first_orders, replicas)
    return RunComparison(first.class_names, len(first.events), tuple(numbers), pairs, notes, aligned_runs)


def _collect_numbers(
    run: ScoredRun, scores: RankedScores, weights: dict[str, Float64], first_orders: Sequence[FirstOrder]
) -> RunNumbers:
    metrics, ranges = {}, {}
    for (name, weight), first_order in zip(weights.items(), first_orders, strict=True):
        metrics[name] = compute_metrics(scores, run.events.class_index, weight, values=first_order.value)
        intervals = first_order.intervals()
        ranges[name] = (intervals.loss, intervals.accuracy, *intervals.auc)
    return RunNumbers(run.name, metrics, ranges)


def _compare_pairs(
    runs: Sequence[ScoredRun], first_orders: Sequence[Sequence[FirstOrder]], drawn: Float64
) -> tuple[PairComparison, ...]:
    values = np.array([[numbers.value for numbers in of_run] for of_run in first_orders])
    known = np.array([numbers.known for numbers in first_orders[0]])  # the events of all runs are the same
    differences = values[1:] - values[0]
    replicas = drawn[:, 1:] - drawn[:, :1]
    defined = np.isfinite(differences)
    p_values = np.full((2, *differences.shape), np.nan)
    p_values[:, defined] = compute_difference_p_values(differences[defined], replicas[:, defined])
    quantities = [("loss", None), ("accuracy", None), *(("auc", name) for name in runs[0].class_names)]
    return tuple(
        PairComparison(
            runs[0].name,
            run.name,
            tuple(
                Difference(
                    weighting,
                    quantity,
                    class_name,
                    float(values[0, row, column]),
                    float(values[pair + 1, row, column]),
                    float(differences[pair, row, column]),
                    compute_central_interval(replicas[:, pair, row, column]) if known[row, column] else None,
                    *p_values[:, pair, row, column].tolist(),
                )
                for row, weighting in enumerate(WEIGHTINGS)
                for column, (quantity, class_name) in enumerate(quantities)
                if defined[pair, row, column]
            ),
            compared=int(defined.sum()),
            bootstraps=len(drawn),
            identical=bool(np.array_equal(run.events.scores, runs[0].events.scores)),
        )
        for pair, run in enumerate(runs[1:])
    )


def compute_difference_p_values(differences: Float64, replicas: Float64) -> tuple[Float64, Float64]:
    """Compute two-sided p-values of differences, single and corrected for their number, [differences] each.

    The replicas are the differences of bootstrap samples, [bootstraps, differences]; NaN counts as infinitely large.
    The p-values of a difference of zero are 1.

    >>> single, corrected = compute_difference_p_values(np.array([2.0]), np.array([[1.5], [2.5], [5.0]]))
    >>> single.tolist(), corrected.tolist()
    ([0.5], [0.5])
    """
    deviation = np.nanstd(replicas, axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    fluctuations = np.abs(replicas - differences) / scale
    fluctuations = np.where(np.isnan(fluctuations), np.inf, fluctuations)
    # a fluctuation that is equal but for rounding counts
    size = np.abs(differences) / scale - 1e-9
    total = len(replicas) + 1
    single = (1 + np.count_nonzero(fluctuations >= size, axis=0)) / total
    largest = fluctuations.max(axis=1, initial=0.0)
    corrected = (1 + np.count_nonzero(largest[:, None] >= size, axis=0)) / total
    return np.where(differences == 0, 1.0, single), np.where(differences == 0, 1.0, corrected)
