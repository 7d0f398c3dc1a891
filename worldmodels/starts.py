"""Where imagined episodes start: points taken from the training episodes of a log.

Shape legend: ``S`` points, ``O`` the observation's shape.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from envs.logs import Log
from envs.world_model import ModelState

MAX_STARTS = 10_000


@dataclass(frozen=True)
class StartPoints:
    """Points to start from.

    Attributes:
        observation: ``[S, *O]`` in the observation space's dtype.
        memory: what a model with a memory held at each point, ``[S, ...]``; empty for models without one.
    """

    observation: Tensor
    memory: ModelState = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.observation)


@dataclass(frozen=True)
class Starts:
    """Where imagined episodes can start.

    Attributes:
        initial: first observations of logged episodes.
        any: a sample of all observations that were acted on.
    """

    initial: StartPoints
    any: StartPoints


def start_rows(log: Log, episodes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns which steps of ``episodes`` (indices ``[E]``) are starts, at most 10,000 of each kind.

    Returns:
        Of the first steps, and of all steps, positions ``[S]`` in ``log.transitions(episodes)``, ascending; chosen by
        ``seed`` where there are more.
    """
    random = np.random.default_rng([seed, 3])
    lengths = log.lengths[episodes]
    return _some(np.cumsum(lengths) - lengths, random), _some(np.arange(lengths.sum()), random)


def observed_starts(log: Log, episodes: np.ndarray, seed: int) -> Starts:
    """Returns the starts of a model without memory."""
    observation = log.transitions(episodes).observation
    first, every = start_rows(log, episodes, seed)
    return Starts(StartPoints(torch.from_numpy(observation[first])), StartPoints(torch.from_numpy(observation[every])))


def _some(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if len(rows) <= MAX_STARTS:
        return rows
    return np.sort(random.choice(rows, MAX_STARTS, replace=False))
