"""The ledger, the scores and all numbers once more, from the input files and the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.config import Config
from tamis.errors import ProblemsError, TamisError
from tamis.pipeline.judging import ScoredPart, evaluate, score
from tamis.pipeline.preparation import Prepared, prepare
from tamis.pipeline.run import Run
from tamis.pipeline.watch import Watch
from tamis.run_directory import score_table
from tamis.verification.comparison import Comparison, compare_values, few
from tamis.verification.kept_numbers import SCORES
from tamis.verification.record import Record

if TYPE_CHECKING:
    from tamis.classifier import Classifier

LEDGER, TABLE, NUMBERS, WORKSPACE = "ledger", "scores", "numbers from the events", "workspace"
_OF_THE_TRAINING = ("baselines", "history", "timing", "retrained")
"""Keys of metrics.json that do not follow from the classifier and the events."""
_TRAINED = ("baselines", "retrained")


@dataclass(frozen=True)
class Recomputation:
    """What is computed again, and from what.

    Args:
        record: what the run says.
        config: of the run, with the folder where its files are now.
        tolerance: by how much scores may differ; 0 wants the same bits.
    """

    record: Record
    config: Config
    tolerance: float

    def compare(self, classifier: Classifier | None, watch: Watch) -> list[Comparison]:
        """Prepare the events, score them and evaluate the scores, and compare each step with what was written."""
        try:
            prepared = prepare(self.config, watch)
        except ProblemsError as error:
            return [Comparison(LEDGER, 0, few([f"the events: {each}" for each in error.problems]))]
        except TamisError as error:
            return [Comparison(LEDGER, 0, (f"the events cannot be prepared again: {error}",))]
        found = [self._ledger(prepared)]
        if found[0].findings:
            return [*found, *nothing_recomputed("the events are not those of the run", without_ledger=True)]
        if classifier is None:
            return [*found, *nothing_recomputed("the classifier cannot be used", without_ledger=True)]
        watch.stage("evaluation")
        parts = score(classifier, prepared.events)
        run = self._run(classifier, prepared, parts, watch)
        scores = self._scores(run)
        if self.tolerance and not _same_bits(run, self.record.folder / SCORES):
            reason = "the scores of this machine are not the same bits, though within the tolerance"
            return [*found, scores, *nothing_recomputed(reason)[2:]]
        return [*found, scores, self._numbers(run), *self._workspace(run)]

    def _ledger(self, prepared: Prepared) -> Comparison:
        written = self.record.files.get("events.json")
        if written is None:
            return Comparison(LEDGER, 0, notes=("events.json cannot be read",))
        expected = prepared.ledger.to_dict(self.config.class_names)
        number, differences = compare_values(written, expected)
        return Comparison(LEDGER, number, few(differences, "events.json"))

    def _run(
        self, classifier: Classifier, prepared: Prepared, parts: Mapping[str, ScoredPart], watch: Watch
    ) -> Run:
        evaluation = evaluate(self.config, prepared, classifier, parts, watch.step)
        return Run(self.config, classifier, (), prepared, parts, evaluation, {})

    def _scores(self, run: Run) -> Comparison:
        table = _read_table(self.record.folder / SCORES)
        if table is None:
            return Comparison(TABLE, 0, (f"{SCORES} is not a readable Parquet file",))
        expected = score_table(run)
        findings, notes = [], []
        if len(table) != len(expected):
            findings.append(f"{SCORES} has {len(table):,} events, not {len(expected):,}")
        else:
            for name in expected.column_names:
                findings += _column_differences(table, expected, name, self.tolerance)
        others = [name for name in table.column_names if name not in expected.column_names]
        trained = [
            name for name in others if name.startswith("baseline_") and self.config.evaluation.baselines
        ]
        if trained:
            notes.append(
                f"{SCORES}: the scores of the baselines were not computed again, because what gave them is not kept"
            )
        findings += [
            f"{SCORES} has a column {name} that nothing gives" for name in others if name not in trained
        ]
        return Comparison(TABLE, len(expected), few(findings), tuple(notes))

    def _numbers(self, run: Run) -> Comparison:
        written = self.record.files.get("metrics.json")
        if written is None:
            return Comparison(NUMBERS, 0, notes=("metrics.json cannot be read",))
        left_out = [key for key in _OF_THE_TRAINING if written.get(key) and key in _TRAINED]
        kept, expected = (
            {key: value for key, value in each.items() if key not in _OF_THE_TRAINING}
            for each in (written, run.numbers())
        )
        if written.get("retrained"):
            kept, expected = ({**each, "importance": _without_left_out(each)} for each in (kept, expected))
            left_out.append("importance.left_out")
        number, differences = compare_values(kept, expected)
        notes = (f"metrics.json: {', '.join(left_out)} cannot be computed again without a training",)
        return Comparison(NUMBERS, number, few(differences, "metrics.json"), notes if left_out else ())

    def _workspace(self, run: Run) -> list[Comparison]:
        from tamis.run_reading import read_mapping

        path, names = self.record.folder / "workspace.json", self.config.class_names
        search = run.evaluation.search
        wanted = search is not None and not search.without_workspace(names)
        if search is None or not wanted:
            said = ("workspace.json is there, but nothing gives it",) if path.exists() else ()
            return [Comparison(WORKSPACE, 0, said)] if said else []
        try:
            written = read_mapping(path)
        except TamisError as error:
            return [Comparison(WORKSPACE, 0, (str(error),))]
        number, differences = compare_values(written, search.workspace(names))
        return [Comparison(WORKSPACE, number, few(differences, "workspace.json"))]


def nothing_recomputed(reason: str, *, without_ledger: bool = False) -> list[Comparison]:
    """Say what was not recomputed, and why."""
    names = (TABLE, NUMBERS) if without_ledger else (LEDGER, TABLE, NUMBERS)
    return [Comparison(name, 0, notes=(f"{name}: not computed again, because {reason}",)) for name in names]


def _without_left_out(metrics: Mapping[str, Any]) -> Any:
    groups = metrics.get("importance")
    if not isinstance(groups, list):
        return groups
    return [
        {key: value for key, value in each.items() if key != "left_out"} if isinstance(each, dict) else each
        for each in groups
    ]


def _read_table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError):
        return None


def _same_bits(run: Run, path: Path) -> bool:
    table, expected = _read_table(path), score_table(run)
    names = [name for name in expected.column_names if name.startswith("score_")]
    return table is not None and not [
        said for name in names for said in _column_differences(table, expected, name, 0.0)
    ]


def _column_differences(table: Any, expected: Any, name: str, tolerance: float) -> Iterator[str]:
    if name not in table.column_names:
        yield f"{SCORES} has no column {name}"
        return
    found, wanted = _values(table.column(name)), _values(expected.column(name))
    bad = _differing(found, wanted, tolerance if name.startswith("score_") else 0.0)
    if len(bad):
        row = int(bad[0])
        yield (
            f"{SCORES}: {name} of event {row} is {found[row]}, not {wanted[row]} ({len(bad):,} of {len(wanted):,} "
            "events differ)"
        )


def _values(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    texts = pa.types.is_dictionary(column.type) or pa.types.is_string(column.type)
    return np.asarray((column.cast(pa.string()) if texts else column).to_numpy())


def _differing(found: NDArray[Any], wanted: NDArray[Any], tolerance: float) -> NDArray[np.intp]:
    if found.dtype != wanted.dtype:
        return np.arange(len(wanted))
    if tolerance:
        return np.flatnonzero(~(np.abs(found.astype(np.float64) - wanted) <= tolerance))
    same = found == wanted
    if found.dtype.kind == "f":
        same |= np.isnan(found) & np.isnan(wanted)
    return np.flatnonzero(~same)
