"""Work on two threads is done when the block ends, and no thread waits for another one for ever."""

from __future__ import annotations

import pytest
from threadpoolctl import ThreadpoolController

from tamis.statistics.threads import in_two_threads


def test_threads_do_not_look_for_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could wait for ever for a thread that imports a module, which waits for it."""
    with in_two_threads():
        pass

    def refuse(*_: object) -> None:
        raise AssertionError("a thread looks for libraries")

    def add_in_threads() -> int:
        with in_two_threads() as pool:
            return pool.submit(sum, [1, 2]).result()

    monkeypatch.setattr(ThreadpoolController, "__init__", refuse)
    with in_two_threads() as pool:
        assert pool.submit(add_in_threads).result() == 3
