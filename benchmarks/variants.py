"""Variants of the default recipe on development events, which are neither test events nor seen in a training.

A quarter of each sample is never used, so that it can judge the recipe that is chosen. The others are divided at random
into training (60%), validation (20%) and development events (20%), anew for each division. The difference to the first
variant is paired: of the loss of each development event; its error is that of the weighted mean over these events, and
does not contain the variation between trainings.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machine import describe_machine, markdown_table, write_result
from samples import SIMULATED, Sample, class_files

SEED_OF_HELD_OUT_EVENTS = 20261201

PERIODIC = {"type": "periodic"}
VARIANTS: dict[str, dict[str, Any]] = {
    "no embedding": {"embedding": None},
    "default": {},
    "sigma 0.05": {"embedding": {**PERIODIC, "sigma": 0.05}},
    "sigma 0.3": {"embedding": {**PERIODIC, "sigma": 0.3}},
    "4 frequencies": {"embedding": {**PERIODIC, "frequencies": 4}},
    "8 nodes": {"embedding": {**PERIODIC, "nodes": 8}},
    "no gains": {"embedding": PERIODIC, "gains": None},
}
"""The section `network` of each variant."""


@dataclass(frozen=True)
class Fitted:
    """The result of one training.

    Args:
        sample: its name.
        variant: its name.
        division: number of the division, and seed of the training.
        loss: weighted log-loss of the development events.
        seconds: processor time of the training, with compilation.
        difference: loss minus that of the first variant, on the same events; None for the first variant.
        error: of the difference, from the finite number of development events.
    """

    sample: str
    variant: str
    division: int
    loss: float
    seconds: float
    difference: float | None = None
    error: float | None = None


def divide(sample: Sample, division: int) -> tuple[Sample, Sample, Sample]:
    order = np.random.default_rng(SEED_OF_HELD_OUT_EVENTS).permutation(len(sample.weight))
    used = np.random.default_rng((division, 5)).permutation(order[len(order) // 4 :])
    first, second = int(0.6 * len(used)), int(0.8 * len(used))
    return sample.part(used[:first]), sample.part(used[first:second]), sample.part(used[second:])


def fit_variant(
    network: dict[str, Any], training: Sample, validation: Sample, development: Sample, seed: int
) -> tuple[NDArray[np.float64], float]:
    """Train a network; return the losses of the development events, [n], and the processor time."""
    from tamis.config import Network, Preprocessing, Training
    from tamis.network.network import build_network
    from tamis.network.prediction import predict_scores
    from tamis.network.preprocessing import fit_preprocessing
    from tamis.training.batches import WeightedInputs
    from tamis.training.fit import fit
    from tamis.training.members import train_members
    from tamis.training.recipe import compute_size, resolve_network, resolve_recipe

    features = training.features.shape[1]
    preprocessing = fit_preprocessing(
        training.features, training.weight, Preprocessing().scaling, missing_allowed=[True] * features
    )
    learned, checked = (
        WeightedInputs(preprocessing.apply(sample.features), sample.class_index, sample.weight)
        for sample in (training, validation)
    )
    section = resolve_network(Network.model_validate(network), compute_size(training.weight, features))
    recipe = resolve_recipe(Training(), len(learned))
    built = build_network(
        preprocessing.inputs,
        training.classes,
        section,
        random=np.random.default_rng(seed),
        training_inputs=learned.inputs,
    )
    start = time.process_time()
    member = partial(fit, built, learned, checked, recipe, seed=seed, ntk=section.parametrisation == "ntk")
    (trained,) = train_members([lambda device: member(device=device)], 1)
    seconds = time.process_time() - start
    scores = predict_scores(trained.network, preprocessing.apply(development.features))
    of_class = np.asarray(scores, np.float64)[np.arange(len(scores)), development.class_index]
    return -np.log(np.maximum(of_class, 1e-7)), seconds


def compare_variants(sample: Sample, variants: list[str], division: int) -> list[Fitted]:
    """Train each variant on one division of a sample, and compare it with the first one."""
    parts = divide(sample, division)
    weight = parts[2].weight / parts[2].weight.sum()
    fitted: list[Fitted] = []
    first: NDArray[np.float64] | None = None
    for variant in variants:
        losses, seconds = fit_variant(VARIANTS[variant], *parts, seed=division)
        difference, error = None, None
        if first is None:
            first = losses
        else:
            change = losses - first
            difference = float(weight @ change)
            error = float(np.sqrt((weight**2) @ (change - difference) ** 2))
        fitted.append(
            Fitted(sample.name, variant, division, float(weight @ losses), seconds, difference, error)
        )
        print(fitted[-1], file=sys.stderr, flush=True)
    return fitted


def table(fitted: list[Fitted]) -> str:
    groups: dict[tuple[str, str], list[Fitted]] = {}
    for one in fitted:
        groups.setdefault((one.sample, one.variant), []).append(one)
    rows = []
    for names, group in groups.items():
        differences = [one.difference for one in group if one.difference is not None]
        errors = [one.error for one in group if one.error is not None]
        change = "-"
        if differences:
            change = f"{np.mean(differences):+.4f} ± {np.sqrt(np.sum(np.square(errors))) / len(errors):.4f}"
        loss, seconds = np.mean([one.loss for one in group]), np.mean([one.seconds for one in group])
        rows.append([*names, str(len(group)), f"{loss:.4f}", change, f"{seconds:.1f}"])
    return markdown_table(["sample", "variant", "divisions", "log-loss", "difference", "processor, s"], rows)


def main() -> int:
    from tamis.training.devices import start_devices

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, nargs="*", default=[], help="folders with one file for each class"
    )
    parser.add_argument(
        "--samples", nargs="*", default=["tails", "six", "useless", "sharp"], choices=SIMULATED
    )
    parser.add_argument("--variants", nargs="*", default=["no embedding", "default"], choices=VARIANTS)
    parser.add_argument("--divisions", type=int, default=3)
    arguments = parser.parse_args()
    start_devices()
    machine = describe_machine()
    fitted = [
        one
        for division in range(arguments.divisions)
        for sample in [
            *(class_files(folder) for folder in arguments.data),
            *(SIMULATED[name](0) for name in arguments.samples),
        ]
        for one in compare_variants(sample, arguments.variants, division)
    ]
    print(table(fitted))
    write_result("variants", {"machine": machine, "fitted": [asdict(one) for one in fitted]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
