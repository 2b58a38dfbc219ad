"""The penalty for a dependence of the signal score on spectators, within classes: distance correlation, or flatness.

Both methods compute the distance correlation of the score and the coordinates of an event in the spectators, from
different distances of the coordinates (R. Lyons, Ann. Probab. 41 (2013) 3284). `distance_correlation` takes the
Euclidean distance (G. Kasieczka and D. Shih, arXiv:2001.05310). `flatness` takes 0 in a bin and 1 between bins. With
F(s) the distribution function of the score, and F_b(s) that in a bin with the fraction q_b of the weights, the squared
distance covariance is then 2 sum_b q_b^2 int (F_b(s) - F(s))^2 ds, a Cramer-von Mises distance as in A. Rogozhnikov et
al., arXiv:1410.4140.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import jax
import jax.numpy as jnp

from tamis.config import DistanceCorrelation, Flatness

PIECE = 512
"""Maximum number of events that the penalty compares with each other: its cost is their square."""
FEWEST = 10.0
"""Minimum effective sample size of a class in a piece; with less, the piece says nothing about the class."""
_CONSTANT = (
    1e-10  # distance variance up to which a score counts as constant; that of a uniform score is 2 / 45
)


@dataclass(frozen=True)
class DecorrelationPenalty:
    """The penalty that is added to the loss of each event.

    Args:
        method: how the dependence is measured.
        signal: indices of the signal classes, the sum of whose scores is decorrelated.
        classes: indices of the classes within which the score should be independent.
        strength: factor of the mean dependence of the classes.
        coordinates: number of coordinates of the spectators, in the rows of a batch before class and weight.
    """

    method: DistanceCorrelation | Flatness
    signal: tuple[int, ...]
    classes: tuple[int, ...]
    strength: float
    coordinates: int

    def sum_over_events(self, scores: jax.Array, batch: jax.Array) -> jax.Array:
        """Sum the penalty over the events of a batch.

        Events are compared with those of the same piece. A piece has at most `PIECE` of them, in the order of the
        batch, which must be random. Padding, of weight zero, has no penalty.

        Args:
            scores: [classes, n].
            batch: inputs, coordinates, class and weight, [rows, n].
        """
        score = scores[list(self.signal), :].sum(axis=0)
        # one row for each class: the weights of its events
        weights = jnp.where(jnp.array(self.classes)[:, None] == batch[-2][None, :], batch[-1][None, :], 0)
        rows = jnp.concatenate([score[None], batch[-2 - self.coordinates : -2], batch[-1:], weights])
        events = rows.shape[1]
        n_pieces = -(-events // PIECE)
        size = -(-events // n_pieces)
        pieces = jnp.pad(rows, ((0, 0), (0, n_pieces * size - events))).reshape(len(rows), n_pieces, size)
        sums = jax.vmap(self._sum_piece, in_axes=1)(pieces)
        return self.strength * sums.sum()

    def _sum_piece(self, rows: jax.Array) -> jax.Array:
        first_weight = 2 + self.coordinates
        score, coordinates, weights = rows[0], rows[1 : first_weight - 1], rows[first_weight:]
        present = (rows[first_weight - 1] != 0).sum()
        return present * self.measure(score, coordinates, weights).mean()

    def measure(self, score: jax.Array, coordinates: jax.Array, weights: jax.Array) -> jax.Array:
        """Compute the dependence of a score and coordinates, for each row of weights.

        Args:
            score: [n].
            coordinates: [coordinates, n].
            weights: [classes, n].

        Returns:
            [classes]; zero for a class with too few events, or with a constant score or coordinate.
        """
        return compute_distance_correlations(
            compute_distances(score[None]), self._compute_coordinate_distances(coordinates), weights
        )

    def _compute_coordinate_distances(self, coordinates: jax.Array) -> jax.Array:
        match self.method:
            case DistanceCorrelation():
                return compute_distances(coordinates)
            case Flatness():
                return (coordinates[0][:, None] != coordinates[0][None, :]).astype(jnp.float32)
            case _:
                assert_never(self.method)


def compute_distances(points: jax.Array) -> jax.Array:
    """Compute the Euclidean distances of points, [coordinates, n], from each other, [n, n].

    >>> compute_distances(jnp.array([[0.0, 3.0], [0.0, 4.0]])).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    differences = points[:, :, None] - points[:, None, :]
    if len(points) == 1:
        return jnp.abs(differences[0])
    squares = (differences**2).sum(axis=0)
    # the square root has no derivative at 0
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def compute_distance_correlations(first: jax.Array, second: jax.Array, weights: jax.Array) -> jax.Array:
    """Compute the squared distance correlation of two variables from their distances, for several sets of weights.

    It is the bias-corrected one of G. Szekely and M. Rizzo (Ann. Stat. 42 (2014) 2382), here with weights: each mean
    over pairs, triples and quadruples of distances takes different events only. So its expectation vanishes for
    independent variables, while the usual one, which also takes an event with itself, is then of the order of 1 / n
    and depends on the distribution of the score. Weights count with their sign: the means are those of the weighted
    distribution.

    Args:
        first: distances of the events in one variable, [n, n].
        second: distances in the other variable, [n, n].
        weights: weight of each event in each set, [sets, n].

    Returns:
        [sets]; zero for a set whose effective sample size is below `FEWEST`, whose sum of weights is not positive, or
        in which a variable is constant.

    >>> distances = compute_distances(jnp.arange(20.0)[None])
    >>> round(float(compute_distance_correlations(distances, distances, jnp.ones((1, 20)))[0]), 5)
    1.0
    """
    totals, squares = weights.sum(axis=1), (weights**2).sum(axis=1)
    enough = (totals > 0) & (totals**2 >= FEWEST * squares)
    # the first events stand in where there are not enough
    fallback = jnp.ones_like(weights[:1]) / weights.shape[1]
    shares = jnp.where(enough[:, None], weights / jnp.where(enough, totals, 1)[:, None], fallback)
    covariance, first_variance, second_variance = (
        compute_distance_covariances(*pair, shares)
        for pair in ((first, second), (first, first), (second, second))
    )
    defined = enough & (first_variance > _CONSTANT) & (second_variance > _CONSTANT)
    variances = jnp.where(defined, first_variance * second_variance, 1)
    return jnp.where(defined, covariance / jnp.sqrt(variances), 0)


def compute_distance_covariances(first: jax.Array, second: jax.Array, shares: jax.Array) -> jax.Array:
    """Compute the squared distance covariance, without bias, from distances; the shares, [sets, n], sum to one each.

    With a and b the distances, it is the mean of a_ij b_ij - 2 a_ij b_ik + a_ij b_kl over different events i, j, k, l,
    each of them in proportion to its share.
    """
    products, squares = first * second, shares**2

    def contract(matrix: jax.Array, vectors: jax.Array) -> jax.Array:
        # a GPU would round to 10 bits, and the terms cancel
        return jnp.matmul(vectors, matrix, precision=jax.lax.Precision.HIGHEST)

    of_first, of_second = contract(first, shares), contract(second, shares)
    of_products = contract(products, jnp.concatenate([shares, squares]))
    both = of_first * of_second
    pairs = (of_products[: len(shares)] * shares).sum(axis=1)
    once = (of_products[: len(shares)] * squares).sum(axis=1)
    twice = (of_products[len(shares) :] * squares).sum(axis=1)
    # the sums over all indices, less the terms in which two indices agree
    triples = (shares * both).sum(axis=1) - once
    quadruples = (shares * of_first).sum(axis=1) * (shares * of_second).sum(axis=1)
    quadruples += -4 * (squares * both).sum(axis=1) + 2 * twice
    # the same sums with distances of one
    s2, s3, s4 = ((shares**power).sum(axis=1) for power in (2, 3, 4))
    n_pairs, n_triples = 1 - s2, 1 - 3 * s2 + 2 * s3
    n_quadruples = 1 - 6 * s2 + 3 * s2**2 + 8 * s3 - 6 * s4
    return pairs / n_pairs - 2 * triples / n_triples + quadruples / n_quadruples
