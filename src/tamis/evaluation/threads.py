"""Independent parts of an evaluation on two threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any, ParamSpec, Protocol, TypeVar

from threadpoolctl import ThreadpoolController

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Submit(Protocol):
    """Begins some work, and returns what will hold its result."""

    def __call__(
        self, work: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Begin to do some work on one of the threads."""


class Steps:
    """Counts the work that was begun and that is done.

    Args:
        report: called with both numbers, done and begun, whenever some work is done; from several threads.
    """

    def __init__(self, report: Callable[[int, int], None]) -> None:
        """Begin at zero."""
        self._report = report
        self._begun = self._done = 0
        self._lock = Lock()

    def begin(self, future: Future[Any]) -> None:
        """Count some work, and once more when it is done."""
        with self._lock:
            self._begun += 1
        future.add_done_callback(self._finish)

    def _finish(self, _future: Future[Any]) -> None:
        with self._lock:
            self._done += 1
            self._report(self._done, self._begun)


@contextmanager
def in_two_threads(steps: Steps | None = None) -> Iterator[Submit]:
    """Give independent work to two threads; all of it is done when the block ends.

    Args:
        steps: counts the work.

    Example:
        >>> with in_two_threads() as submit:
        ...     total = submit(sum, [1, 2])
        >>> total.result()
        3
    """
    # threads of the linear algebra would wait for work on the cores that these two need
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(max_workers=2) as pool:

        def submit(
            work: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
        ) -> Future[Result]:
            future = pool.submit(work, *args, **kwargs)
            if steps is not None:
                steps.begin(future)
            return future

        yield submit


@cache
def _libraries() -> ThreadpoolController:
    """Return the loaded libraries of linear algebra, looked for once.

    To look for them holds the lock of the dynamic loader and needs that of the interpreter; an import in another
    thread holds that of the interpreter and needs the loader's. So it is done before there are threads, not in them.
    """
    import scipy.linalg  # noqa: F401  loads the library of SciPy beside that of NumPy

    return ThreadpoolController()
