"""What has changed since the manifest was written is named before it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tamis.config import Config, parse_config
from tamis.errors import InputError, RequestError
from tamis.runs.input_manifest import check_input_manifest, write_input_manifest


@pytest.fixture
def config(two_classes: Callable[..., dict[str, Any]]) -> Config:
    return parse_config(two_classes(20))


@pytest.fixture
def manifest(config: Config, tmp_path: Path) -> Path:
    path = tmp_path / "inputs.json"
    assert write_input_manifest(config, path) == 2
    return path


def refusal(config: Config, manifest: Path) -> str:
    with pytest.raises(InputError) as caught:
        check_input_manifest(config, manifest)
    return str(caught.value)


def test_files_that_nobody_touched_are_let_through(config: Config, manifest: Path) -> None:
    assert check_input_manifest(config, manifest) == ()
    before = manifest.read_bytes()
    write_input_manifest(config, manifest)
    assert manifest.read_bytes() == before


def test_every_bit_counts(config: Config, manifest: Path, tmp_path: Path) -> None:
    path = tmp_path / "sig.root"
    content = path.read_bytes()
    for place in range(0, len(content), max(len(content) // 50, 1)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert f"{path}: has the same size as when the manifest was written" in refusal(config, manifest)
    path.write_bytes(content[:-1])
    assert f"{path}: has {len(content) - 1:,} bytes, and had {len(content):,}" in refusal(config, manifest)


def test_files_that_came_or_went_are_named(config: Config, manifest: Path, tmp_path: Path) -> None:
    samples = [{"name": "bkg", "class": "bkg", "files": ["bkg.root", "more.root"]}]
    samples.append({"name": "sig", "class": "sig", "files": ["other.root"]})
    (tmp_path / "more.root").write_bytes(b"more")
    (tmp_path / "sig.root").rename(tmp_path / "other.root")
    given = {**config.model_dump(by_alias=True), "samples": samples}
    said = refusal(parse_config(given), manifest)
    assert f"{tmp_path / 'more.root'}; {tmp_path / 'other.root'}: is not listed" in said
    assert "sig.root: is listed in the manifest, but the configuration does not find it" in said


def test_a_file_that_is_gone_hides_no_other_change(config: Config, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "sig.root").unlink()
    (tmp_path / "bkg.root").write_bytes(b"other")
    said = refusal(config, manifest)
    assert f"sample sig: file '{tmp_path / 'sig.root'}' does not exist" in said
    assert f"{tmp_path / 'bkg.root'}: has 5 bytes" in said


def test_a_manifest_that_was_changed_is_refused(config: Config, manifest: Path) -> None:
    content = manifest.read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1
        manifest.write_bytes(changed)
        with pytest.raises(RequestError):
            check_input_manifest(config, manifest)


def test_nothing_but_a_manifest_is_replaced(config: Config, tmp_path: Path) -> None:
    precious = tmp_path / "thesis.json"
    for content in ("{}", "[]", '{"files": {}}', '{"files": {"a": 1}}', "words"):
        precious.write_text(content)
        with pytest.raises(RequestError):
            write_input_manifest(config, precious)
        assert precious.read_text() == content
    with pytest.raises(RequestError):
        write_input_manifest(config, tmp_path / "nowhere" / "inputs.json")
    with pytest.raises(RequestError):
        check_input_manifest(config, tmp_path / "nothing.json")
