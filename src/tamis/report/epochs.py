"""The best epoch of each network of a run, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tamis.wording import counted

Numbers = Mapping[str, Any]
_LISTED = 12
"""Maximum number of networks whose epochs are listed one by one."""


def format_best_epochs(history: Numbers) -> str:
    """Format the best epoch and the number of epochs of each network of a `history.json`.

    >>> one, other = {"best_epoch": 3, "epochs": [{}] * 5}, {"best_epoch": 2, "epochs": [{}] * 4}
    >>> format_best_epochs({"members": [one]}), format_best_epochs({"members": [one, other]})
    ('3 of 5', '3 of 5, 2 of 4')
    >>> format_best_epochs({"members": [one, one]})
    '3 of 5'
    """
    pairs = [(member["best_epoch"], len(member["epochs"])) for member in history["members"]]
    if len(set(pairs)) == 1:
        del pairs[1:]
    if len(pairs) <= _LISTED:
        return ", ".join(f"{best} of {epochs}" for best, epochs in pairs)
    (fewest, shortest), (most, longest) = (tuple(map(edge, zip(*pairs, strict=True))) for edge in (min, max))
    return f"{fewest} to {most} of {shortest} to {longest}"


def format_epochs(history: Numbers) -> str:
    """Format the best epoch of every network and why its training ended.

    >>> one = {"fold": None, "best_epoch": 3, "epochs": [{}] * 5, "stop_reason": "all 5 epochs were trained"}
    >>> format_epochs({"members": [one]})
    'The weights are those of epoch 3 of 5; the training ended because all 5 epochs were trained.'
    """
    members = history["members"]
    reasons = Counter(member["stop_reason"] for member in members)
    if len(members) == 1:
        (why,) = reasons
        return (
            f"The weights are those of epoch {format_best_epochs(history)}; the training ended because {why}."
        )
    whose = "in the order of the folds" if members[0]["fold"] is not None else "in their order"
    if len(members) > _LISTED:
        whose = "lowest to highest"
    best = format_best_epochs(history)
    of_members = f"epochs {best} ({whose})" if "," in best or " to " in best else f"epoch {best}"
    ended = [
        f"because {why}" if len(reasons) == 1 else f"because {why} ({counted(number, 'network')})"
        for why, number in reasons.items()
    ]
    if len(ended) > 3:
        ended = [*ended[:2], f"others for {len(ended) - 2} more reasons"]
    return (
        f"The weights of the {len(members)} networks are those of {of_members}; the "
        f"trainings ended {'; '.join(ended)}."
    )
