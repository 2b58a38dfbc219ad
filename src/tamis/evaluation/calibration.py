"""Whether scores are probabilities: reliability, corrections that are fitted on validation events, other mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, special

from tamis.calibration import Scaling, event_losses, log_scores
from tamis.errors import RequestError
from tamis.evaluation.arrays import (
    classes_of,
    effective_number,
    finite_numbers,
    needed_sum,
    positive_sum,
    probabilities_of,
    weights_of,
)
from tamis.evaluation.influence import standard_errors
from tamis.evaluation.scaling import temperature_error, temperature_scaling, vector_scaling
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.units import Units, merge_in_cells, sum_by_unit, units_of_rows

Float64 = NDArray[np.float64]

BINS = 15
"""Bins of a reliability curve, of equal numbers of events."""


LEAST = 10.0
"""Effective events that a bin should have of the class, and of the rest, to count in a chi-square."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Events of similar scores.

    Args:
        low: smallest score.
        high: largest score.
        score: weighted mean of the scores.
        fraction: weighted fraction that belongs to the class.
        error: standard deviation of the difference of `fraction` and `score`, if the scores are probabilities.
        share: part of the sum of weights of all events.
        effective: effective number of events.
        fewest: effective number of events of the class, or of the rest, that the scores promise, whichever is smaller.
    """

    low: float
    high: float
    score: float
    fraction: float
    error: float
    share: float
    effective: float
    fewest: float


@dataclass(frozen=True)
class Reliability:
    """How often events of a given score belong to the class.

    Args:
        bins: by rising score; bins without a positive sum of weights are left out.
        error: expected calibration error: mean of |fraction - score| over the bins, by their shares.
        by_chance: what that error would be on average if the scores were exact probabilities.
        p_value: probability of deviations as large as these, if they were: the chi-square of the bins; one where none
            has enough events.
    """

    bins: tuple[ReliabilityBin, ...]
    error: float
    by_chance: float
    p_value: float


def reliability(
    score: ArrayLike,
    is_class: ArrayLike,
    weight: ArrayLike,
    *,
    bins: int = BINS,
    units: Units | None = None,
) -> Reliability:
    """Compare the scores of one class with how often events belong to it.

    The error of a bin is the root of the sum of w (p (1-p)^2 r + (1-p) p^2 s) over the sum of w, with r and s the sum
    of squared weights over the sum of weights of the class and of the rest: what an exact score would have, whatever
    the weights of the classes and their signs. What was found in the bin is not used, so that a bin with too few
    events does not seem better known. The p-value takes the bins in which the scores promise at least `LEAST`
    effective events of the class and of the rest.

    Where several events vary together, the weights that are squared are the sums of those that a unit has in a bin, and
    the chi-square is corrected for units that lie in several bins, which then deviate together.

    Args:
        score: of the class, [n_events].
        is_class: whether the event belongs to the class, [n_events].
        weight: signed weight, [n_events]; the mixture that the scores are meant for.
        bins: number of bins, of equal numbers of events.
        units: number of what each event belongs to, where several events vary together, [n_events]; events of one unit
            all belong to the class, or none of them does.

    Raises:
        TamisError: the arrays do not fit together, or the weights have no positive sum.

    >>> found = reliability([0.25] * 4 + [0.75] * 4, [0, 0, 0, 1, 0, 1, 1, 1], [1.0] * 8, bins=2)
    >>> [(each.score, each.fraction) for each in found.bins], found.error
    ([(0.25, 0.25), (0.75, 0.75)], 0.0)
    """
    values = finite_numbers(score, "score")
    weights = weights_of(weight, len(values))
    of_class = classes_of(np.asarray(is_class).astype(np.int64), len(values), 2, "is_class")
    total = needed_sum(weights, "reliability: the weights")
    order = np.argsort(values)
    pieces = _pieces_of_equals(values[order], bins)
    place = np.empty(len(order), np.intp)
    place[order] = np.repeat(np.arange(len(pieces)), [last - first for first, last in pieces])
    # a unit that lies in several bins has a weight in each
    sizes = tuple(
        _size(merge_in_cells(place[rows], weights[rows], units_of_rows(units, rows))[1])
        for rows in (of_class == 0, of_class == 1)
    )
    filled = {}
    for number, (first, last) in enumerate(pieces):
        rows = order[first:last]
        content = _bin(values[rows], of_class[rows], weights[rows], total, sizes, units_of_rows(units, rows))
        if content is not None:
            filled[number] = content
    found = tuple(filled.values())
    gaps = np.array([each.fraction - each.score for each in found])
    errors = np.array([each.error for each in found])
    shares = np.array([each.share for each in found])
    measured = (errors > 0) & np.array([each.fewest >= LEAST for each in found])
    square, freedom = float(((gaps[measured] / errors[measured]) ** 2).sum()), float(measured.sum())
    if units is not None and freedom:
        numbers = np.array(list(filled))[measured]
        inflation = _inflation(weights * (of_class - values), place, numbers, units)
        square, freedom = square / inflation, freedom / inflation
    return Reliability(
        bins=found,
        error=float((shares * np.abs(gaps)).sum() / shares.sum()),
        by_chance=float((shares * errors).sum() / shares.sum() * np.sqrt(2 / np.pi)),
        p_value=float(special.chdtrc(freedom, square)) if freedom else 1.0,
    )


def _inflation(deviation: Float64, place: NDArray[np.intp], bins: NDArray[np.intp], units: Units) -> float:
    """Compute the mean of the squared correlations that each bin has with all bins by the units that they share.

    A sum of squares of correlated deviations, divided by this, has about a chi-square distribution, and as many degrees
    of freedom as there are bins, divided by this (J. Rao and A. Scott, Ann. Stat. 12 (1984) 46). One where no unit lies
    in several bins.

    Args:
        deviation: weight times the difference of class and score, [n_events].
        place: number of the bin of each event, [n_events].
        bins: numbers of the bins that count.
        units: number of what each event belongs to, [n_events].
    """
    of_unit = sparse.csc_array((deviation, (units, place)))[:, bins]
    products = (of_unit.T @ of_unit).toarray()
    size = np.sqrt(np.diag(products))
    correlation = products / np.outer(size, size)
    return float(np.square(correlation).sum()) / len(bins)


def _pieces_of_equals(rising: Float64, bins: int) -> list[tuple[int, int]]:
    """Divide sorted values into about equal pieces; equal values stay together."""
    wanted = np.arange(1, bins) * len(rising) // bins
    inner = np.searchsorted(rising, rising[wanted], side="left")
    edges = np.unique(np.concatenate([[0], inner, [len(rising)]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _size(weight: Float64) -> float | None:
    """Give the sum of squared weights (one of each unit) over their sum; None where they are too few to know it."""
    total = positive_sum(weight)
    if total is None or effective_number(weight) < LEAST:
        return None
    return float(weight @ weight) / total


def _bin(
    score: Float64,
    of_class: NDArray[np.int64],
    weight: Float64,
    total: float,
    sizes: tuple[float | None, ...],
    units: Units | None,
) -> ReliabilityBin | None:
    inside = positive_sum(weight)
    if inside is None:
        return None
    promised = float(weight @ (1 - score)), float(weight @ score)
    # weights may depend on the score: those of the bin, where it has enough events, else those of all
    merged = sum_by_unit(weight, units)
    rest, of_it = (
        _size(sum_by_unit(weight[rows], units_of_rows(units, rows)))
        or size
        or float(merged @ merged) / inside
        for rows, size in zip((of_class == 0, of_class == 1), sizes, strict=True)
    )
    variance = float(weight @ (score * (1 - score) * ((1 - score) * of_it + score * rest)))
    return ReliabilityBin(
        low=float(score.min()),
        high=float(score.max()),
        score=float(weight @ score) / inside,
        fraction=float(weight @ of_class) / inside,
        error=float(np.sqrt(max(variance, 0.0))) / inside,
        share=inside / total,
        effective=effective_number(weight, units),
        fewest=max(min(promised[0] / rest, promised[1] / of_it), 0.0),
    )


def in_mixture(scores: ArrayLike, learned: ArrayLike, wanted: ArrayLike) -> Float64:
    """Turn the scores of the mixture that was learned into those of another mixture of the classes.

    p'(c) is p(c) wanted(c) / learned(c), divided by the sum over the classes (M. Saerens et al., Neural Computation 14
    (2002) 21). With the sums of physics weights as `wanted`, scores become posterior probabilities of the analysis.

    Args:
        scores: [n_events, n_classes].
        learned: sum of weights of each class in the mixture that the scores are meant for, [n_classes].
        wanted: the same for the other mixture, [n_classes].

    Raises:
        RequestError: a share is not positive, or there is not one for each class.

    >>> in_mixture([[0.5, 0.5]], [1.0, 1.0], [9.0, 1.0]).tolist()
    [[0.9, 0.1]]
    """
    probabilities = probabilities_of(scores)
    before, after = finite_numbers(learned, "learned"), finite_numbers(wanted, "wanted")
    for name, shares in (("learned", before), ("wanted", after)):
        if shares.shape != probabilities.shape[1:] or (shares <= 0).any():
            raise RequestError(
                f"{name} mixture: expected a positive number for each of {probabilities.shape[1]} classes, "
                f"found {shares.tolist()}"
            )
    shifted = probabilities * (after / after.sum()) / (before / before.sum())
    mixed: Float64 = shifted / shifted.sum(axis=1, keepdims=True)
    return mixed


@dataclass(frozen=True)
class Calibration:
    """Whether the scores of test events are probabilities, and what corrections would change.

    Args:
        balanced: reliability of each class in the mixture that the network learned.
        with_temperature: the same after temperature scaling.
        physics: as `balanced`, after the scores were turned into those of the physical mixture; None where a class has
            no positive sum of weights.
        temperature: fitted on validation events.
        temperature_error: its standard deviation from the finite number of validation events; NaN where they do not
            determine it.
        vector: fitted on validation events.
        loss: of the test events, in the balanced mixture.
        loss_with_temperature: after temperature scaling.
        loss_with_vector: after vector scaling.
        change_errors: standard deviations of the changes of the loss by the two, from the finite number of test events.
    """

    balanced: tuple[Reliability, ...]
    with_temperature: tuple[Reliability, ...]
    physics: tuple[Reliability, ...] | None
    temperature: Scaling
    temperature_error: float
    vector: Scaling
    loss: float
    loss_with_temperature: float
    loss_with_vector: float
    change_errors: tuple[float, float]

    @property
    def worst(self) -> tuple[int, float]:
        """The class that deviates most in the balanced mixture, and its p-value, corrected for their number."""
        values = [each.p_value for each in self.balanced]
        found = int(np.argmin(values))
        return found, min(1.0, len(values) * values[found])

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""

        def by_class(found: Sequence[Reliability]) -> dict[str, Any]:
            return {
                name: {**vars(each), "bins": [vars(one) for one in each.bins]}
                for name, each in zip(class_names, found, strict=True)
            }

        worst, p_value = self.worst
        return {
            "balanced": by_class(self.balanced),
            "with_temperature": by_class(self.with_temperature),
            "physics": None if self.physics is None else by_class(self.physics),
            "most_deviating": {"class": class_names[worst], "corrected_p_value": p_value},
            "temperature": 1 / self.temperature.scale[0],
            "temperature_error": error if np.isfinite(error := self.temperature_error) else None,
            "vector_scaling": vars(self.vector),
            "loss": self.loss,
            "loss_with_temperature": self.loss_with_temperature,
            "loss_with_vector_scaling": self.loss_with_vector,
            "change_with_temperature": self.loss_with_temperature - self.loss,
            "change_with_temperature_error": self.change_errors[0],
            "change_with_vector_scaling": self.loss_with_vector - self.loss,
            "change_with_vector_scaling_error": self.change_errors[1],
        }


def judge_calibration(validation: ScoredEvents, test: ScoredEvents) -> Calibration | None:
    """Measure the calibration of test events, and of what is fitted on validation events.

    Args:
        validation: events that decided when to stop.
        test: events that decided nothing.

    Returns:
        None where the weights of validation or test have no positive sum.

    Raises:
        TamisError: the arrays do not fit together.
    """
    learned, fitted = test.learned_weight, validation.learned_weight
    if positive_sum(learned) is None or positive_sum(fitted) is None:
        return None
    scores = probabilities_of(test.scores)
    classes = classes_of(test.class_index, *scores.shape)
    temperature, vector = (
        fit(validation.scores, validation.class_index, fitted)
        for fit in (temperature_scaling, vector_scaling)
    )

    def losses(corrected: Float64) -> Float64:
        return event_losses(log_scores(corrected), classes)

    as_it_is, *with_scaling = (losses(each) for each in (scores, temperature(scores), vector(scores)))
    total = float(learned.sum())

    def error_of_change(changed: Float64) -> float:
        change = changed - as_it_is
        influence = learned * (change - float(learned @ change) / total) / total
        return float(standard_errors(influence[:, None], test.units)[0])

    def of_classes(corrected: Float64, weight: Float64) -> tuple[Reliability, ...]:
        return tuple(
            reliability(column, classes == index, weight, units=test.units)
            for index, column in enumerate(corrected.T)
        )

    count = scores.shape[1]
    before, after = (np.bincount(classes, weight, count) for weight in (learned, test.weight))
    defined = (before > 0).all() and (after > 0).all()
    return Calibration(
        balanced=of_classes(scores, learned),
        with_temperature=of_classes(temperature(scores), learned),
        physics=of_classes(in_mixture(scores, before, after), test.weight) if defined else None,
        temperature=temperature,
        temperature_error=temperature_error(
            temperature, validation.scores, validation.class_index, fitted, validation.units
        ),
        vector=vector,
        loss=float(learned @ as_it_is) / total,
        loss_with_temperature=float(learned @ with_scaling[0]) / total,
        loss_with_vector=float(learned @ with_scaling[1]) / total,
        change_errors=(error_of_change(with_scaling[0]), error_of_change(with_scaling[1])),
    )
