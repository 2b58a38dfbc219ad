"""The numbers behind figures, as CSV files and as tables for HEPData."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from tamis.errors import RequestError
from tamis.files import write_text

Value = float | str | None


@dataclass(frozen=True)
class ColumnLabel:
    """Label (may hold mathtext) and unit of a feature or a spectator in the configuration; empty if it has none."""

    text: str = ""
    unit: str = ""


Labels = Mapping[str, ColumnLabel]
"""The labels of features and spectators, by their name."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        name: of the quantity, such as "Score".
        values: numbers or texts; None for an empty cell.
        label: name of the quantity for HEPData, which shows mathtext; empty for `name`.
        edges: low and high edge of the bin of each row; `values` are then the bin centres.
        errors: size of each error below and above each value, by the name of the error.
        qualifiers: conditions of the values, such as {"Class": "signal"}.
    """

    name: str
    values: Sequence[Value]
    unit: str = ""
    label: str = ""
    edges: Sequence[tuple[float, float]] | None = None
    errors: dict[str, Sequence[tuple[float, float] | None]] = field(default_factory=dict)
    qualifiers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FigureData:
    """A table of the numbers that a figure shows, whose name begins with that of the figure.

    Raises:
        RequestError: the columns have different lengths.

    Example:
        >>> table = FigureData("roc", "A curve.", (Column("x", (0.0, 0.5)),), (Column("y", (0.1, None)),))
        >>> print(csv_text(table), end="")
        x,y
        0.0,0.1
        0.5,
    """

    name: str
    description: str
    independent: tuple[Column, ...]
    dependent: tuple[Column, ...]

    def __post_init__(self) -> None:
        """Check the lengths."""
        lengths = {len(column.values) for column in (*self.independent, *self.dependent)}
        if len(lengths) > 1:
            raise RequestError(f"table {self.name}: its columns have {sorted(lengths)} rows")


def csv_text(table: FigureData) -> str:
    """Return a table as CSV with a heading; bin edges and errors are separate columns."""
    columns: list[tuple[str, Sequence[Any]]] = []
    for column in (*table.independent, *table.dependent):
        name = _heading(column)
        if column.edges is not None:
            columns += [
                (f"{name} {end}", [edges[side] for edges in column.edges])
                for side, end in enumerate(("low", "high"))
            ]
        columns.append((name, column.values))
        columns += [
            (f"{name} {error} {sign}", [None if size is None else size[side] for size in sizes])
            for error, sizes in column.errors.items()
            for side, sign in enumerate(("-", "+"))
        ]
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    writer.writerows(zip(*([_plain(value) for value in values] for _, values in columns), strict=True))
    return text.getvalue()


def _heading(column: Column) -> str:
    qualifiers = "".join(f", {value}" for value in column.qualifiers.values())
    return f"{column.name}{qualifiers}{f' [{column.unit}]' if column.unit else ''}"


def _plain(value: Value) -> Value:
    """Convert a NumPy number for JSON and YAML; None if it is not finite."""
    if value is None or isinstance(value, str):
        return value
    return float(value) if math.isfinite(value) else None


def hepdata_table(table: FigureData) -> dict[str, Any]:
    """Return a table as the content of a HEPData data file (https://hepdata-submission.readthedocs.io)."""
    return {
        "independent_variables": [_hepdata_column(column, independent=True) for column in table.independent],
        "dependent_variables": [_hepdata_column(column, independent=False) for column in table.dependent],
    }


def _hepdata_column(column: Column, *, independent: bool) -> dict[str, Any]:
    header = {"name": column.label or column.name, **({"units": column.unit} if column.unit else {})}
    rows = [_hepdata_value(column, row, independent=independent) for row in range(len(column.values))]
    qualifiers = [{"name": name, "value": value} for name, value in column.qualifiers.items()]
    return {"header": header, **({"qualifiers": qualifiers} if qualifiers else {}), "values": rows}


def _hepdata_value(column: Column, row: int, *, independent: bool) -> dict[str, Any]:
    if column.edges is not None:
        low, high = column.edges[row]
        return {"low": float(low), "high": float(high)}
    value = _plain(column.values[row])
    if value is None:
        return {"value": "-"}  # HEPData has no empty cells
    errors = [
        {"asymerror": {"minus": -abs(float(size[0])), "plus": abs(float(size[1]))}, "label": label}
        for label, sizes in column.errors.items()
        # HEPData refuses errors that are all zero
        if not independent and (size := sizes[row]) is not None and any(size)
    ]
    return {"value": value, **({"errors": errors} if errors else {})}


def write_figure_data(tables: Iterable[FigureData], folder: Path, *, comment: str) -> tuple[Path, ...]:
    """Write tables as `csv/NAME.csv`, and as `hepdata/submission.yaml` with a data file for each; return the files.

    Raises:
        RequestError: two tables have the same name.
    """
    names: set[str] = set()
    files: dict[Path, str] = {}
    entries: list[dict[str, Any]] = [{"comment": comment}]
    for table in tables:
        if table.name in names:
            raise RequestError(f"two tables have the name {table.name}: give them different names")
        names.add(table.name)
        stem = re.sub(r"[^A-Za-z0-9_.+-]", "_", table.name)
        files[folder / "csv" / f"{stem}.csv"] = csv_text(table)
        files[folder / "hepdata" / f"{stem}.yaml"] = yaml.safe_dump(hepdata_table(table), sort_keys=False)
        entries.append(
            {
                "name": table.name,
                "description": table.description,
                "keywords": [],
                "data_file": f"{stem}.yaml",
            }
        )
    files[folder / "hepdata" / "submission.yaml"] = yaml.safe_dump_all(entries, sort_keys=False)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return tuple(files)
