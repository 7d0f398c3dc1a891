"""Where imagined episodes start: functions of uniform random numbers, the same amount for every row.

Shape legend: ``K`` rows to start, ``S`` start points, ``O`` the observation's shape.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch

from envs.errors import require
from envs.world_model import ModelState, index_state
from worldmodels.saved_model import SavedWorldModel
from worldmodels.starts import StartPoints


class StartSource(Protocol):
    """Turns random numbers into starts, each row by itself."""

    @property
    def num_draws(self) -> int:
        """Uniform numbers that a row takes."""
        ...

    def __call__(self, draws: np.ndarray) -> tuple[np.ndarray, ModelState]:
        """Returns observations ``[K, *O]`` and states ``[K, ...]``, all new, for ``draws`` ``[K, num_draws]`` in
        [0, 1)."""
        ...


@dataclass(frozen=True, eq=False)
class PointStarts:
    """Points to start from, each as likely as the others.

    Attributes:
        observations: ``[S, *O]``, in the observation space's dtype.
        states: the model's states there, ``[S, ...]``.
    """

    observations: np.ndarray
    states: ModelState
    num_draws: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(len(self.observations) > 0, "start observations", "of at least one point", len(self.observations))

    def __call__(self, draws: np.ndarray) -> tuple[np.ndarray, ModelState]:
        chosen = pick(draws[:, 0], len(self.observations))
        device = next(iter(self.states.values())).device
        return self.observations[chosen], index_state(self.states, torch.from_numpy(chosen).to(device))


def starts_at(model: SavedWorldModel, points: StartPoints) -> PointStarts:
    """Returns the starts at ``points``, with what the model remembered there."""
    memory = {name: value.to(model.device) for name, value in points.memory.items()}
    states = model.recall(points.observation.to(model.device), memory)
    return PointStarts(points.observation.numpy(), states)


def pick(draw: np.ndarray, count: int) -> np.ndarray:
    """Returns integers ``[K]`` in [0, count) for uniform numbers ``[K]`` in [0, 1)."""
    return (draw * count).astype(np.int64)
