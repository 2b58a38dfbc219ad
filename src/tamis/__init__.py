"""Neural-network classifiers for particle-physics events.

Example:
    >>> import tamis  # doctest: +SKIP
    >>> config = tamis.load_config("offshell.yaml")  # doctest: +SKIP
    >>> run = tamis.run(config, "runs/offshell")  # doctest: +SKIP
    >>> run.results["performance"].splits["test"].physics.loss  # doctest: +SKIP
    0.1962
    >>> classifier = tamis.Classifier.load("runs/offshell/model")  # doctest: +SKIP
    >>> classifier.predict({"pt": [40.0], "mass": [15.0], "eta": [0.3]})  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str

    from tamis.classifier import Classifier
    from tamis.config import Config, load_config, parse_config
    from tamis.errors import (
        ConfigurationError,
        ExportError,
        InputError,
        RequestError,
        TamisError,
        TrainingError,
    )
    from tamis.estimator import NeuralClassifier
    from tamis.export import export_onnx
    from tamis.pipeline.callbacks import Callbacks
    from tamis.pipeline.run import Run, train
    from tamis.runs.figures import plot_run
    from tamis.runs.read import read_run
    from tamis.runs.run import run
    from tamis.runs.write import write_report, write_run

_HOMES = {
    "Classifier": "tamis.classifier",
    "Config": "tamis.config",
    "ConfigurationError": "tamis.errors",
    "ExportError": "tamis.errors",
    "InputError": "tamis.errors",
    "NeuralClassifier": "tamis.estimator",
    "RequestError": "tamis.errors",
    "Run": "tamis.pipeline.run",
    "TamisError": "tamis.errors",
    "TrainingError": "tamis.errors",
    "Callbacks": "tamis.pipeline.callbacks",
    "export_onnx": "tamis.export",
    "load_config": "tamis.config",
    "parse_config": "tamis.config",
    "plot_run": "tamis.runs.figures",
    "read_run": "tamis.runs.read",
    "run": "tamis.runs.run",
    "train": "tamis.pipeline.run",
    "write_report": "tamis.runs.write",
    "write_run": "tamis.runs.write",
}

__all__ = [
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


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `tamis --help` does not wait for JAX."""
    if name == "__version__":
        from tamis.machine import tamis_version

        return tamis_version()
    if name not in _HOMES:
        raise AttributeError(f"module 'tamis' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
