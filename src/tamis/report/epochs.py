"""Which epoch each network of a run keeps, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Numbers = Mapping[str, Any]
_LISTED = 12
"""Networks up to which each is listed with its epochs."""


def network_histories(history: Numbers) -> Sequence[Numbers]:
    """Return the history of each network, from what `history.json` holds.

    >>> network_histories({"best": 3, "epochs": []})
    [{'best': 3, 'epochs': []}]
    """
    members: Sequence[Numbers] = history.get("members") or [history]
    return members


def kept_epochs(history: Numbers) -> str:
    """Write the kept epoch and the number of epochs of each network.

    >>> one, other = {"best": 3, "epochs": [{}] * 5}, {"best": 2, "epochs": [{}] * 4}
    >>> kept_epochs(one), kept_epochs({**one, "members": [one, other]})
    ('3 of 5', '3 of 5, 2 of 4')
    """
    pairs = [(each["best"], len(each["epochs"])) for each in network_histories(history)]
    if len(pairs) <= _LISTED:
        return ", ".join(f"{best} of {epochs}" for best, epochs in pairs)
    (fewest, shortest), (most, longest) = (tuple(map(edge, zip(*pairs, strict=True))) for edge in (min, max))
    return f"{fewest} to {most} of {shortest} to {longest}"


def epochs_sentence(history: Numbers) -> str:
    """Format the selected epoch of every network and why its training ended.

    >>> one = {"best": 3, "epochs": [{}] * 5, "reason": "all 5 epochs were trained"}
    >>> epochs_sentence(one)
    'The weights are those of epoch 3 of 5; the training ended because all 5 epochs were trained.'
    """
    members = network_histories(history)
    reasons = Counter(each["reason"] for each in members)
    if len(members) == 1:
        why = next(iter(reasons))
        # a reason may be a sentence or not: "no improvement of validation_loss for 10 epochs"
        because = "because" if " were " in why or " allowed " in why else "after"
        return f"The weights are those of epoch {kept_epochs(history)}; the training ended {because} {why}."
    whose = "in the order of the folds" if members[0].get("fold") is not None else "in their order"
    if len(members) > _LISTED:
        whose = "lowest to highest"
    counted = [why if len(reasons) == 1 else f"{why} ({number} networks)" for why, number in reasons.items()]
    if len(counted) > 3:
        counted = [*counted[:2], f"others for {len(counted) - 2} more reasons"]
    return (
        f"The weights of the {len(members)} networks are those of epochs {kept_epochs(history)} ({whose}); the "
        f"trainings ended: {'; '.join(counted)}."
    )
