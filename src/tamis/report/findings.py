"""The findings of a run: sentences with a traffic light, some of them about a network that could be better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tamis.blocks import Finding
from tamis.blocks.numbers import minus, significant
from tamis.pipeline.run import Run
from tamis.report.epochs import format_epochs
from tamis.statistics.intervals import FEWEST
from tamis.studies import defined_results
from tamis.wording import counted, format_metric

FEW_EVENTS = 1000
"""Effective sample size of a class in the test events below which the finding is a warning."""
STILL_FALLING = 0.02
"""Share of the decrease of the validation loss in the last tenth of the epochs, above which a training is too short."""
BEYOND_TARGET = 0.02
"""Efficiency above the target of a working point that may be an effect of tied scores."""
MANY_DEAD = 0.1
"""Share of dead nodes in a layer from which the finding is a warning."""
TIED = 0.02
"""Share of the events of a class with the same score from which the finding is a warning."""
LARGE_INPUT = 10.0
"""Absolute value of a quartile above which a feature is called unscaled."""


def findings_of(run: Run) -> tuple[Finding, ...]:
    """Return the findings of a run."""
    return (
        *(finding for study, result in defined_results(run.results) for finding in study.findings(result)),
        _statistics(run),
        *_overflow(run.metrics),
        *_dead_nodes(run.metrics),
        *_convergence(run.history),
        *_ties(run),
        *_scaling(run),
        Finding("info", "Training", format_epochs(run.history)),
        _cutflow(run),
    )


def _statistics(run: Run) -> Finding:
    sizes = {
        # with cross-training every used event is a test event
        name: account["used" if account.get("folds") else "test"]["effective_sample_size"]
        for name, account in run.cutflow["classes"].items()
    }
    name, fewest = min(sizes.items(), key=lambda item: item[1])
    sentence = f"The smallest class of the test events, {name}, has an effective sample size of {significant(fewest)}."
    if fewest < FEWEST:
        sentence += (
            f" Below {FEWEST:g} effective events, areas and working points of a class have no intervals, because their "
            "coverage would be wrong."
        )
    return Finding("look" if fewest < FEW_EVENTS else "good", "Statistics", sentence)


def _overflow(metrics: Mapping[str, Any]) -> Iterator[Finding]:
    overflow = metrics["network"]["overflow"]
    if overflow:
        name = max(overflow, key=lambda feature: overflow[feature])
        sentence = (
            f"{counted(len(overflow), 'input')} {'exceeds' if len(overflow) == 1 else 'exceed'} the range of "
            f"{'its' if len(overflow) == 1 else 'their'} fixed-point format, {name} in "
            f"{100 * overflow[name]:.2g}% of the training events."
        )
        yield Finding("look", "Fixed point", sentence)


def _cutflow(run: Run) -> Finding:
    total = run.cutflow["total"]
    dropped = sum(tally["events"] for tally in total["dropped"].values())
    sentence = (
        f"{total['entries']:,} entries read = {total['failed_selection']['events']:,} not selected + {dropped:,} "
        f"dropped + {total['used']['events']:,} used: every entry is accounted for."
    )
    repeated = run.cutflow["duplicate_event_ids"]
    if any(repeated.values()):
        sentence += (
            f" Duplicate event IDs within a sample: {repeated['within_samples']:,}; between samples: "
            f"{repeated['between_samples']:,}."
        )
    return Finding("look" if any(repeated.values()) else "good", "Cutflow", sentence)


def _dead_nodes(metrics: Mapping[str, Any]) -> Iterator[Finding]:
    dead_nodes = metrics["network"].get("dead_nodes")
    if not dead_nodes:  # a run of an earlier version
        return
    nodes = [layer["outputs"] for layer in metrics["network"]["layers"][:-1]]
    dead = [
        (count / nodes[layer], count, layer)
        for counts in dead_nodes["networks"]
        for layer, count in enumerate(counts)
        if count
    ]
    if not dead:
        return
    share, count, layer = max(dead)
    of_all = "" if len(dead_nodes["networks"]) == 1 else f" of one of {len(dead_nodes['networks'])} networks"
    sentence = (
        f"{count} of {nodes[layer]} nodes in layer {layer + 1}{of_all} {'is' if count == 1 else 'are'} zero for all of "
        f"{dead_nodes['events']:,} events: they contribute nothing to the scores and no longer learn."
    )
    if share >= MANY_DEAD:
        remedy = "Use a smaller learning rate, scaled inputs, or an activation that is nowhere flat (leaky_relu, silu)."
        sentence = f"{sentence} {remedy}"
    yield Finding("look" if share >= MANY_DEAD else "info", "Dead nodes", sentence)


def _convergence(history: Mapping[str, Any]) -> Iterator[Finding]:
    members = history["members"]
    falls = [fall for member in members if (fall := _last_fall(member["epochs"])) is not None]
    if not falls:
        return
    if len(members) == 1:
        epochs = len(members[0]["epochs"])
        statement = (
            f"The validation loss was still falling when the training ended after {epochs} epochs: it fell by"
        )
    else:
        statement = (
            f"The validation loss of {len(falls)} of {len(members)} networks was still falling when their training "
            "ended: it fell by up to"
        )
    yield Finding(
        "look",
        "Convergence",
        f"{statement} {significant(max(falls), 2)} in the last tenth of the epochs. The training has not converged: "
        "train longer (training.epochs) or with a larger learning rate.",
    )


def _last_fall(epochs: list[Mapping[str, Any]]) -> float | None:
    """Compute the decrease of the validation loss in the last tenth of the epochs; None if the training converged."""
    losses = [epoch["validation_loss"] for epoch in epochs]
    if len(losses) < 2 or len(losses) < epochs[-1]["planned"] or min(losses) < losses[-1]:
        return None
    fall = float(losses[-1 - max(1, len(losses) // 10)] - losses[-1])
    return fall if fall > STILL_FALLING * (losses[0] - losses[-1]) else None


def _ties(run: Run) -> Iterator[Finding]:
    shares = {
        name: (score, share)
        for name, points in run.metrics["working_points"].items()
        for score, share in [_largest_tie(run, name, points or ())]
        if share >= TIED
    }
    if shares:
        name = max(shares, key=lambda class_name: shares[class_name][1])
        score, share = shares[name]
        remark = "" if len(shares) == 1 else f" ({len(shares)} classes have such ties)"
        yield Finding(
            "look",
            "Tied scores",
            f"{100 * share:.0f}% of the events of {name} have the same score for it, "
            f"{format_metric(score)[0]}{remark}: no cut separates them, so that working points exceed their target "
            "efficiencies and several have nearly "
            "the same rejection. Possible causes are dead nodes, few bits, or badly scaled inputs.",
        )


def _largest_tie(run: Run, name: str, points: list[Mapping[str, Any]] | tuple[()]) -> tuple[float, float]:
    """Find the threshold of a working point that most events of a class have as score, and their share of the class."""
    thresholds = {
        point["threshold"]
        for point in points
        if point["threshold"] is not None and point["signal_efficiency"] - point["target"] > BEYOND_TARGET
    }
    if not thresholds:  # reading the scores takes time
        return 0.0, 0.0
    index = run.class_names.index(name)
    scores = run.scores.scores[run.scores.class_index == index, index]
    shares = [(float(threshold), float(np.mean(scores == np.float32(threshold)))) for threshold in thresholds]
    return max(shares, key=lambda tie: tie[1])


def _scaling(run: Run) -> Iterator[Finding]:
    if run.config.preprocessing.scaling != "none":
        return
    quartiles = {}
    for feature, column in zip(run.config.features, run.classifier.reference_features.T, strict=True):
        values = column[np.isfinite(column)]
        if not len(values) or feature.name in run.config.preprocessing.logarithm:
            continue
        low, high = (float(quartile) for quartile in np.quantile(values.astype(np.float64), (0.25, 0.75)))
        if max(abs(low), abs(high)) > LARGE_INPUT:
            quartiles[feature.name] = low, high
    if quartiles:
        name, (low, high) = max(quartiles.items(), key=lambda item: max(abs(edge) for edge in item[1]))
        more = "" if len(quartiles) == 1 else f" ({len(quartiles)} features are like that)"
        between = minus(f"{significant(low, 3)} and {significant(high, 3)}")
        yield Finding(
            "look",
            "Scaling",
            f"The features are not scaled (preprocessing.scaling: none), and half of the values of {name} lie between "
            f"{between}{more}. Networks learn slowly, or not at all, from inputs that are not of order one: use robust "
            "or standard scaling, or rescale their expressions.",
        )
