"""Spearman's rank correlation, with ties averaged."""

import numpy as np


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Returns the rank correlation in [-1, 1] of two columns ``[N]``; None where it is not defined.

    It is not defined for fewer than two rows, a column that is constant, or numbers that are not finite.
    """
    if len(first) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    one, two = average_ranks(first), average_ranks(second)
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return None
    return float(np.corrcoef(one, two)[0, 1])


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Returns the ranks ``[N]`` from 1 of ``values`` ``[N]``; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: np.ndarray = (last - (counts - 1) / 2)[place]
    return ranks
