"""The order of the stages, and the only place that sees the whole configuration."""

from tamis.pipeline.baselines import TrainedBaseline, judge_baselines, train_baselines
from tamis.pipeline.fitting import fit, learn_preprocessing
from tamis.pipeline.judging import ScoredPart, evaluate, score
from tamis.pipeline.preparation import (
    Input,
    Prepared,
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
    "Input",
    "Prepared",
    "Run",
    "ScoredPart",
    "TrainedBaseline",
    "Watch",
    "check_overlap",
    "check_reference",
    "close_ledger",
    "describe_duplicates",
    "evaluate",
    "find_input",
    "fit",
    "judge_baselines",
    "learn_preprocessing",
    "prepare",
    "read",
    "score",
    "train",
    "train_baselines",
    "weigh",
]
