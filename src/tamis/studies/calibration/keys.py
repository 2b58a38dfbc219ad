"""The keys of `metrics.json` that the study calibration writes."""

from collections.abc import Mapping

from tamis.calibration import Scaling
from tamis.statistics.reliability import Reliability
from tamis.studies.keys import ClassName, Keys, key


class MostDeviating(Keys):
    """The class whose scores deviate most from calibrated probabilities."""

    class_name: str = key("its name", alias="class")
    corrected_p_value: float = key("its p-value, corrected for the number of classes")


class Calibration(Keys):
    """Tests of whether the scores are probabilities, on test events."""

    balanced: Mapping[ClassName, Reliability] = key("reliability with balanced weights")
    with_temperature: Mapping[ClassName, Reliability] = key("the same after temperature scaling")
    physics: Mapping[ClassName, Reliability] | None = key("reliability with physics weights")
    most_deviating: MostDeviating = key("the class with the smallest p-value")
    temperature: float = key("fitted on validation events; above one if the scores are overconfident")
    temperature_error: float | None = key("its standard deviation")
    vector_scaling: Scaling = key("fitted on validation events", "vector")
    loss: float = key("of the uncorrected scores, with balanced weights")
    loss_with_temperature: float = key("of the scores after temperature scaling")
    loss_with_vector_scaling: float = key("of the scores after vector scaling", "loss_with_vector")
    change_with_temperature: float = key("change of the loss by temperature scaling")
    change_with_temperature_error: float | None = key("its standard deviation")
    change_with_vector_scaling: float = key("change of the loss by vector scaling")
    change_with_vector_scaling_error: float | None = key("its standard deviation")


KEYS = {"calibration": (Calibration | None, key("whether the scores are probabilities"))}
