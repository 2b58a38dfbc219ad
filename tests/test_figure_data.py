"""Tables of the numbers behind figures: what CSV and HEPData files hold is what was given."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.errors import RequestError
from tamis.figure_data import Column, FigureData, csv_text, hepdata_table, write_figure_data

Problems = Callable[[Path], str]
NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.none()


@st.composite
def tables(draw: st.DrawFn) -> FigureData:
    rows = draw(st.integers(1, 5))

    def values(kind: st.SearchStrategy) -> list:
        return draw(st.lists(kind, min_size=rows, max_size=rows))

    finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
    edges = st.tuples(finite, finite).map(lambda pair: (min(pair), max(pair)))
    errors = st.none() | st.tuples(st.floats(0, 1e6), st.floats(0, 1e6))
    return FigureData(
        "table",
        draw(st.text(min_size=1)),
        (
            Column("x", values(finite), "GeV", edges=values(edges)),
            Column("class", values(st.text(min_size=1))),
        ),
        (Column("y", values(NUMBERS), errors={"stat": values(errors)}, qualifiers={"Class": "sig, nal"}),),
    )


@settings(max_examples=50, deadline=None)
@given(tables())
def test_csv_holds_the_numbers_exactly(table: FigureData) -> None:
    header, *rows = csv.reader(StringIO(csv_text(table), newline=""))
    assert header == [
        "x [GeV] low", "x [GeV] high", "x [GeV]", "class", "y, sig, nal", "y, sig, nal stat -", "y, sig, nal stat +",
    ]  # fmt: skip
    x, names = table.independent
    (y,) = table.dependent
    assert [tuple(map(float, row[:2])) for row in rows] == x.edges
    assert [float(row[2]) for row in rows] == x.values
    assert [row[3] for row in rows] == names.values
    finite = [None if value is None or not math.isfinite(value) else value for value in y.values]
    assert [float(row[4]) if row[4] else None for row in rows] == finite
    sizes = [tuple(map(float, row[5:])) if row[5] else None for row in rows]
    assert sizes == y.errors["stat"]


@settings(max_examples=15, deadline=None)
@given(table=tables())
def test_hepdata_takes_any_table_and_its_numbers_are_those_given(
    tmp_path_factory: pytest.TempPathFactory, hepdata_problems: Problems, table: FigureData
) -> None:
    folder = tmp_path_factory.mktemp("hepdata")
    files = write_figure_data([table], folder, comment="A test.")
    assert hepdata_problems(folder / "hepdata") == ""
    assert {path.relative_to(folder).as_posix() for path in files} == {
        "csv/table.csv", "hepdata/table.yaml", "hepdata/submission.yaml",
    }  # fmt: skip
    content = yaml.safe_load((folder / "hepdata" / "table.yaml").read_text())
    assert content == hepdata_table(table)
    x, _ = content["independent_variables"]
    assert [(row["low"], row["high"]) for row in x["values"]] == table.independent[0].edges
    assert x["header"] == {"name": "x", "units": "GeV"}
    (y,) = content["dependent_variables"]
    for row, value, size in zip(
        y["values"], table.dependent[0].values, table.dependent[0].errors["stat"], strict=True
    ):
        if value is None or not math.isfinite(value):
            assert row == {"value": "-"}
        else:
            assert row["value"] == value
            error = (
                None
                if size is None or size == (0, 0)
                else [{"asymerror": {"minus": -size[0], "plus": size[1]}, "label": "stat"}]
            )
            assert row.get("errors") == error


def test_errors_that_are_zero_are_not_written_for_hepdata(tmp_path: Path, hepdata_problems: Problems) -> None:
    columns = Column("bin", (0.5, 1.5)), Column("y", (0.0, 1.0), errors={"stat": [(0.0, 0.0), (0.0, 0.1)]})
    write_figure_data(
        [FigureData("table", "A table.", columns[:1], columns[1:])], tmp_path, comment="A test."
    )
    assert hepdata_problems(tmp_path / "hepdata") == ""
    content = yaml.safe_load((tmp_path / "hepdata" / "table.yaml").read_text())
    (y,) = content["dependent_variables"]
    assert ["errors" in row for row in y["values"]] == [False, True]


def test_the_validator_refuses_what_is_no_table(tmp_path: Path, hepdata_problems: Problems) -> None:
    """So that the test above can fail."""
    table = FigureData("table", "A table.", (Column("x", [1.0]),), (Column("y", [1.0]),))
    write_figure_data([table], tmp_path, comment="A test.")
    assert hepdata_problems(tmp_path / "hepdata") == ""
    (tmp_path / "hepdata" / "table.yaml").write_text("independent_variables: []\n")
    assert hepdata_problems(tmp_path / "hepdata")


def test_columns_of_other_lengths_and_names_that_stand_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        FigureData("roc", "A curve.", (Column("x", [1.0]),), (Column("y", [1.0, 2.0]),))
    table = FigureData("roc", "A curve.", (Column("x", [1.0]),), (Column("y", [1.0]),))
    with pytest.raises(RequestError):
        write_figure_data([table, table], tmp_path, comment="")
    assert not list(tmp_path.iterdir())


def test_hepdata_show_the_label_and_csv_files_the_name() -> None:
    column = Column("pt", [1.0], unit="GeV", label="$p_T$")
    table = FigureData("a", "", (column,), ())
    assert csv_text(table) == "pt [GeV]\n1.0\n"
    assert hepdata_table(table)["independent_variables"][0]["header"] == {"name": "$p_T$", "units": "GeV"}
