"""Events by name, in whatever their user keeps them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.classifier.columns import feature_values
from tamis.config import Feature
from tamis.errors import RequestError

FEATURES = (
    Feature(name="pt"),
    Feature(name="abs_eta", expression="abs(eta)", missing=(-999.0, float("nan"))),
    Feature(name="jets", expression="n_jets", missing=(-1.0,)),
)
COLUMNS: dict[str, Any] = {
    "weight": np.ones(4),
    "eta": np.array([-0.5, -999, np.nan, 2.0]),
    "n_jets": np.array([0, 3, -1, 2], np.int32),
    "pt": np.array([40, 30, 20, 10], np.float32),
}
EXPECTED = np.array([[40, 0.5, 0], [30, np.nan, 3], [20, np.nan, np.nan], [10, 2, 2]], np.float32)

FORMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "dictionary": lambda columns: columns,
    "lists": lambda columns: {name: values.tolist() for name, values in columns.items()},
    "awkward": ak.Array,
    "awkward columns": lambda columns: {name: ak.Array(values) for name, values in columns.items()},
    "pandas": pd.DataFrame,
    "pandas with nullable types": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas with Arrow": lambda columns: pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
    "pandas series": lambda columns: {name: pd.Series(values) for name, values in columns.items()},
    "Arrow": pa.table,
    "chunked Arrow": lambda columns: pa.concat_tables(
        [pa.table(columns).slice(0, 1), pa.table(columns).slice(1)]
    ),
    "record batch": lambda columns: pa.table(columns).to_batches()[0],
    "structured array": lambda columns: np.array(
        list(zip(*columns.values(), strict=True)),
        dtype=[(name, values.dtype) for name, values in columns.items()],
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("turned", [False, True])
def test_every_form_gives_the_same_features(form: str, turned: bool) -> None:
    columns = dict(reversed(COLUMNS.items())) if turned else COLUMNS
    np.testing.assert_array_equal(feature_values(FEATURES, FORMS[form](columns)), EXPECTED)


NULL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "lists": lambda columns: columns,
    "awkward": lambda columns: ak.Array({name: ak.Array(values) for name, values in columns.items()}),
    "pandas objects": lambda columns: pd.DataFrame(columns, dtype=object),
    "pandas with nullable types": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "Arrow": pa.table,
    "object arrays": lambda columns: {name: np.array(values, object) for name, values in columns.items()},
    "masked arrays": lambda columns: {
        name: np.ma.masked_array([each or 0 for each in values], [each is None for each in values])
        for name, values in columns.items()
    },
}


@pytest.mark.parametrize("form", NULL)
def test_none_is_a_missing_value(form: str) -> None:
    columns = {"pt": [40.0, 30.0], "eta": [None, -2.0], "n_jets": [3, None]}
    found = feature_values(FEATURES, NULL[form](columns))
    np.testing.assert_array_equal(found, np.array([[40, np.nan, 3], [30, 2, np.nan]], np.float32))
    with pytest.raises(RequestError):
        feature_values(FEATURES, NULL[form]({**columns, "pt": [40.0, None]}))


@pytest.mark.parametrize("form", ["dictionary", "awkward", "pandas", "Arrow"])
def test_a_missing_column_is_named_with_the_nearest_spelling(form: str) -> None:
    columns = {("Eta" if name == "eta" else name): values for name, values in COLUMNS.items()}
    message = "needs the columns eta; found weight, Eta, n_jets, pt; did you mean 'Eta'"
    with pytest.raises(RequestError, match=message):
        feature_values(FEATURES, FORMS[form](columns))


def test_several_values_per_event_are_refused_by_name() -> None:
    jagged = ak.Array({"pt": [[1.0], [2.0, 3.0]], "eta": [0.0, 0.0], "n_jets": [1, 2]})
    tables = [jagged, {name: jagged[name] for name in jagged.fields}, ak.to_arrow_table(jagged)]
    frame = pd.DataFrame({"pt": [[1.0], [2.0, 3.0]], "eta": [0.0, 0.0], "n_jets": [1, 2]})
    for events in (*tables, frame, {**frame.to_dict("list")}):
        with pytest.raises(RequestError):
            feature_values(FEATURES, events)


def test_one_element_of_jagged_columns_is_taken_by_the_expression() -> None:
    feature = Feature(name="leading", expression="jet_pt[0]", missing=(float("nan"),))
    events = ak.Array({"jet_pt": [[50.0, 20.0], [], [30.0]]})
    np.testing.assert_array_equal(
        feature_values([feature], events), np.array([[50], [np.nan], [30]], np.float32)
    )


@pytest.mark.parametrize("events", [np.ones((3, 2)), ak.Array([1.0, 2.0]), 5, pd.DataFrame(np.ones((2, 2)))])
def test_events_without_names_are_refused(events: Any) -> None:
    with pytest.raises(RequestError):
        feature_values(FEATURES, events)


def test_words_are_no_numbers() -> None:
    for values in (["a", "b"], np.array(["a", "b"]), pd.Series(["a", "b"]), [1.0, "b"]):
        with pytest.raises(RequestError):
            feature_values(FEATURES[:1], {"pt": values})


@given(st.permutations(list(COLUMNS)), st.sampled_from(list(FORMS)))
def test_the_order_of_columns_changes_nothing(order: list[str], form: str) -> None:
    found = feature_values(FEATURES, FORMS[form]({name: COLUMNS[name] for name in order}))
    np.testing.assert_array_equal(found, EXPECTED)


@pytest.mark.parametrize("form", ["Arrow", "record batch", "pandas"])
def test_a_part_of_a_table_keeps_its_nulls_in_their_rows(form: str) -> None:
    eta = [None if row % 3 == 1 else float(row) for row in range(20)]
    table = pa.table({"pt": [1.0] * 20, "eta": eta, "n_jets": [1] * 20})
    parts = {
        "Arrow": lambda: table.slice(5, 9),
        "record batch": lambda: table.to_batches()[0].slice(5, 9),
        "pandas": lambda: table.to_pandas(types_mapper=pd.ArrowDtype).iloc[5:14],
    }
    found = feature_values(FEATURES, parts[form]())
    np.testing.assert_array_equal(found[:, 1], np.array(eta[5:14], np.float32))


@pytest.mark.parametrize(
    "column",
    [1.0, b"x", [2**70], [Decimal("1.5")], pd.Categorical([1.0]), np.float32(3)],
    ids=["a number", "bytes", "a huge number", "a decimal", "categories", "a number of NumPy"],
)
def test_what_is_no_column_of_numbers_is_refused_by_name(column: Any) -> None:
    events = {"pt": column, "eta": np.ones(1), "n_jets": np.ones(1)}
    with pytest.raises(RequestError):
        feature_values(FEATURES, events)
