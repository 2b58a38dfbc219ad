"""Quantized networks through HGQ2, QONNX and hls4ml to C++ that g++ compiles: the same bits as tamis.

`TAMIS_NEEDS_FPGA=1` makes the absence of the extra `fpga` an error.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.cli import main
from tamis.config import parse_config
from tamis.errors import ExportError, RequestError
from tamis.export import fpga_files
from tamis.export.fpga_files import COMPARED, export_fpga
from tamis.export.fpga_translation import EXPECTED, INTERPRETED, SIMULATED

Make = Callable[..., Any]
EXTRA = ("hls4ml", "hgq", "qonnx")
INPUT = {"bits": 10, "integer": 4}
ROUNDED = [
    {"type": "quantized", "nodes": 12, "input": INPUT, "output": {"bits": 7, "integer": 3, "rounding": "RND_CONV"}},
    {"type": "quantized", "nodes": 12, "output": {"bits": 7, "integer": 4, "signed": False, "rounding": "TRN"},
     "weight": {"bits": 5, "integer": 1, "rounding": "TRN_ZERO", "overflow": "WRAP"}},
    {"type": "quantized", "nodes": 8, "activation": "linear",
     "output": {"bits": 6, "integer": 3, "overflow": "SAT_SYM"}},
]  # fmt: skip


@pytest.fixture
def tools() -> None:
    absent = [name for name in EXTRA if find_spec(name) is None]
    absent += [] if shutil.which("g++") else ["g++"]
    if absent:
        reason = f"{', '.join(absent)} not installed; `make fpga` installs the extra `fpga`"
        if os.environ.get("TAMIS_NEEDS_FPGA"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.mark.fpga
def test_a_trained_network_is_translated_by_the_command(
    tools: None, two_classes: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del tools
    layer = {"type": "quantized", "nodes": 8, "learn_bits": True, "ebops_cost": 1e-5}
    network = {"layers": [{**layer, "input": INPUT}, layer], "quantized_output": {}}
    run = tamis.train(parse_config(two_classes(300, network=network)))
    run.classifier.save(tmp_path / "run" / "model")
    with pytest.raises(SystemExit) as ended:
        main(["export", str(tmp_path / "run"), "--format", "fpga"])
    assert ended.value.code in (0, None)
    said = capsys.readouterr().out
    assert f"The simulated logits of {COMPARED:,} events are bit-identical to those of tamis." in said
    assert "EBOPs" in said
    folder = tmp_path / "run" / "fpga"
    assert {path.name for path in folder.iterdir()} == {
        "boundary.json", "classifier.keras", "classifier.qonnx.onnx", "hls4ml", "inputs.npy", "logits.npy",
    }  # fmt: skip
    assert (folder / "hls4ml" / "firmware" / "classifier.cpp").is_file()
    texts = [path.read_text() for path in (folder / "hls4ml").glob("*.yml")]
    assert texts
    assert not [text for text in texts if f".{folder.name}." in text]
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")] == []


@pytest.mark.fpga
def test_every_rounding_goes_through_both_ways_to_cpp(
    tools: None, make_classifier: Make, make_events: Make, tmp_path: Path
) -> None:
    del tools
    classifier = make_classifier(ROUNDED, quantized_output={}).with_reference(make_events(5))
    classifier.save(tmp_path / "model")
    found = export_fpga(tmp_path / "model")
    assert found.events == COMPARED
    inputs, logits = (np.load(found.folder / name) for name in ("inputs.npy", "logits.npy"))
    assert len(np.unique(logits)) > 100
    np.testing.assert_array_equal(_through_qonnx(found.folder, tmp_path / "project", inputs), logits)


def _through_qonnx(folder: Path, project: Path, inputs: np.ndarray) -> np.ndarray:
    """Have hls4ml read the QONNX file, and g++ compile what it writes, in a process of its own."""
    import subprocess
    import sys

    program = """
import sys
import numpy as np
from hls4ml.converters import convert_from_onnx_model
from hls4ml.utils import config_from_onnx_model
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model
model, project, given, found = sys.argv[1:]
cleaned = cleanup_model(ModelWrapper(model))
settings = config_from_onnx_model(cleaned, "name", backend="Vitis", default_precision="fixed<32,12>")
made = convert_from_onnx_model(cleaned, output_dir=project, backend="Vitis", hls_config=settings)
made.compile()
np.save(found, made.predict(np.load(given)))
"""
    names = (folder / "classifier.qonnx.onnx", project, folder / "inputs.npy", project.with_suffix(".npy"))
    command = [sys.executable, "-W", "ignore", "-c", program, *map(str, names)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return np.load(names[-1]).reshape(len(inputs), -1)


@pytest.mark.parametrize(
    ("part", "what"), [(SIMULATED, r"the C\+\+ of hls4ml"), (INTERPRETED, "the interpreter of QONNX")]
)
def test_other_bits_are_not_exported(
    part: str,
    what: str,
    make_classifier: Make,
    make_events: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = make_classifier(ROUNDED[:1], quantized_output={}).with_reference(make_events(5))
    classifier.save(tmp_path / "model")

    def wrong_in_one_bit(_: Path, folder: Path) -> None:
        logits = np.load(folder / EXPECTED)
        for name in (SIMULATED, INTERPRETED):
            np.save(folder / name, logits)
        changed = logits.copy()
        changed[77, 1] += 1 / 64
        np.save(folder / part, changed)

    monkeypatch.setattr(fpga_files, "_require_tools", lambda: None)
    monkeypatch.setattr(fpga_files, "_run_translation", wrong_in_one_bit)
    wanted = rf"the logits of {what} differ from those of tamis for 1 of 10000 events, by up to 0\.0156"
    with pytest.raises(ExportError, match=wanted):
        export_fpga(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_extra_is_asked_for(
    make_classifier: Make, make_events: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_classifier(ROUNDED[:1], quantized_output={}).with_reference(make_events(5)).save(tmp_path / "model")
    monkeypatch.setattr(fpga_files, "find_spec", lambda _: None)
    with pytest.raises(RequestError):
        export_fpga(tmp_path / "model")
    monkeypatch.setattr(fpga_files, "find_spec", lambda name: name)
    monkeypatch.setattr(fpga_files.shutil, "which", lambda _: None)
    with pytest.raises(RequestError):
        export_fpga(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
