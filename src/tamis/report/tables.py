"""The tables of a run, from its metrics and its cutflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tamis.blocks import Cell, Table
from tamis.blocks.numbers import count, percent, short
from tamis.data.split import SPLITS
from tamis.pipeline.run import Run


def build_cutflow_table(run: Run) -> Table:
    """Build the cutflow table: where the entries of each sample went."""
    in_folds = bool(run.cutflow["total"].get("folds"))
    splits = [
        split for split in SPLITS if split in run.cutflow["total"] and not (in_folds and split == "test")
    ]
    rows = tuple(
        (
            Cell(sample["sample"]),
            Cell(sample["class"]),
            count(sample["entries"]),
            count(sample["failed_selection"]["events"]),
            count(sum(tally["events"] for tally in sample["dropped"].values())),
            *(count(sample[split]["events"]) for split in splits),
            # with folds every used event is a test event of the networks that were trained without it
            *((count(sample["used"]["events"]),) if in_folds else ()),
            short(sample["used"]["sum_of_weights"]),
            short(sample["used"]["effective_sample_size"]),
            percent(sample["used"]["negative_fraction"]),
        )
        for sample in run.cutflow["samples"]
    )
    tested = ("tested out of fold",) if in_folds else ()
    columns = (
        "sample", "class", "entries", "not selected", "dropped", *splits, *tested, "sum of weights",
        "effective sample size", "negative",
    )  # fmt: skip
    caption = f"Each input entry is counted in exactly one column from 'not selected' to '{splits[-1]}'."
    if in_folds:
        caption += " Every training and validation event is also a test event, of the networks that never saw its fold."
    return Table(columns, rows, caption, 2)


def build_layers_table(run: Run) -> Table:
    """Build the table of the layers and their cost."""
    layers = run.metrics["network"]["layers"]
    quantized = any(layer["ebops"] is not None for layer in layers)
    rows = tuple(
        (
            Cell(str(number), float(number)),
            Cell(layer["kind"]),
            count(layer["inputs"]),
            count(layer["outputs"]),
            count(layer["parameters"]),
            count(layer["non_zeros"]),
            count(layer["multiplications"]),
            *(_formats(layer) if quantized else ()),
        )
        for number, layer in enumerate(layers, start=1)
    )
    columns = ["layer", "type", "inputs", "outputs", "parameters", "non-zero weights", "multiplications"]
    columns += ["formats", "EBOPs"] if quantized else []
    return Table(tuple(columns), rows, "The last layer computes the scores.", numeric=2)


def _formats(layer: Mapping[str, Any]) -> tuple[Cell, Cell]:
    formats = [f"{name} {value}" for name, value in (layer["formats"] or {}).items() if value]
    return Cell(", ".join(formats) or "32-bit floating point"), short(layer["ebops"])


def build_inputs_table(run: Run) -> Table:
    """Build the table of the input files."""
    rows = tuple(
        (
            Cell(source["file"]),
            Cell(source["tree"] or ""),
            count(source["entries"]),
            count(source["bytes"]) if source["bytes"] is not None else Cell(""),
            Cell((source["sha256"] or "")[:16]),
        )
        for source in run.provenance["inputs"]
    )
    return Table(("file", "tree", "entries", "bytes", "SHA-256, first 16"), rows, numeric=2)


def build_packages_table(run: Run) -> Table:
    """Build the table of the package versions."""
    versions = {"python": run.provenance["python"], **run.provenance["packages"]}
    rows = tuple((Cell(name), Cell(version)) for name, version in versions.items())
    return Table(("package", "version"), rows, numeric=2)
