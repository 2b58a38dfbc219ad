"""The workshop's sample with known densities: three processes in mass, pt and eta.

The three variables are independent within a process, so the density of an event is a product:

    p(pt, mass, eta) = CrystalBall(mass | mass > 0) * Beta(1, k)(pt / scale) / scale * mixture of Normals(eta)

Because the densities are known, the best possible classifier is known too: the classes' densities, divided by
their sum. Every simulated event carries its log-density under each process, as spectators.

The shapes describe the events of the Offshell Workshop tutorials (LPC, 2024): maximum likelihood, rounded.
Their masses end at zero, so the Crystal Ball is cut there and normalised to what is left; fitted without the
cut, it puts too much into the tail. With as many events of each process, the best log-loss is 0.196.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.errors import RequestError, TamisError
from tamis.files import LONGER_WHILE_WRITTEN, complete_file
from tamis.places import disk_left, failure, obstacle
from tamis.wording import size

FloatArray = NDArray[np.float64]

TREE = "tree"
"""Name of the tree in the files that are written."""

BLOCK = 1_000_000
"""Events that are simulated and written at a time, so that memory does not grow with the sample."""

_BYTES_PER_EVENT = 46  # six numbers of 8 bytes, compressed


@dataclass(frozen=True)
class WorkshopProcess:
    """The densities of one process.

    Args:
        name: the class, and the first part of the file name.
        mass_peak: peak of the Crystal Ball [GeV].
        mass_width: width of its Gaussian part [GeV].
        mass_tail_start: distance below the peak, in widths, where the power-law tail takes over (beta).
        mass_tail_power: power of the tail (m); larger than one.
        pt_scale: upper end of the transverse momentum [GeV].
        pt_power: `k` of Beta(1, k): the density falls like (1 - pt / scale)^(k - 1).
        eta_mean: common mean of the Normals in pseudorapidity.
        eta_widths: widths of the Normals, which have equal shares.
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


def log_density(process: WorkshopProcess, pt: ArrayLike, mass: ArrayLike, eta: ArrayLike) -> FloatArray:
    """Compute the logarithm of the normalised density of events under a process.

    Args:
        process: whose density.
        pt: transverse momentum [GeV].
        mass: mass [GeV].
        eta: pseudorapidity; the three broadcast against each other.

    Returns:
        Logarithm of the density [1 / GeV^2]; minus infinity where the process has no events (mass below
        zero, pt outside zero to its scale).

    >>> background, _, signal = PROCESSES
    >>> bool(log_density(signal, 20.0, 15.0, 0.5) > log_density(background, 20.0, 15.0, 0.5))
    True
    """
    parts = (_log_pt(process, pt), _log_mass(process, mass), _log_eta(process, eta))
    return np.asarray(sum(parts), np.float64)


def simulate_events(
    process: WorkshopProcess, number: int, generator: np.random.Generator
) -> dict[str, FloatArray]:
    """Draw events of one process by inverting the cumulative distributions; nothing is rejected.

    Args:
        process: which process.
        number: how many events.
        generator: source of randomness; its state moves on.

    Returns:
        Branches `pt` [GeV], `mass` [GeV], `eta` and, for each process, `log_density_<name>`, [number] each.

    Raises:
        RequestError: the number is negative.

    >>> events = simulate_events(PROCESSES[0], 5, np.random.default_rng(1))
    >>> list(events)
    ['pt', 'mass', 'eta', 'log_density_bkg1', 'log_density_bkg2', 'log_density_sig']
    >>> bool((events["mass"] >= 0).all())
    True
    """
    if number < 0:
        raise RequestError(f"the number of events is {number}; it must not be negative")
    pt = -process.pt_scale * np.expm1(np.log1p(-generator.random(number)) / process.pt_power)
    mass = _mass_quantile(process, generator.random(number))
    widths = generator.choice(process.eta_widths, number)
    eta = process.eta_mean + widths * generator.standard_normal(number)
    known = {f"log_density_{each.name}": log_density(each, pt, mass, eta) for each in PROCESSES}
    return {"pt": pt, "mass": mass, "eta": eta, **known}


def write_sample(folder: Path, *, events: int, seed: int, overwrite: bool = False) -> list[Path]:
    """Simulate all processes and write one ROOT file each, `<name>_Events.root`.

    Every process draws from its own child of the seed, so its events do not depend on the other processes.
    The files get their names only once all of them are complete and on disk.

    Args:
        folder: where to write; it is made if it is not there.
        events: number of events of each process.
        seed: same seed, same events.
        overwrite: replace files that are there.

    Returns:
        The files, in the order of `PROCESSES`.

    Raises:
        RequestError: the number or the seed is impossible, the disk has no room for it, the folder cannot be made, or
            a file is there.
        TamisError: the files cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     [path.name for path in write_sample(Path(folder), events=10, seed=1)]
    ['bkg1_Events.root', 'bkg2_Events.root', 'sig_Events.root']
    """
    _check_request(events, seed)
    final = [Path(folder) / f"{process.name}_Events.root" for process in PROCESSES]
    _refuse_existing(final, overwrite=overwrite)
    _check_room(Path(folder), events)
    _make_folder(Path(folder))
    children = np.random.SeedSequence(seed).spawn(len(PROCESSES))
    try:
        with ExitStack() as complete:
            for process, child, path in zip(PROCESSES, children, final, strict=True):
                partial = complete.enter_context(complete_file(path))
                _write_file(partial, _blocks(process, events, np.random.default_rng(child)))
    except OSError as error:
        raise TamisError(failure(error, "" if error.filename else str(folder))) from error
    return final


def _log_pt(process: WorkshopProcess, pt: ArrayLike) -> FloatArray:
    fraction = np.asarray(pt, np.float64) / process.pt_scale
    outside = (fraction < 0) | (fraction >= 1)
    log_rest = np.log1p(-np.where(outside, 0.0, fraction))
    inside = np.log(process.pt_power / process.pt_scale) + (process.pt_power - 1) * log_rest
    return np.where(outside, -np.inf, inside)


def _log_mass(process: WorkshopProcess, mass: ArrayLike) -> FloatArray:
    values = np.asarray(mass, np.float64)
    shape = _crystal_ball(process)
    inside = np.asarray(shape.logpdf(values) - shape.logsf(0.0), np.float64)
    return np.where(values < 0, -np.inf, inside)


def _log_eta(process: WorkshopProcess, eta: ArrayLike) -> FloatArray:
    distance = np.asarray(eta, np.float64) - process.eta_mean
    normals = [-0.5 * (distance / width) ** 2 - np.log(width) for width in process.eta_widths]
    total = np.logaddexp.reduce(normals, axis=0) - np.log(len(normals) * np.sqrt(2 * np.pi))
    return np.asarray(total, np.float64)


def _mass_quantile(process: WorkshopProcess, probability: FloatArray) -> FloatArray:
    shape = _crystal_ball(process)
    below = shape.cdf(0.0)
    mass = np.asarray(shape.ppf(below + (1 - below) * probability), np.float64)
    # at probability zero, rounding may end a hair below zero
    return np.maximum(mass, 0.0)


def _crystal_ball(process: WorkshopProcess) -> Any:
    """Give the Crystal Ball before it is cut at zero, as SciPy's frozen distribution.

    Source: J. E. Gaiser, SLAC-R-255 (1982), appendix F.
    """
    from scipy.stats import crystalball

    return crystalball(
        process.mass_tail_start, process.mass_tail_power, loc=process.mass_peak, scale=process.mass_width
    )


def _blocks(
    process: WorkshopProcess, events: int, generator: np.random.Generator
) -> Iterator[dict[str, FloatArray]]:
    for first in range(0, events, BLOCK):
        yield simulate_events(process, min(BLOCK, events - first), generator)


def _write_file(path: Path, blocks: Iterator[dict[str, FloatArray]]) -> None:
    import uproot

    branches = ["pt", "mass", "eta", *(f"log_density_{process.name}" for process in PROCESSES)]
    with uproot.recreate(path, compression=uproot.ZSTD(3)) as file:
        tree = file.mktree(TREE, dict.fromkeys(branches, "float64"))
        for block in blocks:
            tree.extend(block)


def _make_folder(folder: Path) -> None:
    reason = obstacle(folder / f"{PROCESSES[0].name}_Events.root", longer=LONGER_WHILE_WRITTEN)
    if reason:
        raise RequestError(f"cannot write to the folder {folder}: {reason}; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make the folder {folder} ({error.strerror}); choose a folder that can be written"
        raise RequestError(message) from error


def _check_request(events: int, seed: int) -> None:
    if events < 1:
        raise RequestError(f"the number of events of each process is {events}; it must be at least 1")
    if seed < 0:
        raise RequestError(f"the seed is {seed}; it must not be negative")


def _check_room(folder: Path, events: int) -> None:
    needed, left = _BYTES_PER_EVENT * events * len(PROCESSES), disk_left(folder)
    if needed > left:
        raise RequestError(
            f"{events:,} events of each of {len(PROCESSES)} processes need about {size(needed)}, and the disk of "
            f"{folder} has {size(left)} left; simulate fewer with --events, or choose another folder"
        )


def _refuse_existing(paths: list[Path], *, overwrite: bool) -> None:
    folder = next((path for path in paths if path.is_dir()), None)
    if folder is not None:
        raise RequestError(
            f"{folder} is a folder; a file of this name is to be written: choose another folder"
        )
    there = [str(path) for path in paths if path.exists()]
    if there and not overwrite:
        named = f"{there[0]} is" if len(there) == 1 else f"{', '.join(there)} are"
        raise RequestError(
            f"{named} there already; replace with --overwrite, or choose another folder (`tamis demo`: with --output)"
        )
