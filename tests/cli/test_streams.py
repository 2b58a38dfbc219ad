"""Standard streams that are closed, full, or a pipe without a reader: what the real program does."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECK = ("check", "small.yaml")
TAMIS = shlex.join([sys.executable, "-W", "error", "-m", "tamis"])


@pytest.fixture(name="folder", scope="module")
def folder_with_configuration(module_classes: Callable[..., dict[str, Any]]) -> Path:
    config = module_classes(300)
    folder = Path(config["data"])
    (folder / "small.yaml").write_text(yaml.safe_dump(config))
    return folder


def run_in_shell(folder: Path, *arguments: str, redirect: str) -> subprocess.CompletedProcess[str]:
    """Run the program in bash; the status is that of the program, also before a pipe."""
    line = f"{TAMIS} {shlex.join(arguments)} {redirect}; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)


def test_commands_that_tests_start_have_the_environment_of_a_user() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import os; print(*os.environ)"], capture_output=True, check=True
    )
    names = shown.stdout.decode().split()
    assert [name for name in names if name.startswith("PYTHON") and name != "PYTHONPATH"] == []


@pytest.mark.parametrize(
    "arguments", [CHECK, (*CHECK, "--json"), ("init", "bkg.root", "sig.root"), ("--help",)]
)
def test_a_full_disk_behind_the_output_is_named(folder: Path, arguments: tuple[str, ...]) -> None:
    done = run_in_shell(folder, *arguments, redirect="> /dev/full")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("tamis: standard output: No space left on device; free disk space, or ")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("arguments", [CHECK, ("init", "bkg.root", "sig.root")])
def test_a_closed_output_is_named(folder: Path, arguments: tuple[str, ...]) -> None:
    done = run_in_shell(folder, *arguments, redirect=">&-")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("tamis: standard output: it is closed; ")


@pytest.mark.parametrize(
    "arguments", [CHECK, (*CHECK, "--json"), ("init", "bkg.root", "sig.root"), ("--help",)]
)
def test_a_reader_that_has_gone_ends_the_command_quietly(folder: Path, arguments: tuple[str, ...]) -> None:
    # `| head -1` would be a race: all of the output fits into a pipe
    reading, writing = os.pipe()
    os.close(reading)
    command = [*shlex.split(TAMIS), *arguments]
    done = subprocess.run(command, cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.returncode == 128 + signal.SIGPIPE
    assert all(line.startswith("tamis: ") for line in done.stderr.splitlines())
    assert "Broken pipe" not in done.stderr


@pytest.mark.parametrize("redirect", ["2> /dev/full", "2>&-", "2> >(true)"])
def test_messages_that_cannot_be_shown_stop_no_work(folder: Path, redirect: str) -> None:
    checked = run_in_shell(folder, *CHECK, "--json", redirect=redirect)
    assert checked.returncode == 0
    assert json.loads(checked.stdout)["problems"] == []


@pytest.mark.parametrize("redirect", ["", "> /dev/full", "2> /dev/full", ">&- 2>&-", "> /dev/full 2>&1"])
def test_an_error_keeps_its_status_wherever_the_streams_go(folder: Path, redirect: str) -> None:
    # the output is a file: the error of the command that imports least
    assert run_in_shell(folder, "simulate", "small.yaml", redirect=redirect).returncode == 2


def test_files_do_not_get_the_numbers_of_closed_streams(tmp_path: Path) -> None:
    # what a library prints would end up in such a file
    program = (
        "import os\nfrom tamis.cli.streams import standard_streams\n"
        "with standard_streams():\n"
        "    numbers = [os.open('a', os.O_CREAT | os.O_RDWR), os.open('b', os.O_CREAT | os.O_RDWR)]\n"
        "os.write(numbers[0], repr(numbers).encode())\n"
    )
    line = f"{shlex.join([sys.executable, '-c', program])} <&- >&- 2>&-"
    subprocess.run(["bash", "-c", line], cwd=tmp_path, env=os.environ, check=True)
    assert (tmp_path / "a").read_text() == "[3, 4]"
