"""The result of the study of calibration, and its computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tamis.arrays import Float64
from tamis.calibration import Calibration, Scaling, event_losses, log_scores
from tamis.statistics.arrays import (
    check_classes,
    check_probabilities,
    positive_sum,
)
from tamis.statistics.influence import compute_standard_errors
from tamis.statistics.reliability import Reliability, compute_reliability
from tamis.statistics.scaling import (
    compute_temperature_error,
    convert_class_weights,
    fit_temperature,
    fit_vector_scaling,
)
from tamis.studies.context import Context
from tamis.studies.study import Undefined


def find_most_deviating(reliabilities: Sequence[Reliability]) -> tuple[int, float]:
    """Return the index of the class with the smallest p-value, and that, corrected for the number of classes."""
    p_values = [reliability.p_value for reliability in reliabilities]
    index = int(np.argmin(p_values))
    return index, min(1.0, len(p_values) * p_values[index])


@dataclass(frozen=True)
class CalibrationResult:
    """The calibration of the scores of test events, and the effect of corrections; `keys.py` describes most fields.

    `applied` is the correction that is part of the scores. `change_errors` are the standard deviations of the changes
    of the loss by temperature and by vector scaling, from the finite number of test events.
    """

    class_names: tuple[str, ...]
    applied: Calibration | None
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
    def changes(self) -> dict[str, tuple[float, float]]:
        """Changes of the loss by temperature and vector scaling, with their standard deviations."""
        losses = {"temperature": self.loss_with_temperature, "vector": self.loss_with_vector}
        return {
            method: (loss - self.loss, error)
            for (method, loss), error in zip(losses.items(), self.change_errors, strict=True)
        }

    def to_metrics(self) -> dict[str, Any]:
        """Return the values of the keys of `metrics.json`."""
        index, p_value = find_most_deviating(self.balanced)
        (change, error), (vector_change, vector_error) = self.changes.values()
        return {
            **vars(self),
            "most_deviating": {"class_name": self.class_names[index], "corrected_p_value": p_value},
            "temperature": 1 / self.temperature.scale[0],
            "change_with_temperature": change,
            "change_with_temperature_error": error,
            "change_with_vector_scaling": vector_change,
            "change_with_vector_scaling_error": vector_error,
        }


def compute_calibration(context: Context) -> CalibrationResult | Undefined:
    """Measure the calibration of the test events, and of corrections that are fitted on the validation events.

    The result is Undefined if the weights of validation or test events have no positive sum.
    """
    validation, test = context.splits["validation"], context.splits["test"]
    balanced, validation_weight = test.balanced_weight, validation.balanced_weight
    if positive_sum(balanced) is None or positive_sum(validation_weight) is None:
        return Undefined("the weights of the validation or the test events have no positive sum")
    scores = check_probabilities(test.scores)
    classes = check_classes(test.class_index, *scores.shape)
    temperature, vector = (
        fit(validation.scores, validation.class_index, validation_weight)
        for fit in (fit_temperature, fit_vector_scaling)
    )

    losses, *scaled_losses = (
        event_losses(log_scores(corrected), classes)
        for corrected in (scores, temperature(scores), vector(scores))
    )
    total = float(balanced.sum())

    def error_of_change(changed: Float64) -> float:
        change = changed - losses
        influence = balanced * (change - float(balanced @ change) / total) / total
        return float(compute_standard_errors(influence[:, None], test.units)[0])

    def of_classes(name: str, corrected: Float64, weight: Float64) -> tuple[Reliability, ...]:
        return tuple(
            compute_reliability(
                column,
                classes == index,
                weight,
                units=test.units,
                generator=context.random_stream("reliability", name, str(index)),
            )
            for index, column in enumerate(corrected.T)
        )

    count = scores.shape[1]
    before, after = (np.bincount(classes, weight, count) for weight in (balanced, test.weight))
    defined = (before > 0).all() and (after > 0).all()
    return CalibrationResult(
        class_names=context.class_names,
        applied=context.applied_calibration,
        balanced=of_classes("balanced", scores, balanced),
        with_temperature=of_classes("temperature", temperature(scores), balanced),
        physics=of_classes("physics", convert_class_weights(scores, before, after), test.weight)
        if defined
        else None,
        temperature=temperature,
        temperature_error=compute_temperature_error(
            temperature, validation.scores, validation.class_index, validation_weight, validation.units
        ),
        vector=vector,
        loss=float(balanced @ losses) / total,
        loss_with_temperature=float(balanced @ scaled_losses[0]) / total,
        loss_with_vector=float(balanced @ scaled_losses[1]) / total,
        change_errors=(error_of_change(scaled_losses[0]), error_of_change(scaled_losses[1])),
    )
