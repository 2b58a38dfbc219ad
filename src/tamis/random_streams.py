"""Named random streams: one for each purpose, so that no two uses share random numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jax


def random_stream(seed: int, *purpose: str) -> np.random.Generator:
    """Return the generator of a seed and a purpose: names from the general to the particular.

    >>> random_stream(1, "bootstrap", "pairs").integers(10, size=3).tolist()
    [2, 7, 9]
    """
    return np.random.default_rng([*_words(purpose), seed])


def random_key(seed: int, *purpose: str) -> jax.Array:
    """Return the JAX key of a seed and a purpose (`random_stream`).

    Keys that are split from or folded into different keys are different.
    """
    import jax

    words = np.random.SeedSequence([*_words(("key", *purpose)), seed]).generate_state(2)
    key: jax.Array = jax.random.wrap_key_data(jax.numpy.asarray(words, np.uint32), impl="threefry2x32")
    return key


def _words(purpose: Sequence[str]) -> list[int]:
    """Hash a purpose; the length of each name goes in, so that ("ab", "c") and ("a", "bc") differ."""
    text = "".join(f"{len(name)}:{name}" for name in purpose)
    words: list[int] = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32).tolist()
    return words
