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
from tamis.config.evaluation import Baseline, Discriminant, Evaluation, LogDensity, Luminosity, Reference
from tamis.config.events import ClassSection, Feature, Flatten, Folds, Sample, Spectator, Split, Weights
from tamis.config.layers import (
    Activation,
    Dense,
    Embedding,
    FixedPoint,
    Gains,
    Layer,
    Network,
    Overflow,
    Periodic,
    PiecewiseLinear,
    Quantized,
    QuantizedOutput,
    Rounding,
    Sparse,
)
from tamis.config.learning import EarlyStopping, Monitor, Preprocessing, Scaling, Training
from tamis.config.load import load_config, parse_config
from tamis.config.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    LabelSmoothing,
    Loss,
    Significance,
    SquaredError,
)
from tamis.config.optimizers import (
    Adam,
    AdamW,
    Constant,
    Cosine,
    Exponential,
    Lion,
    Muon,
    NAdam,
    OneCycle,
    Optimizer,
    Plateau,
    RmsProp,
    Schedule,
    ScheduleFreeAdamW,
    Sgd,
    Step,
)
from tamis.config.report import FigureFormat, Report
from tamis.config.schema import json_schema
from tamis.config.symmetries import Exchange, Reflection, Rotation, Symmetry

__all__ = [
    "Activation",
    "Adam",
    "AdamW",
    "Baseline",
    "BinaryCrossEntropy",
    "ClassSection",
    "Config",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "Dense",
    "Discriminant",
    "EarlyStopping",
    "Embedding",
    "Evaluation",
    "Exchange",
    "Exponential",
    "Feature",
    "FigureFormat",
    "FixedPoint",
    "Flatten",
    "Focal",
    "Folds",
    "Gains",
    "LabelSmoothing",
    "Layer",
    "Lion",
    "LogDensity",
    "Loss",
    "Luminosity",
    "Monitor",
    "Muon",
    "NAdam",
    "Network",
    "OneCycle",
    "Optimizer",
    "Overflow",
    "Periodic",
    "PiecewiseLinear",
    "Plateau",
    "Preprocessing",
    "Quantized",
    "QuantizedOutput",
    "Reference",
    "Reflection",
    "Report",
    "RmsProp",
    "Rotation",
    "Rounding",
    "Sample",
    "Scaling",
    "Schedule",
    "ScheduleFreeAdamW",
    "Sgd",
    "Significance",
    "Sparse",
    "Spectator",
    "Split",
    "SquaredError",
    "Step",
    "Symmetry",
    "Training",
    "Weights",
    "dump_config",
    "json_schema",
    "load_config",
    "parse_config",
]
