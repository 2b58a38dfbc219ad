"""The default recipe beside other libraries, on every sample of `samples.py`: test log-loss, AUC and seconds.

Each fit is a process of its own. All get the same training, validation and test events. The boosted trees stop on
the validation events. The other libraries refuse negative weights or misuse them: they get absolute weights, scaled
so that every class keeps its signed sum, which is right for these samples because signs do not depend on features.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from machine import describe_machine, markdown_table, write_result
from samples import SIMULATED, Sample, exact_scores, higgs_files, workshop_files

if TYPE_CHECKING:
    from tamis.training.events import EventStream

Scores = NDArray[np.float64]
Fit = Callable[[Sample, Sample, int], Callable[[NDArray[np.float32]], Scores]]
"""Of training events, validation events and a seed: gives the function that scores features."""
Draw = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]
"""Of features: gives other ones that are as likely and of the same class."""


@dataclass(frozen=True)
class Outcome:
    """What one fit reached.

    Args:
        sample: its name.
        method: who fitted.
        seed: of the sample, of its division and of the fit.
        loss: weighted log-loss of the test events, with signed weights.
        excess: how much of it is above the exact limit, in expectation over the classes; None where it is not known.
        auc: mean over the classes, one against the rest.
        seconds: of the fit, with preprocessing and compilation.
    """

    sample: str
    method: str
    seed: int
    loss: float
    excess: float | None
    auc: float
    seconds: float


def fit_tamis(
    training: Sample,
    validation: Sample,
    seed: int,
    *,
    draw: Draw | None = None,
    networks: int = 1,
) -> Callable[[NDArray[np.float32]], Scores]:
    """Train with the package's defaults.

    Args:
        training: events.
        validation: events.
        seed: of the initial weights, and of the order of the events.
        draw: draws other events that are as likely, for every epoch.
        networks: how many are trained, one on each core at a time, and averaged (`training.ensemble`).
    """
    from tamis.training.devices import start_devices

    start_devices()
    import jax

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

    def weighted(sample: Sample, draw: Draw | None = None) -> WeightedInputs:
        redraw = None
        if draw is not None:

            def redraw(seed: int, epoch: int) -> NDArray[np.float32]:
                return preprocessing.apply(draw(sample.features, np.random.default_rng((seed, epoch))))

        inputs = preprocessing.apply(sample.features)
        return WeightedInputs(inputs, sample.class_index, sample.weight, redraw)

    learned = weighted(training, draw)
    section = resolve_network(Network(), compute_size(training.weight, features))
    recipe = resolve_recipe(Training(), len(learned))
    ntk = section.parametrisation == "ntk"
    checks = weighted(validation)

    def start(member: int, device: int | None) -> EventStream:
        own = seed + 1000 * member
        network = build_network(
            preprocessing.inputs,
            training.classes,
            section,
            random=np.random.default_rng(own),
            training_inputs=learned.inputs,
        )
        return fit(network, learned, checks, recipe, seed=own, ntk=ntk, device=device)

    trained = train_members([partial(start, member) for member in range(networks)], len(jax.devices()))

    def predict(rows: NDArray[np.float32]) -> Scores:
        inputs = preprocessing.apply(rows)
        scores = [predict_scores(each.network, inputs).astype(np.float64) for each in trained]
        return np.asarray(np.mean(scores, axis=0))

    return predict


def fit_xgboost(training: Sample, validation: Sample, seed: int) -> Callable[[NDArray[np.float32]], Scores]:
    from xgboost import XGBClassifier

    trees = XGBClassifier(
        n_estimators=5000, learning_rate=0.1, early_stopping_rounds=50, tree_method="hist", random_state=seed
    )
    checked = {
        "eval_set": [(validation.features, validation.class_index)],
        "sample_weight_eval_set": [positive_weights(validation)],
    }
    trees.fit(training.features, training.class_index, positive_weights(training), verbose=False, **checked)
    return lambda rows: np.asarray(trees.predict_proba(rows), np.float64)


def fit_lightgbm(training: Sample, validation: Sample, seed: int) -> Callable[[NDArray[np.float32]], Scores]:
    import lightgbm

    trees = lightgbm.LGBMClassifier(n_estimators=5000, learning_rate=0.1, random_state=seed, verbose=-1)
    trees.fit(
        training.features,
        training.class_index,
        positive_weights(training),
        eval_set=[(validation.features, validation.class_index)],
        eval_sample_weight=[positive_weights(validation)],
        callbacks=[lightgbm.early_stopping(50, verbose=False)],
    )
    return lambda rows: np.asarray(trees.predict_proba(rows), np.float64)


def fit_scikit_learn(
    training: Sample, validation: Sample, seed: int
) -> Callable[[NDArray[np.float32]], Scores]:
    from sklearn.neural_network import MLPClassifier

    del validation  # it takes a tenth of the training events instead
    prepare = standardiser(training)
    network = MLPClassifier((64, 64), early_stopping=True, random_state=seed)
    network.fit(prepare(training.features), training.class_index, positive_weights(training))
    return lambda rows: np.asarray(network.predict_proba(prepare(rows)), np.float64)


def fit_keras(training: Sample, validation: Sample, seed: int) -> Callable[[NDArray[np.float32]], Scores]:
    """Train the lecture's network for about 10 000 steps; its inputs are standardised, as the lecture's were not."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    keras.utils.set_random_seed(seed)
    prepare = standardiser(training)
    inputs = prepare(training.features)
    layers = [keras.layers.Dense(6, activation="relu"), keras.layers.Dense(6, activation="relu")]
    output = keras.layers.Dense(training.classes, activation="softmax")
    model = keras.Sequential([keras.Input((inputs.shape[1],)), *layers, output])
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy")
    weight = positive_weights(training)
    checks = (prepare(validation.features), validation.class_index, positive_weights(validation))
    epochs = int(np.clip(320_000 / len(inputs), 1, 20))
    model.fit(
        inputs,
        training.class_index,
        sample_weight=weight / weight.mean(),
        batch_size=32,
        epochs=epochs,
        validation_data=checks,
        verbose=0,
    )
    return lambda rows: np.asarray(model.predict(prepare(rows), batch_size=8192, verbose=0), np.float64)


METHODS: dict[str, tuple[str, Fit]] = {
    "tamis": ("tamis, default", fit_tamis),
    "xgboost": ("XGBoost", fit_xgboost),
    "lightgbm": ("LightGBM", fit_lightgbm),
    "scikit-learn": ("scikit-learn MLP 64-64", fit_scikit_learn),
    "keras": ("Keras 6-6 (lecture)", fit_keras),
}


def positive_weights(sample: Sample) -> NDArray[np.float64]:
    """Give absolute weights that keep the signed sum of every class."""
    sums = np.bincount(sample.class_index, sample.weight)
    factors = sums / np.bincount(sample.class_index, np.abs(sample.weight))
    return np.asarray(np.abs(sample.weight) * factors[sample.class_index])


def standardiser(training: Sample) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Put medians where values are missing, and standardise."""
    median = np.nanmedian(training.features, axis=0)
    mean = np.nanmean(training.features, axis=0, dtype=np.float64)
    deviation = np.nanstd(training.features, axis=0, dtype=np.float64)

    def prepare(features: NDArray[np.float32]) -> NDArray[np.float32]:
        return ((np.where(np.isnan(features), median, features) - mean) / deviation).astype(np.float32)

    return prepare


def load(name: str, seed: int, data: dict[str, Path | None]) -> Sample:
    folder = data.get(name)
    if name == "workshop-files" and folder:
        return workshop_files(folder)
    if name == "higgs" and folder:
        return higgs_files(folder)
    return SIMULATED[name](seed)


def judge(scores: Scores, test: Sample, exact: Scores | None) -> tuple[float, float | None, float]:
    """Compute log-loss, excess over the exact limit, and AUC."""
    rows = np.arange(len(scores))
    bounded = np.maximum(scores, 1e-12)
    loss = -np.average(np.log(bounded[rows, test.class_index]), weights=test.weight)
    return float(loss), None if exact is None else excess(bounded, test, exact), mean_auc(scores, test)


def excess(scores: Scores, test: Sample, exact: Scores) -> float:
    """Average the Kullback-Leibler divergence from the exact scores.

    It is the expectation of the difference of the log-losses, and scatters less. Each event counts with the mean
    weight of its class, which is right where weights do not depend on the features.
    """
    divergence = (exact * (np.log(np.maximum(exact, 1e-300)) - np.log(scores))).sum(axis=1)
    mean_weight = np.bincount(test.class_index, test.weight) / np.bincount(test.class_index)
    return float(np.average(divergence, weights=mean_weight[test.class_index]))


def mean_auc(scores: Scores, test: Sample) -> float:
    """Average the weighted area under the ROC curve over the classes, one against the rest."""
    areas = []
    for number in range(1 if test.classes == 2 else 0, test.classes):
        order = np.argsort(-scores[:, number], kind="stable")
        inside = np.where(test.class_index == number, test.weight, 0)[order]
        outside = np.where(test.class_index != number, test.weight, 0)[order]
        passing = inside.cumsum() - inside / 2
        areas.append((passing * outside).sum() / (inside.sum() * outside.sum()))
    return float(np.mean(areas))


def run_one(method: str, name: str, seed: int, data: dict[str, Path | None], output: Path) -> None:
    training, validation, test = load(name, seed, data).divide(seed)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predict = METHODS[method][1](training, validation, seed)
        seconds = time.perf_counter() - start
        np.savez(output, scores=predict(test.features), seconds=seconds)


def run_all(name: str, seed: int, methods: list[str], arguments: argparse.Namespace) -> list[Outcome]:
    sample = load(name, seed, folders(arguments))
    test = sample.divide(seed)[2]
    exact = None if test.log_density is None else exact_scores(test)
    outcomes = []
    for method in methods:
        with TemporaryDirectory() as folder:
            output = Path(folder) / "scores.npz"
            command = [sys.executable, __file__, "--one", method, name, str(seed), str(output)]
            for option, value in (
                ("--workshop", arguments.workshop),
                ("--higgs", arguments.higgs),
            ):
                command += [option, str(value)] if value else []
            subprocess.run(command, check=True)
            with np.load(output) as result:
                scores, seconds = result["scores"], float(result["seconds"])
        outcomes.append(Outcome(sample.name, METHODS[method][0], seed, *judge(scores, test, exact), seconds))
        print(outcomes[-1], file=sys.stderr, flush=True)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    header = ["sample", "classifier", "test log-loss", "above the limit", "AUC", "seconds"]
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.sample, outcome.method), []).append(outcome)
    return markdown_table(header, [[*names, *_means(group)] for names, group in groups.items()])


def _means(group: list[Outcome]) -> list[str]:
    known = [each.excess for each in group if each.excess is not None]
    return [
        f"{np.mean([each.loss for each in group]):.4f}",
        f"{np.mean(known):.4f}" if known else "-",
        f"{np.mean([each.auc for each in group]):.4f}",
        f"{np.mean([each.seconds for each in group]):.1f}",
    ]


def folders(arguments: argparse.Namespace) -> dict[str, Path | None]:
    return {"workshop-files": arguments.workshop, "higgs": arguments.higgs}


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.one:
        method, name, seed, output = arguments.one
        run_one(method, name, int(seed), folders(arguments), Path(output))
        return 0
    machine = describe_machine()
    there = [name for name, folder in folders(arguments).items() if folder]
    names = arguments.samples or [*there, *SIMULATED]
    outcomes = []
    for name in names:
        for seed in range(arguments.seeds):
            outcomes += run_all(name, seed, arguments.methods, arguments)
    print(table(outcomes))
    write_result("recipe", {"machine": machine, "outcomes": [asdict(outcome) for outcome in outcomes]})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workshop", type=Path, help="folder with the workshop's three ROOT files")
    parser.add_argument("--higgs", type=Path, help="folder with higgs_sig.root and higgs_bkg.root")
    parser.add_argument("--samples", nargs="*", choices=[*SIMULATED, "workshop-files", "higgs"])
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--one", nargs=4, metavar=("METHOD", "SAMPLE", "SEED", "OUTPUT"), help=argparse.SUPPRESS
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
