"""Sessions in environments of their own: versions that this project does not install itself.

`make runtimes` runs them; `nox --list` shows them.
"""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["runtime", "fpga"]

CASES = Path("build/cases")
# the Python that each version of ONNX Runtime has packages for
RUNTIMES = [
    ("3.9", "1.10.0"),
    ("3.10", "1.14.1"),
    ("3.11", "1.15.1"),
    ("3.11", "1.17.1"),
    ("3.11", "1.20.1"),
    ("3.11", "newest"),
]


@nox.session
@nox.parametrize(("python", "onnxruntime"), RUNTIMES, ids=[version for _, version in RUNTIMES])
def runtime(session: nox.Session, onnxruntime: str) -> None:
    """Score exported models of all kinds, with the scores that they should have, in one version of ONNX Runtime."""
    if not (CASES / "cases.json").is_file():
        session.error("there are no cases; `make runtimes` writes them")
    wanted = "onnxruntime" if onnxruntime == "newest" else f"onnxruntime=={onnxruntime}"
    # versions before 1.19 were built for the first NumPy
    numpy = "numpy" if onnxruntime in ("newest", "1.20.1") else "numpy<2"
    session.install(wanted, numpy)
    session.run("python", "tests/runtimes/score.py", str(CASES))


@nox.session
def fpga(session: nox.Session) -> None:
    """Translate quantized networks for FPGAs, have g++ compile the C++, and compare it with tamis bit by bit."""
    session.install("--editable", ".[fpga]", "pytest", "hypothesis")
    session.run("pytest", "-q", "-m", "fpga", "tests/deploy/test_fpga.py", env={"TAMIS_NEEDS_FPGA": "1"})
