"""The export for FPGAs: write it, and say what was found."""

from __future__ import annotations

from pathlib import Path

import typer


def print_fpga(folder: Path, output: Path | None) -> None:
    """Translate for an FPGA, and print what it costs.

    Args:
        folder: the folder `model`.
        output: the new folder; `fpga` beside the folder by default.
    """
    from tamis.deploy.fpga_files import describe_estimate, export_fpga

    found = export_fpga(folder, output)
    typer.echo(f"wrote {found.folder}")
    typer.echo(f"On {found.events:,} events the simulated logits are those of tamis, bit by bit.")
    typer.echo(describe_estimate(found.estimate))
