"""Calibration: whether what a model is so and so sure of comes true so and so often.

Vectors: coverage of central intervals (Kuleshov et al. 2018, https://arxiv.org/abs/1807.00263). Discrete observations:
confidence against accuracy in ten bins (Guo et al. 2017, https://arxiv.org/abs/1706.04599) and the Brier score.

Shape legend: ``P`` steps, ``Y`` predicted numbers, ``L`` levels, ``S`` values of a Discrete observation.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodels.prediction import Categorical, Mixture
from worldmodels.quality.intervals import EpisodeResampling, Estimate

LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
_NUM_BINS = 10


@dataclass(frozen=True)
class Coverage:
    """Shares of held-out numbers inside the predicted central intervals.

    Attributes:
        levels: what the intervals should cover, ``L`` from 0.05 to 0.95.
        pooled: what they covered of all numbers that ever changed in training, with 95% intervals.
        numbers: the same of each of the ``Y`` numbers ``[Y][L]``; None for one that never changed.
    """

    levels: tuple[float, ...]
    pooled: Estimate
    numbers: list[list[float] | None]


@dataclass(frozen=True)
class Reliability:
    """How sure a model of Discrete observations is, and how right.

    Attributes:
        confidence: mean probability of the most probable state in each of ten equal bins of it; None for an empty bin.
        accuracy: share of steps in the bin at which that state came.
        counts: steps in the bin.
        expected_error: mean distance of confidence and accuracy over the steps, in [0, 1].
        brier: mean of the summed squares of probability minus truth, in [0, 2].
    """

    confidence: list[float | None]
    accuracy: list[float | None]
    counts: list[int]
    expected_error: float
    brier: float


def coverage_of(
    predicted: Mixture, target: Tensor, scale: np.ndarray, resampling: EpisodeResampling
) -> Coverage | None:
    """Returns the coverage of ``target`` ``[P, Y]``; None where no number ever changed.

    Args:
        predicted: of ``P`` steps.
        target: what came.
        scale: the training targets' standard deviations ``[Y]``; numbers of scale 0 are left out.
        resampling: of the steps' episodes.
    """
    changed = scale > 0
    if not changed.any():
        return None
    off_centre = np.abs(predicted.cdf(target.to(predicted.mean.device)).cpu().numpy() - 0.5)
    inside = off_centre[..., None] <= np.array(LEVELS) / 2
    numbers = inside.mean(axis=0)
    return Coverage(
        levels=LEVELS,
        pooled=resampling.mean(inside[:, changed].mean(axis=1)),
        numbers=[row.tolist() if known else None for row, known in zip(numbers, changed, strict=True)],
    )


def reliability_of(predicted: Categorical, state: np.ndarray) -> Reliability:
    """Compares the predicted probabilities with the next ``state`` ``[P]`` that came, counted from 0."""
    probability = predicted.probability.cpu().double()
    confidence, guess = (part.numpy() for part in probability.max(dim=1))
    right = (guess == state).astype(np.float64)
    place = np.minimum((confidence * _NUM_BINS).astype(int), _NUM_BINS - 1)
    counts, confident, correct = (np.bincount(place, weight, _NUM_BINS) for weight in (None, confidence, right))
    squares = probability.square().sum(1) - 2 * probability[torch.arange(len(state)), torch.from_numpy(state)] + 1
    return Reliability(
        confidence=_bin_means(confident, counts),
        accuracy=_bin_means(correct, counts),
        counts=[int(count) for count in counts],
        expected_error=float(np.abs(confident - correct).sum() / len(state)),
        brier=float(squares.mean()),
    )


def _bin_means(sums: np.ndarray, counts: np.ndarray) -> list[float | None]:
    return [float(total / count) if count else None for total, count in zip(sums, counts, strict=True)]
