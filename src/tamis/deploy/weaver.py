"""The side-car file `preprocess.json` that CMSSW's producers read beside a model, as weaver writes it.

The graph does the preprocessing itself, so that this file asks for none: it lists the inputs in their order, and has
what is not finite arrive as infinity, which the graph counts as missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_INFINITE = 1e39
"""More than 32 bits hold: the producers, which read it as such a number, get infinity."""


def preprocess_document(
    features: Sequence[str], classes: Sequence[str], packed: str, fold: str | None
) -> dict[str, Any]:
    """Describe the inputs of the packed model.

    Args:
        features: their names, in the order of the input.
        classes: names of the classes, in the order of the scores.
        packed: name of the input that holds all features.
        fold: name of the input that holds the fold; None where there is none.

    >>> preprocess_document(["pt"], ["bkg", "sig"], "features", None)["features"]["var_names"]
    ['pt']
    """
    groups = {packed: _group(features, _INFINITE)}
    if fold is not None:
        groups[fold] = _group([fold], -1.0)
    return {"output_names": list(classes), "input_names": list(groups), **groups}


def _group(names: Sequence[str], replacement: float) -> dict[str, Any]:
    info = {
        "median": 0.0,
        "norm_factor": 1.0,
        "replace_inf_value": replacement,
        "lower_bound": -_INFINITE,
        "upper_bound": _INFINITE,
        "pad": 0.0,
    }
    return {"var_names": list(names), "var_infos": dict.fromkeys(names, info), "var_length": 1}
