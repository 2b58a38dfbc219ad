"""The files to score: how their trees are found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import uproot

from tamis.apply.input_files import scan_input
from tamis.data.schema import SourceFile
from tamis.errors import InputError


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., SourceFile]:
    def write_file(name: str, *trees: str) -> SourceFile:
        path = tmp_path / name
        with uproot.recreate(path) as file:
            for tree in trees:
                file.mktree(tree, {"x": "float64"}).extend({"x": np.zeros(2)})
        return SourceFile("", str(path), str(path))

    return write_file


def test_the_only_tree_of_a_file_is_read_whatever_its_name(write: Callable[..., SourceFile]) -> None:
    source = write("a.root", "data")
    for wanted in ("Events", "sig_*", ["sig", "bkg"]):
        assert scan_input(source, wanted, only=False).tree == "data"
        with pytest.raises(InputError):
            scan_input(source, wanted, only=True)


@pytest.mark.parametrize("name", ["no tree matches.root", "is missing; the file holds.root"])
def test_the_reason_of_a_failure_is_not_taken_from_the_name_of_the_file(
    name: str, write: Callable[..., SourceFile]
) -> None:
    with pytest.raises(InputError, match="one at a time"):
        scan_input(write(name, "sig_1", "sig_2"), "sig_*", only=False)
