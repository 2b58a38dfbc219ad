"""Independent computations on two threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _CountingPool(ThreadPoolExecutor):
    """Two threads that report how many of the submitted computations are done."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        super().__init__(max_workers=2)
        self._report = report
        self._submitted = self._done = 0
        self._lock = Lock()

    def submit(
        self, work: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Submit a computation and count it."""
        future = super().submit(work, *args, **kwargs)
        with self._lock:
            self._submitted += 1
        future.add_done_callback(self._finish)
        return future

    def _finish(self, _future: Future[Any]) -> None:
        with self._lock:
            self._done += 1
            self._report(self._done, self._submitted)


@contextmanager
def in_two_threads(
    report: Callable[[int, int], None] = lambda _done, _submitted: None,
) -> Iterator[ThreadPoolExecutor]:
    """Open two threads for independent computations, which are all done when the block ends.

    `report` is called in the threads with the numbers of computations that are done and that were submitted.

    >>> with in_two_threads() as pool:
    ...     total = pool.submit(sum, [1, 2])
    >>> total.result()
    3
    """
    # threads of the linear algebra would wait for work on the cores that these two need
    with _find_libraries().limit(limits=1, user_api="blas"), _CountingPool(report) as pool:
        yield pool


@cache
def _find_libraries() -> ThreadpoolController:
    """Return the loaded libraries of linear algebra.

    The search holds the lock of the dynamic loader and needs that of the interpreter; an import in another thread holds
    that of the interpreter and needs the loader's. So the search is done once, before there are threads.
    """
    import scipy.linalg  # noqa: F401  loads the library of SciPy beside that of NumPy

    return ThreadpoolController()
