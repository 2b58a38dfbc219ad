"""The order of the stages, and the only place that sees the whole configuration."""

from tamis.pipeline.baselines import TrainedBaseline, judge_baselines, train_baselines
from tamis.pipeline.fitting import fit, learn_preprocessing
from tamis.pipeline.inputs import Found, Input, look_into
from tamis.pipeline.judging import ScoredPart, evaluate, score
from tamis.pipeline.needs import Needs, check_needs, estimate_needs
from tamis.pipeline.preparation import (
    Prepared,
    check_labels,
    check_overlap,
    check_reference,
    close_ledger,
    describe_duplicates,
    find_input,
    prepare,
    read,
    weigh,
)
from tamis.pipeline.run import Run, train
from tamis.pipeline.watch import Watch

__all__ = [
    "Found",
    "Input",
    "Needs",
    "Prepared",
    "Run",
    "ScoredPart",
    "TrainedBaseline",
    "Watch",
    "check_labels",
    "check_needs",
    "check_overlap",
    "check_reference",
    "close_ledger",
    "describe_duplicates",
    "estimate_needs",
    "evaluate",
    "find_input",
    "fit",
    "judge_baselines",
    "learn_preprocessing",
    "look_into",
    "prepare",
    "read",
    "score",
    "train",
    "train_baselines",
    "weigh",
]
