"""A whole verification: from a run directory to what matches and what does not."""

from __future__ import annotations

from pathlib import Path

from tamis.errors import RequestError
from tamis.pipeline.watch import Watch
from tamis.verification.comparison import Comparison, Verification
from tamis.verification.kept_files import (
    compare_configuration,
    compare_figures,
    compare_files,
    compare_report,
    other_versions,
)
from tamis.verification.kept_inputs import KeptInputs, compare_inputs
from tamis.verification.kept_model import compare_model, compare_onnx
from tamis.verification.kept_numbers import compare_history, compare_scored_numbers, compare_sums
from tamis.verification.recomputation import Recomputation, nothing_recomputed
from tamis.verification.record import Record, read_record

_CHANGES_BITS = ("jax", "jaxlib", "numpy", "processor", "scipy", "tamis")


def verify_run(
    run: Path | str, *, data: Path | str | None = None, tolerance: float = 0.0, watch: Watch | None = None
) -> Verification:
    """Recompute what can be recomputed of a finished run, and name what does not match.

    Files are compared with their hashes, and what follows from others is computed again: the scores of the reference
    events, the chosen epoch and the numbers of the test events always; the ledger, the scores and all numbers where the
    input files are there and are the same.

    Args:
        run: the run directory.
        data: the folder where relative names of input files are looked up now; by default where they were.
        tolerance: by how much scores may differ, for another processor or other versions; 0 wants the same bits.
        watch: what to tell the caller on the way.

    Raises:
        InputError: the folder is not that of a finished run.
        RequestError: `data` is no folder.

    Example:
        >>> verify_run("runs/nothing")
        Traceback (most recent call last):
        tamis.errors.InputError: run: 1 problem
          runs/nothing: there is no such folder; give the directory of a finished run
    """
    if data is not None and not Path(data).is_dir():
        raise RequestError(f"--data: {data} is not a folder")
    watch = watch or Watch()
    watch.stage("files")
    record = read_record(Path(run))
    inputs = _inputs(record, None if data is None else Path(data))
    model, classifier = compare_model(record)
    kept = [
        compare_files(record),
        compare_configuration(record),
        inputs.comparison,
        model,
        compare_onnx(record, classifier),
        compare_sums(record),
        compare_history(record, classifier),
        compare_scored_numbers(record),
        compare_figures(record),
        compare_report(record),
    ]
    if record.config is None:
        again = nothing_recomputed("config.yaml cannot be read")
    elif not inputs.usable:
        again = nothing_recomputed("not all input files are there as they were")
    else:
        watch.stage("reading")
        config = record.config.model_copy(update={"data": inputs.folder or record.config.data})
        again = Recomputation(record, config, tolerance).compare(classifier, watch)
    return Verification((*kept, *again), tuple(_versions(record, tolerance)))


def _inputs(record: Record, data: Path | None) -> KeptInputs:
    if record.provenance is None:
        note = "which files the run was made from is not known: provenance.json cannot be used"
        return KeptInputs(Comparison("input files", 0, notes=(note,)), None, usable=False)
    return compare_inputs(record.provenance.inputs, data)


def _versions(record: Record, tolerance: float) -> list[str]:
    others = {
        name: versions
        for name, versions in other_versions(record.provenance).items()
        if name in _CHANGES_BITS
    }
    if not others:
        return []
    said = ", ".join(f"{name} {then} (now {now})" for name, (then, now) in others.items())
    advice = "" if tolerance else "; if only last digits of scores differ, allow them with --tolerance 1e-5"
    return [f"the run was made with {said}{advice}"]
