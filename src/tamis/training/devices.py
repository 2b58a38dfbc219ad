"""The devices of a training: one, or a mesh of devices that share every batch.

A compiled program uses one core of a CPU. To use more, each core becomes a device of JAX, and large batches are divided
among the devices; the same code divides them among several GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tamis.errors import RequestError
from tamis.machine import cores
from tamis.wording import counted

if TYPE_CHECKING:
    from jax.sharding import Mesh

SHARE_FROM = 3_000_000
"""Minimum number of multiplications (events times weights) per device for which sharing a batch is faster."""
MOST_CORES = 16
"""Maximum number of cores that become devices: every device needs memory, even if it is not used."""


def start_devices(number: int | None = None) -> None:
    """Start devices of JAX, by default one for each core; it has no effect after the first computation of JAX.

    So it comes before everything in tamis that computes with JAX: each training, and the loading of a classifier.
    """
    import jax

    # if JAX is already running, `choose_placement` checks the number of its devices
    with suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", number or min(cores(), MOST_CORES))


@dataclass(frozen=True)
class Placement:
    """Devices of a training.

    Args:
        mesh: all devices that share a batch, along one axis named `events`.
        platform: `cpu`, `gpu` or `tpu`.
        description: for people, for example `2 CPU cores`.
    """

    mesh: Mesh
    platform: str
    description: str

    @property
    def count(self) -> int:
        """Number of devices that share a batch."""
        return int(self.mesh.size)


def check_devices(number: int | str) -> None:
    """Check that this machine has a number of devices (or `auto`).

    Raises:
        RequestError: it has fewer.
    """
    if number != "auto":
        import jax

        start_devices()
        _check_number(int(number), len(jax.devices()), jax.devices()[0].platform)


def _check_number(number: int, available: int, platform: str) -> None:
    if number > available:
        raise RequestError(
            f"training.devices is {number}, but there are {available} ({platform}); use auto, or at most {available}"
        )


def choose_device_count(available: int, batch_size: int, widths: Sequence[int]) -> int:
    """Choose how many devices share a batch: as many as divide it evenly and each have enough multiplications.

    The widths are the number of inputs, of nodes in each layer, and of outputs.

    >>> choose_device_count(2, 4096, [18, 60, 30, 15, 10, 6])
    2
    >>> choose_device_count(2, 32, [3, 6, 6, 3])
    1
    """
    multiplications = batch_size * sum(before * after for before, after in pairwise(widths))
    most = min(available, max(multiplications // SHARE_FROM, 1))
    return max(number for number in range(1, most + 1) if batch_size % number == 0)


def choose_placement(
    devices: int | None, batch_size: int, widths: Sequence[int], *, only: int | None = None
) -> Placement:
    """Choose the devices of a training.

    Args:
        devices: number of devices; None for as many as make the training faster.
        batch_size: events per batch.
        widths: number of inputs, of nodes in each layer, and of outputs.
        only: number of the only device to use, if other devices train other networks.

    Raises:
        RequestError: there are fewer devices, or the batch cannot be divided evenly.
    """
    import jax
    from jax.sharding import AxisType

    available = jax.devices()
    if only is not None:
        available, devices = [available[only % len(available)]], 1
    number = choose_device_count(len(available), batch_size, widths) if devices is None else devices
    platform = available[0].platform
    _check_number(number, len(available), platform)
    if batch_size % number:
        raise RequestError(
            f"training.batch_size {batch_size} cannot be divided evenly among {number} devices; use a multiple of "
            f"{number}"
        )
    mesh = jax.make_mesh((number,), ("events",), axis_types=(AxisType.Auto,), devices=available[:number])
    description = counted(number, "CPU core")
    if platform != "cpu":
        description = f"{counted(number, platform.upper())} ({available[0].device_kind})"
    return Placement(mesh, platform, description)


def replicate(value: Any, placement: Placement) -> Any:
    """Copy a pytree of arrays to every device of a placement."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    return jax.device_put(value, NamedSharding(placement.mesh, PartitionSpec()))
