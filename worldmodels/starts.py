"""Where imagined episodes start: observations taken from the training episodes of a log.

Shape legend: ``K`` and ``L`` numbers of observations, ``D`` observation dimensions.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.logs import Log

_MAX_STARTS = 10_000


@dataclass(frozen=True)
class Starts:
    """Where imagined episodes can start, in the observation space's dtype.

    Attributes:
        initial: first observations of logged episodes ``[K, D]``.
        any: a sample of all observations that were acted on ``[L, D]``.
    """

    initial: Tensor
    any: Tensor


def choose_starts(log: Log, episodes: np.ndarray, seed: int) -> Starts:
    """Returns the starts of ``episodes`` (indices ``[E]``), at most 10,000 of each kind, chosen by ``seed``."""
    random = np.random.default_rng([seed, 3])
    initial = np.asarray(log.observations)[log.episode_starts[_some(episodes, random)]]
    observations = log.transitions(episodes).observation
    return Starts(torch.from_numpy(initial), torch.from_numpy(_some(observations, random)))


def _some(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if len(values) <= _MAX_STARTS:
        return values
    return values[np.sort(random.choice(len(values), _MAX_STARTS, replace=False))]
