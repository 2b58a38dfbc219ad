"""The samples of the recipe: simulated ones with known densities, and files where they are at hand.

Every simulated sample is a function of a number of events and a seed. Where the densities of the classes are known,
so is the best possible classifier, and with it the smallest log-loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]

AZIMUTH_PERIOD = 3.487
"""A full turn in the units of the azimuths of the slice of HIGGS."""


@dataclass(frozen=True)
class Sample:
    """Events of several classes.

    Args:
        name: what the tables call it.
        features: NaN where missing, [n, features].
        class_index: the true class, [n].
        weight: of each event, in training and in evaluation; may be negative, [n].
        log_density: computes the logarithm of the density of some events, given by their numbers, under each class,
            times the expected sum of weights of the class, up to a term that is common to all classes,
            [events, classes]; None where it is not known.
        test: fraction of the events that is kept for the results.
        names: of the features, where they have names.
    """

    name: str
    features: Float32
    class_index: NDArray[np.int32]
    weight: Float64
    log_density: Callable[[Rows], Float64] | None = None
    test: float = 0.25
    names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.class_index.max()) + 1

    def part(self, rows: Rows) -> Sample:
        """Give some of the events."""
        whole = self.log_density
        known = None if whole is None else lambda chosen: whole(rows[chosen])
        some = (self.features[rows], self.class_index[rows], self.weight[rows], known)
        return Sample(self.name, *some, test=self.test, names=self.names)

    def divide(self, seed: int, validation: float = 0.2) -> tuple[Sample, Sample, Sample]:
        """Divide into training, validation and test events at random.

        Args:
            seed: where the random numbers come from.
            validation: fraction of what is not a test event.
        """
        order = np.random.default_rng((seed, 77)).permutation(len(self.weight))
        test = round(self.test * len(order))
        check = round(validation * (len(order) - test))
        return (
            self.part(order[test + check :]),
            self.part(order[test : test + check]),
            self.part(order[:test]),
        )


def exact_scores(sample: Sample) -> Float64:
    """Give the scores of the best possible classifier, [n, classes].

    Raises:
        ValueError: the densities are not known.
    """
    if sample.log_density is None:
        raise ValueError(f"the densities of the sample {sample.name} are not known")
    logits = sample.log_density(np.arange(len(sample.weight)))
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def workshop_simulated(events: int = 300_000, seed: int = 0) -> Sample:
    """Simulate the workshop's three processes."""
    from tamis.data.simulate import PROCESSES, simulate_events

    generator = np.random.default_rng((seed, 1))
    columns = [simulate_events(process, events // 3, generator) for process in PROCESSES]
    names = ("pt", "mass", "eta")
    known = tuple(f"log_density_{process.name}" for process in PROCESSES)

    def stacked(wanted: tuple[str, ...]) -> Float64:
        return np.concatenate([np.stack([each[name] for name in wanted], axis=1) for each in columns])

    labels = np.repeat(np.arange(3), events // 3)
    ones = np.ones(len(labels))
    densities = stacked(known)
    return _sample("workshop, simulated", stacked(names), labels, ones, densities.__getitem__, test=0.5)


def workshop_files(data: Path) -> Sample:
    """Read the workshop's real events."""
    import uproot

    columns = []
    for name in ("bkg1", "bkg2", "sig"):
        with uproot.open(data / f"{name}_Events.root") as file:
            arrays = file["tree"].arrays(["pt", "mass", "eta"], library="np")
        columns.append(np.stack([arrays[branch] for branch in ("pt", "mass", "eta")], axis=1))
    labels = np.repeat(np.arange(3), [len(each) for each in columns])
    return _sample("workshop, real", np.concatenate(columns), labels, np.ones(len(labels)), None, test=0.5)


def class_files(folder: Path) -> Sample:
    """Read one file (ROOT or Parquet) for each class, in the order of their names; all classes have equal weight.

    An event that occurs twice, also in two files, is used once.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".root", ".parquet")]
    tables = [_read_columns(path) for path in files]
    names = tuple(tables[0])
    features = np.concatenate([np.stack([table[name] for name in names], axis=1) for table in tables])
    labels = np.repeat(np.arange(len(tables)), [len(table[names[0]]) for table in tables])
    rows = np.sort(np.unique(features, axis=0, return_index=True)[1])
    features, labels = features[rows], labels[rows]
    weight = len(labels) / len(tables) / np.bincount(labels)[labels]
    return _sample(folder.name, features, labels, weight, None, names=names)


def _read_columns(path: Path) -> dict[str, Float64]:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        return {name: table[name].to_numpy().astype(np.float64) for name in table.column_names}
    import uproot

    with uproot.open(path) as file:
        return {name: values.astype(np.float64) for name, values in file["tree"].arrays(library="np").items()}


def higgs_files(data: Path) -> Sample:
    """Read the slice of HIGGS; background is class 0."""
    import uproot

    columns, names = [], ()
    for name in ("higgs_bkg", "higgs_sig"):
        with uproot.open(data / f"{name}.root") as file:
            tree = file["tree"]
            names = tuple(tree.keys())
            arrays = tree.arrays(names, library="np")
        columns.append(np.stack([arrays[branch] for branch in names], axis=1))
    labels = np.repeat([0, 1], [len(each) for each in columns])
    return _sample(
        "HIGGS slice", np.concatenate(columns), labels, np.ones(len(labels)), None, test=0.2, names=names
    )


def six_classes(events: int = 100_000, seed: int = 0) -> Sample:
    """Simulate six classes in 18 correlated features, a tenth missing, with unequal and partly negative weights.

    Each class is a mixture of three Gaussians with full covariances. Some features are then stretched by monotonic
    functions, which changes no ratio of densities. What is missing is missing at random, so the density of what is
    left is the marginal one. The weights do not depend on the features: log-normal sizes, 15% negative, and the same
    expected sum in every class.
    """
    shapes = _mixtures(6, components=3, features=18, spread=0.45, difference=0.3, seed=6)
    generator = np.random.default_rng((seed, 2))
    shares = np.array([0.3, 0.25, 0.18, 0.12, 0.09, 0.06])
    labels = np.sort(generator.choice(6, events, p=shares))
    counts = np.bincount(labels, minlength=6)
    latent = np.concatenate([shape.draw(n, generator) for shape, n in zip(shapes, counts, strict=True)])
    latent[generator.random(latent.shape) < 0.1] = np.nan
    sizes = generator.lognormal(0, 1, events) * np.where(generator.random(events) < 0.15, -1, 1)
    features = latent.copy()
    features[:, 0:5] = 30 * np.exp(0.6 * latent[:, 0:5])  # momenta
    features[:, 5:8] = np.sinh(latent[:, 5:8])
    features[:, 8:10] = 100 + 15 * latent[:, 8:10]
    return _sample(
        f"6 classes, {_count(events)}", features, labels, sizes / shares[labels], _known(shapes, latent)
    )


def heavy_tails(events: int = 100_000, seed: int = 0) -> Sample:
    """Simulate two classes in six features with a multivariate Student-t and four with Pareto distributions."""
    shapes = np.random.default_rng(3)
    generator = np.random.default_rng((seed, 3))
    labels = np.repeat([0, 1], [events - events // 2, events // 2])
    freedom = (2.0, 3.0)
    powers = (np.array([1.5, 2.0, 1.2, 1.0]), np.array([1.9, 1.7, 1.2, 1.3]))
    base = _random_root(6, 0.9, shapes)
    centres = [np.zeros(6), base @ (0.5 * shapes.standard_normal(6))]
    roots = [base @ _random_root(6, 0.35, shapes) for _ in range(2)]
    parts = []
    for number in range(2):
        count = int((labels == number).sum())
        normal = generator.standard_normal((count, 6)) @ roots[number].T
        chi = generator.chisquare(freedom[number], count) / freedom[number]
        pareto = (1 - generator.random((count, 4))) ** (-1 / powers[number])
        parts.append(np.hstack([centres[number] + normal / np.sqrt(chi)[:, None], pareto]))
    features = np.concatenate(parts).astype(np.float32).astype(np.float64)
    densities = np.stack(
        [
            _log_student(features[:, :6], centres[number], roots[number], freedom[number])
            + (np.log(powers[number]) - (powers[number] + 1) * np.log(features[:, 6:])).sum(axis=1)
            for number in range(2)
        ],
        axis=1,
    )
    return _sample(f"heavy tails, {_count(events)}", features, labels, np.ones(events), densities.__getitem__)


def useless_features(events: int = 50_000, seed: int = 0) -> Sample:
    """Simulate two classes in 40 features of which six say something."""
    shapes = _mixtures(2, components=2, features=6, spread=0.6, difference=0.4, seed=40)
    generator = np.random.default_rng((seed, 4))
    labels = np.repeat([0, 1], [events - events // 2, events // 2])
    counts = np.bincount(labels)
    useful = np.concatenate([shape.draw(n, generator) for shape, n in zip(shapes, counts, strict=True)])
    noise = generator.standard_normal((events, 34))
    noise[:, ::3] = np.exp(noise[:, ::3])
    features = np.hstack([noise[:, :17], useful, noise[:, 17:]])
    return _sample(
        f"40 features, 34 useless, {_count(events)}",
        features,
        labels,
        np.ones(events),
        _known(shapes, useful),
    )


def sharp_boundaries(events: int = 50_000, seed: int = 0) -> Sample:
    """Simulate four classes whose probability jumps at edges of boxes in eight integer features."""
    generator = np.random.default_rng((seed, 5))
    features = np.stack([generator.integers(0, size, events) for size in (3, 4, 6, 8, 12, 20, 50, 2)], axis=1)
    a, b, c, d, e, f, g, h = features.T
    quadrant = 2 * ((f > 9) ^ (e > 5)) + ((d + 2 * b > 7) ^ (h == 1))
    quadrant = np.where((g > 30) & (a == 1), 3 - quadrant, quadrant)
    sure = np.where(c < 2, 0.55, 0.85)
    probability = np.repeat((1 - sure)[:, None] / 3, 4, axis=1)
    probability[np.arange(events), quadrant] = sure
    labels = (generator.random(events)[:, None] > probability.cumsum(axis=1)[:, :3]).sum(axis=1)
    return _sample(
        f"4 classes, sharp, {_count(events)}",
        features,
        labels,
        np.ones(events),
        np.log(probability).__getitem__,
    )


def rare_signal(events: int = 20_000, seed: int = 0, *, balanced: bool = False) -> Sample:
    """Simulate a signal that is 50 times rarer than the background, in twelve features.

    Args:
        events: number of events.
        seed: where the random numbers come from.
        balanced: whether the signal's weights are 50 times larger.
    """
    shapes = _mixtures(2, components=2, features=12, spread=0.5, difference=0.25, seed=12)
    generator = np.random.default_rng((seed, 6))
    labels = (np.arange(events) % 51 == 0).astype(np.int64)
    features = np.empty((events, 12))
    for number, shape in enumerate(shapes):
        features[labels == number] = shape.draw(int((labels == number).sum()), generator)
    weight = np.where(labels == 1, 50.0, 1.0) if balanced else np.ones(events)
    known = _known(shapes, features.copy(), np.bincount(labels, weight))
    features[:, :4] = np.exp(features[:, :4])
    name = f"1:50{', balanced' if balanced else ''}, {_count(events)}"
    return _sample(name, features, labels, weight, known)


SIMULATED: dict[str, Callable[[int], Sample]] = {
    "workshop": lambda seed: workshop_simulated(seed=seed),
    "six": lambda seed: six_classes(100_000, seed),
    "six-million": lambda seed: six_classes(1_000_000, seed),
    "tails": lambda seed: heavy_tails(seed=seed),
    "useless": lambda seed: useless_features(seed=seed),
    "sharp": lambda seed: sharp_boundaries(seed=seed),
    "rare": lambda seed: rare_signal(seed=seed),
    "rare-balanced": lambda seed: rare_signal(seed=seed, balanced=True),
}
"""The simulated samples, from a seed; the last four were not used to choose the recipe."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians with equal shares.

    Args:
        centres: [components, features].
        roots: roots of the covariances, [components, features, features].
    """

    centres: Float64
    roots: Float64

    def draw(self, number: int, generator: np.random.Generator) -> Float64:
        """Draw events, [number, features]."""
        chosen = generator.integers(0, len(self.centres), number)
        values = self.centres[chosen]
        for component, root in enumerate(self.roots):
            rows = np.flatnonzero(chosen == component)
            values[rows] += generator.standard_normal((len(rows), values.shape[1])) @ root.T
        return values

    def log_density(self, values: Float64) -> Float64:
        """Compute the logarithm of the density of what is not missing, [n].

        Args:
            values: NaN where missing, [n, features].
        """
        there = ~np.isnan(values)
        patterns, pattern = np.unique(there, axis=0, return_inverse=True)
        terms = [
            self._component(number, values, there, patterns, pattern) for number in range(len(self.centres))
        ]
        return np.asarray(np.logaddexp.reduce(terms, axis=0) - np.log(len(terms)))

    def _component(
        self,
        number: int,
        values: Float64,
        there: NDArray[np.bool_],
        patterns: NDArray[np.bool_],
        pattern: NDArray[np.int64],
    ) -> Float64:
        deviation = np.where(there, values - self.centres[number], 0)
        covariance = self.roots[number] @ self.roots[number].T
        squares = np.empty(len(values))
        logs = np.empty(len(patterns))
        block = 4096
        order = np.argsort(pattern, kind="stable")
        first_of = np.searchsorted(pattern[order], np.arange(len(patterns) + 1))
        for first in range(0, len(patterns), block):
            some = patterns[first : first + block]
            # a missing feature becomes one of its own, of variance 1, at its centre
            both = some[:, :, None] & some[:, None, :]
            reduced = np.where(both, covariance, 0) + np.where(some, 0, 1)[:, :, None] * np.eye(some.shape[1])
            logs[first : first + block] = np.linalg.slogdet(reduced)[1]
            inverse = np.linalg.inv(reduced)
            rows = order[first_of[first] : first_of[min(first + block, len(patterns))]]
            for start in range(0, len(rows), 20_000):
                part = rows[start : start + 20_000]
                own = deviation[part]
                turned = np.matmul(inverse[pattern[part] - first], own[:, :, None])[:, :, 0]
                squares[part] = (turned * own).sum(axis=1)
        return -0.5 * (squares + logs[pattern] + there.sum(axis=1) * np.log(2 * np.pi))


def _mixtures(
    classes: int, *, components: int, features: int, spread: float, difference: float, seed: int
) -> list[Mixture]:
    """Draw shapes of classes: centres that differ by `spread`, covariances that differ by `difference`."""
    generator = np.random.default_rng(seed)
    common = _random_root(features, 0.9, generator)
    shapes = []
    for _ in range(classes):
        centres = spread * generator.standard_normal((components, features)) @ common.T
        roots = [common @ _random_root(features, difference, generator) for _ in range(components)]
        shapes.append(Mixture(centres, np.stack(roots)))
    return shapes


def _random_root(features: int, strength: float, generator: np.random.Generator) -> Float64:
    """Draw a root of a covariance with variances around one, and correlations that grow with the strength."""
    mixed = np.eye(features) + strength * generator.standard_normal((features, features)) / np.sqrt(features)
    return np.asarray(mixed / np.sqrt(1 + strength**2))


def _known(shapes: list[Mixture], values: Float64, prior: Float64 | float = 1.0) -> Callable[[Rows], Float64]:
    def density(rows: Rows) -> Float64:
        return np.stack([shape.log_density(values[rows]) for shape in shapes], axis=1) + np.log(prior)

    return density


def _log_student(values: Float64, centre: Float64, root: Float64, freedom: float) -> Float64:
    from scipy.special import gammaln

    features = values.shape[1]
    squares = (np.linalg.solve(root, (values - centre).T) ** 2).sum(axis=0)
    norm = gammaln((freedom + features) / 2) - gammaln(freedom / 2) - features / 2 * np.log(freedom * np.pi)
    norm -= np.linalg.slogdet(root)[1]
    return np.asarray(norm - (freedom + features) / 2 * np.log1p(squares / freedom))


def _sample(
    name: str,
    features: NDArray[np.generic],
    labels: NDArray[np.int64],
    weight: Float64,
    known: Callable[[Rows], Float64] | None,
    *,
    test: float = 0.25,
    names: tuple[str, ...] = (),
) -> Sample:
    inputs = np.ascontiguousarray(features, np.float32)
    return Sample(name, inputs, labels.astype(np.int32), np.asarray(weight, np.float64), known, test, names)


def _count(events: int) -> str:
    return f"{events:,}".replace(",", " ")
