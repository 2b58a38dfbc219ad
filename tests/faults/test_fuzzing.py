"""The fuzzers, for a few seconds here and for `TAMIS_FUZZ_SECONDS` each in the long form, and what they found."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tamis.errors import InputError
from tamis.training.checkpoint import read_checkpoint

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
FUZZERS = ["fuzz_configuration", "fuzz_model"]
GIGABYTE = 1 << 30


def fuzz(name: str, report: Path, *arguments: str, seconds: float) -> dict[str, Any]:
    """Run a fuzzer in a process of its own and give its report; a hang ends it with a traceback."""
    # without the cache that the tests share: a fuzzer reports every file that is opened
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    found = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), "--report", str(report), *arguments],
        env={**environment, "PYTHONPATH": str(SOURCE), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=seconds + 300,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    said: dict[str, Any] = json.loads(report.read_text())
    return said


def check(said: dict[str, Any]) -> None:
    assert said["finished"], said
    assert said["crashes"] == 0, said
    assert said["peak_memory_bytes"] < GIGABYTE, said
    assert said["accepted"] > 0, said
    assert said["refused"] > 0, said


@pytest.mark.slow  # starts JAX and makes models of each kind
@pytest.mark.parametrize(("name", "executions"), [("fuzz_configuration", "400"), ("fuzz_model", "60")])
def test_nothing_that_is_changed_at_random_is_a_defect(name: str, executions: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    said = fuzz(name, report, "--executions", executions, "--seed", "3", "--plain", seconds=120)
    check(said)
    assert said["executions"] >= int(executions)


@pytest.mark.long
@pytest.mark.parametrize("name", FUZZERS)
def test_nothing_that_is_changed_for_an_hour_is_a_defect(name: str) -> None:
    seconds = float(os.environ.get("TAMIS_FUZZ_SECONDS", "3600"))
    report = HERE.parents[1] / "build" / "faults" / f"{name}.json"
    check(fuzz(name, report, "--seconds", str(seconds), "--seed", "1", seconds=seconds))


HARNESS = """
import sys, os, random, time
from pathlib import Path
import fuzzing
from tamis.errors import RequestError

def refused(): raise RequestError("no")
def wrong(): raise KeyError("a")
def outside(): open("/etc/hostname").close()
def program(): os.system("true")
def waits(): time.sleep(60)
def computes(): sum(number for number in range(10**12))
def inside(): (Path(sys.argv[1]) / "a").write_text("a")

session = fuzzing.Session("x", Path(sys.argv[1]) / "found", fuzzing.Opened(Path(sys.argv[1])))
for work in (refused, inside, wrong, wrong, outside, program):
    session.execute(work, lambda: b"input")
session.report = Path(sys.argv[1]) / "report.json"
session.write()
if len(sys.argv) > 2:
    fuzzing.LONGEST = fuzzing.WAITED = 0.5
    session.execute(waits if sys.argv[2] == "waits" else computes, lambda: b"input")
"""


def run_harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HARNESS, str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{HERE}"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_fuzzers_find_what_they_look_for(tmp_path: Path) -> None:
    assert run_harness(tmp_path).returncode == 0
    said = json.loads((tmp_path / "report.json").read_text())
    assert (said["executions"], said["refused"], said["accepted"]) == (6, 1, 3)
    assert [kind.split()[0] for kind in said["kinds"]] == ["KeyError", "audit:", "audit:"]
    assert (tmp_path / "found" / "x-1.input").read_bytes() == b"input"
    assert "opened '/etc/hostname'" in (tmp_path / "found" / "x-2.txt").read_text()


@pytest.mark.parametrize("kind", ["waits", "computes"])
def test_a_hang_ends_a_fuzzer_with_a_traceback(tmp_path: Path, kind: str) -> None:
    found = run_harness(tmp_path, kind)
    assert found.returncode != 0
    assert f"in {kind}" in found.stderr
    assert json.loads((tmp_path / "report.json").read_text())["finished"] is False


@pytest.fixture(scope="module")
def fuzzer_of_models() -> ModuleType:
    """The module of the fuzzer of models, for what makes its inputs."""
    sys.path.insert(0, str(HERE))
    try:
        place = importlib.util.spec_from_file_location("fuzz_model", HERE / "fuzz_model.py")
        assert place is not None
        assert place.loader is not None
        module = importlib.util.module_from_spec(place)
        place.loader.exec_module(module)
    finally:
        sys.path.remove(str(HERE))
    return module


@pytest.mark.parametrize("kind", ["F64", "I64", "C64", "I32", "F16", "BOOL", "U8"])
def test_a_checkpoint_of_another_type_is_refused(
    fuzzer_of_models: ModuleType, tmp_path: Path, kind: str
) -> None:
    rewrite_checkpoint(fuzzer_of_models, tmp_path, kind)
    with pytest.raises(InputError):
        read_checkpoint(tmp_path, like=fuzzer_of_models.train_state())


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F8_E8M0", "F4"])
def test_a_checkpoint_of_a_type_that_numpy_lacks_is_damaged(
    fuzzer_of_models: ModuleType, tmp_path: Path, kind: str
) -> None:
    rewrite_checkpoint(fuzzer_of_models, tmp_path, kind)
    check_damaged(fuzzer_of_models, tmp_path)


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_a_checkpoint_with_what_is_no_number_is_damaged(
    fuzzer_of_models: ModuleType, tmp_path: Path, number: float
) -> None:
    rewrite_checkpoint(fuzzer_of_models, tmp_path, "I32", training_loss=number)
    check_damaged(fuzzer_of_models, tmp_path)


def check_damaged(fuzzer: ModuleType, folder: Path) -> None:
    state, damaged = read_checkpoint(folder, like=fuzzer.train_state())
    assert state is None
    assert len(damaged) == 1


def rewrite_checkpoint(fuzzer: ModuleType, folder: Path, kind: str, **changes: Any) -> None:
    """Let the first array of a checkpoint be of another type, change its first epoch, and repair the hashes."""
    epoch, arrays = sorted(fuzzer.checkpoint(folder))
    header, data = fuzzer.arrays_of((folder / arrays).read_bytes())
    name = ".best.parameters"
    begin, end = header[name]["data_offsets"]
    header[name] |= {"dtype": kind, "shape": [int((end - begin) / fuzzer.OTHER_TYPES[kind])]}
    content = fuzzer.safetensors_of(header, data)
    (folder / arrays).write_bytes(content)
    document = json.loads((folder / epoch).read_text())
    document["epochs"][0] |= changes
    document["arrays_sha256"] = hashlib.sha256(content).hexdigest()
    said = json.dumps(fuzzer.own_hash(document, "sha256"), indent=1, sort_keys=True) + "\n"
    (folder / epoch).write_text(said)
