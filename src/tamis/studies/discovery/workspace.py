"""The bins of a score as a workspace for pyhf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tamis.errors import RequestError
from tamis.statistics.asimov import Requirements
from tamis.statistics.bins import Yields

CHANNEL = "score"
"""The name of the only channel."""


def explain_no_workspace(yields: Yields, class_names: Sequence[str]) -> str:
    """Return why the bins cannot be a workspace; an empty text if they can."""
    numbers = np.array(yields.numbers)
    if (numbers < 0).any():
        index, bin_index = divmod(int(numbers.argmin()), numbers.shape[1])
        return (
            f"class {class_names[index]} has {numbers[index, bin_index]:g} expected events in bin {bin_index} of the "
            "score, but HistFactory needs positive yields: require more effective events in each bin"
        )
    empty = numbers.sum(axis=0) <= 0
    if empty.any():
        return (
            f"bin {int(empty.argmax())} of the score holds no events; "
            "require more effective events in each bin"
        )
    return ""


def build_pyhf_workspace(
    yields: Yields,
    class_names: Sequence[str],
    signal: Sequence[int],
    *,
    relative: float | tuple[float, ...] = 0.0,
) -> dict[str, Any]:
    """Return the bins of a score as a workspace for pyhf (HistFactory in JSON).

    The signal strength `mu` scales the signal classes. Each background has its own normalisation uncertainty, as in the
    significances of tamis: `relative` is one number for all, or one for each in the order of the classes. The
    backgrounds share the uncertainty of the finite simulation in each bin, and the signal classes share another one:
    with a common one, a signal would reduce the uncertainty of the background. The observation is the Asimov data set
    for mu = 1.

    Source: L. Heinrich et al., "pyhf: pure-Python implementation of HistFactory", JOSS 6 (2021) 2823.

    Raises:
        RequestError: a class has a bin with a negative yield, or a bin is empty, which HistFactory does not take.

    >>> yields = Yields(((50.0, 5.0), (2.0, 4.0)), ((0.5, 0.2), (0.1, 0.1)))
    >>> build_pyhf_workspace(yields, ["bkg", "sig"], [1])["observations"]
    [{'name': 'score', 'data': [52.0, 9.0]}]
    """
    problem = explain_no_workspace(yields, class_names)
    if problem:
        raise RequestError(problem)
    backgrounds = [index for index in range(len(class_names)) if index not in signal]
    uncertainties = Requirements(relative=relative).of_each(len(backgrounds)).tolist()
    of_class = dict(zip(backgrounds, uncertainties, strict=True))
    samples = [
        {
            "name": name,
            "data": list(yields.numbers[index]),
            "modifiers": _modifiers(name, yields.errors[index], of_class.get(index)),
        }
        for index, name in enumerate(class_names)
    ]
    return {
        "channels": [{"name": CHANNEL, "samples": samples}],
        "observations": [{"name": CHANNEL, "data": np.sum(yields.numbers, axis=0).tolist()}],
        "measurements": [{"name": "discovery", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def _modifiers(name: str, errors: Sequence[float], relative: float | None) -> list[dict[str, Any]]:
    """Return the modifiers of a class: of a signal class if it has no uncertainty."""
    kind = "signal" if relative is None else "background"
    modifiers: list[dict[str, Any]] = [
        {"name": f"simulation_of_{kind}", "type": "staterror", "data": list(errors)}
    ]
    if relative is None:
        modifiers.append({"name": "mu", "type": "normfactor", "data": None})
    elif relative:
        spread = {"hi": 1 + relative, "lo": 1 / (1 + relative)}
        modifiers.append({"name": f"background_{name}", "type": "normsys", "data": spread})
    return modifiers
