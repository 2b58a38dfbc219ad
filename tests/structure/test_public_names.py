from __future__ import annotations

import inspect

import tamis

PUBLIC = [
    "Callbacks",
    "Classifier",
    "Config",
    "ConfigurationError",
    "ExportError",
    "InputError",
    "NeuralClassifier",
    "RequestError",
    "Run",
    "TamisError",
    "TrainingError",
    "export_onnx",
    "load_config",
    "parse_config",
    "plot_run",
    "read_run",
    "run",
    "train",
    "write_report",
    "write_run",
]


def test_the_public_names_are_these() -> None:
    assert sorted(tamis.__all__) == PUBLIC
    assert dir(tamis) == PUBLIC


def test_every_public_name_is_documented() -> None:
    for name in PUBLIC:
        assert inspect.getdoc(getattr(tamis, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(tamis, "nothing_of_that_name")
