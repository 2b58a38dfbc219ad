"""What all tests share: strict JAX, small ROOT files, a small configuration, rates of toys, a browser."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

# Commands that tests start get the environment of a user. Variables of a developer's shell change what Python and
# terminals do: with PYTHONUNBUFFERED=1, for example, output is never lost in a buffer.
for name in [name for name in os.environ if name.startswith("PYTHON") and name != "PYTHONPATH"]:
    del os.environ[name]
for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TAMIS_CACHE", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)


@pytest.hookimpl(trylast=True)  # Hypothesis allows strategies after its own
def pytest_sessionstart(session: pytest.Session) -> None:
    """Set up JAX and Hypothesis, except in the process that only distributes tests among workers."""
    if session.config.pluginmanager.hasplugin("dsession"):
        return
    import hypothesis
    import jax

    jax.config.update("jax_numpy_rank_promotion", "raise")
    hypothesis.settings.register_profile("tamis", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("tamis")
    hypothesis.strategies.text().validate()  # lists all characters, once: 200 MiB, which are free again for the tests


WriteTree = Callable[..., Path]
Once = Callable[[str, Callable[[Path], None]], Path]


MINIMAL_CONFIG = """\
samples:
  - {name: background, class: bkg, files: background.root}
  - {name: signal, class: sig, files: signal.root}
classes:
  bkg:
  sig: {signal: true}
features: [pt, mass]
"""


@pytest.fixture(scope="session")
def minimal() -> str:
    """The shortest complete configuration: seven lines."""
    return MINIMAL_CONFIG


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Return a function that fills a folder once for all workers: the first that needs it fills it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, write: Callable[[Path], None]) -> Path:
        folder, made = shared / name, shared / f"{name}.made"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                write(folder)
                made.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def demo_folder(once: Once) -> Path:
    """Run the demo with few events; return the folder with `runs/demo` and its printed lines in `output.txt`."""

    def run(folder: Path) -> None:
        command = [sys.executable, "-W", "error", "-m", "tamis", "demo", "--events", "3000"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (folder / "output.txt").write_text(done.stdout)

    return once("demo", run)


@pytest.fixture(scope="session", autouse=True)
def compiled_programs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the programs that commands compile out of the user's cache; commands of one session share them."""
    os.environ["TAMIS_CACHE"] = str(tmp_path_factory.mktemp("compiled"))


def tree_writer(folder: Path) -> WriteTree:
    """Give a function that writes ROOT files with one TTree; columns may be NumPy or awkward arrays."""

    def write(name: str, columns: Mapping[str, Any], tree: str = "tree") -> Path:
        import uproot

        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        types = {
            key: values.dtype if isinstance(values, np.ndarray) else values.type.content
            for key, values in columns.items()
        }
        with uproot.recreate(path) as file:
            made = file.mktree(tree, types)
            if len(next(iter(columns.values()))):
                made.extend(dict(columns))
        return path

    return write


def two_class_maker(write_tree: WriteTree) -> Callable[..., dict[str, Any]]:
    """Return a function that writes a background and a signal that differ in x, with a quick configuration.

    Drawing takes longer than all the rest of a small run: a test of figures names its run `drawn`.
    """

    def make(events: int = 600, **changes: Any) -> dict[str, Any]:
        rng = np.random.default_rng(5)
        for name, shift in (("bkg", 0.0), ("sig", 1.5)):
            columns = {
                "x": rng.normal(shift, 1, events),
                "y": rng.normal(0, 1, events),
                "w": rng.uniform(0.5, 1.5, events),
                "event": np.arange(events, dtype=np.int64),
            }
            path = write_tree(f"{name}.root", columns)
        config = {
            "name": "small",
            "data": str(path.parent),
            "samples": [
                {"name": "bkg", "class": "bkg", "files": "bkg.root"},
                {"name": "sig", "class": "sig", "files": "sig.root"},
            ],
            "classes": {"bkg": {}, "sig": {"signal": True}},
            "features": ["x", "y"],
            "network": {"layers": [{"nodes": 4}]},
            "training": {"epochs": 3, "batch_size": 64},
            **changes,
        }
        return config if config["name"] == "drawn" else {"report": {"figures": False}, **config}

    return make


@pytest.fixture
def write_tree(tmp_path: Path) -> WriteTree:
    return tree_writer(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def stay_in_this_process() -> Iterator[None]:
    """Draw and check ONNX models in this process: starting another one takes a second or two."""

    def check_files(*models: Path) -> None:
        import onnx

        for path in models:
            onnx.checker.check_model(str(path), full_check=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tamis.export.onnx_files.check_files", check_files)
        for module in ("training", "drawing"):
            patch.setattr(f"tamis.cli.{module}.drawing_processes", nullcontext)
        yield


@pytest.fixture
def inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process, in an empty folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        from tamis.cli import main

        with pytest.raises(SystemExit) as ended:
            main(arguments)
        output = capsys.readouterr()
        assert "--debug" in arguments or "Traceback" not in output.err
        return int(ended.value.code or 0), output.out, output.err

    return run


@pytest.fixture
def two_classes(write_tree: WriteTree) -> Callable[..., dict[str, Any]]:
    return two_class_maker(write_tree)


@pytest.fixture(scope="session")
def module_classes(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """The same as `two_classes`; each call writes to a folder of its own."""

    def make(events: int = 600, **changes: Any) -> dict[str, Any]:
        return two_class_maker(tree_writer(tmp_path_factory.mktemp("classes")))(events, **changes)

    return make


def timeless(folder: Path) -> tuple[bytes, Any, Any]:
    """Give the weights, the metrics and the histories of a run without its times."""
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics.pop("timing")
    history = json.loads((folder / "history.json").read_text())
    members = history["members"]
    for member in members:
        for epoch in member["epochs"]:
            epoch.pop("seconds")
    return (folder / "model" / "weights.safetensors").read_bytes(), metrics, members


@pytest.fixture(scope="session")
def equal_runs() -> Callable[[Path, Path], None]:
    """Give what asserts that weights, history and metrics of two runs are the same, bit by bit."""

    def check(first: Path, second: Path) -> None:
        for one, other in zip(timeless(first), timeless(second), strict=True):
            assert one == other

    return check


@dataclass(frozen=True)
class SimulatedEvents:
    """Scored events of any number of classes, for figures."""

    values: NDArray[np.float64]
    scores: NDArray[np.float64]
    class_index: NDArray[np.int64]
    weight: NDArray[np.float64]


def simulate(seed: int, classes: int = 3, events: int = 3000) -> SimulatedEvents:
    random = np.random.default_rng(seed)
    class_index = np.arange(events) % classes
    values = random.normal(size=(events, classes)) + 1.5 * np.eye(classes)[class_index]
    scores = np.exp(1.5 * values)
    weight = np.where(random.random(events) < 0.1, -1.0, 1.0) * (1.0 + class_index)
    return SimulatedEvents(values, scores / scores.sum(axis=1, keepdims=True), class_index, weight)


@pytest.fixture
def events_of() -> Callable[..., SimulatedEvents]:
    return simulate


CHANCE = 1e-6
"""Probability that correct code fails one comparison of a rate: a hundred comparisons fail once in 10^4 suites."""
POWER = 0.99
"""Probability with which the defects that a test states are found."""


@cache
def accepted_counts(trials: int, low: float, high: float) -> tuple[int, int]:
    """Give the fewest and the most successes that a rate between `low` and `high` has but for `CHANCE`."""
    from scipy import stats

    fewest = int(stats.binom.ppf(CHANCE / 2, trials, low))
    return fewest, int(stats.binom.isf(CHANCE / 2, trials, high))


@cache
def rates_found(trials: int, low: float, high: float) -> tuple[float | None, float | None]:
    """Give the rates below and above the accepted ones that fail with probability `POWER`, to the next per cent."""
    from scipy import stats

    fewest, most = accepted_counts(trials, low, high)
    rates = np.arange(101) / 100
    below = rates[(stats.binom.cdf(fewest - 1, trials, rates) >= POWER) & (rates < low)]
    above = rates[(stats.binom.sf(most, trials, rates) >= POWER) & (rates > high)]
    return (float(below.max()) if len(below) else None), (float(above.min()) if len(above) else None)


@dataclass(frozen=True)
class Rates:
    """Compares how often something happens in toys with how often it should, by exact binomial bounds.

    The seeds of the toys are fixed, so that a test gives the same answer each time; the bounds say how likely it is
    that a change of the random numbers alone makes it fail. `benchmarks/coverage.py` runs the same tests with many more
    toys and writes the rates down instead of comparing them.
    """

    test: str
    factor: int
    record: Path | None

    def toys(self, number: int) -> int:
        """Give the number of toys: this one, or a multiple of it where the rates are measured."""
        return number * self.factor

    def check(
        self,
        successes: Any,
        trials: int,
        rate: float | tuple[float, float],
        *,
        finds: tuple[float | None, float | None],
        what: str = "",
    ) -> None:
        """Compare counts of successes with a rate, or with any rate between two.

        Args:
            successes: a count, or several of the same number of trials.
            trials: how many there were.
            rate: what is expected.
            finds: the nearest rates below and above, in per cent steps, that this test finds with a probability of
                99%; None where it finds none. They are a statement for readers, and are compared with what is true.
            what: is counted, for the record.
        """
        low, high = rate if isinstance(rate, tuple) else (rate, rate)
        counts = [int(count) for count in np.atleast_1d(successes)]
        if self.record is not None:
            line = {
                "test": self.test,
                "what": what,
                "expected": [low, high],
                "trials": trials,
                "counts": counts,
            }
            with self.record.open("a") as file:
                file.write(json.dumps(line) + "\n")
            return
        assert finds == rates_found(trials, low, high)
        fewest, most = accepted_counts(trials, low, high)
        assert all(fewest <= count <= most for count in counts), (
            f"{counts} of {trials}, expected {fewest} to {most} for a rate of {rate}"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where rates are measured, run what measures rates and nothing else."""
    if "TAMIS_RATES" in os.environ:
        left_out = [item for item in items if "rates" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


NOBODY = 65534


@pytest.fixture
def unprivileged() -> Iterator[tuple[Path, Callable[[], AbstractContextManager[None]]]]:
    """Give a folder, and a context in which the process may not write where permissions forbid it, also as root.

    The folder belongs to the user of the context, and lies where that user can go, as `tmp_path` of root does not.
    """

    @contextmanager
    def lowered() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.setresuid(NOBODY, NOBODY, 0)  # the saved one leads back
        try:
            yield
        finally:
            os.setresuid(0, 0, 0)

    with TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name), lowered
        Path(name).chmod(0o700)


@pytest.fixture
def rates(request: pytest.FixtureRequest) -> Rates:
    """Give what compares rates of toys with expected ones."""
    record = os.environ.get("TAMIS_RATES")
    factor = int(os.environ.get("TAMIS_TOYS", "1")) if record else 1
    return Rates(request.node.nodeid, factor, Path(record) if record else None)


COUNTS = Path(__file__).parents[1] / "build" / "faults"


@pytest.fixture(name="record", scope="session")
def recorder() -> Callable[[str, dict[str, Any]], None]:
    """Return a function that keeps the counts of a long form, from where the page of reliability takes them."""

    def record(name: str, counts: dict[str, Any]) -> None:
        COUNTS.mkdir(parents=True, exist_ok=True)
        (COUNTS / f"{name}.json").write_text(json.dumps(counts, indent=1) + "\n")

    return record


@pytest.fixture(scope="session")
def hepdata_problems() -> Callable[[Path], str]:
    """Return what HEPData's own validator says of the folder of a submission; nothing where it takes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a library of the validator
        from hepdata_validator.full_submission_validator import FullSubmissionValidator

    def check(folder: Path) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", ResourceWarning)  # it closes no file
            validator = FullSubmissionValidator()
            if validator.validate(directory=str(folder)):
                return ""
        return str(validator.get_messages() or "refused")

    return check


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start Debian's chromium; `TAMIS_NEEDS_BROWSER=1` makes its absence an error."""
    program = shutil.which("chromium")
    if program is None:
        reason = "chromium is not installed (apt-get install chromium)"
        if os.environ.get("TAMIS_NEEDS_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def hostile_run(once: Callable[..., Path]) -> Path:
    """Train on three classes with hostile names, weights of both signs, missing values and a spectator."""
    return once("hostile", write_hostile_run) / "run"


def write_hostile_run(folder: Path) -> None:
    import uproot

    import tamis
    from tamis.runs.write import write_run

    rng = np.random.default_rng(3)
    samples: list[dict[str, Any]] = []
    classes = (HOSTILE, '"><b onclick="alert(2)">', "sig & Co")
    for number, name in enumerate(classes):
        n = 700
        columns = {
            "x": rng.normal(number, 1, n),
            "y": np.where(rng.random(n) < 0.1, -999, rng.normal(-number, 1, n)),
            "mass": rng.normal(100, 10, n),
            "w": rng.uniform(0.5, 1.5, n) * np.where(rng.random(n) < 0.1, -1, 1),
        }
        with uproot.recreate(folder / f"{number}.root") as file:
            file.mktree("tree", {key: values.dtype for key, values in columns.items()}).extend(columns)
        samples.append({"name": f"sample {number}", "class": name, "files": f"{number}.root", "weight": "w"})
    config = tamis.parse_config(
        {
            "name": "hostile",
            "data": str(folder),
            "samples": samples,
            "classes": {
                classes[0]: {},
                classes[1]: {"label": "</text><script>alert(3)</script>"},
                classes[2]: {"signal": True},
            },
            "features": [{"name": "<x>", "expression": "x"}, {"name": "y", "missing": -999}],
            "spectators": ["mass"],
            "network": {"layers": [{"nodes": 12}, {"nodes": 6, "type": "sparse", "density": 0.5}]},
            "training": {"epochs": 4, "batch_size": 64},
            "evaluation": {"baselines": ["xgboost", "logistic", "cuts"]},
        }
    )
    write_run(tamis.train(config), folder / "run")


def altered_copy(
    run: Path,
    folder: Path,
    *,
    noise: float = 0.0,
    drop: int = 0,
    config: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Copy a run as another training could have left it, with the hashes that belong to it.

    Args:
        run: a finished run.
        folder: the copy.
        noise: of the logarithms of the scores; with any the copy is a worse classifier.
        drop: test events that are left out.
        config: sections of the configuration with their new values.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    import yaml

    import tamis
    from tamis.config.dump import dump_config
    from tamis.files import add_hash, sha256, write_json
    from tamis.runs.layout import PROVENANCE

    shutil.copytree(run, folder)
    table = pq.read_table(folder / "scores.parquet")
    table = table.slice(drop)
    if noise:
        columns = [name for name in table.column_names if name.startswith("score_")]
        scores = np.stack([table[name].to_numpy() for name in columns], axis=1)
        scores = scores * np.exp(np.random.default_rng(5).normal(0, noise, scores.shape))
        scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
        for name, column in zip(columns, scores.T, strict=True):
            table = table.set_column(table.column_names.index(name), name, pa.array(column))
    pq.write_table(table, folder / "scores.parquet")
    document = yaml.safe_load((folder / "config.yaml").read_text())
    for section, values in (config or {}).items():
        document[section] = {**document[section], **values}
    (folder / "config.yaml").write_text(dump_config(tamis.parse_config(document)))
    provenance = json.loads((folder / PROVENANCE).read_text())
    for name in ("scores.parquet", "config.yaml"):
        provenance["outputs"][name] = sha256(folder / name)
    write_json(folder / PROVENANCE, add_hash(provenance))
    return folder


@pytest.fixture
def altered(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that makes an altered copy of a run under a name."""

    def make(run: Path, name: str, **changes: Any) -> Path:
        return altered_copy(run, tmp_path / "runs" / name, **changes)

    return make
