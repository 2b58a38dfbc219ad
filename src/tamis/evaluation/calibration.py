"""Whether scores are probabilities: reliability, corrections that are fitted on validation events, other mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.calibration import Scaling, event_losses, log_scores
from tamis.errors import RequestError
from tamis.evaluation.arrays import (
    classes_of,
    finite_numbers,
    positive_sum,
    probabilities_of,
)
from tamis.evaluation.influence import standard_errors
from tamis.evaluation.reliability import Reliability, reliability
from tamis.evaluation.scaling import temperature_error, temperature_scaling, vector_scaling
from tamis.evaluation.scored import ScoredEvents
from tamis.random_streams import random_stream

Float64 = NDArray[np.float64]


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


def judge_calibration(validation: ScoredEvents, test: ScoredEvents, seed: int = 0) -> Calibration | None:
    """Measure the calibration of test events, and of what is fitted on validation events.

    Args:
        validation: events that decided when to stop.
        test: events that decided nothing.
        seed: of the simulations behind the p-values.

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

    def of_classes(name: str, corrected: Float64, weight: Float64) -> tuple[Reliability, ...]:
        return tuple(
            reliability(
                column,
                classes == index,
                weight,
                units=test.units,
                generator=random_stream(seed, "evaluation", "reliability", name, str(index)),
            )
            for index, column in enumerate(corrected.T)
        )

    count = scores.shape[1]
    before, after = (np.bincount(classes, weight, count) for weight in (learned, test.weight))
    defined = (before > 0).all() and (after > 0).all()
    return Calibration(
        balanced=of_classes("balanced", scores, learned),
        with_temperature=of_classes("temperature", temperature(scores), learned),
        physics=of_classes("physics", in_mixture(scores, before, after), test.weight) if defined else None,
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
