"""Neural-network classifiers for particle-physics events.

Example:
    >>> import tamis  # doctest: +SKIP
    >>> config = tamis.load_config("offshell.yaml")  # doctest: +SKIP
    >>> run = tamis.train(config)  # doctest: +SKIP
    >>> run.evaluation.parts["test"].physics.loss  # doctest: +SKIP
    0.1962
    >>> tamis.write_run(run, "runs/offshell")  # doctest: +SKIP
    >>> classifier = tamis.Classifier.load("runs/offshell/model")  # doctest: +SKIP
    >>> classifier.predict({"pt": [40.0], "mass": [15.0], "eta": [0.3]})  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tamis.classifier import Classifier
    from tamis.config import Config, load_config, parse_config
    from tamis.deploy import export_onnx
    from tamis.errors import (
        ConfigurationError,
        ExportError,
        InputError,
        RequestError,
        TamisError,
        TrainingError,
    )
    from tamis.estimator import NeuralClassifier
    from tamis.figures import draw_run
    from tamis.pipeline.run import Run, train
    from tamis.pipeline.watch import Watch
    from tamis.report.page import write_report
    from tamis.run_directory import write_run
    from tamis.run_reading import FinishedRun, read_run

_HOMES = {
    "Classifier": "tamis.classifier",
    "Config": "tamis.config",
    "ConfigurationError": "tamis.errors",
    "ExportError": "tamis.errors",
    "FinishedRun": "tamis.run_reading",
    "InputError": "tamis.errors",
    "NeuralClassifier": "tamis.estimator",
    "RequestError": "tamis.errors",
    "Run": "tamis.pipeline.run",
    "TamisError": "tamis.errors",
    "TrainingError": "tamis.errors",
    "Watch": "tamis.pipeline.watch",
    "draw_run": "tamis.figures",
    "export_onnx": "tamis.deploy",
    "load_config": "tamis.config",
    "parse_config": "tamis.config",
    "read_run": "tamis.run_reading",
    "train": "tamis.pipeline.run",
    "write_report": "tamis.report.page",
    "write_run": "tamis.run_directory",
}

__all__ = [
    "Classifier",
    "Config",
    "ConfigurationError",
    "ExportError",
    "FinishedRun",
    "InputError",
    "NeuralClassifier",
    "RequestError",
    "Run",
    "TamisError",
    "TrainingError",
    "Watch",
    "draw_run",
    "export_onnx",
    "load_config",
    "parse_config",
    "read_run",
    "train",
    "write_report",
    "write_run",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `tamis --help` does not wait for JAX."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tamis' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
