"""The numbers of a run beside its results: `metrics.json` and `history.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier
from tamis.classifier.member import Member
from tamis.config import Config
from tamis.data.split import TRAINING
from tamis.pipeline.preparation import Prepared
from tamis.studies import metrics_of_studies
from tamis.training.history import summarise_history

if TYPE_CHECKING:
    from tamis.training.events import Trained

_EVENTS_FOR_NODES = 1000
"""Number of events, evenly spread, that dead nodes are searched with."""


def metrics_of_classifier(
    config: Config,
    classifier: Classifier,
    prepared: Prepared,
    results: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the keys of `metrics.json` that follow from the classifier, the events and the results of the studies."""
    from tamis.network.quantized import compute_layer_costs

    network = classifier.network
    flattened = prepared.weighed.flattened
    return {
        "classes": list(classifier.class_names),
        **metrics_of_studies(results, classifier.class_names),
        "network": {
            "inputs": network.inputs,
            "parameters": network.parameters,
            "networks": len(classifier.members),
            "shared_members": network.shared_members,
            "layers": [_format_cost(vars(cost)) for cost in compute_layer_costs(network.layers)],
            "overflow": _overflow(classifier, prepared),
            "dead_nodes": _dead_nodes(classifier, prepared),
        },
        "class_weights": dict(
            zip(classifier.class_names, prepared.weighed.class_weights.tolist(), strict=True)
        ),
        "flattened": {name: vars(change) for name, change in flattened.items()} or None,
        "applied_calibration": _calibration(config, classifier),
    }


def metrics_of_training(
    history: Mapping[str, Any], members: Sequence[Trained], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return the keys of `metrics.json` that describe the training: its epochs, devices and wall times by stage."""
    epochs = [epoch for trained in members for epoch in trained.history.epochs]
    # several networks are trained at the same time: the times of their epochs do not add up
    is_single = len(members) == 1
    train_seconds = sum(epoch.seconds for epoch in epochs) if is_single else seconds["training"]
    return {
        "history": [summarise_history(member) for member in history["members"]],
        "timing": {
            "device": ", ".join(dict.fromkeys(trained.device for trained in members)),
            "train_seconds": train_seconds,
            "events_per_second": sum(epoch.events for epoch in epochs) / train_seconds,
            "stages": dict(seconds),
        },
    }


def describe_history(classifier: Classifier, members: Sequence[Trained]) -> dict[str, Any]:
    """Return every epoch of every member, as in `history.json`."""
    pairs = zip(classifier.plan.members, members, strict=True)
    return {"members": [{**asdict(planned), **trained.history.to_dict()} for planned, trained in pairs]}


def _format_cost(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Format the fixed-point formats of a layer as `ap_fixed<8, 3>`."""
    formats = cost["formats"]
    if formats is None:
        return dict(cost)
    forms = {name: getattr(formats, name) for name in ("weight", "bias", "output", "input")}
    return {**cost, "formats": {name: form and str(form) for name, form in forms.items()}}


def _dead_nodes(classifier: Classifier, prepared: Prepared) -> dict[str, Any]:
    """Count the nodes in each hidden layer of each network that are zero for all events of a sample."""
    from tamis.network.dead_nodes import count_dead_nodes

    features = prepared.events.features
    rows = np.linspace(0, len(features) - 1, min(_EVENTS_FOR_NODES, len(features))).astype(np.intp)
    return {
        "events": len(rows),
        "networks": [
            count_dead_nodes(member.network, member.preprocessing.apply(features[rows]))
            for member in classifier.members
        ],
    }


def _calibration(config: Config, classifier: Classifier) -> dict[str, Any] | None:
    """Describe the correction that is part of the scores; None without a correction."""
    calibration = classifier.calibration
    if calibration is None:
        return None
    scalings = {
        "of_all": calibration.of_all,
        **{f"of_fold_{fold}": scaling for fold, scaling in calibration.of_folds.items()},
    }
    return {
        "method": calibration.method,
        **{
            name: {
                "scale": dict(zip(config.classes, scaling.scale, strict=True)),
                "offset": dict(zip(config.classes, scaling.offset, strict=True)),
            }
            for name, scaling in scalings.items()
        },
    }


def _overflow(classifier: Classifier, prepared: Prepared) -> dict[str, float]:
    """Return the fraction of training events outside the fixed-point range of each input that has any.

    For several members, the largest fraction counts.
    """
    from tamis.network.quantized import Quantized

    if not isinstance(classifier.network.layers[0], Quantized):
        return {}
    events, largest = prepared.events, dict[str, float]()
    for planned, member in zip(classifier.plan.members, classifier.members, strict=True):
        features = events.features[planned.select(TRAINING, events)]
        for name, fraction in _overflow_of_member(member, features, classifier.feature_names):
            largest[name] = max(fraction, largest.get(name, 0.0))
    return largest


def _overflow_of_member(
    member: Member, features: NDArray[np.floating[Any]], names: Sequence[str]
) -> Iterator[tuple[str, float]]:
    """Yield the inputs of a member with events outside their fixed-point range, and the fraction of these events."""
    from tamis.network.network import compute_first_layer_overflow

    fractions = compute_first_layer_overflow(member.network, member.preprocessing.apply(features))
    if fractions is None:
        return
    inputs = [*names, *(f"{names[index]} is missing" for index in member.preprocessing.indicators)]
    if len(fractions) != len(inputs):  # an embedding makes several numbers of one input
        inputs = [f"number {number}" for number in range(len(fractions))]
    yield from ((name, float(fraction)) for name, fraction in zip(inputs, fractions, strict=True) if fraction)
