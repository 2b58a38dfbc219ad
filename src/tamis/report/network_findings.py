"""Findings about a network that learned less than it could: dead nodes, ties, no scaling, a training cut short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.report.blocks import Finding
from tamis.report.epochs import network_histories
from tamis.report.numbers import minus, significant
from tamis.run_reading import FinishedRun

Numbers = Mapping[str, Any]
STILL_FALLING = 0.02
"""Share of the fall of the validation loss in the last tenth of the epochs from which a training had not converged."""
BEYOND_TARGET = 0.02
"""Efficiency above the target of a working point from which tied scores are looked for."""
MANY_DEAD = 0.1
"""Share of the nodes of a layer from which dead ones are worth a look."""
TIED = 0.02
"""Share of the events of a class with one score that is worth a look."""
LARGE_INPUT = 10.0
"""Distance from zero, or width, of half of the values of an input that is called unscaled."""


def network_findings(run: FinishedRun) -> Iterator[Finding]:
    """Find what says that the network learned less than it could."""
    yield from _dead_nodes(run.metrics)
    yield from _convergence(run.history)
    yield from _ties(run)
    yield from _scaling(run)


def _dead_nodes(metrics: Numbers) -> Iterator[Finding]:
    found = metrics["network"].get("dead_nodes")
    if not found:  # a run of an earlier version
        return
    nodes = [layer["outputs"] for layer in metrics["network"]["layers"][:-1]]
    dead = [
        (count / nodes[layer], count, layer)
        for counts in found["networks"]
        for layer, count in enumerate(counts)
        if count
    ]
    if not dead:
        return
    share, count, layer = max(dead)
    of_all = "" if len(found["networks"]) == 1 else f" of one of {len(found['networks'])} networks"
    sentence = (
        f"{count} of {nodes[layer]} nodes in layer {layer + 1}{of_all} are zero for all of {found['events']:,} events: "
        "they add nothing to the scores and, with events like these, learn nothing any more."
    )
    if share >= MANY_DEAD:
        yield Finding(
            "look",
            "Dead nodes",
            f"{sentence} A smaller learning rate, scaled inputs, or an activation that is not flat (leaky_relu, silu) "
            "avoids them.",
        )
    else:
        yield Finding("info", "Dead nodes", sentence)


def _convergence(history: Numbers) -> Iterator[Finding]:
    members = network_histories(history)
    falls = [fall for each in members if (fall := _last_fall(each["epochs"])) is not None]
    if not falls:
        return
    if len(members) == 1:
        epochs = len(history["epochs"])
        what = f"The validation loss was lowest in the last of the {epochs} epochs that were planned, and"
    else:
        what = (
            f"In {len(falls)} of {len(members)} networks the validation loss was lowest in the last of the epochs that "
            "were planned, and in one of them it"
        )
    yield Finding(
        "look",
        "Convergence",
        f"{what} fell by {significant(max(falls), 2)} in the last tenth of them: the training had not converged. More "
        "epochs (training.epochs), or a larger learning rate, may give a better network.",
    )


def _last_fall(epochs: list[Numbers]) -> float | None:
    """Compute the fall of the validation loss in the last tenth of the epochs; None for a training that converged."""
    losses = [epoch["validation_loss"] for epoch in epochs]
    if len(losses) < 2 or len(losses) < epochs[-1]["planned"] or min(losses) < losses[-1]:
        return None
    fall = float(losses[-1 - max(1, len(losses) // 10)] - losses[-1])
    return fall if fall > STILL_FALLING * (losses[0] - losses[-1]) else None


def _ties(run: FinishedRun) -> Iterator[Finding]:
    shares = {
        name: (score, share)
        for name, points in run.metrics["working_points"].items()
        for score, share in [_largest_tie(run, name, points or ())]
        if share >= TIED
    }
    if shares:
        name = max(shares, key=lambda each: shares[each][1])
        score, share = shares[name]
        others = "" if len(shares) == 1 else f" ({len(shares)} classes have such ties)"
        yield Finding(
            "look",
            "Tied scores",
            f"{100 * share:.0f}% of the events of {name} have the same score for it, {significant(score, 5)}{others}: "
            "no cut divides them, so that working points keep more than they are asked for, and several have nearly "
            "the same rejection. A network with dead nodes, few bits or a wrong scaling of its inputs gives such "
            "scores.",
        )


def _largest_tie(run: FinishedRun, name: str, points: list[Numbers] | tuple[()]) -> tuple[float, float]:
    """Find the score of a working point that most events of a class have, and their share of its events."""
    thresholds = {
        point["threshold"]
        for point in points
        if point["threshold"] is not None and point["signal_efficiency"] - point["target"] > BEYOND_TARGET
    }
    if not thresholds:  # the scores are read only where something hints at ties
        return 0.0, 0.0
    index = run.class_names.index(name)
    scores = run.scores.scores[run.scores.class_index == index, index]
    found = [(float(each), float(np.mean(scores == np.float32(each)))) for each in thresholds]
    return max(found, key=lambda each: each[1])


def _scaling(run: FinishedRun) -> Iterator[Finding]:
    if run.config.preprocessing.scaling != "none":
        return
    found = _large_inputs(run.classifier.reference_features)
    logarithms = run.config.preprocessing.logarithm
    large = {
        index: edges for index, edges in found.items() if run.config.features[index].name not in logarithms
    }
    names = [run.config.features[index].name for index in large]
    if names:
        index, (low, high) = max(large.items(), key=lambda item: max(abs(edge) for edge in item[1]))
        more = "" if len(names) == 1 else f" ({len(names)} features are like that)"
        between = minus(f"{significant(low, 3)} to {significant(high, 3)}")
        yield Finding(
            "look",
            "Scaling",
            f"The first layer gets the features as they are (preprocessing.scaling: none), and half of the values of "
            f"{run.config.features[index].name} lie in {between}{more}. Networks learn slowly, or not at all, from "
            "inputs that are not of the order of one: scale them (robust or standard), or give expressions that are.",
        )


def _large_inputs(features: NDArray[np.floating[Any]]) -> dict[int, tuple[float, float]]:
    """Find the features half of whose values lie far from zero or far apart, with the quartiles."""
    found = {}
    for index, column in enumerate(features.T):
        values = column[np.isfinite(column)]
        if not len(values):
            continue
        low, high = (float(each) for each in np.quantile(values.astype(np.float64), (0.25, 0.75)))
        if max(abs(low), abs(high)) > LARGE_INPUT:
            found[index] = low, high
    return found
