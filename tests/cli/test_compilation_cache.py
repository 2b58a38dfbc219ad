"""Compiled programs are kept between commands: same bits, in a folder that nobody else can write to."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
import yaml
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from tamis.cli.compilation_cache import (
    VARIABLE,
    Programs,
    build_machine_key,
    compilation_cache,
    prepare_folder,
    read_processor_facts,
)

Inside = Callable[..., tuple[int, str, str]]
Make = Callable[..., dict[str, Any]]
LONG_AGO = 1e9


def silent(sentence: str) -> None:
    raise AssertionError(sentence)


def run_program(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = without_caches() | environment
    command = [sys.executable, "-W", "error", "-m", "tamis", *arguments]
    return subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True, check=False)


def without_caches() -> dict[str, str]:
    """Return the environment without the cache that the tests share, which is JAX's own."""
    return {
        name: value for name, value in os.environ.items() if name != VARIABLE and not name.startswith("JAX_")
    }


@pytest.fixture(autouse=True)
def no_cache_of_jax(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the cache that the tests share for the time of a test."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    reset_cache()


def entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/*.program"))


@pytest.fixture(scope="module")
def config(module_classes: Make) -> Path:
    """Return the path of a configuration beside its data."""
    config = module_classes(300, training={"epochs": 3, "batch_size": 64, "ensemble": 2})
    path = Path(config["data"]) / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(name="folder", scope="module")
def folder_with_cold_run(config: Path) -> Path:
    """Give a folder with a configuration, the run of an empty cache, and the cache that it has filled."""
    train(config.parent, "cold")
    return config.parent


def train(folder: Path, output: str) -> list[str]:
    """Train with the cache of the folder; give the lines of the standard error."""
    arguments = ("train", "config.yaml", "--output", output)
    done = run_program(*arguments, cwd=folder, TAMIS_CACHE=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


@pytest.mark.slow  # two trainings of the command
def test_loaded_programs_give_the_same_bits(folder: Path, equal_runs: Callable[[Path, Path], None]) -> None:
    kept = entries(folder / "cache")
    assert len(kept) > 10
    for path in kept:
        os.utime(path, (LONG_AGO, LONG_AGO))
    lines = train(folder, "warm")
    assert entries(folder / "cache") == kept
    assert all(path.stat().st_mtime > LONG_AGO for path in kept), "a program was not loaded"
    equal_runs(folder / "cold", folder / "warm")
    scores = [(folder / name / "scores.parquet").read_bytes() for name in ("cold", "warm")]
    assert scores[0] == scores[1]
    # XLA writes about processors where it loads a program that was compiled for another
    assert all(line.startswith("tamis: ") for line in lines)


@pytest.mark.slow
def test_damaged_programs_are_compiled_again(folder: Path, equal_runs: Callable[[Path, Path], None]) -> None:
    paths = entries(folder / "cache")
    whole = [path.read_bytes() for path in paths]
    for number, (path, content) in enumerate(zip(paths, whole, strict=True)):
        changed = bytearray(content)
        changed[number * len(content) // len(paths)] ^= 1 << number % 8
        # a flipped bit, half a file, an empty one, and the program of another name
        path.write_bytes((changed, content[: len(content) // 2], b"", whole[number - 1])[number % 4])
    lines = train(folder, "damaged")
    assert [line for line in lines if "were damaged" in line and str(folder / "cache") in line]
    equal_runs(folder / "cold", folder / "damaged")
    assert entries(folder / "cache") == paths
    for path in paths:
        assert len(path.read_bytes()) > 100


def test_nobody_else_may_read_or_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv(VARIABLE, str(cache))
    with compilation_cache(silent):
        jax.jit(lambda x: x * 7 + 3)(2.0)
    assert entries(cache)
    assert {path.stat().st_mode & 0o777 for path in (cache, *cache.iterdir())} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in entries(cache)} == {0o600}


def test_a_folder_of_others_is_refused_before_the_work(
    inside: Inside, tmp_path: Path, two_classes: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(two_classes(300)))
    unsafe = {name: tmp_path / name for name in ("link", "file", "group", "all", "below", "behind")}
    (tmp_path / "mine").mkdir(mode=0o700)
    unsafe["link"].symlink_to(tmp_path / "mine")
    unsafe["file"].write_text("")
    for name, mode in (("group", 0o770), ("all", 0o1777)):  # the sticky bit lets others create files
        unsafe[name].mkdir()
        unsafe[name].chmod(mode)
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    (open_to_all / "one").mkdir(mode=0o700)
    open_to_all.chmod(0o777)
    unsafe["below"] = open_to_all / "one"
    # a chain of links, of which one lies where others can exchange it
    (open_to_all / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "behind").symlink_to(open_to_all / "link")
    unsafe["behind"] = tmp_path / "behind" / "cache"
    for name, path in unsafe.items():
        monkeypatch.setenv(VARIABLE, str(path))
        code, _, error = inside("train", "small.yaml")
        assert code == 2, name
        assert f"tamis: {VARIABLE}: " in error
        assert str(open_to_all if name in ("below", "behind") else path) in error
        assert not (tmp_path / "runs" / "small").exists()
    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize("above", [False, True])
def test_a_folder_that_belongs_to_somebody_else_is_refused(
    inside: Inside, tmp_path: Path, two_classes: Make, monkeypatch: pytest.MonkeyPatch, above: bool
) -> None:
    if os.geteuid():
        pytest.skip("only the superuser gives folders away")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(two_classes(300)))
    theirs = tmp_path / "theirs"
    (theirs / "mine").mkdir(mode=0o700, parents=True)
    os.chown(theirs, 12345, 12345)
    monkeypatch.setenv(VARIABLE, str(theirs / "mine" if above else theirs))
    code, _, error = inside("check", "small.yaml")
    assert code == 2
    assert f"{theirs} belongs to another user" in error


def test_a_folder_below_one_with_the_sticky_bit_is_taken(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    mask = os.umask(0)
    try:
        part = prepare_folder(tmp_path / "mine" / "cache")
    finally:
        os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in (part, part.parent, part.parent.parent)} == {0o700}
    assert prepare_folder(tmp_path / "mine" / "cache") == part


@pytest.mark.parametrize("home", ["/proc/nowhere", "file", "open"])
def test_an_odd_home_stops_nothing_and_is_noted(
    inside: Inside, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "open" / ".cache").mkdir(parents=True)
    (tmp_path / "open" / ".cache").chmod(0o777)
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path / home))
    status, _, error = inside("check", str(config))
    assert status == 0
    notes = [line for line in error.splitlines() if "compiled programs are not cached" in line]
    assert len(notes) == 1
    assert str(tmp_path / home) in notes[0]
    assert VARIABLE in notes[0]


def test_the_cache_of_the_user_is_the_default(
    inside: Inside, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert inside("check", str(config))[0] == 0
    assert (tmp_path / ".cache" / "tamis" / build_machine_key()).is_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert inside("check", str(config))[0] == 0
    assert (tmp_path / "xdg" / "tamis" / build_machine_key()).is_dir()


def test_settings_of_jax_are_those_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    before = [getattr(jax.config, name) for name in names]
    with compilation_cache(silent):
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache" / build_machine_key())
        jax.jit(lambda x: x * 3 + 1)(2.0)
    assert [getattr(jax.config, name) for name in names] == before
    kept = entries(tmp_path / "cache")
    assert kept
    jax.jit(lambda x: x * 5 + 2)(2.0)
    assert entries(tmp_path / "cache") == kept


def test_a_cache_that_the_user_gave_to_jax_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    try:
        with compilation_cache(silent):
            assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_is_noted_once_and_stops_nothing(tmp_path: Path) -> None:
    notes: list[str] = []
    programs = Programs(prepare_folder(tmp_path), notes.append)
    programs.put("small", b"1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        programs.put("large", bytes(5000))
        programs.put("larger", bytes(6000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    programs.put("later", b"2")
    assert len(notes) == 1
    assert "compiled programs cannot be cached" in notes[0]
    assert "File too large" in notes[0]
    assert programs.get("small") == b"1"
    assert programs.get("large") is None
    assert programs.get("later") is None
    assert len(list(programs._path.iterdir())) == 1


def test_the_programs_that_were_not_used_for_longest_are_removed(tmp_path: Path) -> None:
    folder = prepare_folder(tmp_path)
    programs = Programs(folder, silent)
    for number in range(8):
        programs.put(str(number), bytes(1000))
        os.utime(entries(tmp_path)[-1])
    for age, number in enumerate((3, 1, 4, 0, 5, 2, 6, 7)):  # the first was used last
        os.utime(programs._file(str(number)), (LONG_AGO - age, LONG_AGO - age))
    assert programs.get("7") == bytes(1000)
    other = tmp_path / "jax-0.0.1-1-cores-0123456789abcdef"  # of a version that is not used any more
    other.mkdir()
    (other / "old.program").write_bytes(bytes(1000))
    os.utime(other / "old.program", (1, 1))
    (folder / "killed.part").write_bytes(bytes(1000))
    os.utime(folder / "killed.part", (LONG_AGO, LONG_AGO))
    (tmp_path / "mine.program").write_bytes(bytes(1000))
    Programs(folder, silent, largest=8192).put("new", bytes(1000))
    left = [name for name in (*map(str, range(8)), "new") if programs._file(name).exists()]
    assert left == ["1", "3", "4", "7", "new"]
    assert not list(other.iterdir())
    assert not (folder / "killed.part").exists()
    assert (tmp_path / "mine.program").exists()


def test_another_processor_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = "processor\t: {}\nmodel name\t: One\ncpu MHz\t: {}\nflags\t\t: fpu sse {}\n\n"
    texts = {
        "old": core.format(0, 1000, "") + core.format(1, 1200, ""),
        "faster": core.format(1, 3000, "") + core.format(0, 3000, ""),
        "new": core.format(0, 1000, "avx512f") + core.format(1, 1000, "avx512f"),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    facts = {name: read_processor_facts(tmp_path / name) for name in texts}
    assert facts["old"] == facts["faster"]
    assert facts["old"] != facts["new"]
    keys = {build_machine_key()}
    monkeypatch.setattr("tamis.cli.compilation_cache.read_processor_facts", lambda: facts["new"])
    keys.add(build_machine_key())
    monkeypatch.setattr("tamis.cli.compilation_cache.cores", lambda: 1000)
    keys.add(build_machine_key())
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"0.0 of {name}")
    keys.add(build_machine_key())
    assert len(keys) == 4
