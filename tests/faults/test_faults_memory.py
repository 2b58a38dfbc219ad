"""2 GiB of memory, as a batch system gives them: it works in chunks, or says beforehand how much it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tamis.data.simulate import PROCESSES, write_sample

Record = Callable[[str, dict[str, Any]], None]

LIMIT = 2 * 2**30
MANY, FEW = 4_000_000, 500_000
"""Events of each class: too many for a training, though not for scores; and as many as can be trained on."""


@dataclass(frozen=True)
class Group:
    """A control group with a limit, of version 1 or 2 of the system's interface."""

    folder: Path

    @property
    def _is_old(self) -> bool:
        return (self.folder / "memory.limit_in_bytes").exists()

    def set_limit(self) -> None:
        """Let nothing in the group have more memory, on disk neither where the system counts that."""
        old = {"memory.limit_in_bytes": LIMIT, "memory.memsw.limit_in_bytes": LIMIT}
        limits = old if self._is_old else {"memory.max": LIMIT, "memory.swap.max": 0}
        for name, limit in limits.items():
            if "sw" not in name or (self.folder / name).exists():
                (self.folder / name).write_text(str(limit))

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run the program inside."""
        line = f'echo $$ > {self.folder}/cgroup.procs && exec "$@"'
        command = ["sh", "-c", line, "sh", sys.executable, "-m", "tamis", *arguments]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)

    def killed(self) -> int:
        """Give how many processes were killed for want of memory."""
        words = (
            (self.folder / ("memory.oom_control" if self._is_old else "memory.events")).read_text().split()
        )
        return int(words[words.index("oom_kill") + 1])


@pytest.fixture
def group() -> Iterator[Group]:
    """Make a control group; only the superuser can."""
    root = next(
        (path for path in map(Path, ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")) if path.is_dir()), None
    )
    if root is None:
        pytest.skip("there are no control groups")
    folder = root / f"tamis-test-{os.getpid()}"
    try:
        folder.mkdir()
        Group(folder).set_limit()
    except OSError as error:
        if folder.is_dir():
            folder.rmdir()
        pytest.skip(f"no control group can be made ({error.strerror})")
    yield Group(folder)
    folder.rmdir()


def configuration(folder: Path, sample: str) -> str:
    """Write a configuration for a simulated sample, and give its name."""
    names = [process.name for process in PROCESSES]
    config = {
        "name": sample,
        "samples": [{"name": name, "class": name, "files": f"{sample}/{name}_Events.root"} for name in names],
        "classes": {name: {"signal": name == "sig"} for name in names},
        "features": ["pt", "mass", "eta"],
        "training": {"epochs": 1},
    }
    (folder / f"{sample}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return f"{sample}.yaml"


@pytest.mark.long
def test_two_gibibytes_are_enough_or_refused_beforehand(group: Group, tmp_path: Path, record: Record) -> None:
    if shutil.disk_usage(tmp_path).free < 2 * 2**30:
        pytest.skip("2 GiB of disk are needed")
    for sample, events in (("many", MANY), ("few", FEW)):
        write_sample(tmp_path / sample, events=events, seed=1)
    many, few = configuration(tmp_path, "many"), configuration(tmp_path, "few")

    for command in ("train", "check"):
        refused = group.run(command, many, cwd=tmp_path)
        assert refused.returncode == 2, refused.stderr
        said = re.search(
            r"memory: the training of 12,000,000 events needs about ([\d.]+) GiB of memory, and the memory limit of "
            r"this job \(its control group\) allows ([\d.]+) GiB; use fewer events",
            refused.stdout + refused.stderr,
        )
        assert said, refused.stderr
        assert float(said[1]) > float(said[2])
        assert float(said[2]) <= 2.0
    assert not (tmp_path / "runs").exists()

    trained = group.run("train", few, "-o", "run", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    applied = group.run("apply", "run", "many/*.root", "-o", "scores", cwd=tmp_path)
    assert applied.returncode == 0, applied.stderr
    assert f"{3 * MANY:,} entries in = {3 * MANY:,} out + 0 lost" in applied.stdout
    assert group.killed() == 0
    record("memory", {"needed_gibibytes": float(said[1]), "trained": 3 * FEW, "applied": 3 * MANY})
