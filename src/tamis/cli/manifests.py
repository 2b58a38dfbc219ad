"""The manifest of the input files on the command line."""

from __future__ import annotations

from pathlib import Path

import typer

from tamis.config import Config


def compare_with_manifest(config: Config, manifest: Path | None) -> None:
    """Refuse input files that a manifest does not know as they are; nothing where there is none.

    Raises:
        InputError: with every file that differs.
    """
    if manifest is None:
        return
    from tamis.pipeline.input_manifest import check_input_manifest

    for note in check_input_manifest(config, manifest):
        typer.echo(f"tamis: note: {note}", err=True)


def write_manifest(config: Config, manifest: Path | None, *, aside: bool = False) -> None:
    """Write the manifest of all input files, where that is asked for.

    Args:
        config: the configuration.
        manifest: the file; None writes none.
        aside: whether to say so on the standard error, because the standard output holds something else.
    """
    if manifest is None:
        return
    from tamis.pipeline.input_manifest import write_input_manifest

    number = write_input_manifest(config, manifest)
    typer.echo(f"wrote {manifest}: the hashes of {number:,} input files", err=aside)
