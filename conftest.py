"""Set up the test session: a shared cache of compiled programs, bounded memory, a list of costs."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ("shared.messages",)

MEBIBYTE = 2**20
LARGEST_WORKER = 850 * MEBIBYTE
"""Resident memory above which a worker drops what JAX caches; all tests and what they import take 660 MiB."""
LEAST_GROWTH = 50 * MEBIBYTE
"""Growth after which a worker drops it again; a smaller one would drop programs that the next test needs."""
MEMORY_OF_A_WORKER = 1500 * MEBIBYTE
"""Memory to be free for each worker, including the processes that its tests start."""

CACHE = "JAX_COMPILATION_CACHE_DIR"
FLAGS = "XLA_FLAGS"
QUICK = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false"
)
"""Compiling takes a third of the time; what small programs of tests then take longer is less than that."""

# workers begin later: glibc then keeps what JAX's threads free in two heaps, not in sixteen, and returns large arrays
os.environ.setdefault("MALLOC_ARENA_MAX", "2")
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**18))
if CACHE not in os.environ:
    # before JAX is imported; workers and commands that tests start inherit it
    os.environ[CACHE] = tempfile.mkdtemp(prefix="tamis-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    OWN_CACHE = Path(os.environ[CACHE])
else:
    OWN_CACHE = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--costs", type=int, default=0, metavar="N",
        help="list the N tests and files that took most processor time and memory",
    )  # fmt: skip
    parser.addoption(
        "--quick-compilation", action="store_true",
        help="optimize compiled programs less in the processes of the tests; commands that they start compile as ever",
    )  # fmt: skip


def pytest_unconfigure() -> None:
    if OWN_CACHE is not None:
        shutil.rmtree(OWN_CACHE, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)  # sessions of nox do without pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of cores, or fewer if the available memory is not enough for as many workers."""
    from tamis.machine import cores, find_memory_limits

    rooms = [room.size for room in find_memory_limits() if not room.address_space]
    return max(1, min(cores(), *(size // MEMORY_OF_A_WORKER for size in rooms)))


class Memory:
    """Bound the resident memory of this process."""

    def __init__(self) -> None:
        self.limit = LARGEST_WORKER

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Exclude tests and modules, half a million objects, from all later garbage collections."""
        gc.collect()
        gc.freeze()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        yield
        if resident() > self.limit:
            release(drop_lowered_programs)
            if resident() > self.limit - LEAST_GROWTH / 2:
                release(drop_all_programs)
                self.limit = max(LARGEST_WORKER, resident() + LEAST_GROWTH)


def resident() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


def release(drop: Callable[[], None]) -> None:
    """Drop programs of JAX, and return the memory to the system."""
    if "jax" in sys.modules:
        drop()
    gc.collect()
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)


def drop_lowered_programs() -> None:
    """Drop what compiled programs were made from: 2 MiB each, ten times what a small program takes itself."""
    from jax._src import pjit
    from jax._src.interpreters import pxla

    # private to JAX; without them, all programs are dropped instead
    for function in (getattr(pjit, "_pjit_lower", None), getattr(pxla, "_cached_lowering_to_hlo", None)):
        getattr(function, "cache_clear", lambda: None)()


def drop_all_programs() -> None:
    sys.modules["jax"].clear_caches()


class Costs:
    """Add to each report the processor time of its phase, including the processes that the test started."""

    def __init__(self) -> None:
        self.before, self.peak = 0.0, 0

    def pytest_runtest_logstart(self) -> None:
        self.before, self.peak = processor_seconds(), peak_memory()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        report = yield
        now = processor_seconds()
        report.processor_seconds, self.before = now - self.before, now
        report.peak = peak_memory()
        report.growth, self.peak = report.peak - self.peak, report.peak
        return report


def processor_seconds() -> float:
    return sum(os.times()[:4])


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that measure rates of toys as slow."""
    for item in items:
        if "rates" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


def compile_quickly() -> None:
    """Have JAX compile quickly in this process alone, and keep its programs apart from those of other processes."""
    inherited = os.environ.get(FLAGS)
    os.environ[FLAGS] = f"{inherited or ''} {QUICK}"
    import jax

    jax.config.update("jax_compilation_cache_dir", f"{os.environ[CACHE]}/quick")
    jax.devices()  # reads the flags
    if inherited is None:
        del os.environ[FLAGS]
    else:
        os.environ[FLAGS] = inherited


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    is_controller = session.config.pluginmanager.hasplugin("dsession")
    if session.config.getoption("quick_compilation") and not is_controller:
        compile_quickly()


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(10_000, 10, 10)  # with the defaults of Python, collections took 4% of the processor time
    config.pluginmanager.register(Memory())
    config.pluginmanager.register(Costs())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    number = config.getoption("costs")
    if not number:
        return
    tests: defaultdict[str, float] = defaultdict(float)
    files: defaultdict[str, float] = defaultdict(float)
    growths: defaultdict[str, float] = defaultdict(float)
    peak = 0
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "processor_seconds"):
                tests[report.nodeid] += report.processor_seconds
                files[report.nodeid.split("::")[0]] += report.processor_seconds
                growths[report.nodeid] += report.growth / MEBIBYTE
                peak = max(peak, report.peak)
    terminalreporter.section(f"processor time: {sum(tests.values()):.0f} s in all")
    for costs, unit in ((files, "s"), (tests, "s"), (growths, "MiB by which the peak of a worker grew")):
        for name, cost in sorted(costs.items(), key=lambda each: -each[1])[:number]:
            terminalreporter.write_line(f"{cost:8.1f} {unit}  {name}")
        terminalreporter.write_line("")
    terminalreporter.write_line(f"largest memory of a worker: {peak / MEBIBYTE:.0f} MiB")
