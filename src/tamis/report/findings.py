"""Verdicts of a run as sentences with a traffic light."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tamis.evaluation.intervals import FEWEST
from tamis.evaluation.metrics import worse_than_guessing
from tamis.report.baselines import baselines_findings
from tamis.report.blocks import Finding, Light
from tamis.report.epochs import epochs_sentence
from tamis.report.network_findings import network_findings
from tamis.report.numbers import minus, significant, typeset
from tamis.run_reading import FinishedRun

LEVEL = 0.05
"""p-value, corrected for the number of classes, up to which scores are called not calibrated."""
FEW_EVENTS = 1000
"""Effective number of test events of a class below which its numbers say little."""
MANY_NEGATIVE = 0.2
"""Fraction of events with a negative weight that is worth a look."""

Numbers = Mapping[str, Any]


def findings_of(run: FinishedRun) -> tuple[Finding, ...]:
    """Judge a run by what its files say."""
    metrics = run.metrics
    return (
        *_guessing(metrics),
        _overtraining(metrics),
        *_calibration(metrics),
        *_limit(metrics),
        *_areas(metrics),
        *baselines_findings(metrics),
        *_sculpting(metrics),
        *_stability(metrics),
        *_inputs(metrics),
        *_statistics(run),
        *_negative(run),
        *_overflow(metrics),
        *network_findings(run),
        Finding("info", "Training", epochs_sentence(run.history)),
        _ledger(run),
    )


def _overtraining(metrics: Numbers) -> Finding:
    verdict = metrics["overtraining"]["verdict"]
    if verdict is None:
        reason = (
            "Not judged: a class has no positive sum of weights in training or test, or the events that were left out "
            "of the training make the two parts unequal."
        )
        return Finding("info", "Overtraining", reason)
    return Finding("bad" if verdict["overtrained"] else "good", "Overtraining", typeset(verdict["sentence"]))


def _guessing(metrics: Numbers) -> Iterator[Finding]:
    said = worse_than_guessing(metrics["test"]["balanced"]["loss"], len(metrics["classes"]))
    if said:
        yield Finding("bad", "Loss", said)


def _calibration(metrics: Numbers) -> Iterator[Finding]:
    calibration = metrics["calibration"]
    if calibration is None:
        return
    name, corrected = (
        calibration["most_deviating"]["class"],
        calibration["most_deviating"]["corrected_p_value"],
    )
    worst, classes = calibration["balanced"][name], len(calibration["balanced"])
    off = corrected <= LEVEL
    large = worst["error"] > 2 * worst["by_chance"]
    size = (
        f"most deviates that of {name}, by {significant(worst['error'], 2)} on average where chance explains "
        f"{significant(worst['by_chance'], 2)} (p = {corrected:.2g}, corrected for {classes} classes)"
    )
    if not off:
        said = "The scores are compatible with probabilities"
    elif large:
        said = "The scores are not probabilities"
    else:
        said = "The scores deviate from probabilities in single bins, by little"
    light: Light = "good" if not off else "look" if large else "info"
    yield Finding(light, "Calibration", f"{said}: {size}.")


def _limit(metrics: Numbers) -> Iterator[Finding]:
    limit = metrics.get("limit")
    if limit is not None:
        yield Finding(
            "info",
            "Distance to the limit",
            f"The loss is {minus(format(limit['distance_in_loss'], '+z.4f'))} from the smallest that any classifier "
            f"can reach on these events ({limit['loss']:.4f}).",
        )


def _sculpting(metrics: Numbers) -> Iterator[Finding]:
    spectators = metrics["sculpting"]["spectators"]
    warned = [
        f"{spectator} in {name}"
        for spectator, classes in spectators.items()
        for name, found in classes.items()
        if found["warning"]
    ]
    if warned:
        sentence = (
            f"The score tells something of {', '.join(warned)}: a cut on it changes these distributions."
        )
        yield Finding("look", "Sculpting", sentence)
    elif spectators:
        sentence = (
            f"The score tells nothing of {', '.join(spectators)} beyond the warning threshold in any class."
        )
        yield Finding("good", "Sculpting", sentence)


def _stability(metrics: Numbers) -> Iterator[Finding]:
    found = metrics.get("stability")
    if found:
        worse = found["p_value"] is not None and found["p_value"] <= found["level"]
        # without folds nothing is tested
        light: Light = "look" if worse else "info" if found["p_value"] is None else "good"
        yield Finding(light, "Stability", typeset(found["sentence"]))


def _inputs(metrics: Numbers) -> Iterator[Finding]:
    for warning in (metrics.get("inputs") or {"warnings": ()})["warnings"]:
        yield Finding("look", "Inputs", typeset(warning))


def _statistics(run: FinishedRun) -> Iterator[Finding]:
    numbers = effective_numbers(run)
    name, fewest = min(numbers.items(), key=lambda item: item[1])
    light: Light = "look" if fewest < FEW_EVENTS else "good"
    sentence = f"The smallest class of the test events, {name}, is worth {significant(fewest)} events of equal weight."
    if fewest < FEWEST:
        sentence += (
            f" Below {FEWEST:g} no interval of an area or a working point of a class is quoted, because none would "
            "cover as often as it says."
        )
    yield Finding(light, "Statistics", sentence)


def _areas(metrics: Numbers) -> Iterator[Finding]:
    beyond = {name: area for name, area in metrics["test"]["auc"].items() if area is not None and area > 1}
    if beyond:
        areas = ", ".join(f"{name} {area:.8g}" for name, area in beyond.items())
        yield Finding(
            "info",
            "Areas above one",
            f"Some areas under the curve are above one ({areas}). With weights of both signs an area is an estimate "
            "that may lie beyond one by chance, where negative weights outweigh positive ones behind a cut; it stands "
            "for an area close to one.",
        )


def effective_numbers(run: FinishedRun) -> dict[str, float]:
    """Give the effective number of test events, (sum of weights)^2 / sum of squared weights, of each class."""
    return {
        # with cross-training every used event is a test event
        name: account["used" if account.get("folds") else "test"]["effective_number"]
        for name, account in run.ledger["classes"].items()
    }


def _negative(run: FinishedRun) -> Iterator[Finding]:
    found = {
        sample["sample"]: sample["used"]["negative_fraction"]
        for sample in run.ledger["samples"]
        if sample["used"]["negative_fraction"]
    }
    if not found:
        return
    name = max(found, key=lambda sample: found[sample])
    light: Light = "look" if found[name] > MANY_NEGATIVE else "info"
    sentence = (
        f"{len(found)} samples have events with negative weights, {name} the most ({100 * found[name]:.1f}%). Results "
        "use the signed weights; uncertainties are larger than the number of events suggests."
    )
    judged = run.metrics.get("negative_weights")
    if judged:
        sentence = f"{sentence} {typeset(judged['sentence'])}"
    yield Finding(light, "Negative weights", sentence)


def _overflow(metrics: Numbers) -> Iterator[Finding]:
    overflow = metrics["network"]["overflow"]
    if overflow:
        name = max(overflow, key=lambda each: overflow[each])
        sentence = (
            f"{len(overflow)} inputs leave the range of their fixed-point format, {name} in "
            f"{100 * overflow[name]:.2g}% of the training events."
        )
        yield Finding("look", "Fixed point", sentence)


def _ledger(run: FinishedRun) -> Finding:
    total = run.ledger["total"]
    dropped = sum(tally["events"] for tally in total["dropped"].values())
    sentence = (
        f"{total['entries']:,} entries read = {total['failed_selection']['events']:,} not selected + {dropped:,} "
        f"dropped + {total['used']['events']:,} used: every entry is accounted for."
    )
    repeated = run.ledger["repeated_identities"]
    if any(repeated.values()):
        sentence += (
            f" {repeated['within_samples']:,} identities occur again in their sample, "
            f"{repeated['between_samples']:,} occur in several samples."
        )
    return Finding("look" if any(repeated.values()) else "good", "Ledger", sentence)
