"""Whether runs were tested with the same events, and how to bring these into one order and one mixture of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tamis.errors import Problem, ProblemsError, RequestError
from tamis.evaluation.calibration import in_mixture
from tamis.evaluation.scored import ScoredEvents

Float64 = NDArray[np.float64]

_SAME = 1e-9  # weights and factors that differ by less, relative to their size, differ by rounding


@dataclass(frozen=True)
class ScoredRun:
    """A run to compare.

    Args:
        name: what it is called in the results.
        class_names: in the order of its scores.
        events: its test events, with their identities.
    """

    name: str
    class_names: tuple[str, ...]
    events: ScoredEvents


def same_events(runs: Sequence[ScoredRun]) -> tuple[ScoredRun, ...]:
    """Bring the test events of all runs into the order of identity, class and weight, and the classes into one order.

    Events that share all three keep the order in which they stand.

    Args:
        runs: with the identities of their events.

    Raises:
        RequestError: the events are not the same; it says which run differs from the first, and in what.
    """
    first = _in_order(runs[0], runs[0].class_names)
    found, problems = [first], []
    for run in runs[1:]:
        message = _other_classes(run, first.class_names)
        if not message:
            found.append(_in_order(run, first.class_names))
            message = _other_events(found[-1].events, first)
        if message:
            problems.append(Problem(run.name, message))
    if problems:
        raise ProblemsError(f"these runs cannot be compared with {first.name}", problems)
    return tuple(found)


def _other_classes(run: ScoredRun, class_names: Sequence[str]) -> str:
    if sorted(run.class_names) == sorted(class_names):
        return ""
    return f"its classes are {', '.join(run.class_names)}, not {', '.join(class_names)}"


def _identity(run: ScoredRun) -> NDArray[np.uint64]:
    if run.events.identity is None:
        raise RequestError(f"{run.name}: its events have no identities, so they cannot be compared")
    return run.events.identity


def _in_order(run: ScoredRun, class_names: tuple[str, ...]) -> ScoredRun:
    """Sort events and classes; reference and spectators are left out."""
    columns = [run.class_names.index(name) for name in class_names]
    number = np.argsort(columns).astype(np.int32)
    events, identity = run.events, _identity(run)
    class_index = number[events.class_index]
    order = np.lexsort((events.weight, class_index, identity))
    ordered = ScoredEvents(
        scores=events.scores[order][:, columns],
        class_index=class_index[order],
        weight=events.weight[order],
        factor=events.factor[order],
        identity=identity[order],
    )
    return ScoredRun(run.name, class_names, ordered)


def _other_events(events: ScoredEvents, first: ScoredRun) -> str:
    """Say in what events in order differ from those of the first run; nothing where they do not."""
    before, own = _identities(first.events), _identities(events)
    if not np.array_equal(before, own):
        lacks, more = (_count_missing(*pair) for pair in ((before, own), (own, before)))
        return (
            f"its test events are others: {lacks} of the {len(before)} of {first.name} are not among its {len(own)}, "
            f"and {more} of its own are not there; train both on the same files with the same selection and split"
        )
    classes = np.count_nonzero(events.class_index != first.events.class_index)
    if classes:
        return (
            f"{classes} of the {len(own)} test events have another class; give the samples the same classes"
        )
    size = np.abs(first.events.weight)
    weights = np.count_nonzero(np.abs(events.weight - first.events.weight) > _SAME * size)
    if weights:
        return (
            f"{weights} of the {len(own)} test events have another weight; give the samples the same weights "
            "(the training factors may differ)"
        )
    return ""


def _identities(events: ScoredEvents) -> NDArray[np.uint64]:
    return np.empty(0, np.uint64) if events.identity is None else events.identity


def _count_missing(wanted: NDArray[np.uint64], there: NDArray[np.uint64]) -> int:
    """Count the identities of one sorted list that the other lacks; one that is there twice is needed twice."""
    values, counts = np.unique(wanted, return_counts=True)
    found = np.searchsorted(there, values, side="right") - np.searchsorted(there, values, side="left")
    return int(np.maximum(counts - found, 0).sum())


def in_one_mixture(runs: Sequence[ScoredRun]) -> tuple[tuple[ScoredRun, ...], list[str]]:
    """Turn the scores of runs with other training factors into those of the first run's mixture of the classes.

    Scores are probabilities in the mixture that was learned. Without this a run would be better only because its
    mixture is the one that the events are weighed in.

    Args:
        runs: on the same events in the same order.

    Returns:
        The runs, and a sentence for each whose scores were changed.
    """
    wanted = _factors(runs[0])
    changed, notes = [runs[0]], []
    for run in runs[1:]:
        factors = _factors(run)
        if np.allclose(factors, wanted, rtol=_SAME, atol=0):
            changed.append(run)
            continue
        scores = in_mixture(run.events.scores, factors, wanted).astype(np.float32)
        events = replace(run.events, scores=scores, factor=runs[0].events.factor)
        changed.append(replace(run, events=events))
        notes.append(
            f"{run.name} has other training factors than {runs[0].name}; its scores were turned into those of the "
            f"mixture of classes that {runs[0].name} learned."
        )
    return tuple(changed), notes


def _factors(run: ScoredRun) -> Float64:
    """Give the training factor of each class; 1 for a class without events."""
    factors = np.ones(len(run.class_names))
    factors[run.events.class_index] = run.events.factor
    return factors
