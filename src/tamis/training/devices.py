"""Where a training computes: one device, or a mesh of devices that share every batch.

One compiled program uses one core of a CPU. To use more, the cores are made devices of their own, and a batch
that is worth it is divided among them; the same code divides it among several GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tamis.errors import RequestError
from tamis.machine import cores

if TYPE_CHECKING:
    from jax.sharding import Mesh

SHARE_FROM = 3_000_000
"""Multiplications (events times weights) that each device should get of a batch, for sharing it to pay."""
MOST_CORES = 16
"""Cores that are made devices at most: every device costs memory, whether it is used or not."""


def work_of_batch(batch_size: int, widths: Sequence[int]) -> int:
    """Count the multiplications of one forward pass of a batch.

    Args:
        batch_size: events per batch.
        widths: inputs, nodes of each layer, outputs.

    >>> work_of_batch(4096, [18, 60, 30, 15, 10, 6])
    14499840
    """
    return batch_size * sum(before * after for before, after in pairwise(widths))


def start_devices(wanted: int | None = None) -> None:
    """Make each core a device of JAX; it has an effect only before JAX computes for the first time.

    Args:
        wanted: number of devices; by default one per core.
    """
    import jax

    try:
        jax.config.update("jax_num_cpu_devices", wanted or min(cores(), MOST_CORES))
    except RuntimeError:
        return  # JAX has started already: what it has is what there is, and `place` looks


@dataclass(frozen=True)
class Placement:
    """Devices of a training.

    Args:
        mesh: all devices that share a batch, along one axis named `events`.
        platform: `cpu`, `gpu` or `tpu`.
        description: for people, for example `2 x cpu`.
    """

    mesh: Mesh
    platform: str
    description: str

    @property
    def count(self) -> int:
        """Number of devices that share a batch."""
        return int(self.mesh.size)


def check_devices(wanted: int | str) -> None:
    """Refuse a number of devices that this machine does not have.

    Raises:
        RequestError: with how many there are.
    """
    if wanted != "auto":
        import jax

        start_devices()
        _check_number(int(wanted), len(jax.devices()), jax.devices()[0].platform)


def _check_number(wanted: int, there: int, platform: str) -> None:
    if wanted > there:
        raise RequestError(
            f"training.devices is {wanted}, but there are {there} ({platform}); write auto, or at most {there}"
        )


def devices_that_pay(available: int, batch_size: int, widths: Sequence[int]) -> int:
    """Choose how many devices share a batch: as many as divide it evenly and have enough to do.

    >>> devices_that_pay(2, 4096, [18, 60, 30, 15, 10, 6])
    2
    >>> devices_that_pay(2, 32, [3, 6, 6, 3])
    1
    """
    worth = max(work_of_batch(batch_size, widths) // SHARE_FROM, 1)
    return max(number for number in range(1, min(available, worth) + 1) if batch_size % number == 0)


def place(
    devices: int | str, batch_size: int, widths: Sequence[int], *, only: int | None = None
) -> Placement:
    """Choose the devices of a training.

    Args:
        devices: how many, or `auto` for as many as pay.
        batch_size: events per batch.
        widths: inputs, nodes of each layer, outputs.
        only: number of the one device to use, where others train other networks.

    Raises:
        RequestError: there are fewer devices than wanted, or the batch cannot be divided.
    """
    import jax
    from jax.sharding import AxisType

    found = jax.devices()
    if only is not None:
        found, devices = [found[only % len(found)]], 1
    number = devices_that_pay(len(found), batch_size, widths) if devices == "auto" else int(devices)
    _check_number(number, len(found), found[0].platform)
    if batch_size % number:
        raise RequestError(f"training.batch_size {batch_size} cannot be divided among {number} devices")
    mesh = jax.make_mesh((number,), ("events",), axis_types=(AxisType.Auto,), devices=found[:number])
    kind = found[0].device_kind if found[0].platform != "cpu" else "cpu"
    return Placement(mesh, found[0].platform, f"{number} x {kind}")
