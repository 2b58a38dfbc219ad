"""Files get their names when they are whole, whoever else writes them at the same time."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import numpy as np
import pytest

from tamis.errors import RequestError
from tamis.files import complete_file, hash_json, locked


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_two_that_write_one_file_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # in containers every process may have the number 1
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path = tmp_path / "a.root"
    with complete_file(path) as first:
        first.write_text("first")
        with complete_file(path) as second:
            assert second != first
            second.write_text("the second")
        assert path.read_text() == "the second"
        assert first.read_text() == "first"
    assert path.read_text() == "first"
    assert hidden(tmp_path) == []


def test_what_somebody_writes_to_is_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    leftovers = [tmp_path / f".a.root.{name}.part.root" for name in ("00000000", "0123abcd")]
    other_files = [
        tmp_path / name
        for name in (".a.root.12.part.root", ".b.root.00000000.part.root", ".a.root.part.root")
    ]
    for path_of_file in (*leftovers, *other_files):
        path_of_file.write_text("x")
    with complete_file(path) as temporary:
        assert not any(path_of_file.exists() for path_of_file in leftovers)
        with complete_file(path):
            assert temporary.exists()
    assert path.exists()
    assert all(path_of_file.exists() for path_of_file in other_files)


def test_a_leftover_that_is_no_file_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / ".a.root.00000000.part.root").mkdir()
    (tmp_path / ".a.root.11111111.part.root").symlink_to("nowhere")
    with complete_file(tmp_path / "a.root"):
        pass
    assert len(hidden(tmp_path)) == 2


def test_a_file_that_cannot_be_made_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with (
        pytest.raises(OSError, match=r"Not a directory: .*/a\.txt/b\.root'"),
        complete_file(tmp_path / "a.txt" / "b.root"),
    ):
        pass


def test_a_lock_on_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with (
        pytest.raises(OSError, match=r"No space left on device: .*/run\.lock'"),
        locked(tmp_path / "run.lock", busy=""),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unknown)
    with complete_file(tmp_path / "a.txt"):
        pass  # names are random: nobody is met there
    with (
        pytest.raises(RequestError),
        locked(tmp_path / "run.lock", busy=""),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_locked_before_its_writer_could_is_left_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, locked_files = fcntl.flock, []

    def late(opened: int, how: int) -> None:
        if not locked_files:  # another process takes the new file for a leftover
            locked_files.append(os.open(next(tmp_path.glob(".a.txt.*")), os.O_RDWR))
            lock(locked_files[0], fcntl.LOCK_EX)
        lock(opened, how)

    monkeypatch.setattr("fcntl.flock", late)
    with complete_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    os.close(locked_files[0])
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_a_failure_that_cannot_be_cleaned_up_is_still_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    def read_only(path: Path, **_: bool) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("os.fsync", broken)
    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(OSError, match=r"Input/output error: '.*/a\.txt'"), complete_file(tmp_path / "a.txt"):
        pass


def fail(path: Path) -> None:
    with complete_file(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_nothing_is_left_where_the_work_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(OSError, match=r"No space left on device: .*/a\.txt"):
        fail(path)
    assert path.read_text() == "before"
    assert hidden(tmp_path) == []


def test_the_hash_of_json_is_the_one_in_existing_files() -> None:
    digest = "32f9406b228d6bfd59ba5fa0c7595b0b36c3fa26778226b6c73bac320d90cec5"
    assert hash_json({"b": [0.5, None], "a": "ü"}) == digest
    assert hash_json({"a": "ü", "b": [np.float64(0.5), None]}) == digest
