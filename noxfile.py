"""Sessions in environments of their own: versions that this project does not install itself.

`make runtimes`, `make fpga`, `make lowest` and `make pythons` run them; `nox --list` shows them.
"""

from __future__ import annotations

from pathlib import Path

import nox
from uv import find_uv_bin

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["runtime", "fpga", "lowest", "python"]

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
# tests that together touch every dependency: ROOT, Parquet, ONNX, figures, report, configuration, commands, estimator
SHORT_SUITE = [
    "tests/baselines/test_trees.py",
    "tests/classifier/test_classifier.py",
    "tests/cli/test_compilation_cache.py",
    "tests/cli/test_application.py",
    "tests/cli/test_summary.py",
    "tests/config/test_configuration.py",
    "tests/config/test_load.py",
    "tests/data/test_events.py",
    "tests/data/test_sources.py",
    "tests/export/test_onnx_writer.py::test_combinations_give_their_scores",
    "tests/export/test_onnx_files.py",
    "tests/expressions/test_columns.py",
    "tests/plots/test_book.py",
    "tests/plots/test_labels.py",
    "tests/report/test_vector.py",
    "tests/estimator/test_estimator.py::test_it_works_in_a_pipeline_and_in_a_search",
    "tests/training/test_optimizer.py",
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
    session.run(
        "pytest", "-q", "-m", "fpga", "tests/export/test_fpga_translation.py", env={"TAMIS_NEEDS_FPGA": "1"}
    )


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Run the demo and a short suite with the lowest versions that pyproject.toml allows."""
    install = (find_uv_bin(), "pip", "install", "--quiet", "--python", session.virtualenv.location)
    session.run(
        *install, "--resolution", "lowest-direct", "--editable", ".", "--group", "test", external=True
    )
    run_short_suite(session)


@nox.session(python=["3.12", "3.13"])
def python(session: nox.Session) -> None:
    """Run the demo and a short suite with another version of Python."""
    session.install("--editable", ".", "--group", "test")
    run_short_suite(session)


def run_short_suite(session: nox.Session) -> None:
    """Run the demo with few events, and the short suite."""
    command = ("python", "-W", "error", "-m", "tamis", "demo", "--events", "2000")
    session.run(*command, "--output", f"{session.create_tmp()}/demo", "--overwrite", silent=True)
    # other versions of libraries and of Python have other words in some messages
    session.run("pytest", "-q", "-p", "no:shared.messages", *SHORT_SUITE)
