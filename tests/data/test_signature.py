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
from tamis.data.signature import local_path, root_end, signature_problem
from tamis.errors import InputError

EVENTS = {"x": np.random.default_rng(0).normal(size=5000), "unused": np.arange(5000)}


@pytest.fixture(scope="module", params=["ttree", "rntuple"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "a.root"
    with uproot.recreate(path) as file:
        make = file.mktree if request.param == "ttree" else file.mkrntuple
        make("tree", {name: values.dtype for name, values in EVENTS.items()}).extend(EVENTS)
    return path


def test_the_end_is_that_of_uproot(whole: Path) -> None:
    with uproot.open(whole) as file:
        end = file.file.fEND
    assert root_end(whole.read_bytes()[:20]) == end == whole.stat().st_size
    assert signature_problem(whole, parquet=False) == ""


@given(part=st.floats(0, 1, exclude_max=True))
def test_every_cut_is_found(whole: Path, part: float) -> None:
    content = whole.read_bytes()
    cut = whole.with_name("cut.root")
    cut.write_bytes(content[: int(part * len(content))])
    assert "copy" in signature_problem(cut, parquet=False)


def test_a_cut_where_all_that_is_used_is_whole_is_refused(whole: Path) -> None:
    """The last record of a file is never read: without its end all events can be."""
    content = whole.read_bytes()
    cut = whole.with_name("b.root")
    cut.write_bytes(content[:-1])
    with uproot.open(cut) as file:
        np.testing.assert_array_equal(file["tree"]["x"].array(library="np"), EVENTS["x"])
    said = (
        f"b.root: is shorter than it says: it has {len(content) - 1:,} of {len(content):,} bytes; it was cut"
    )
    with pytest.raises(InputError, match=said):
        scan_files([SourceFile("s", str(cut), "b.root")])


def test_a_file_may_be_longer_than_it_says(whole: Path) -> None:
    longer = whole.with_name("longer.root")
    longer.write_bytes(whole.read_bytes() + bytes(100))
    assert scan_files([SourceFile("s", str(longer), "longer.root")])[0].entries == 5000


@given(end=st.integers(2**31, 2**62))
def test_large_files_have_a_place_of_64_bits(end: int) -> None:
    assert root_end(b"root" + struct.pack(">iiq", 1_062_400, 100, end)) == end


def test_other_urls_are_not_looked_into() -> None:
    assert local_path("root://site//data/a.root") is None
    assert local_path("file://elsewhere/data/a.root") is None
    assert local_path("file://localhost/data/a.root") == Path("/data/a.root")
    assert local_path("data/a.root") == Path("data/a.root")
