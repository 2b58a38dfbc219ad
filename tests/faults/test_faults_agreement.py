"""JAX in 32 bits, NumPy in 64 and ONNX Runtime give the same events the same scores, in batches of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tamis
from tamis.classifier import Classifier
from tamis.classifier.exported_names import PACKED
from tamis.config import parse_config
from tamis.export import export_onnx
from tamis.export.evaluate import compute_scores
from tamis.export.lower import lower
from tamis.export.onnx_files import OnnxScorer

Make = Callable[..., dict[str, Any]]
TOLERANCE = 1e-5
SHORT = (1, 37, 65536)
LONG = tuple(sorted({2**power + step for power in range(17) for step in (-1, 0, 1)} - {0, 65537}))

FORMAT = {"bits": 10, "integer": 4}
QUANTIZED = [{"type": "quantized", "nodes": 16, "input": FORMAT}, {"type": "quantized", "nodes": 8}]
KINDS: dict[str, dict[str, Any]] = {
    "dense": {},
    "wide and deep": {"network": {"layers": [{"nodes": 128, "activation": "gelu"}] * 5}},
    "batch normalisation": {"network": {"layers": [{"nodes": 32, "normalisation": "batch"}] * 2}},
    "layer normalisation": {
        "network": {"layers": [{"nodes": 32}, {"nodes": 32, "normalisation": "layer", "residual": True}]}
    },
    "sparse": {"network": {"layers": [{"type": "sparse", "nodes": 32, "density": 0.5}] * 2}},
    "quantized": {"network": {"layers": QUANTIZED, "gains": None}},
    "periodic": {"network": {"layers": [{"nodes": 32}], "embedding": {"type": "periodic"}}},
    "piecewise linear": {"network": {"layers": [{"nodes": 32}], "embedding": {"type": "piecewise_linear"}}},
    "shared members": {"network": {"layers": [{"nodes": 32}] * 2, "shared_members": 8}},
    "logarithms of quantiles": {"preprocessing": {"scaling": "quantile", "logarithm": ["x"]}},
    "folds, seeds and calibration": {
        "split": {"folds": {"number": 2, "by": "event"}},
        "training": {"epochs": 2, "ensemble": 2, "calibration": "vector"},
    },
    "one output": {"training": {"epochs": 2, "loss": "binary_cross_entropy"}},
    "symmetries": {
        "training": {
            "epochs": 2,
            "symmetries": [{"type": "reflection", "features": ["y"]}],
            "test_time_augmentation": 2,
        }
    },
}


def trained(make: Make, folder: Path, kind: str) -> tuple[Classifier, OnnxScorer]:
    """Train for a moment, so that no weight is what it began as."""
    network = {"layers": [{"nodes": 32}] * 2}
    options = {"network": network, "training": {"epochs": 2}, **KINDS[kind]}
    classifier = tamis.train(parse_config(make(400, **options))).classifier
    classifier.save(folder)
    export_onnx(folder)
    return classifier, OnnxScorer(classifier, folder / PACKED, "packed")


def events(number: int) -> NDArray[np.float32]:
    """Give events like those of the training, and some that are far outside."""
    rng = np.random.default_rng(number)
    features = rng.normal(0.7, 1.3, (number, 2)).astype(np.float32)
    features[:: max(number // 50, 1)] *= 100
    return features


def largest_differences(classifier: Classifier, model: OnnxScorer, sizes: Sequence[int]) -> dict[str, float]:
    """Give by how much the scores of two programs differ at most, over all sizes of batches."""
    graph, found = lower(classifier), dict.fromkeys(("JAX and NumPy", "JAX and ONNX Runtime"), 0.0)
    whole = events(65536)
    reference = classifier.scores(whole).astype(np.float64)
    for size in sizes:
        first = 65536 % (size + 1) % max(65536 - size, 1)
        rows = slice(first, first + size)
        jax, runtime = classifier.scores(whole[rows]).astype(np.float64), model(whole[rows])
        np.testing.assert_array_equal(jax, reference[rows])  # a batch changes no bit
        pairs = {"JAX and NumPy": compute_scores(graph, whole[rows]), "JAX and ONNX Runtime": runtime}
        for name, others in pairs.items():
            found[name] = max(found[name], float(np.abs(jax - others).max()))
    return found


@pytest.mark.slow  # scores 65536 events in batches of many sizes
@pytest.mark.parametrize("kind", ["dense", "folds, seeds and calibration"])
def test_three_programs_agree(module_classes: Make, tmp_path: Path, kind: str) -> None:
    found = largest_differences(*trained(module_classes, tmp_path, kind), SHORT)
    assert max(found.values()) <= TOLERANCE, found


@pytest.mark.long
def test_three_programs_agree_for_every_kind_of_layer(
    module_classes: Make, tmp_path: Path, record: Callable[[str, dict[str, Any]], None]
) -> None:
    found = {}
    for kind in KINDS:
        found[kind] = largest_differences(*trained(module_classes, tmp_path / kind, kind), LONG)
        record("agreement", {"sizes of batches": list(LONG), "largest differences": found})
    worst = {kind: max(each.values()) for kind, each in found.items()}
    assert {kind: each for kind, each in worst.items() if not each <= TOLERANCE} == {}
