"""What a caller hears while the stages run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tamis.pipeline.needs import Needs
    from tamis.training.history import Epoch


@dataclass(frozen=True)
class Watch:
    """What a caller wants to hear while the stages run; every part may be left out.

    Args:
        stage: called with the name of each stage as it begins.
        read: called with the number of entries in all files, then with each number of entries that was read.
        epoch: called with the number of the network, counted from 0, how many networks there are, and each of its
            epochs; from several threads where there are several.
        step: called with how many parts of a stage are done, and how many are known of; from several threads.
        needs: called with what the training takes, before the first event is read; what it raises ends the work.
    """

    stage: Callable[[str], None] = lambda _: None
    read: Callable[[int, int], None] = lambda _total, _done: None
    epoch: Callable[[int, int, Epoch], None] = lambda _member, _members, _epoch: None
    step: Callable[[int, int], None] = lambda _done, _total: None
    needs: Callable[[Needs], None] = lambda _: None
