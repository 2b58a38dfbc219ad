"""Simulated samples with known densities: the three processes of a workshop, in mass, pt and eta.

The three variables are independent within a process, so the density of an event is a product:

    p(pt, mass, eta) = CrystalBall(mass | mass > 0) * Beta(1, k)(pt / scale) / scale * mixture of Normals(eta)

The Bayes-optimal score of a class is its density divided by the sum of all densities. Every simulated event has its
log-density under each process, as spectators.

The parameters are rounded maximum-likelihood estimates from the events of the Offshell Workshop tutorials (LPC, 2024).
Their masses end at zero, so the Crystal Ball is truncated there and normalised to the remaining range; a fit without
truncation overestimates the tail. With equal numbers of events of each process, the log-loss of the Bayes optimum is
0.196.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tamis.arrays import Float64
from tamis.errors import RequestError, TamisError
from tamis.files import complete_file
from tamis.paths import check_writable, compute_free_space, explain_os_error
from tamis.wording import format_size

TREE = "tree"
"""Name of the tree in the output files."""

BLOCK = 1_000_000
"""Number of events that are simulated and written at a time, so that memory does not grow with the sample."""

_BYTES_PER_EVENT = 46  # six numbers of 8 bytes, compressed


@dataclass(frozen=True)
class WorkshopProcess:
    """The densities of one process.

    Args:
        name: the class, and the start of the file name.
        mass_peak: peak of the Crystal Ball [GeV].
        mass_width: width of its Gaussian part [GeV].
        mass_tail_start: distance from the peak down to the power-law tail, in widths (beta).
        mass_tail_power: power of the tail (m); larger than one.
        pt_scale: upper end of the transverse momentum [GeV].
        pt_power: `k` of Beta(1, k): the density falls like (1 - pt / scale)^(k - 1).
        eta_mean: common mean of the Normals in pseudorapidity.
        eta_widths: widths of the Normals, which have equal weights.
    """

    name: str
    mass_peak: float
    mass_width: float
    mass_tail_start: float
    mass_tail_power: float
    pt_scale: float
    pt_power: float
    eta_mean: float
    eta_widths: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that every density can be normalised."""
        positive = (self.mass_width, self.mass_tail_start, self.pt_scale, self.pt_power, *self.eta_widths)
        if not self.eta_widths or min(positive) <= 0 or self.mass_tail_power <= 1:
            raise RequestError(
                f"process {self.name!r}: widths, scales and powers must be positive, the mass tail's power "
                f"above 1, and eta needs at least one width; found {self}"
            )


PROCESSES = (
    WorkshopProcess("bkg1", 10.0, 1.0, 0.96, 2.2, 50.0, 3.0, 0.0, (1.0,)),
    WorkshopProcess("bkg2", 20.0, 1.0, 0.99, 5.0, 100.0, 6.0, 0.0, (1.0,)),
    WorkshopProcess("sig", 15.0, 1.0, 1.0, 3.0, 70.0, 4.5, 0.5, (0.34, 0.89)),
)
"""The two backgrounds and the signal of the workshop."""


def compute_log_density(process: WorkshopProcess, pt: ArrayLike, mass: ArrayLike, eta: ArrayLike) -> Float64:
    """Compute the logarithm of the normalised density [1 / GeV^2] of events under a process, for pt and mass in GeV.

    It is minus infinity for a mass below zero, and for a pt below zero or above its scale.

    >>> background, _, signal = PROCESSES
    >>> bool(compute_log_density(signal, 20.0, 15.0, 0.5) > compute_log_density(background, 20.0, 15.0, 0.5))
    True
    """
    fraction = np.asarray(pt, np.float64) / process.pt_scale
    outside = (fraction < 0) | (fraction >= 1)
    log_complement = np.log1p(-np.where(outside, 0.0, fraction))
    inside = np.log(process.pt_power / process.pt_scale) + (process.pt_power - 1) * log_complement
    log_pt = np.where(outside, -np.inf, inside)

    masses, shape = np.asarray(mass, np.float64), _crystal_ball(process)
    log_mass = np.where(masses < 0, -np.inf, shape.logpdf(masses) - shape.logsf(0.0))

    distance = np.asarray(eta, np.float64) - process.eta_mean
    normals = [-0.5 * (distance / width) ** 2 - np.log(width) for width in process.eta_widths]
    log_eta = np.logaddexp.reduce(normals, axis=0) - np.log(len(normals) * np.sqrt(2 * np.pi))
    return np.asarray(log_pt + log_mass + log_eta, np.float64)


def simulate_events(
    process: WorkshopProcess, number: int, generator: np.random.Generator
) -> dict[str, Float64]:
    """Draw a number of events, not negative (`RequestError`), of one process by inverting the cumulative distributions.

    The branches are `pt` [GeV], `mass` [GeV], `eta` and, for each process, `log_density_<name>`, [number] each.

    >>> events = simulate_events(PROCESSES[0], 5, np.random.default_rng(1))
    >>> list(events)
    ['pt', 'mass', 'eta', 'log_density_bkg1', 'log_density_bkg2', 'log_density_sig']
    >>> bool((events["mass"] >= 0).all())
    True
    """
    if number < 0:
        raise RequestError(f"the number of events is {number}; it must not be negative")
    pt = -process.pt_scale * np.expm1(np.log1p(-generator.random(number)) / process.pt_power)
    crystal_ball = _crystal_ball(process)
    below_zero = crystal_ball.cdf(0.0)
    mass = np.asarray(crystal_ball.ppf(below_zero + (1 - below_zero) * generator.random(number)), np.float64)
    mass = np.maximum(mass, 0.0)  # at probability zero, rounding may give a value slightly below zero
    widths = generator.choice(process.eta_widths, number)
    eta = process.eta_mean + widths * generator.standard_normal(number)
    log_densities = {
        f"log_density_{density.name}": compute_log_density(density, pt, mass, eta) for density in PROCESSES
    }
    return {"pt": pt, "mass": mass, "eta": eta, **log_densities}


def write_sample(
    folder: Path, *, events: int, seed: int, overwrite: bool = False, option: str = "folder"
) -> list[Path]:
    """Simulate the events of each process, and write one ROOT file each, `<name>_Events.root`, into a folder.

    Every process has its own child of the seed, so its events do not depend on the other processes. The files get their
    names only when all of them are complete. Messages say how the user chooses another output (`option`).

    Raises:
        RequestError: the number or the seed is invalid, the disk has too little space, the folder cannot be created, or
            a file exists.
        TamisError: the files cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     [path.name for path in write_sample(Path(folder), events=10, seed=1)]
    ['bkg1_Events.root', 'bkg2_Events.root', 'sig_Events.root']
    """
    if events < 1:
        raise RequestError(f"the number of events of each process is {events}; it must be at least 1")
    if seed < 0:
        raise RequestError(f"the seed is {seed}; it must not be negative")
    paths = [Path(folder) / f"{process.name}_Events.root" for process in PROCESSES]
    _check_output(Path(folder), paths, events, overwrite=overwrite, option=option)
    children = np.random.SeedSequence(seed).spawn(len(PROCESSES))
    try:
        with ExitStack() as complete:
            for process, child, path in zip(PROCESSES, children, paths, strict=True):
                temporary = complete.enter_context(complete_file(path))
                _write_file(temporary, process, events, np.random.default_rng(child))
    except OSError as error:
        raise TamisError(explain_os_error(error, "" if error.filename else str(folder))) from error
    return paths


def _crystal_ball(process: WorkshopProcess) -> Any:
    """Return the Crystal Ball before truncation at zero, as SciPy's frozen distribution.

    Source: J. E. Gaiser, SLAC-R-255 (1982), appendix F.
    """
    from scipy.stats import crystalball

    return crystalball(
        process.mass_tail_start, process.mass_tail_power, loc=process.mass_peak, scale=process.mass_width
    )


def _write_file(path: Path, process: WorkshopProcess, events: int, generator: np.random.Generator) -> None:
    import uproot

    branches = ["pt", "mass", "eta", *(f"log_density_{process.name}" for process in PROCESSES)]
    with uproot.recreate(path, compression=uproot.ZSTD(3)) as file:
        tree = file.mktree(TREE, dict.fromkeys(branches, "float64"))
        for first in range(0, events, BLOCK):
            tree.extend(simulate_events(process, min(BLOCK, events - first), generator))


def _check_output(folder: Path, paths: list[Path], events: int, *, overwrite: bool, option: str) -> None:
    """Check that the files can be written, and create the folder."""
    blocking = next((path for path in paths if path.is_dir()), None)
    if blocking is not None:
        raise RequestError(f"cannot write {blocking}, because it is a folder; choose another {option}")
    existing = [str(path) for path in paths if path.exists()]
    if existing and not overwrite:
        verb = "exists" if len(existing) == 1 else "exist"
        raise RequestError(
            f"{', '.join(existing)} {verb} already; replace with --overwrite, or choose another {option}"
        )
    needed, available = _BYTES_PER_EVENT * events * len(PROCESSES), compute_free_space(folder)
    if needed > available:
        raise RequestError(
            f"{events:,} events of each of {len(PROCESSES)} processes need about {format_size(needed)}, but the "
            f"disk of {folder} has only {format_size(available)} left; simulate fewer with --events, or choose another "
            "folder"
        )
    check_writable(paths[0], "choose another folder", name=folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot create the folder {folder} ({error.strerror}); choose another folder"
        raise RequestError(message) from error
