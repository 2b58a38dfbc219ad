"""Comparisons of cutflow, scores and numbers with those computed again from the input files and the classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.config import Config
from tamis.errors import ProblemsError, TamisError
from tamis.files import as_json
from tamis.pipeline.callbacks import Callbacks
from tamis.pipeline.evaluation import build_context, evaluate, score
from tamis.pipeline.metrics import metrics_of_classifier
from tamis.pipeline.preparation import prepare
from tamis.pipeline.run import TrainingResult
from tamis.runs.layout import CUTFLOW, METRICS, SCORES, WORKSPACE
from tamis.runs.read import read_mapping
from tamis.runs.scores import score_table
from tamis.runs.verification.comparison import Comparison, compare_document, few
from tamis.runs.verification.record import Record
from tamis.studies.discovery import DISCOVERY
from tamis.studies.discovery.result import DiscoveryResult

if TYPE_CHECKING:
    from tamis.classifier import Classifier

COUNTS, TABLE, NUMBERS, BINS = "cutflow", "scores", "numbers from the events", "workspace"
RECOMPUTED = (COUNTS, TABLE, NUMBERS, BINS)
"""What is computed again from the input files, in this order."""
_OF_THE_TRAINING = ("baselines", "history", "timing")
"""Keys of the metrics that do not follow from the classifier and the events."""


def compare_recomputed(
    record: Record, config: Config, classifier: Classifier | None, tolerance: float, callbacks: Callbacks
) -> list[Comparison]:
    """Prepare the events, score them and evaluate the scores again, and compare each step with the files of the run.

    The configuration is that of the run, with the folder of its input files now.
    """
    try:
        prepared = prepare(config, callbacks)
    except TamisError as error:
        findings = [f"the events cannot be prepared again: {error}"]
        if isinstance(error, ProblemsError):
            findings = [f"the events: {problem}" for problem in error.problems]
        remaining = nothing_recomputed("the events cannot be prepared again", RECOMPUTED[1:])
        return [Comparison(COUNTS, 0, few(findings)), *remaining]
    cutflow = compare_document(
        COUNTS, CUTFLOW, record.files.get(CUTFLOW), prepared.cutflow.to_dict(config.class_names)
    )
    if cutflow.findings:
        return [cutflow, *nothing_recomputed("the events are not those of the run", RECOMPUTED[1:])]
    if classifier is None:
        return [cutflow, *nothing_recomputed("the classifier cannot be used", RECOMPUTED[1:])]
    callbacks.stage("evaluation")
    splits = score(classifier, prepared.events)
    results = evaluate(build_context(config, prepared, classifier, splits), callbacks.step)
    expected = score_table(config, TrainingResult(prepared, splits))
    written = _read_table(record.folder / SCORES)
    scores = _compare_scores(written, expected, config, tolerance)
    score_columns = [name for name in expected.column_names if name.startswith("score_")]
    if tolerance and (
        written is None or any(_column_difference(written, expected, name, 0.0) for name in score_columns)
    ):
        reason = "the scores of this machine do not have the same bits, though they are within the tolerance"
        return [cutflow, scores, *nothing_recomputed(reason, RECOMPUTED[2:])]
    numbers = _compare_numbers(record, metrics_of_classifier(config, classifier, prepared, results))
    return [cutflow, scores, numbers, _compare_workspace(record, results[DISCOVERY.name])]


def nothing_recomputed(reason: str, names: Sequence[str] = RECOMPUTED) -> list[Comparison]:
    """Return comparisons, none of which was possible, all with one note."""
    note = f"{', '.join(names)}: not computed again, because {reason}"
    return [Comparison(name, 0, notes=(note,)) for name in names]


def _compare_scores(written: Any, expected: Any, config: Config, tolerance: float) -> Comparison:
    if written is None:
        return Comparison(TABLE, 0, (f"{SCORES} is not a readable Parquet file",))
    if len(written) != len(expected):
        findings = [f"{SCORES} has {len(written):,} events, not {len(expected):,}"]
    else:
        differences = [
            _column_difference(written, expected, name, tolerance) for name in expected.column_names
        ]
        findings = [difference for difference in differences if difference]
    further = [name for name in written.column_names if name not in expected.column_names]
    of_baselines = [name for name in further if name.startswith("baseline_") and config.evaluation.baselines]
    findings += [f"{SCORES} has an unexpected column {name}" for name in further if name not in of_baselines]
    note = f"{SCORES}: the scores of the baselines were not computed again, because they are not stored"
    return Comparison(TABLE, len(expected), few(findings), (note,) if of_baselines else ())


def _compare_numbers(record: Record, expected: Mapping[str, Any]) -> Comparison:
    written = record.files.get(METRICS)
    importance = {} if written is None else written.get("importance")
    has_ablation = isinstance(importance, dict) and bool(importance.get("retrained"))
    comparison = compare_document(
        NUMBERS,
        METRICS,
        None if written is None else _without_training(written, has_ablation),
        _without_training(expected, has_ablation),
    )
    not_compared = ["baselines"] if written and written.get("baselines") else []
    not_compared += ["feature ablation in importance"] if has_ablation else []
    if not not_compared:
        return comparison
    note = f"{METRICS}: {', '.join(not_compared)} cannot be computed again without a training"
    return replace(comparison, notes=(note,))


def _without_training(metrics: Mapping[str, Any], has_ablation: bool) -> dict[str, Any]:
    """Return the metrics that follow from the classifier and the events."""
    remaining: dict[str, Any] = as_json(
        {key: value for key, value in metrics.items() if key not in _OF_THE_TRAINING}
    )
    importance = remaining.get("importance")
    if has_ablation and isinstance(importance, dict):
        importance.pop("retrained", None)
        groups = importance.get("groups")
        for group in groups if isinstance(groups, list) else ():
            if isinstance(group, dict):
                group.pop("ablation", None)
    return remaining


def _compare_workspace(record: Record, discovery: Any) -> Comparison:
    path = record.folder / WORKSPACE
    if not isinstance(discovery, DiscoveryResult) or discovery.no_workspace_reason:
        findings = (f"{WORKSPACE} is not expected",) if path.exists() else ()
        reason = discovery.no_workspace_reason if isinstance(discovery, DiscoveryResult) else ""
        notes = () if findings else (f"the run has no workspace{': ' if reason else ''}{reason}",)
        return Comparison(BINS, 0, findings, notes)
    try:
        return compare_document(BINS, WORKSPACE, read_mapping(path), discovery.workspace())
    except TamisError as error:
        return Comparison(BINS, 0, (str(error),))


def _read_table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError):
        return None


def _column_difference(written: Any, expected: Any, name: str, tolerance: float) -> str:
    if name not in written.column_names:
        return f"{SCORES} has no column {name}"
    values, recomputed = _values(written.column(name)), _values(expected.column(name))
    rows = _differing_rows(values, recomputed, tolerance if name.startswith("score_") else 0.0)
    if not len(rows):
        return ""
    row = int(rows[0])
    return (
        f"{SCORES}: {name} of event {row} is {values[row]}, not {recomputed[row]} ({len(rows):,} of "
        f"{len(recomputed):,} events differ)"
    )


def _values(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    texts = pa.types.is_dictionary(column.type) or pa.types.is_string(column.type)
    return np.asarray((column.cast(pa.string()) if texts else column).to_numpy())


def _differing_rows(written: NDArray[Any], recomputed: NDArray[Any], tolerance: float) -> NDArray[np.intp]:
    if written.dtype != recomputed.dtype:
        return np.arange(len(recomputed))
    if tolerance:
        return np.flatnonzero(~(np.abs(written.astype(np.float64) - recomputed) <= tolerance))
    same = written == recomputed
    if written.dtype.kind == "f":
        same |= np.isnan(written) & np.isnan(recomputed)
    return np.flatnonzero(~same)
