"""Verify a run directory: compare its files with their hashes, and recompute its contents."""

from __future__ import annotations

from pathlib import Path

from tamis.arguments import check_kind
from tamis.errors import RequestError
from tamis.paths import to_path
from tamis.pipeline.callbacks import Callbacks
from tamis.runs.layout import CONFIG
from tamis.runs.verification.comparison import Verification
from tamis.runs.verification.files import (
    compare_configuration,
    compare_figures,
    compare_files,
    compare_inputs,
    compare_model,
    compare_onnx,
    compare_report,
    find_data_folder,
    other_versions,
)
from tamis.runs.verification.numbers import compare_history, compare_scored_numbers, compare_sums
from tamis.runs.verification.recomputation import compare_recomputed, nothing_recomputed
from tamis.runs.verification.record import Record, read_record

_CHANGES_BITS = ("jax", "jaxlib", "numpy", "processor", "scipy", "tamis")


def verify_run(
    run: Path | str,
    *,
    data: Path | str | None = None,
    tolerance: float = 0.0,
    callbacks: Callbacks | None = None,
) -> Verification:
    """Recompute the contents of a run as far as possible, and report the differences.

    The files are compared with their hashes. The scores of the reference events, the best epoch and the numbers of the
    test events are always computed again; the cutflow, the scores and all numbers only if the input files exist and
    are unchanged.

    Args:
        run: the run directory.
        data: the folder of the input files with relative names; by default the folder of the training.
        tolerance: largest allowed difference of scores, for another processor or other versions; 0 requires the same
            bits.
        callbacks: functions that are called on the way.

    Raises:
        InputError: the folder is not the directory of a finished run, or has another format.
        RequestError: `data` is not a folder.

    Example:
        >>> verify_run("runs/nothing")
        Traceback (most recent call last):
        tamis.errors.InputError: run: runs/nothing: there is no such folder; give the directory of a finished run
    """
    folder = to_path(run, "verify_run")
    data_folder = None if data is None else to_path(data, "verify_run")
    if data_folder is not None and not data_folder.is_dir():
        raise RequestError(f"--data: {data} is not a folder")
    check_kind(callbacks, Callbacks, "callbacks of verify_run")
    callbacks = callbacks or Callbacks()
    callbacks.stage("comparing files")
    record = read_record(folder)
    inputs = compare_inputs(record, data_folder)
    model, classifier = compare_model(record)
    comparisons = [
        compare_files(record),
        compare_configuration(record),
        inputs,
        model,
        compare_onnx(record, classifier),
        compare_sums(record),
        compare_history(record, classifier),
        compare_scored_numbers(record),
        compare_figures(record),
        compare_report(record),
    ]
    if record.config is None:
        comparisons += nothing_recomputed(f"{CONFIG} cannot be read")
    elif not inputs.matches or inputs.notes:
        comparisons += nothing_recomputed("not all input files exist and are unchanged")
    else:
        callbacks.stage("reading")
        folder_now = find_data_folder(record, data_folder) or record.config.data
        config = record.config.model_copy(update={"data": folder_now})
        comparisons += compare_recomputed(record, config, classifier, tolerance, callbacks)
    return Verification(tuple(comparisons), tuple(_versions(record, tolerance)))


def _versions(record: Record, tolerance: float) -> list[str]:
    changed = [
        f"{name} {then} (now {now})"
        for name, (then, now) in other_versions(record.provenance).items()
        if name in _CHANGES_BITS
    ]
    if not changed:
        return []
    advice = "" if tolerance else "; if only the last digits of scores differ, use --tolerance 1e-5"
    return [f"the run was made with {', '.join(changed)}{advice}"]
