"""What a set of seeds says: interquartile mean and its bootstrap interval (Agarwal et al. 2021, "Statistical
Precipice")."""

import numpy as np

NUM_RESAMPLES = 10_000


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Returns the mean of the middle half of ``scores`` ``[..., S]`` along the last axis: ``[...]``.

    The lowest and the highest ``floor(S / 4)`` scores are dropped.
    """
    ordered = np.sort(scores, axis=-1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)


def bootstrap_interval(scores: np.ndarray, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Returns the percentile-bootstrap interval of the interquartile mean over seeds.

    Args:
        scores: one score a seed ``[S]``.
        seed: fixes the resampling.
        level: coverage asked for, in (0, 1).
    """
    rows = np.random.default_rng(seed).integers(len(scores), size=(NUM_RESAMPLES, len(scores)))
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(interquartile_mean(np.asarray(scores)[rows]), [tail, 100.0 - tail])
    return float(low), float(high)
