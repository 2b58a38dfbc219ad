"""The files of the hand-over: written beside a saved classifier, all of them or none."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import save_model
from onnx.helper import set_model_props

from tamis.classifier import DOCUMENT, Classifier
from tamis.classifier.manifest import announce, settle
from tamis.deploy.agreement import (
    Comparison,
    choose_events,
    compare,
    measure_reference,
    reference_events,
)
from tamis.deploy.names import DERIVED, NAMED, PACKED, PREPROCESS
from tamis.deploy.onnx_check import Model, check_form, check_numbers
from tamis.deploy.onnx_classifier import Form, build_model, fold_input, packed_input, score_output
from tamis.deploy.resolution import require_float32
from tamis.deploy.weaver import preprocess_document
from tamis.files import complete_file, write_json
from tamis.provenance import tamis_version


def export_onnx(
    folder: Path | str,
    features: NDArray[np.float32] | None = None,
    fold: NDArray[np.int32] | None = None,
    *,
    output: Path | None = None,
) -> Comparison:
    """Write the ONNX form of a saved classifier into its folder, and check it against the classifier.

    Three files appear, all or none: `classifier.onnx` with one input for each feature, `classifier_packed.onnx` with
    one input for all of them, and `preprocess.json` for CMSSW's producers.

    Args:
        folder: the folder `model` of a run, as `Classifier.save` writes it.
        features: events to compare, NaN where missing, [n, n_features]; by default the reference events of the
            classifier, and mixtures of them.
        fold: their folds, [n].
        output: where the files go; into the folder itself by default.

    Returns:
        On how many events they were compared, and by how much a score deviates from float64 at most.

    Raises:
        InputError: there is no classifier in the folder, or it is damaged.
        UntranslatableError: float32 does not resolve a feature.
        ExportError: the files do not compute the classifier.
    """
    folder = Path(folder)
    target = folder if output is None else output
    classifier = Classifier.load(folder, ignoring=DERIVED)
    require_float32(classifier, "ONNX")
    sample = reference_events(classifier) if features is None else choose_events(features, fold)
    forms: dict[Form, str] = {"named": NAMED, "packed": PACKED}
    with ExitStack() as stack:
        paths = {}
        for form, name in forms.items():
            model = build_model(classifier, form)
            set_model_props(model, {"tamis": json.dumps(describe(classifier, folder, form), allow_nan=False)})
            paths[form] = stack.enter_context(complete_file(target / name))
            save_model(model, str(paths[form]))
            check_numbers(classifier, paths[form], name)
        check_form(*paths.values())
        reference = measure_reference(classifier, sample)
        compared = [
            compare(reference, Model(classifier, path, form), "ONNX Runtime") for form, path in paths.items()
        ]
        fold_name = fold_input(classifier)
        described = preprocess_document(
            classifier.feature_names, classifier.class_names, packed_input(classifier), fold_name
        )
        side_car = stack.enter_context(complete_file(target / PREPROCESS))
        write_json(side_car, described)
        listed = target.resolve() == folder.resolve()
        if listed:
            announce(folder, {name: paths[form] for form, name in forms.items()} | {PREPROCESS: side_car})
    if listed:
        settle(folder)
    return max(compared, key=lambda comparison: comparison.difference)


def describe(classifier: Classifier, folder: Path, form: Form) -> dict[str, Any]:
    """Say what the inputs and outputs of a model mean, as strict JSON; the model holds it as metadata, key `tamis`.

    Args:
        classifier: that was exported.
        folder: where it is saved.
        form: of the inputs.
    """
    document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
    features = [
        {key: feature[key] for key in ("name", "expression", "unit", "label", "missing")}
        for feature in document["features"]
    ]
    fold = fold_input(classifier)
    return {
        "format": "tamis onnx",
        "version": 1,
        "producer": f"tamis {tamis_version()}",
        "inputs": list(classifier.feature_names) if form == "named" else [packed_input(classifier)],
        "inputs_are": "the features, in 32 bits; a feature that is an expression is computed before it is passed",
        "features": features,
        "missing": "the values in `missing`, NaN and infinities; a feature without the rule must be finite, and the "
        "scores are NaN otherwise",
        "output": score_output(classifier),
        "classes": document["classes"],
        "fold": None
        if fold is None or classifier.folds is None
        else {
            "input": fold,
            "number": classifier.folds.number,
            "by": classifier.folds.by,
            "rule": "the remainder of `by` divided by `number`, never negative; -1 where unknown, for the average of "
            "all networks",
        },
        "networks": len(classifier.members),
        "calibration": document.get("calibration"),
        "weights_sha256": document["weights_sha256"],
        "document_sha256": document["document_sha256"],
    }
