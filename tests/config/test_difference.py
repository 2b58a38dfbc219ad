"""The rows that tell configurations apart."""

from __future__ import annotations

from typing import Any

from tamis.config import Config, dump_config, parse_config
from tamis.config.difference import configuration_differences

BASE: dict[str, Any] = {
    "samples": [
        {"name": "bkg", "class": "bkg", "files": "bkg.root"},
        {"name": "sig", "class": "sig", "files": "sig.root"},
    ],
    "classes": {"bkg": {}, "sig": {"signal": True}},
    "features": ["pt", {"name": "mass", "missing": "nan"}],
}


def config(**changes: Any) -> Config:
    return parse_config({**BASE, **changes})


def rows(*configs: Config) -> dict[str, tuple[str, ...]]:
    return {row.path: row.values for row in configuration_differences(configs)}


def test_equal_configurations_have_no_rows() -> None:
    again = parse_config(dump_config(config()))
    assert rows(config(), again, config()) == {}


def test_the_order_of_samples_and_features_is_no_difference_but_that_of_classes_is() -> None:
    assert rows(config(), config(samples=BASE["samples"][::-1], features=BASE["features"][::-1])) == {}
    turned = config(classes=dict(reversed(BASE["classes"].items())))
    assert rows(config(), turned) == {"order of classes": ("[bkg, sig]", "[sig, bkg]")}


def test_a_value_is_one_row_with_the_value_of_each_run() -> None:
    found = rows(config(), config(training={"epochs": 5}), config(training={"epochs": 7}))
    assert found == {"training.epochs": ("auto", "5", "7")}


def test_a_feature_more_is_one_row_and_a_change_of_one_is_its_key() -> None:
    other = config(features=["eta", "pt", {"name": "mass", "missing": "nan", "unit": "GeV"}])
    found = rows(config(), other)
    assert list(found) == ["features[mass].unit", "features[eta]"]
    assert found["features[mass].unit"] == ("null", "GeV")
    assert found["features[eta]"][0] == ""


def test_layers_are_compared_one_by_one() -> None:
    first = config(network={"layers": [{"nodes": 8}, {"nodes": 8}]})
    second = config(network={"layers": [{"nodes": 16}]})
    found = rows(first, second)
    assert found["network.layers[0].nodes"] == ("8", "16")
    assert found["network.layers[1]"][0].startswith("{type: dense")
    assert found["network.layers[1]"][1] == ""


def test_another_optimizer_is_one_row_and_not_one_for_each_key() -> None:
    found = rows(config(), config(training={"optimizer": "sgd"}))
    assert found["training.optimizer"][0].startswith("{name: adam")
    assert found["training.optimizer"][1].startswith("{name: sgd")
    assert not [path for path in found if path.startswith("training.optimizer.")]


def test_a_section_that_is_null_in_one_is_one_row() -> None:
    found = rows(config(), config(training={"early_stopping": None}))
    assert list(found) == ["training.early_stopping"]
    assert found["training.early_stopping"][1] == "null"


def test_names_of_runs_are_a_row_like_any_other() -> None:
    found = rows(config(name="first"), config(name="second", seed=5))
    assert found == {"name": ("first", "second"), "seed": ("0", "5")}


def test_a_class_may_be_called_like_a_key() -> None:
    samples = [{**each, "class": name} for each, name in zip(BASE["samples"], ("name", "type"), strict=True)]
    classes = {"name": {}, "type": {"signal": True}}
    first = config(samples=samples, classes=classes)
    second = config(samples=samples, classes={**classes, "name": {"label": "B"}})
    assert rows(first, second) == {"classes.name.label": ("null", "B")}
