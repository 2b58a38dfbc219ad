"""The questions that a reviewer asks of a classifier, in the order of the report.

`STUDIES` is the only list of them: figures, report, `metrics.json` and the terminal summary loop over it. To add a
study, add its entry here, and a package with these modules: `result.py` with the frozen result and the function that
computes it from the `Context`; `keys.py` with the types of its keys of `metrics.json`, as the only one that imports
pydantic; `plot.py` with its figures, if it has any, as the only one that imports matplotlib; and `__init__.py` with the
section of the report, the captions, the figure data, the findings and the `Study` that holds all of these. Then run
`python docs/make_metrics_page.py`, and describe the part of `metrics.json` in `docs/run_directory.md`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from tamis.errors import InputError, Problem
from tamis.files import write_text
from tamis.records import from_json, to_json
from tamis.studies.baselines import BASELINES
from tamis.studies.bayes_optimum import BAYES_OPTIMUM
from tamis.studies.calibration import CALIBRATION
from tamis.studies.context import Context
from tamis.studies.cuts import CUTS
from tamis.studies.discovery import DISCOVERY
from tamis.studies.importance import IMPORTANCE
from tamis.studies.inputs import INPUTS
from tamis.studies.negative_weights import NEGATIVE_WEIGHTS
from tamis.studies.overtraining import OVERTRAINING
from tamis.studies.pairs import PAIRS
from tamis.studies.performance import PERFORMANCE
from tamis.studies.sculpting import SCULPTING
from tamis.studies.stability import STABILITY
from tamis.studies.study import Study, Undefined

if TYPE_CHECKING:
    from tamis.studies.keys import Keys

STUDIES: tuple[Study[Any], ...] = (
    CUTS,
    PERFORMANCE,
    PAIRS,
    BAYES_OPTIMUM,
    BASELINES,
    OVERTRAINING,
    CALIBRATION,
    DISCOVERY,
    IMPORTANCE,
    SCULPTING,
    NEGATIVE_WEIGHTS,
    STABILITY,
    INPUTS,
)


def defined_results(results: Mapping[str, Any]) -> Iterator[tuple[Study[Any], Any]]:
    """Return the studies that have a result, in the order of the report, each with its result.

    Results are by the name of the study, here and below; `Undefined` or None stand for a study without a result.
    """
    for study in STUDIES:
        result = results.get(study.name)
        if result is not None and not isinstance(result, Undefined):
            yield study, result


def extend_results(context: Context, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of the studies, extended by what trains networks again; a `TrainingError` if one diverges."""
    extended = {study.name: study.extend(context, result) for study, result in defined_results(results)}
    return {**results, **extended}


def describe_keys() -> type[Keys]:
    """Return the type of an object of the keys of `metrics.json` that the studies write."""
    from pydantic import create_model  # it is slow to import, and figures do not need it

    from tamis.studies.keys import Keys

    keys: dict[str, Any] = {name: described for study in STUDIES for name, described in study.keys().items()}
    return create_model("StudyKeys", __base__=Keys, **keys)


def metrics_of_studies(results: Mapping[str, Any], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the keys of `metrics.json` that the studies write; None if there is no result."""
    from tamis.studies.keys import read_keys  # as above

    sources = {study.name: study.metrics(result) for study, result in defined_results(results)}
    metrics: dict[str, Any] = read_keys(describe_keys(), defaultdict(NoneType, sources), class_names)
    return metrics


def result_file(study: Study[Any]) -> str:
    """Return the name of the file that holds the result of a study."""
    return f"{study.name}.json"


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Write the result of each study as one JSON file, into a new folder."""
    folder.mkdir()
    for study in STUDIES:
        result = results[study.name]
        write_text(folder / result_file(study), ("null" if result is None else to_json(result)) + "\n")


def read_results(folder: Path) -> dict[str, Any]:
    """Read the results that `write_results` wrote; raise an `InputError` for a file without a result of its study."""
    return {study.name: _read(study, folder / result_file(study)) for study in STUDIES}


def _read(study: Study[Any], path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        if content is None:
            return None
        is_undefined = isinstance(content, dict) and content.keys() == {"reason"}
        return from_json(Undefined if is_undefined else study.result, text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            "run", [Problem(str(path), f"is not a result of the study {study.name}: {error}")]
        ) from error
