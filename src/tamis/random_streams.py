"""Named streams of random numbers: one for each purpose, so that no two uses share their numbers."""

from __future__ import annotations

import hashlib

import numpy as np


def random_stream(seed: int, *purpose: str) -> np.random.Generator:
    """Return a generator of random numbers of its own for a seed and a purpose.

    Args:
        seed: of the configuration.
        purpose: names from the general to the particular, such as "evaluation", "overtraining".

    Example:
        >>> random_stream(1, "bootstrap", "pairs").integers(10, size=3).tolist()
        [2, 7, 9]
    """
    # the length of each name goes in, so that ("ab", "c") and ("a", "bc") differ
    text = "".join(f"{len(name)}:{name}" for name in purpose)
    words = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32)
    return np.random.default_rng([*words.tolist(), seed])
