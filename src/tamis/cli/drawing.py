"""Processes that draw figures while the command does its other work."""

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
"""There are about five chapters of figures; each process takes 120 MB."""


@contextmanager
def drawing_processes() -> Iterator[Executor | None]:
    """Start processes that draw figures, and end them afterwards.

    They import matplotlib at once, while the command reads and trains. Nothing of a training reaches them but small
    results, and they end with this process however that ends.

    Returns:
        The pool; None where there is one core only, which has nothing to share.
    """
    if cores() == 1:
        yield None
        return
    count = min(cores(), _MOST_PROCESSES)
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_prepare)
    try:
        # an interruption from the keyboard goes to all processes; this one tells the others what to do
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(count):  # the pool starts a process for each task that finds none without work
                pool.submit(os.getpid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()  # nobody waits for what it draws
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    """Get a process ready to draw."""
    Thread(target=_end_with_parent, daemon=True).start()
    # each process has one core; libraries would start a thread for each of the machine
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    from tamis.plots import (  # noqa: F401  what draws, with matplotlib
        book,
        calibration,
        confusion,
        correlations,
        history,
        importance,
        inputs,
        pairs,
        scores,
        sculpting,
        significance,
        stability,
        verdict,
    )

    gc.collect()
    gc.freeze()  # what was imported stays, and need not be looked through again
    gc.set_threshold(
        100_000, 20, 50
    )  # a figure has as many objects, and a tenth of the time went into looking at them


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
