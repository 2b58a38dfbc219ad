"""Whether something can be written is known before the work, and trying leaves nothing behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tamis.paths import explain_os_error, explain_unwritable


def test_where_something_can_be_made_nothing_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for name in ("run", "a/b/run", "there", "there/run", "n" * 255):
        assert explain_unwritable(tmp_path / name) == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_every_obstacle_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert explain_unwritable(tmp_path / "file" / "run") == f"{tmp_path}/file is a file"
    assert explain_unwritable(tmp_path / "file" / "a" / "run") == f"{tmp_path}/file is a file"
    assert "its name is too long: 256 bytes, but 255 are allowed" in explain_unwritable(
        tmp_path / ("n" * 256)
    )
    assert "its name is too long: 256 bytes" in explain_unwritable(tmp_path / ("n" * 256) / "run")
    assert "its name is too long: 300 bytes" in explain_unwritable(
        tmp_path / ("\N{GREEK SMALL LETTER MU}" * 150)
    )
    assert "230 bytes, but 214 are allowed" in explain_unwritable(tmp_path / ("n" * 230), longer=41)
    assert "its path is too long" in explain_unwritable(tmp_path.joinpath(*["n" * 200] * 21))
    assert "loop" in explain_unwritable(tmp_path / "loop" / "run").lower()
    assert "null" in explain_unwritable(tmp_path / "a\0b")
    assert explain_unwritable(Path("/proc/self/run")) != ""


def test_a_finished_run_gets_no_more_files(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    assert explain_unwritable(run / "model" / "a" / "b") == ""
    (run / "provenance.json").touch()
    for name in ("a", "model", "model/a/b"):
        assert "finished run" in explain_unwritable(run / name)
        assert explain_unwritable(run / name, of_run=True) == ""
    assert explain_unwritable(run) == explain_unwritable(tmp_path / "other") == ""
    (tmp_path / "link").symlink_to(run)
    assert "finished run" in explain_unwritable(tmp_path / "link" / "a")


def test_a_folder_that_may_not_be_written_to_is_named(unprivileged: Any) -> None:
    folder, lowered = unprivileged
    with lowered():
        assert explain_unwritable(folder / "a" / "run") == ""
    folder.chmod(0o500)
    with lowered():
        assert explain_unwritable(folder / "a" / "run") == f"no permission to write to {folder}"
    assert list(folder.iterdir()) == []


def test_what_the_system_refuses_is_said_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that is mounted read-only, or whose files are all used up, is known by trying alone."""

    def refuse(*_: object, **__: object) -> str:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr("tamis.paths.tempfile.mkdtemp", refuse)
    assert explain_unwritable(tmp_path / "run") == "Read-only file system"


def test_what_was_made_to_try_a_place_is_named_if_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "rmdir", broken)
    message = explain_unwritable(tmp_path / "run")
    (trial,) = tmp_path.iterdir()
    assert message == f"the test folder {trial} cannot be removed (Input/output error)"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EIO, "broken", 3), "broken; check whether this disk works, or choose another folder"),
        (OSError(errno.EMFILE, "full", b"a.root"), "a.root: full; allow more open files (`ulimit -n`)"),
        (OSError("a library's words"), "a library's words"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_failure_is_told_whatever_the_error_knows(error: OSError, message: str) -> None:
    assert explain_os_error(error) == message
