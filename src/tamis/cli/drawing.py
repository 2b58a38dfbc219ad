"""Processes that draw figures in parallel to the command."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from threading import Thread

from tamis.machine import cores

_MOST_PROCESSES = 4
"""About as many as chapters of figures; each process needs 120 MB."""


@contextmanager
def drawing_processes() -> Iterator[Executor | None]:
    """Start processes that draw figures, except on a single core, and end them afterwards.

    They import matplotlib while the command reads and trains. They only receive small results, and they end with this
    process, however it ends.
    """
    if cores() == 1:
        yield None
        return
    count = min(cores(), _MOST_PROCESSES)
    earlier = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_prepare)
    try:
        # Ctrl-C signals all processes of the group; only this process shall react, so the others inherit a mask
        previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(count):  # the pool starts a process for each task without an idle process
                pool.submit(os.getpid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - earlier:
            process.terminate()  # its figures are not needed any more
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    """Prepare a process for drawing."""
    Thread(target=_end_with_parent, daemon=True).start()
    # one thread per process; libraries would start one for each core
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    from tamis import studies  # noqa: F401
    from tamis.plots import book, history  # noqa: F401  what draws, with matplotlib

    gc.collect()
    gc.freeze()  # imported objects live to the end, so the collector can ignore them
    # a figure has this many objects; with the default a tenth of the time was spent in the collector
    gc.set_threshold(100_000, 20, 50)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
