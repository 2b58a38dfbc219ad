"""The result of the study of stability, and its computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64
from tamis.data.ensemble import name_members
from tamis.statistics.arrays import positive_sum, replace_undefined
from tamis.statistics.influence import compute_influences, compute_standard_errors
from tamis.statistics.p_values import compute_homogeneity_p_value
from tamis.statistics.scored import ScoredEvents
from tamis.studies.context import Context, Rescoring
from tamis.studies.study import Undefined
from tamis.wording import format_p_value, format_with_error

LEVEL = 0.05
"""p-value, corrected for the number of quantities, up to which the difference of the folds is significant."""


@dataclass(frozen=True)
class MemberNumbers:
    """The numbers of one member, or of the ensemble, on events that it did not learn from; `keys.py` describes them."""

    fold: int | None
    loss: float
    loss_error: float
    accuracy: float
    accuracy_error: float
    auc: tuple[float | None, ...]
    auc_error: tuple[float | None, ...]


@dataclass(frozen=True)
class Spread:
    """How one number varies among the members.

    Args:
        quantity: `loss`, `accuracy` or `auc`.
        class_name: the class of the area under the curve.
        mean: of the members.
        standard_deviation: their standard deviation.
        between_seeds: that of members of one fold, due to the random numbers of the training alone; None if each
            fold has one member.
        between_folds: that of the averages of the folds; None if there are no folds.
        lowest: the smallest number of a member.
        highest: the largest one.
        expected: deviation that the finite numbers of events in the folds explain; None if there are no folds.
        p_value: probability of folds at least as different if only their events differed; None if there are none.
        gain: by how much the ensemble is better than its members are on average; None if no event has several
            members.
        gain_error: standard deviation of the gain from the finite number of events.
    """

    quantity: str
    class_name: str | None
    mean: float
    standard_deviation: float
    between_seeds: float | None
    between_folds: float | None
    lowest: float
    highest: float
    expected: float | None
    p_value: float | None
    gain: float | None
    gain_error: float | None


@dataclass(frozen=True)
class StabilityResult:
    """How much the numbers depend on the seed and on the fold.

    Args:
        members: the numbers of each member, in the order of the classifier's.
        ensemble: those of the averaged scores, on all test events.
        spreads: of the loss, the accuracy and the area under the curve of each class where it is defined everywhere.
    """

    class_names: tuple[str, ...]
    members: tuple[MemberNumbers, ...]
    ensemble: MemberNumbers
    spreads: tuple[Spread, ...]

    @property
    def member_names(self) -> tuple[str, ...]:
        """Name of each member, by its fold and its number among those of the fold, counted from 1."""
        return name_members([member.fold for member in self.members])

    @property
    def p_value(self) -> float | None:
        """The smallest p-value of the folds, corrected for the number of quantities; None without folds."""
        p_values = [spread.p_value for spread in self.spreads if spread.p_value is not None]
        return min(1.0, min(p_values) * len(p_values)) if p_values else None

    @property
    def sentence(self) -> str:
        """Result in one or two sentences."""
        loss = next(spread for spread in self.spreads if spread.quantity == "loss")
        sentence = (
            f"The {len(self.members)} members of the ensemble have a mean loss (physics weights) of {loss.mean:.4f}, "
            f"with a standard deviation of {loss.standard_deviation:.4f} ({loss.lowest:.4f} to {loss.highest:.4f})"
        )
        if loss.gain is not None:
            change = format_with_error(loss.gain, loss.gain_error, signed=True)
            sentence += f"; averaging their scores improves it by {change}"
        if self.p_value is None:
            return f"{sentence}."
        differ = (
            "differ by more than their statistical uncertainties explain"
            if self.p_value <= LEVEL
            else "agree within their statistical uncertainties"
        )
        tested = sum(spread.p_value is not None for spread in self.spreads)
        chance = f"{format_p_value(self.p_value)}, corrected for {tested} quantities"
        return f"{sentence}. The folds {differ} ({chance})."

    def to_metrics(self) -> dict[str, Any]:
        """Return the values of the keys of `metrics.json`."""
        return {**vars(self), "sentence": self.sentence, "p_value": self.p_value, "level": LEVEL}


@dataclass(frozen=True, eq=False)
class FoldScores:
    """Events of a fold (None without folds) that some members did not learn from, with the scores of their ensemble.

    `of_members` has the scores of each of these members, [n_events, n_classes].
    """

    events: ScoredEvents
    of_members: tuple[NDArray[np.floating[Any]], ...]
    fold: int | None = None


def compute_stability(context: Context) -> StabilityResult | Undefined | None:
    """Compare the members of the classifier of a run on its test events; None if there is one member.

    The comparison is undefined if the weights of the test events of a fold have no positive sum.
    """
    rescoring, test = context.rescoring, context.splits["test"]
    if rescoring is None or len(rescoring.classifier.members) < 2:
        return None
    return compare_members(test, _score_by_member(rescoring, test), context.class_names)


def _score_by_member(rescoring: Rescoring, test: ScoredEvents) -> list[FoldScores]:
    """Compute the scores of each member, of the test events that it did not learn from."""
    classifier, folds = rescoring.classifier, []
    for fold in np.unique(rescoring.fold).tolist():
        rows, members = np.flatnonzero(rescoring.fold == fold), classifier.plan.scorers(fold)
        features, _ = rescoring.take(rows)
        # with the calibration of the ensemble, if there is one: users apply calibrated scores
        of_members = tuple(classifier.take_member(number).scores(features, fold) for number in members)
        folds.append(FoldScores(test.take(rows), of_members, classifier.plan.members[members[0]].fold))
    return folds


@dataclass(frozen=True, eq=False)
class _FoldNumbers:
    """Loss, accuracy and areas of one fold: of its members, of their ensemble, and the gain; errors beside them."""

    members: Float64
    member_errors: Float64
    ensemble: Float64
    ensemble_error: Float64
    gain: Float64
    gain_error: Float64


def compare_members(
    test: ScoredEvents, folds: Sequence[FoldScores], class_names: Sequence[str]
) -> StabilityResult | Undefined:
    """Compare the members of an ensemble, each on events that it did not learn from; without folds these are all.

    Members of different seeds are tested with the same events, so that their deviation is that of the training. Folds
    have different events and differ by chance: `compute_homogeneity_p_value` tests the ensembles of the folds.
    """
    if any(positive_sum(fold.events.weight) is None for fold in folds):
        return Undefined("the weights of the test events, or of those of a fold, have no positive sum")
    measured = [_measure(fold) for fold in folds]
    members = tuple(
        _member_numbers(fold.fold, value, error)
        for fold, numbers in zip(folds, measured, strict=True)
        for value, error in zip(numbers.members, numbers.member_errors, strict=True)
    )
    ensemble = compute_influences(test.scores, test.class_index, test.weight)
    quantities = [("loss", None), ("accuracy", None), *(("auc", name) for name in class_names)]
    spreads = [_spread(quantity, name, index, measured) for index, (quantity, name) in enumerate(quantities)]
    return StabilityResult(
        class_names=tuple(class_names),
        members=members,
        ensemble=_member_numbers(
            None, ensemble.value, compute_standard_errors(ensemble.of_event, test.units)
        ),
        spreads=tuple(spread for spread in spreads if spread is not None),
    )


def _measure(fold: FoldScores) -> _FoldNumbers:
    events, units = fold.events, fold.events.units
    ensemble = compute_influences(events.scores, events.class_index, events.weight)
    values, errors, mean = [], [], np.zeros_like(ensemble.of_event)
    for scores in fold.of_members:
        member = compute_influences(scores, events.class_index, events.weight)
        values.append(member.value)
        errors.append(compute_standard_errors(member.of_event, units))
        mean += member.of_event / len(fold.of_members)
    # a smaller loss is better
    sign = np.where(np.arange(len(ensemble.value)) == 0, -1.0, 1.0)
    return _FoldNumbers(
        np.array(values),
        np.array(errors),
        ensemble.value,
        compute_standard_errors(ensemble.of_event, units),
        sign * (ensemble.value - np.mean(values, axis=0)),
        compute_standard_errors(ensemble.of_event - mean, units),
    )


def _member_numbers(fold: int | None, value: Float64, error: Float64) -> MemberNumbers:
    areas, area_errors = (tuple(replace_undefined(numbers[2:])) for numbers in (value, error))
    loss, accuracy = value[:2].tolist()
    return MemberNumbers(fold, loss, float(error[0]), accuracy, float(error[1]), areas, area_errors)


def _spread(quantity: str, name: str | None, index: int, measured: Sequence[_FoldNumbers]) -> Spread | None:
    values = np.concatenate([fold.members[:, index] for fold in measured])
    if not np.isfinite(values).all():
        return None
    of_folds = np.array([fold.ensemble[index] for fold in measured])
    errors = np.array([fold.ensemble_error[index] for fold in measured])
    several = [fold for fold in measured if len(fold.members) > 1]
    variances = [fold.members[:, index].var(ddof=1) for fold in several]  # of the members of each fold
    has_folds = len(measured) > 1
    # without an error there is nothing to compare with
    has_errors = has_folds and bool((errors > 0).all())
    gains = np.array([fold.gain[index] for fold in several])
    gain_errors = np.array([fold.gain_error[index] for fold in several])
    return Spread(
        quantity,
        name,
        mean=float(values.mean()),
        standard_deviation=float(values.std(ddof=1)),
        between_seeds=float(np.sqrt(np.mean(variances))) if several else None,
        between_folds=float(of_folds.std(ddof=1)) if has_folds else None,
        lowest=float(values.min()),
        highest=float(values.max()),
        expected=float(np.sqrt(np.mean(np.square(errors)))) if has_folds else None,
        p_value=compute_homogeneity_p_value(of_folds, errors) if has_errors else None,
        gain=float(gains.mean()) if several else None,
        gain_error=float(np.sqrt(np.square(gain_errors).sum())) / len(several) if several else None,
    )
