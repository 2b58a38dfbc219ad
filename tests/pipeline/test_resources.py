"""The estimate of memory and disk, and the memory and disk that a training takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tamis.config import Config, parse_config
from tamis.errors import InputError
from tamis.machine import MemoryLimit, find_memory_limits
from tamis.pipeline.inputs import inspect_files, plan_ensemble
from tamis.pipeline.resources import (
    MARGIN,
    check_resources,
    estimate_disk,
    estimate_memory,
    estimate_resources,
)

Make = Callable[..., dict[str, Any]]
GIB = 2**30


def train(folder: Path, config: dict[str, Any], *, limit: int | None = None) -> tuple[int, int, str]:
    """Train in a process of its own: exit status, peak of the resident memory in bytes, standard error."""
    (folder / "c.yaml").write_text(yaml.safe_dump(config))

    limiting = (
        ""
        if limit is None
        else f"import resource\nresource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n"
    )
    # the peak of this process alone: that of its parent is taken over where it is forked
    code = (
        f"{limiting}import sys\nfrom tamis.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as ended:\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    print('PEAK', next(line.split()[1] for line in lines if line.startswith('VmHWM')))\n    raise"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "c.yaml", "--overwrite"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    peak = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("PEAK")]
    return done.returncode, int(peak[0]) * 1024, done.stderr


def test_two_gibibytes_of_address_space_are_refused_in_words(two_classes: Make, tmp_path: Path) -> None:
    code, _, error = train(tmp_path, two_classes(100), limit=2 * GIB)
    assert code == 2
    assert "of address space, and the limit on address space (`ulimit -v`) allows 2.0 GiB" in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("events", "features", "changes"),
    [
        (1_000, 2, {}),
        (100_000, 2, {}),
        (400_000, 10, {}),
        (400_000, 40, {}),
        (200_000, 10, {"split": {"folds": 4}}),
        (200_000, 10, {"training": {"epochs": 1, "ensemble": 4}}),
    ],
)
def test_the_estimate_is_right_within_its_margin(
    events: int, features: int, changes: dict[str, Any], two_classes: Make, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    names = [f"x{number}" for number in range(features)]
    for number, name in enumerate(("bkg", "sig")):
        table = {each: rng.normal(0.3 * number, 1, events // 2).astype(np.float32) for each in names}
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    config = two_classes(10, training={"epochs": 1, "batch_size": 1024}, features=names) | changes
    for sample in config["samples"]:
        sample["files"] = f"{sample['name']}.parquet"
    code, peak, error = train(tmp_path, config)
    assert code == 0, error
    estimate = estimate_resources(parse_config(config), inspect_files(parse_config(config)))
    assert peak / MARGIN < estimate.memory < peak * MARGIN, (peak / 2**20, estimate.memory / 2**20)
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    written = sum(path.stat().st_size for path in files)
    assert written / 2 < estimate.disk < written * 2


def memory(config: Config, events: int) -> int:
    return estimate_memory(config, plan_ensemble(config), events, 2)


def disk(config: Config, events: int) -> int:
    return estimate_disk(config, plan_ensemble(config), events)


def test_more_events_columns_and_networks_need_more(two_classes: Make) -> None:
    config = parse_config(two_classes(10))
    larger = [
        parse_config(two_classes(10, **change))
        for change in (
            {"features": ["x", "y", "w"]},
            {"spectators": ["w"]},
            {"split": {"folds": 3}},
            {"network": {"layers": [{"nodes": 512}]}},
        )
    ]
    needed = memory(config, 10**6)
    assert needed < memory(config, 2 * 10**6)
    assert all(memory(each, 10**6) > needed for each in larger)
    assert all(disk(each, 10**6) > disk(config, 10**6) for each in larger)


# of runs that `tamis train` wrote, with 6,000 to 12,000 events, figures and the default network
@pytest.mark.parametrize(
    ("classes", "features", "written"),
    [(2, 2, 2.0e6), (6, 20, 7.9e6), (2, 100, 10.4e6), (20, 2, 15.0e6), (40, 2, 38.6e6)],
)
def test_the_disk_that_runs_took(classes: int, features: int, written: float, two_classes: Make) -> None:
    names = [f"c{number}" for number in range(classes)]
    config = two_classes(
        10,
        name="drawn",
        samples=[{"name": name, "class": name, "files": "bkg.root"} for name in names],
        classes={name: {"signal": name == "c0"} for name in names},
        features=[f"x{number}" for number in range(features)],
    )
    assert written / 1.5 < disk(parse_config(config), 12_000) < written * 1.5


def test_a_selection_makes_the_estimate_an_upper_bound(two_classes: Make) -> None:
    config = parse_config(two_classes(100))
    selected = parse_config({**two_classes(100), "samples": [
        {"name": name, "class": name, "files": f"{name}.root", "selection": "x > 0"} for name in ("bkg", "sig")
    ]})  # fmt: skip
    every = estimate_resources(config, inspect_files(config))
    most = estimate_resources(selected, inspect_files(selected))
    assert (every.certain_events, every.events) == (200, 200)
    assert (most.certain_events, most.events) == (0, 200)
    assert "at most about" in most.sentence
    counted = estimate_resources(selected, inspect_files(selected), events=90)
    assert (counted.certain_events, counted.events) == (90, 90)


def test_a_full_disk_is_refused(two_classes: Make, tmp_path: Path) -> None:
    config = parse_config(two_classes(100))
    estimate = estimate_resources(config, inspect_files(config)).on_disk_of(tmp_path / "runs" / "small")
    assert estimate.disk_free is not None
    check_resources(replace(estimate, memory_limits=()))
    with pytest.raises(InputError):
        check_resources(replace(estimate, disk_free=3 * 1024, memory_limits=()))


def test_every_limit_counts(two_classes: Make) -> None:
    config = parse_config(two_classes(100))
    estimate = estimate_resources(config, inspect_files(config))
    assert estimate.memory < estimate.address_space
    for limit in (MemoryLimit(GIB // 4, "a job"), MemoryLimit(2 * GIB, "ulimit", address_space=True)):
        with pytest.raises(InputError, match=f"{limit.limit} allows"):
            check_resources(replace(estimate, memory_limits=(limit,)))
    check_resources(replace(estimate, memory_limits=(MemoryLimit(2 * GIB, "a job"),)))


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("0::/jobs/one", ("", "max", "current", "inactive_file")),
        ("4:memory:/jobs/one", ("memory", "limit_in_bytes", "usage_in_bytes", "total_inactive_file")),
    ],
)
def test_the_limit_of_a_control_group_is_found_in_it_or_above(
    line: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = "/".join(part for part in ("/sys/fs/cgroup", names[0]) if part)
    texts = {
        "/proc/self/cgroup": f"1:name=systemd:/\n{line}\n",
        f"{root}/jobs/memory.{names[1]}": f"{3 * GIB}\n",
        f"{root}/jobs/memory.{names[2]}": f"{2 * GIB}\n",
        f"{root}/jobs/memory.stat": f"{names[3]} {GIB}\nother 5\n",
        f"{root}/jobs/one/memory.{names[1]}": "max\n" if not names[0] else f"{2**63 - 4096}\n",
        f"{root}/jobs/one/memory.{names[2]}": "5\n",
    }
    monkeypatch.setattr("tamis.machine._text", lambda path: texts.get(str(path), ""))
    assert [
        (limit.size, limit.address_space) for limit in find_memory_limits() if "control group" in limit.limit
    ] == [(2 * GIB, False)]
