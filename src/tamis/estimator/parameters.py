"""The parameters of the estimator, converted to sections of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from tamis import config
from tamis.config.key_path import KeyPath, format_key_path
from tamis.config.problems import explain_errors

if TYPE_CHECKING:
    import optax

_Section = TypeVar("_Section", bound=BaseModel)

_NAMES = {"validation": "validation_fraction"}
"""Parameters by their names in the sections, if these differ."""


@dataclass(frozen=True)
class Settings:
    """The checked parameters of an estimator; the fraction is None if validation events have no effect."""

    network: config.Network
    training: config.Training
    scaling: config.Scaling
    validation_fraction: float | None
    loss: Callable[..., Any] | None
    optimizer: optax.GradientTransformation | None


def read_settings(parameters: Mapping[str, Any]) -> Settings:
    """Check the parameters of an estimator, by name; a parameter that is missing or `auto` has the section's default.

    Raises:
        ValueError: parameters are invalid; the message names all of them.

    >>> settings = read_settings({"layers": [8, 4], "epochs": 5, "loss": "focal"})
    >>> [layer.nodes for layer in settings.network.layers], settings.training.loss.gamma
    ([8, 4], 2.0)
    """
    import optax

    # `auto` may be compared with an array, which has no truth value
    values = {
        name: convert_to_python(value)
        for name, value in parameters.items()
        if not (isinstance(value, str) and value == "auto")
    }
    loss = values.pop("loss") if callable(values.get("loss")) else None
    is_transform = isinstance(values.get("optimizer"), optax.GradientTransformation)
    optimizer = values.pop("optimizer") if is_transform else None
    if optimizer is not None and "learning_rate" in values:
        raise ValueError("learning_rate: an optax transform has its own; remove learning_rate")
    fraction = values.pop("validation_fraction", config.Split().validation)
    values = {**values, **_layers(values), **_optimizer(values), **_early_stopping(values)}
    problems: list[str] = []
    if isinstance(values.get("loss"), str) and values["loss"] == "significance":
        del values["loss"]
        problems.append(
            "loss: significance needs a section with the expected numbers of signal and background events, for example "
            "{'name': 'significance', 'signal': 100, 'background': 1000}"
        )
    network = _read_section(config.Network, values, problems)
    training = _read_section(config.Training, values, problems)
    preprocessing = _read_section(config.Preprocessing, values, problems)
    split = _read_section(config.Split, {} if fraction is None else {"validation": fraction}, problems)
    if problems:
        raise ValueError("\n".join(problems))
    uses_validation = training.early_stopping is not None or isinstance(training.schedule, config.Plateau)
    return Settings(
        network=network,
        training=training,
        scaling=preprocessing.scaling,
        validation_fraction=split.validation if uses_validation and fraction is not None else None,
        loss=loss,
        optimizer=optimizer,
    )


def _read_section(section: type[_Section], parameters: Mapping[str, Any], problems: list[str]) -> _Section:
    """Build a section from its parameters; if they are invalid, add the problems and return the default section."""
    fields = {name: value for name, value in parameters.items() if name in section.model_fields}
    try:
        return section.model_validate(fields)
    except ValidationError as error:
        problems += _explain(error, section.__name__.lower(), parameters)
        return section()


def _explain(error: ValidationError, section: str, parameters: Mapping[str, Any]) -> list[str]:
    """Return the problems of a section in the words of the configuration, each parameter once."""
    messages: dict[KeyPath, str] = {}
    for diagnostic in explain_errors(error, parameters, (section,)):
        # a parameter that may have several types fails for each of them
        messages.setdefault(_parameter(diagnostic.path, parameters), diagnostic.message)
    return [f"{format_key_path(path)}: {message}" if path else message for path, message in messages.items()]


def _parameter(path: KeyPath, parameters: Mapping[str, Any]) -> KeyPath:
    """Return the path from the parameter of the estimator; keys of sections may be parameters."""
    match path:
        case ("optimizer", "learning_rate") if "learning_rate" in parameters:
            return ("learning_rate",)
        case ("layers", int(index), "activation") if parameters["layers"][index][
            "activation"
        ] == parameters.get("activation"):
            return ("activation",)
        case (str(first), *steps):
            return (_NAMES.get(first, first), *steps)
        case _:
            return path


def convert_to_python(value: object) -> Any:
    """Convert numbers and arrays of NumPy, for example from a hyperparameter search, to Python's."""
    match value:
        case np.generic() | np.ndarray():
            return value.tolist()
        case Mapping():
            return {convert_to_python(key): convert_to_python(item) for key, item in value.items()}
        case list():
            return [convert_to_python(item) for item in value]
        case _:
            return value


def _optimizer(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section of the optimizer with the learning rate."""
    if "learning_rate" not in parameters:
        return {}
    rate = {"learning_rate": parameters["learning_rate"]}
    match parameters.get("optimizer", config.Training().optimizer):
        case str() as name:
            return {"optimizer": {"name": name, **rate}}
        case BaseModel() as section:
            return {"optimizer": {**section.model_dump(), **rate}}
        case Mapping() as section:
            return {"optimizer": {**section, **rate}}
        case invalid:
            return {"optimizer": invalid}


def _layers(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Convert hidden layers to sections; the parameter `activation` is the default of their activation."""
    layers = parameters.get("layers")
    default = {"activation": parameters["activation"]} if "activation" in parameters else {}
    if "layers" not in parameters and default:
        layers = [layer.model_dump(exclude={"activation"}) for layer in config.Network().layers]
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        return {}

    def convert(layer: Any) -> Any:
        match layer:
            case Mapping():
                return {**default, **layer}
            case BaseModel():
                return layer
            case nodes:
                return {**default, "nodes": nodes}

    return {"layers": tuple(convert(convert_to_python(layer)) for layer in layers)}


def _early_stopping(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Convert a boolean, or the patience, to the section of early stopping."""
    match parameters.get("early_stopping"):
        case True:
            return {"early_stopping": {}}
        case False:
            return {"early_stopping": None}
        case int() as patience:
            return {"early_stopping": {"patience": patience}}
        case _:
            return {}
