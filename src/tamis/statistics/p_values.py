"""P-values: of several measurements of one number, and of several quantities together from permutations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tamis.arrays import Float64

SHARE_OF_FIRST = 0.8
"""Share of the significance level of the first quantity; the further quantities have the remaining share."""


def compute_homogeneity_p_value(values: ArrayLike, errors: ArrayLike) -> float:
    """Compute the probability that measurements of one number differ at least as much by chance.

    With v the values, e their errors (positive standard deviations) and m the mean weighted with :math:`1 / e^2`, the
    sum of :math:`(v - m)^2 / e^2` follows a chi-square distribution if all measure the same number.

    >>> round(compute_homogeneity_p_value([1.0, 3.0], [1.0, 1.0]), 4)
    0.1573
    """
    numbers, precision = np.asarray(values, np.float64), 1 / np.square(np.asarray(errors, np.float64))
    mean = precision @ numbers / precision.sum()
    return float(special.chdtrc(len(numbers) - 1, precision @ np.square(numbers - mean)))


def compute_corrected_p_values(observed: Float64, drawn: Float64) -> tuple[Float64, Float64]:
    """Compute the p-value of each quantity, single and corrected for their number, [quantities] each.

    Each quantity is transformed to a normal distribution over the permutations, [permutations, quantities], as far as
    mean, deviation and skewness describe it: distances are skewed, and of several standardised numbers the skewed ones
    are the largest. The first quantity has the share `SHARE_OF_FIRST` of the significance level, and the largest of the
    others the remaining share: the normal p-value of the first, or of the largest of the others, is divided by its
    share, and the smallest of all is compared. Observed events and permutations are treated alike, so the result is
    exact for all shapes of distributions. Larger deviations are worse; an undefined one of a permutation counts as
    larger.

    >>> permutations = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 2.0]])
    >>> single, corrected = compute_corrected_p_values(np.array([9.0, 0.5]), permutations)
    >>> single.tolist(), corrected.tolist()
    ([0.25, 0.75], [0.25, 1.0])
    """
    everything = np.concatenate([observed[None], drawn])
    # permutations that differ by rounding only must tie
    known = np.where(np.isfinite(everything), everything, np.nan).round(12)
    known[:, np.isnan(known[0])] = 0.0  # a quantity that is undefined for the observed events is ignored
    normal = _to_normal(known)
    single = (normal >= normal[0] - 1e-9).mean(axis=0)
    sizes = -special.log_ndtr(-normal)
    sizes[:, 0] += np.log(SHARE_OF_FIRST)
    if sizes.shape[1] > 1:
        largest = normal[:, 1:].max(axis=1, keepdims=True)
        # the others on the scale of the largest of them
        further = _to_normal(np.concatenate([largest, normal[:, 1:]], axis=1), reference=largest[:, 0])[:, 1:]
        sizes[:, 1:] = -special.log_ndtr(-further) + np.log(1 - SHARE_OF_FIRST)
    corrected = (sizes.max(axis=1)[:, None] >= sizes[0] - 1e-9).mean(axis=0)
    return single, corrected


def _to_normal(values: Float64, reference: Float64 | None = None) -> Float64:
    """Transform columns, [rows, columns], to mean 0, deviation 1 and skewness 0, as far as a gamma distribution fits.

    The moments for a row are those of all other rows, so that one extreme row does not widen its own scale. Source: E.
    Wilson and M. Hilferty, Proc. Natl. Acad. Sci. 17 (1931) 684. The moments are those of the reference, [rows], by
    default of each column. NaN becomes infinity.
    """
    of = values if reference is None else reference[:, None]
    known = np.isfinite(of)
    centre = np.nanmean(np.where(known, of, np.nan), axis=0)
    width = np.nanstd(np.where(known, of, np.nan), axis=0)
    size = np.where(width > 0, width, 1)
    scaled = np.where(known, (of - centre) / size, 0)
    number = np.maximum(known.sum(axis=0) - known, 1)
    first, second, third = ((scaled**power).sum(axis=0) - scaled**power for power in (1, 2, 3))
    mean = first / number
    variance = second / number - mean**2
    deviation = np.sqrt(np.maximum(variance, 1e-6))
    skewness = (third / number - 3 * mean * second / number + 2 * mean**3) / deviation**3
    # the approximation of Wilson and Hilferty breaks down for larger skewness, and divides by it
    skewness = np.clip(skewness, -2, 2)
    skewness = np.where(np.abs(skewness) < 1e-3, 1e-3, skewness)
    unit = np.where(np.isfinite(values), (values - centre) / size, 0)
    unit = np.where(width > 0, unit - mean, 0) / deviation
    base = np.maximum(1 + skewness / 2 * unit, 1e-9)
    normal = 6 / skewness * (np.cbrt(base) - 1) + skewness / 6
    return np.where(np.isnan(values) | np.isposinf(values), np.inf, normal)
