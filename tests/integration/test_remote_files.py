"""Files that a web server gives: read over a socket of this machine."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from tamis import train
from tamis.config import parse_config
from tamis.data.chunks import read_chunks
from tamis.data.scanning import scan_files
from tamis.data.sources import expand_files
from tamis.errors import InputError
from tamis.runs.provenance import describe_inputs

VALUES = np.arange(2000) / 7
JETS = ak.Array([[float(row)] * (row % 3) for row in range(2000)])


class Ranges(BaseHTTPRequestHandler):
    """Serves a folder, with parts of files as sites with ROOT files do."""

    folder: ClassVar[Path]
    asked: ClassVar[list[str]]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *what: Any) -> None:
        del what

    def _answer(self, *, body: bool) -> None:
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        content = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = 0, len(content) - 1
        if wanted:
            first = int(wanted[1])
            last = min(last, int(wanted[2] or last))
        self.asked.append(self.headers.get("Range", "whole"))
        self.send_response(HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if body:
            self.wfile.write(content[first : last + 1])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    handler = type("Site", (Ranges,), {"folder": tmp_path, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def write(path: Path) -> None:
    if path.suffix == ".parquet":
        table = pa.table({"pt": VALUES, "jet": pa.array(JETS.to_list())})
        pq.write_table(table, path, row_group_size=300)
        return
    with uproot.recreate(path) as file:
        if path.stem == "rntuple":
            file["tree"] = {"pt": VALUES, "jet": JETS}
        else:
            file.mktree("tree", {"pt": "float64", "jet": "var * float64"}).extend({"pt": VALUES, "jet": JETS})


@pytest.mark.parametrize("name", ["ttree.root", "rntuple.root", "table.parquet"])
def test_a_file_is_read_from_a_site_as_from_a_disk(site: str, tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    (schema,) = scan_files(expand_files("s", [name], site))
    assert (schema.source.path, schema.source.file_key, schema.entries) == (f"{site}/{name}", name, 2000)
    chunks = list(read_chunks(schema, ["pt", "jet"], 300))
    assert [chunk.length for chunk in chunks] == [300] * 6 + [200]
    assert np.concatenate([chunk.columns["pt"] for chunk in chunks]).tolist() == VALUES.tolist()
    assert ak.to_list(ak.concatenate([chunk.columns["jet"] for chunk in chunks])) == JETS.to_list()


@pytest.mark.parametrize("name", ["gone.root", "gone.parquet"])
def test_a_file_that_a_site_does_not_have_is_named(site: str, name: str) -> None:
    with pytest.raises(InputError) as caught:
        scan_files(expand_files("s", [f"{site}/{name}"], "/data"))
    (problem,) = caught.value.problems
    assert problem.where == f"{site}/{name}"
    assert problem.message == "file does not exist; check the address"


def test_a_site_that_does_not_answer_is_named() -> None:
    with socket.socket() as taken:
        # bound but not listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/a.root"
        with pytest.raises(InputError, match=rf"{nowhere}.*cannot be read"):
            scan_files(expand_files("s", [nowhere], "/data"))


def test_a_training_reads_its_files_from_a_site(
    site: str, two_classes: Callable[..., dict[str, Any]]
) -> None:
    local = two_classes(events=300)
    here, there = (train(parse_config({**local, "data": place})) for place in (local["data"], site))
    assert {**there.metrics, "timing": None} == {**here.metrics, "timing": None}
    described = describe_inputs([schema for each in there.prepared.inputs for schema in each.schemas])
    assert [each["path"] for each in described] == [f"{site}/{name}.root" for name in ("bkg", "sig")]
    assert all(each["sha256"] is None for each in described)
