"""What `tamis check` prints for people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

Inside = Callable[..., tuple[int, str, str]]
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def configuration(tmp_path: Path, two_classes: Make) -> Callable[..., Path]:
    def write(events: int = 300, **changes: Any) -> Path:
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(two_classes(events, **changes), sort_keys=False))
        return path

    return write


def test_files_that_cannot_be_used_have_no_tables_of_zeros(
    inside: Inside, configuration: Callable[..., Path]
) -> None:
    configuration(features=["absent"])
    status, printed, _ = inside("check", "small.yaml")
    assert status == 2
    assert "branch 'absent' is missing" in printed
    assert "Weights" not in printed
    assert "Features" not in printed


def test_tables_of_some_files_say_so(
    inside: Inside, configuration: Callable[..., Path], write_tree: Callable[..., Path]
) -> None:
    configuration()
    write_tree("sig.root", {"z": np.zeros(300)})
    status, printed, _ = inside("check", "small.yaml")
    assert status == 2
    assert "(only events that could be read)" in printed
    assert "Features" in printed


def test_words_stand_on_the_left_and_numbers_on_the_right(
    inside: Inside, configuration: Callable[..., Path]
) -> None:
    configuration(1200)
    _, printed, _ = inside("check", "small.yaml")
    lines = printed.splitlines()
    heading = next(line for line in lines if line.startswith("sample"))
    row = lines[lines.index(heading) + 1]
    for column, word in (("class", "bkg"), ("branches used", "x, y")):
        assert row[heading.index(column) :].startswith(word)
    assert row[: heading.index("entries") + len("entries")].endswith(" 1,200")


def test_effective_events_are_grouped_and_rounded(
    inside: Inside, configuration: Callable[..., Path], write_tree: Callable[..., Path]
) -> None:
    path = configuration(2000)
    values = yaml.safe_load(path.read_text())
    rng = np.random.default_rng(2)
    for sample in values["samples"]:
        columns = {"x": rng.normal(size=2000), "y": rng.normal(size=2000), "w": rng.uniform(0.5, 1.5, 2000)}
        write_tree(sample["files"], columns)
        sample["weight"] = "w"
    path.write_text(yaml.safe_dump(values))
    _, printed, _ = inside("check", "small.yaml")
    weights = printed[printed.index("Weights") :].splitlines()[2:4]
    effective = [line.split()[4] for line in weights]
    assert all(text.startswith("1,8") and "." not in text for text in effective), effective


@pytest.mark.parametrize("has_note", [False, True])
def test_the_last_line_mentions_the_notes(
    inside: Inside, configuration: Callable[..., Path], write_tree: Callable[..., Path], has_note: bool
) -> None:
    configuration(600)
    if has_note:
        write_tree("sig.root", {"x": np.zeros(600), "y": np.random.default_rng(1).normal(size=600)})
    status, printed, _ = inside("check", "small.yaml")
    assert status == 0
    assert ("Notes" in printed) == has_note
    ending = ", but read the notes first." if has_note else ": ready for training."
    assert printed.endswith(f"No problems{ending}\n")


def test_a_manifest_that_cannot_be_written_is_refused_before_anything_is_read(
    inside: Inside, configuration: Callable[..., Path]
) -> None:
    configuration()
    for place in ("/proc/manifest.json", "absent/manifest.json", "small.yaml"):
        status, printed, error = inside("check", "small.yaml", "--write-manifest", place)
        assert status == 2
        assert printed == ""
        assert place.split("/")[-2 if place.startswith("absent") else -1] in error
        assert "reading" not in error
