"""Three Gaussian classes of known density, whose posterior probabilities are exact scores."""

from __future__ import annotations

import numpy as np
from scipy import special

MEANS = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])
EQUAL = (1 / 3, 1 / 3, 1 / 3)


def gaussians(number: int, shares: tuple[float, ...], seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Draw events, and return their true classes and log-densities."""
    rng = np.random.default_rng(seed)
    class_index = rng.choice(3, number, p=shares)
    x = rng.normal(size=(number, 2)) + MEANS[class_index]
    return class_index, -0.5 * ((x[:, None, :] - MEANS) ** 2).sum(axis=2)


def posterior(log_density: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    return special.softmax(log_density + np.log(shares), axis=1)
