"""Input files that are cut or have a flipped bit: an error names the file, or nothing has changed, or it is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
import yaml

from tamis.config import parse_config
from tamis.runs.input_manifest import write_input_manifest

HERE = Path(__file__).parent
EVENTS = 1500
ROOT = {
    "none": None,
    "zlib": uproot.ZLIB(1),
    "LZ4": uproot.LZ4(1),
    "LZMA": uproot.LZMA(1),
    "ZSTD": uproot.ZSTD(1),
}
OTHERS = ("RNTuple", "Parquet", "Parquet with ZSTD", "Parquet with checksums")
KINDS = (*ROOT, *OTHERS)


def columns(seed: int, events: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(seed, 1, events).astype(np.float32),
        "n": rng.integers(0, 50, events).astype(np.int32),
        "w": rng.uniform(0.5, 1.5, events),
    }


def write(path: Path, kind: str, seed: int, events: int) -> None:
    """Write a file in several pieces."""
    values = columns(seed, events)
    if kind.startswith("Parquet"):
        pq.write_table(
            pa.table(values),
            path,
            compression="none" if kind == "Parquet" else "zstd",
            row_group_size=events // 3,
            write_page_checksum="checksums" in kind,
        )
        return
    with uproot.recreate(path, compression=ROOT.get(kind, uproot.ZSTD(1))) as file:
        types = {name: each.dtype for name, each in values.items()}
        tree = file.mkrntuple("tree", types) if kind == "RNTuple" else file.mktree("tree", types)
        for piece in np.array_split(np.arange(events), 3):
            tree.extend({name: each[piece] for name, each in values.items()})


def order_of(folder: Path, kind: str) -> dict[str, Any]:
    """Write two files with their manifest, and say which of them is damaged."""
    ending = "parquet" if kind.startswith("Parquet") else "root"
    for seed, name in enumerate(("bkg", "sig")):
        write(folder / f"{name}.{ending}", kind, seed, EVENTS if name == "sig" else 60)
    config = {
        "data": str(folder),
        "samples": [
            {"name": name, "class": name, "files": f"{name}.{ending}", "weight": "w"}
            for name in ("bkg", "sig")
        ],
        "classes": {"bkg": {}, "sig": {"signal": True}},
        "features": ["x", "n"],
        "split": {"test": 0.3},
    }
    write_input_manifest(parse_config(config), folder / "manifest.json")
    return {
        "config": config,
        "manifest": str(folder / "manifest.json"),
        "file": str(folder / f"sig.{ending}"),
        "damages": [],
    }


def outcomes(orders: Sequence[Mapping[str, Any]], cuts: int, flips: int) -> list[list[dict[str, Any]]]:
    """Damage each file in places that are spread over it; the first outcome of each is that of the whole file."""
    rng = np.random.default_rng(1)
    damages = []
    for order in orders:
        size = Path(order["file"]).stat().st_size
        places = [{"cut": int(each)} for each in np.linspace(0, size - 1, cuts).astype(int)]
        places += [{"bit": int(each)} for each in rng.choice(8 * size, flips, replace=False)]
        damages.append(places)
    given = [{**order, "damages": each} for order, each in zip(orders, damages, strict=True)]
    process = subprocess.run(
        [sys.executable, HERE / "damaged_files.py"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    lines = iter([json.loads(line) for line in process.stdout.splitlines()])
    return [[next(lines) for _ in range(len(each) + 1)] for each in damages]


def classify(found: list[dict[str, Any]], path: str) -> dict[str, Counter[str]]:
    """Count, for cuts and for flips, what each damage led to; what must not happen fails."""
    assert found[0]["outcome"] == "read", found[0]
    assert not found[0]["manifest"]
    counts: dict[str, Counter[str]] = {"cut": Counter(), "bit": Counter()}
    for each in found[1:]:
        said = f"{each['damage']} of {path}: {each.get('message')}"
        assert each["outcome"] != "defect", said
        kind = next(iter(each["damage"]))
        counts[kind]["number"] += 1
        assert path in each["manifest"], said
        counts[kind]["named with the manifest"] += 1
        if each["outcome"] == "error":
            # sums of weights are of a class, which may have many files
            named = "file" if path in each["message"] else "class"
            assert named == "file" or "class sig: the weights of its " in each["message"], said
            counts[kind][f"error that names the {named}"] += 1
        elif each["digest"] == found[0]["digest"]:
            counts[kind]["unchanged"] += 1
        else:
            counts[kind]["undetected change"] += 1
    return counts


def counted(
    folder: Path, kinds: Sequence[str], cuts: int, flips: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    orders = []
    for kind in kinds:
        (folder / kind).mkdir()
        orders.append(order_of(folder / kind, kind))
    found = outcomes(orders, cuts, flips)
    for kind, order, each in zip(kinds, orders, found, strict=True):
        counts = classify(each, order["file"])
        assert not counts["cut"]["undetected change"]
        yield (
            kind,
            {"bytes": Path(order["file"]).stat().st_size, **{key: dict(n) for key, n in counts.items()}},
        )


@pytest.mark.slow  # reads a hundred damaged files of nine kinds
def test_damaged_files_are_named_or_the_change_is_counted(tmp_path: Path) -> None:
    found = dict(counted(tmp_path, KINDS, cuts=3, flips=4))
    assert {each["cut"]["error that names the file"] for each in found.values()} == {3}
    checked = found["Parquet with checksums"]["bit"]
    assert "undetected change" not in checked


@pytest.mark.long
def test_what_becomes_of_many_damaged_files(
    tmp_path: Path, record: Callable[[str, dict[str, Any]], None]
) -> None:
    record("files", dict(counted(tmp_path, KINDS, cuts=200, flips=1000)))


@pytest.mark.slow  # many commands
def test_the_commands_name_the_damaged_file(tmp_path: Path) -> None:
    order = order_of(tmp_path, "ZSTD")
    path = Path(order["file"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(order["config"]))

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "tamis", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        return done.returncode, done.stderr

    path.write_bytes(path.read_bytes()[:-1])
    for arguments in (("check", "config.yaml", "--manifest", "manifest.json"), ("train", "config.yaml")):
        status, said = run(*arguments)
        assert status == 2
        assert str(path) in said
        assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()
