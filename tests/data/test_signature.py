"""A file that is not whole, or not what its name says, is refused before anything is read of it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from tamis.data.scanning import scan_files
from tamis.data.schema import SourceFile
from tamis.data.signature import find_signature_problem, read_root_end, resolve_local_path
from tamis.errors import InputError

EVENTS = {"x": np.random.default_rng(0).normal(size=5000), "unused": np.arange(5000)}


@pytest.fixture(scope="module", params=["ttree", "rntuple"])
def root_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "a.root"
    with uproot.recreate(path) as file:
        make = file.mktree if request.param == "ttree" else file.mkrntuple
        make("tree", {name: values.dtype for name, values in EVENTS.items()}).extend(EVENTS)
    return path


def test_the_end_is_that_of_uproot(root_file: Path) -> None:
    with uproot.open(root_file) as file:
        end = file.file.fEND
    assert read_root_end(root_file.read_bytes()[:20]) == end == root_file.stat().st_size
    assert find_signature_problem(root_file, parquet=False) == ""


@given(part=st.floats(0, 1, exclude_max=True))
def test_every_cut_is_found(root_file: Path, part: float) -> None:
    content = root_file.read_bytes()
    cut = root_file.with_name("cut.root")
    cut.write_bytes(content[: int(part * len(content))])
    assert "copy" in find_signature_problem(cut, parquet=False)


def test_a_cut_where_all_that_is_used_is_whole_is_refused(root_file: Path) -> None:
    """The last record of a file is never read: without its end all events can be."""
    content = root_file.read_bytes()
    cut = root_file.with_name("b.root")
    cut.write_bytes(content[:-1])
    with uproot.open(cut) as file:
        np.testing.assert_array_equal(file["tree"]["x"].array(library="np"), EVENTS["x"])
    message = f"b.root: is truncated: it has {len(content) - 1:,} of {len(content):,} bytes; copy it again"
    with pytest.raises(InputError, match=message):
        scan_files([SourceFile("s", str(cut), "b.root")])


def test_a_file_may_be_longer_than_it_says(root_file: Path) -> None:
    longer = root_file.with_name("longer.root")
    longer.write_bytes(root_file.read_bytes() + bytes(100))
    assert scan_files([SourceFile("s", str(longer), "longer.root")])[0].entries == 5000


@given(end=st.integers(2**31, 2**62))
def test_large_files_have_a_place_of_64_bits(end: int) -> None:
    assert read_root_end(b"root" + struct.pack(">iiq", 1_062_400, 100, end)) == end


def test_other_urls_are_not_looked_into() -> None:
    assert resolve_local_path("root://site//data/a.root") is None
    assert resolve_local_path("file://elsewhere/data/a.root") is None
    assert resolve_local_path("file://localhost/data/a.root") == Path("/data/a.root")
    assert resolve_local_path("data/a.root") == Path("data/a.root")
