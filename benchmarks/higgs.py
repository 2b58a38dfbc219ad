"""The slice of HIGGS by five-fold cross-validation, with and without the symmetries of the detector.

Events stand in one seeded random order, the fold is the position modulo five; three folds train, the next one decides
when to stop, one is the test. `--data` names the folder with higgs_sig.root and higgs_bkg.root.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from machine import describe_machine, markdown_table, write_result
from recipe import fit_lightgbm, fit_tamis, fit_xgboost, judge
from samples import AZIMUTH_PERIOD, Sample, higgs_files

FOLDS = 5
Float32 = NDArray[np.float32]
Predict = Callable[[Float32], NDArray[np.float64]]


@dataclasses.dataclass(frozen=True)
class FoldOutcome:
    """What one fold reached; seconds are those of the fit."""

    method: str
    fold: int
    loss: float
    auc: float
    seconds: float


def divide(sample: Sample, fold: int, seed: int) -> tuple[Sample, Sample, Sample]:
    """Give training, validation and test events."""
    order = np.random.default_rng(seed).permutation(len(sample.weight))
    place = (np.arange(len(order)) - fold) % FOLDS
    return sample.part(order[place > 1]), sample.part(order[place == 1]), sample.part(order[place == 0])


def draw_symmetry(features: Float32, names: tuple[str, ...], generator: np.random.Generator) -> Float32:
    """Turn all azimuths of an event by one angle, and reflect azimuths and pseudorapidities at random."""
    azimuths = [index for index, name in enumerate(names) if name.endswith("phi")]
    rapidities = [index for index, name in enumerate(names) if name.endswith("eta")]
    events = len(features)
    drawn = features.copy()
    angle = generator.uniform(0, AZIMUTH_PERIOD, (events, 1)).astype(np.float32)
    turned = features[:, azimuths] * generator.choice(np.float32([-1, 1]), (events, 1)) + angle
    drawn[:, azimuths] = turned - AZIMUTH_PERIOD * np.round(turned / AZIMUTH_PERIOD)
    drawn[:, rapidities] *= generator.choice(np.float32([-1, 1]), (events, 1))
    return drawn


def fit_symmetric(
    training: Sample, validation: Sample, seed: int, *, networks: int = 1, draws: int = 4
) -> Predict:
    """Train the default with fresh symmetries for every epoch; average over networks and over draws.

    Args:
        training: events.
        validation: events.
        seed: of the first network; the others have the next ones.
        networks: how many are averaged.
        draws: over how many fixed draws of the symmetries the scores are averaged.
    """

    def fresh(features: Float32, generator: np.random.Generator) -> Float32:
        return draw_symmetry(features, training.names, generator)

    member = fit_tamis(training, validation, seed, draw=fresh, networks=networks)

    def predict(features: Float32) -> NDArray[np.float64]:
        generator = np.random.default_rng(0)
        copies = [fresh(features, generator) for _ in range(draws)]
        return np.mean([member(copy) for copy in copies], axis=0)

    return predict


METHODS: dict[str, tuple[str, Callable[[Sample, Sample, int], Predict]]] = {
    "xgboost": ("XGBoost", fit_xgboost),
    "lightgbm": ("LightGBM", fit_lightgbm),
    "plain": ("tamis, default", fit_tamis),
    "plain-averaged": (
        "tamis, mean of 4",
        lambda training, validation, seed: fit_tamis(training, validation, seed, networks=4),
    ),
    "symmetric": ("tamis, with symmetries", fit_symmetric),
    "averaged": (
        "tamis, with symmetries, mean of 4",
        lambda training, validation, seed: fit_symmetric(training, validation, seed, networks=4),
    ),
}


def run_fold(method: str, sample: Sample, fold: int, seed: int) -> FoldOutcome:
    training, validation, test = divide(sample, fold, seed)
    start = time.perf_counter()
    predict = METHODS[method][1](training, validation, seed + fold)
    seconds = time.perf_counter() - start
    loss, _, auc = judge(predict(test.features), test, None)
    return FoldOutcome(METHODS[method][0], fold, loss, auc, seconds)


def table(outcomes: list[FoldOutcome]) -> str:
    rows = []
    for name in dict.fromkeys(outcome.method for outcome in outcomes):
        folds = [outcome for outcome in outcomes if outcome.method == name]
        auc, loss, seconds = np.mean([(each.auc, each.loss, each.seconds) for each in folds], axis=0)
        rows.append([name, f"{auc:.4f}", f"{loss:.4f}", f"{seconds:.1f}"])
    return markdown_table(["classifier", "AUC", "log-loss", "seconds a fold"], rows)


def main() -> int:
    arguments = _parser().parse_args()
    machine = describe_machine()
    sample = higgs_files(arguments.data)
    outcomes = []
    for method in arguments.methods:
        for seed in range(arguments.seeds):
            outcomes += [run_fold(method, sample, fold, seed) for fold in range(FOLDS)]
    print(table(outcomes))
    result = [dataclasses.asdict(outcome) for outcome in outcomes]
    write_result("higgs", {"machine": machine, "outcomes": result})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the two ROOT files")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=1, help="orders of the events")
    return parser


if __name__ == "__main__":
    sys.exit(main())
