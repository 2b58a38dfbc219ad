"""The configuration: one frozen section for each part of the YAML file, all problems told at once.

Example:
    >>> from tamis.config import parse_config
    >>> config = parse_config('''
    ... samples:
    ...   - {name: background, class: bkg, files: background.root}
    ...   - {name: signal, class: sig, files: signal.root}
    ... classes:
    ...   bkg:
    ...   sig: {signal: true}
    ... features: [pt, mass]
    ... ''')
    >>> config.samples[1].class_name, config.signal_names
    ('sig', ('sig',))
"""

from tamis.config.configuration import Config
from tamis.config.dump import dump_config
from tamis.config.events import ClassSection, Feature, Sample, Spectator, Split, Weights
from tamis.config.learning import (
    Activation,
    Adam,
    AdamW,
    Dense,
    Discriminant,
    EarlyStopping,
    Evaluation,
    Layer,
    LogDensity,
    Monitor,
    Network,
    Optimizer,
    Preprocessing,
    Reference,
    Scaling,
    Schedule,
    Sgd,
    Training,
)
from tamis.config.load import load_config, parse_config
from tamis.config.schema import json_schema

__all__ = [
    "Activation",
    "Adam",
    "AdamW",
    "ClassSection",
    "Config",
    "Dense",
    "Discriminant",
    "EarlyStopping",
    "Evaluation",
    "Feature",
    "Layer",
    "LogDensity",
    "Monitor",
    "Network",
    "Optimizer",
    "Preprocessing",
    "Reference",
    "Sample",
    "Scaling",
    "Schedule",
    "Sgd",
    "Spectator",
    "Split",
    "Training",
    "Weights",
    "dump_config",
    "json_schema",
    "load_config",
    "parse_config",
]
