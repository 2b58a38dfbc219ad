"""The simulated sample: its densities are normalised, its events follow them, its files are whole."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import log_softmax

from tamis.data import simulate
from tamis.data.simulate import PROCESSES, WorkshopProcess, compute_log_density, simulate_events, write_sample
from tamis.errors import RequestError, TamisError

BRANCHES = ["pt", "mass", "eta", *(f"log_density_{process.name}" for process in PROCESSES)]

by_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)


def gauss_legendre(*edges: float, nodes: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on pieces between edges, so that a kink may lie on an edge."""
    node, weight = np.polynomial.legendre.leggauss(nodes)
    pieces = [((b - a) / 2 * node + (a + b) / 2, (b - a) / 2 * weight) for a, b in pairwise(edges)]
    return np.concatenate([piece[0] for piece in pieces]), np.concatenate([piece[1] for piece in pieces])


def marginal_grid(process: WorkshopProcess, name: str) -> np.ndarray:
    ends = {"pt": (0.0, process.pt_scale), "mass": (0.0, process.mass_peak + 9), "eta": (-9.0, 9.0)}
    return np.linspace(*ends[name], 20_001)


def marginal_cumulative(process: WorkshopProcess, name: str, values: np.ndarray) -> np.ndarray:
    """Cumulative distribution of one variable, from the density along one line through the others."""
    grid = marginal_grid(process, name)
    line = {"pt": np.array(1.0), "mass": np.array(process.mass_peak), "eta": np.array(0.0)} | {name: grid}
    density = np.exp(compute_log_density(process, **line))
    steps = (density[1:] + density[:-1]) / 2 * np.diff(grid)
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(np.interp(values, grid, cumulative / cumulative[-1]))


@by_process
def test_density_integrates_to_one(process: WorkshopProcess) -> None:
    pt, pt_weight = gauss_legendre(0.0, process.pt_scale, nodes=20)
    kink = process.mass_peak - process.mass_tail_start * process.mass_width
    mass, mass_weight = gauss_legendre(0.0, kink, process.mass_peak + 9 * process.mass_width, nodes=40)
    eta, eta_weight = gauss_legendre(-10.0, 0.0, 1.0, 10.0, nodes=40)
    density = np.exp(compute_log_density(process, pt[:, None, None], mass[None, :, None], eta[None, None, :]))
    integral = np.einsum("ijk,i,j,k", density, pt_weight, mass_weight, eta_weight)
    assert integral == pytest.approx(1.0, abs=1e-6)


@by_process
@pytest.mark.parametrize("name", ["pt", "mass", "eta"])
def test_events_follow_the_density(process: WorkshopProcess, name: str) -> None:
    events = simulate_events(process, 100_000, np.random.default_rng(7))
    result = stats.kstest(marginal_cumulative(process, name, events[name]), "uniform")
    assert result.pvalue > 1e-3


@by_process
def test_variables_are_independent(process: WorkshopProcess) -> None:
    events = simulate_events(process, 100_000, np.random.default_rng(8))
    correlation = stats.spearmanr(
        np.stack([events[name] for name in ("pt", "mass", "eta")], axis=1)
    ).statistic
    assert np.abs(correlation - np.eye(3)).max() < 5 / np.sqrt(100_000)


@given(
    index=st.integers(0, len(PROCESSES) - 1),
    pt=st.floats(-10, 120),
    mass=st.floats(-10, 60),
    eta=st.floats(-6, 6),
)
@settings(deadline=None)
def test_density_is_the_product_of_known_shapes(index: int, pt: float, mass: float, eta: float) -> None:
    process = PROCESSES[index]
    crystal_ball = stats.crystalball(
        process.mass_tail_start, process.mass_tail_power, loc=process.mass_peak, scale=process.mass_width
    )
    in_eta = np.mean([stats.norm.pdf(eta, process.eta_mean, width) for width in process.eta_widths])
    in_mass = crystal_ball.pdf(mass) / crystal_ball.sf(0) if mass >= 0 else 0.0
    in_pt = stats.beta.pdf(pt, 1, process.pt_power, scale=process.pt_scale)
    expected = in_pt * in_mass * in_eta
    assert np.exp(compute_log_density(process, pt, mass, eta)) == pytest.approx(
        expected, rel=1e-9, abs=1e-300
    )


@pytest.mark.parametrize(("pt", "mass"), [(-0.1, 10.0), (50.0, 10.0), (80.0, 10.0), (1.0, -0.1)])
def test_density_is_zero_where_no_event_can_be(pt: float, mass: float) -> None:
    assert compute_log_density(PROCESSES[0], pt, mass, 0.0) == -np.inf


@given(number=st.integers(0, 300), seed=st.integers(0, 2**32), index=st.integers(0, len(PROCESSES) - 1))
@settings(deadline=None)
def test_events_carry_their_densities(number: int, seed: int, index: int) -> None:
    events = simulate_events(PROCESSES[index], number, np.random.default_rng(seed))
    assert list(events) == BRANCHES
    assert all(values.shape == (number,) and values.dtype == np.float64 for values in events.values())
    assert np.isfinite(events[f"log_density_{PROCESSES[index].name}"]).all()
    for process in PROCESSES:
        expected = compute_log_density(process, events["pt"], events["mass"], events["eta"])
        np.testing.assert_array_equal(events[f"log_density_{process.name}"], expected)


class Constant(np.random.Generator):
    """A generator whose uniform numbers are all the same."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(1))
        self.value = value

    def random(self, size: int) -> np.ndarray:  # type: ignore[override]
        return np.full(size, self.value)


@by_process
@pytest.mark.parametrize("uniform", [0.0, 2.0**-53, 0.5, 1 - 2.0**-53])
def test_extreme_draws_stay_where_the_density_is_positive(process: WorkshopProcess, uniform: float) -> None:
    events = simulate_events(process, 3, Constant(uniform))
    assert all(np.isfinite(events[f"log_density_{process.name}"]))


def test_exact_classifier_reaches_the_known_log_loss() -> None:
    generator = np.random.default_rng(11)
    log_scores = []
    for process in PROCESSES:
        events = simulate_events(process, 100_000, generator)
        columns = [events[f"log_density_{density.name}"] for density in PROCESSES]
        log_scores.append(log_softmax(np.stack(columns, axis=1), axis=1))
    loss = -np.mean([scores[:, index].mean() for index, scores in enumerate(log_scores)])
    # 0.1960 +- 0.0003 from 6 x 10^6 events; the loss of 3 x 10^5 events scatters by 0.0011
    assert loss == pytest.approx(0.1960, abs=0.004)
    # calibrated: the mean score of a class is its share of the events
    np.testing.assert_allclose(np.exp(np.concatenate(log_scores)).mean(axis=0), 1 / 3, atol=0.002)


def test_negative_number_is_refused() -> None:
    with pytest.raises(RequestError):
        simulate_events(PROCESSES[0], -1, np.random.default_rng(1))


@pytest.mark.parametrize(
    "change",
    [
        {"mass_width": 0.0},
        {"mass_tail_power": 1.0},
        {"pt_scale": -1.0},
        {"eta_widths": ()},
        {"eta_widths": (1.0, 0.0)},
    ],
    ids=str,
)
def test_impossible_densities_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        replace(PROCESSES[0], **change)  # type: ignore[arg-type]


def read(path: Path) -> dict[str, np.ndarray]:
    with uproot.open(path) as file:
        return dict(file["tree"].arrays(library="np"))


def test_files_hold_what_is_simulated(tmp_path: Path) -> None:
    paths = write_sample(tmp_path / "new" / "folder", events=1000, seed=5)
    assert [path.name for path in paths] == ["bkg1_Events.root", "bkg2_Events.root", "sig_Events.root"]
    children = np.random.SeedSequence(5).spawn(len(PROCESSES))
    for process, child, path in zip(PROCESSES, children, paths, strict=True):
        expected = simulate_events(process, 1000, np.random.default_rng(child))
        columns = read(path)
        assert list(columns) == BRANCHES
        for branch in BRANCHES:
            np.testing.assert_array_equal(columns[branch], expected[branch])


def test_files_hold_a_tree_of_doubles(tmp_path: Path) -> None:
    path = write_sample(tmp_path, events=10, seed=5)[0]
    with uproot.open(path) as file:
        assert file.classnames() == {"tree;1": "TTree"}
        assert set(file["tree"].typenames().values()) == {"double"}
        assert file.file.compression == uproot.ZSTD(3)


def test_same_seed_same_events_other_seed_other_events(tmp_path: Path) -> None:
    first, same_seed, other_seed = (
        read(write_sample(tmp_path / name, events=100, seed=seed)[2])["mass"]
        for name, seed in [("one", 1), ("same", 1), ("other", 2)]
    )
    np.testing.assert_array_equal(first, same_seed)
    assert not np.isin(first, other_seed).any()


def test_blocks_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "BLOCK", 40)
    columns = read(write_sample(tmp_path, events=100, seed=1)[0])
    assert len(columns["mass"]) == len(np.unique(columns["mass"])) == 100


def test_existing_files_are_kept_unless_asked(tmp_path: Path) -> None:
    existing = tmp_path / "sig_Events.root"
    existing.write_text("mine")
    with pytest.raises(RequestError):
        write_sample(tmp_path, events=10, seed=1)
    assert existing.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [existing]
    write_sample(tmp_path, events=10, seed=1, overwrite=True)
    assert len(read(existing)["mass"]) == 10


def test_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, *_: object) -> None:
        path.write_text("half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(simulate, "_write_file", full_disk)
    with pytest.raises(TamisError):
        write_sample(tmp_path, events=10, seed=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("events", "seed", "number"), [(0, 1, "0"), (-5, 1, "-5"), (10, -1, "-1")])
def test_impossible_requests_are_refused(tmp_path: Path, events: int, seed: int, number: str) -> None:
    with pytest.raises(RequestError, match=number):
        write_sample(tmp_path / "folder", events=events, seed=seed)
    assert not (tmp_path / "folder").exists()


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "place"
    path.write_text("a file")
    with pytest.raises(RequestError):
        write_sample(path, events=10, seed=1)


def test_a_sample_larger_than_the_disk_is_refused_before_the_first_event(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        write_sample(tmp_path / "new", events=10**12, seed=1)
    assert not (tmp_path / "new").exists()
