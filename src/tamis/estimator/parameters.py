"""The parameters of the estimator, read as the sections of the configuration that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tamis.config import Network, Plateau, Preprocessing, Scaling, Split, Training
from tamis.config.wording import describe

if TYPE_CHECKING:
    import optax

_Section = TypeVar("_Section", bound=BaseModel)


# sections call some parameters by another name
_NAMES = {"validation": "validation_fraction"}


@dataclass(frozen=True)
class Settings:
    """The parameters of an estimator, checked.

    Args:
        network: the section `network`.
        training: the section `training`.
        scaling: name of the rule for the features.
        validation_fraction: of the events of each class; None where nothing is decided on them.
        loss: a function of the user's own.
        optimizer: an optax transform of the user's own.
    """

    network: Network
    training: Training
    scaling: Scaling
    validation_fraction: float | None
    loss: Callable[..., Any] | None
    optimizer: optax.GradientTransformation | None


def read_settings(parameters: Mapping[str, Any]) -> Settings:
    """Check the parameters of an estimator.

    Args:
        parameters: by name, as the user gave them; what is left out or `auto` is left to its section.

    Raises:
        ValueError: with every parameter that its section refuses.

    Example:
        >>> settings = read_settings({"layers": [8, 4], "epochs": 5, "loss": "focal"})
        >>> [layer.nodes for layer in settings.network.layers], settings.training.loss.gamma
        ([8, 4], 2.0)
    """
    given = {name: _plain(value) for name, value in parameters.items() if not _is_auto(value)}
    loss = given.pop("loss") if callable(given.get("loss")) else None
    optimizer = given.pop("optimizer") if _is_transform(given.get("optimizer")) else None
    if optimizer is not None and "learning_rate" in given:
        raise ValueError("learning_rate: an optax transform brings its own; leave learning_rate out")
    fraction = given.pop("validation_fraction", Split().validation)
    sections = _Sections({**given, **_layers(given), **_optimizer(given), **_early_stopping(given)})
    network, training = sections.read(Network), sections.read(Training)
    preprocessing = sections.read(Preprocessing)
    split = sections.read(Split, {"validation": fraction} if fraction is not None else {})
    sections.refuse()
    decides = training.early_stopping is not None or isinstance(training.schedule, Plateau)
    return Settings(
        network=network,
        training=training,
        scaling=preprocessing.scaling,
        validation_fraction=split.validation if decides and fraction is not None else None,
        loss=loss,
        optimizer=optimizer,
    )


class _Sections:
    """Reads sections from the parameters that belong to them, and collects what is wrong."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._problems: list[str] = []

    def read(self, section: type[_Section], given: Mapping[str, Any] | None = None) -> _Section:
        """Make a section; where something is wrong, the one with every default, for the time being."""
        values = self._given if given is None else given
        own = {name: value for name, value in values.items() if name in section.model_fields}
        try:
            return section.model_validate(own)
        except ValidationError as error:
            self._problems += _sentences(error.errors(include_url=False))
            return section()

    def refuse(self) -> None:
        """Raise what is wrong.

        Raises:
            ValueError: something is.
        """
        if self._problems:
            raise ValueError("\n".join(self._problems))


def _sentences(details: Sequence[ErrorDetails]) -> list[str]:
    """Say what is wrong, in one sentence for each place; what may be of several kinds can fail in several ways."""
    wrong: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for detail in details:
        place = ".".join(str(_NAMES.get(str(part), part)) for part in detail["loc"] if _is_place(part))
        wrong.setdefault(place, []).append(detail["msg"].removeprefix("Value error, "))
        found[place] = describe(detail["input"])
    return [
        f"{place}: {' or '.join(messages)}; found {found[place]}" if place else messages[0]
        for place, messages in wrong.items()
    ]


def _is_place(part: str | int) -> bool:
    """Tell a key or a number in a list from what pydantic calls a kind of value, such as `constrained-int`."""
    return isinstance(part, int) or part.isidentifier()


def _plain(value: object) -> Any:
    """Turn numbers and arrays of NumPy, as a search makes them, into those of Python."""
    match value:
        case np.generic() | np.ndarray():
            return value.tolist()
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case _:
            return value


def _is_transform(value: object) -> bool:
    import optax

    return isinstance(value, optax.GradientTransformation)


def _optimizer(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put the learning rate into the optimizer's section."""
    if "learning_rate" not in given:
        return {}
    rate = {"learning_rate": given["learning_rate"]}
    match given.get("optimizer", Training().optimizer):
        case str() as name:
            return {"optimizer": {"name": name, **rate}}
        case BaseModel() as section:
            return {"optimizer": {**section.model_dump(), **rate}}
        case Mapping() as section:
            return {"optimizer": {**section, **rate}}
        case unreadable:
            return {"optimizer": unreadable}


def _layers(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write hidden layers as sections, with the activation where they do not name their own."""
    layers = given.get("layers")
    named = {"activation": given["activation"]} if "activation" in given else {}
    if "layers" not in given and named:
        layers = [layer.model_dump(exclude={"activation"}) for layer in Network().layers]
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        return {}
    return {"layers": tuple(_layer(_plain(layer), named) for layer in layers)}


def _layer(layer: Any, named: Mapping[str, Any]) -> Any:
    match layer:
        case Mapping():
            return {**named, **layer}
        case BaseModel():
            return layer
        case nodes:
            return {**named, "nodes": nodes}


def _early_stopping(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write whether to stop early, or the patience, as a section."""
    match given.get("early_stopping"):
        case True:
            return {"early_stopping": {}}
        case False:
            return {"early_stopping": None}
        case int() as patience:
            return {"early_stopping": {"patience": patience}}
        case _:
            return {}


def _is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"
