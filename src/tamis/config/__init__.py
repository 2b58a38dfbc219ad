"""The configuration: one frozen model for each section of the YAML file; all problems are reported at once.

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

from tamis.config.configuration import Config as Config
from tamis.config.configuration import json_schema as json_schema
from tamis.config.dump import dump_config as dump_config
from tamis.config.evaluation import Baseline as Baseline
from tamis.config.evaluation import Discriminant as Discriminant
from tamis.config.evaluation import Evaluation as Evaluation
from tamis.config.evaluation import LogDensity as LogDensity
from tamis.config.evaluation import Luminosity as Luminosity
from tamis.config.evaluation import Report as Report
from tamis.config.events import ClassSection as ClassSection
from tamis.config.events import Feature as Feature
from tamis.config.events import Flatten as Flatten
from tamis.config.events import Folds as Folds
from tamis.config.events import Sample as Sample
from tamis.config.events import Spectator as Spectator
from tamis.config.events import Split as Split
from tamis.config.events import Weights as Weights
from tamis.config.layers import Dense as Dense
from tamis.config.layers import Embedding as Embedding
from tamis.config.layers import FixedPoint as FixedPoint
from tamis.config.layers import Gains as Gains
from tamis.config.layers import Layer as Layer
from tamis.config.layers import Network as Network
from tamis.config.layers import Overflow as Overflow
from tamis.config.layers import Periodic as Periodic
from tamis.config.layers import PiecewiseLinear as PiecewiseLinear
from tamis.config.layers import Quantized as Quantized
from tamis.config.layers import QuantizedOutput as QuantizedOutput
from tamis.config.layers import Rounding as Rounding
from tamis.config.layers import Sparse as Sparse
from tamis.config.learning import BinaryCrossEntropy as BinaryCrossEntropy
from tamis.config.learning import CrossEntropy as CrossEntropy
from tamis.config.learning import Decorrelate as Decorrelate
from tamis.config.learning import DistanceCorrelation as DistanceCorrelation
from tamis.config.learning import EarlyStopping as EarlyStopping
from tamis.config.learning import Exchange as Exchange
from tamis.config.learning import Flatness as Flatness
from tamis.config.learning import Focal as Focal
from tamis.config.learning import LabelSmoothing as LabelSmoothing
from tamis.config.learning import Loss as Loss
from tamis.config.learning import Monitor as Monitor
from tamis.config.learning import Preprocessing as Preprocessing
from tamis.config.learning import Reflection as Reflection
from tamis.config.learning import Rotation as Rotation
from tamis.config.learning import Scaling as Scaling
from tamis.config.learning import Significance as Significance
from tamis.config.learning import SquaredError as SquaredError
from tamis.config.learning import Symmetry as Symmetry
from tamis.config.learning import Training as Training
from tamis.config.load import load_config as load_config
from tamis.config.load import parse_config as parse_config
from tamis.config.optimizers import Adam as Adam
from tamis.config.optimizers import AdamW as AdamW
from tamis.config.optimizers import Constant as Constant
from tamis.config.optimizers import Cosine as Cosine
from tamis.config.optimizers import Exponential as Exponential
from tamis.config.optimizers import Lion as Lion
from tamis.config.optimizers import Muon as Muon
from tamis.config.optimizers import NAdam as NAdam
from tamis.config.optimizers import OneCycle as OneCycle
from tamis.config.optimizers import Optimizer as Optimizer
from tamis.config.optimizers import Plateau as Plateau
from tamis.config.optimizers import RmsProp as RmsProp
from tamis.config.optimizers import Schedule as Schedule
from tamis.config.optimizers import ScheduleFreeAdamW as ScheduleFreeAdamW
from tamis.config.optimizers import Sgd as Sgd
from tamis.config.optimizers import Step as Step
