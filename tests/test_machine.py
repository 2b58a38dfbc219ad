"""What the process asks of its machine."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ALLOCATING = """
import resource
from threading import Thread

import numpy as np

from tamis.machine import keep_freed_memory

if {keeps}:
    keep_freed_memory()


def fill():
    np.ones(2**23)  # 64 MiB


def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


fill()
before = page_faults()
for _ in range(10):
    thread = Thread(target=fill)
    thread.start()
    thread.join()
print(page_faults() - before)
"""


def count_page_faults(*, keeps: bool) -> int:
    command = [sys.executable, "-c", ALLOCATING.format(keeps=keeps)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such options")
def test_arrays_reuse_the_memory_of_those_before_them_in_every_thread() -> None:
    assert count_page_faults(keeps=True) < count_page_faults(keeps=False) / 4
