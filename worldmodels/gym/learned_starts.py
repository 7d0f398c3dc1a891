"""New first observations, learned from logged ones: a point on the line between one of them and one of its neighbours.

SMOTE (Chawla et al. 2002, https://doi.org/10.1613/jair.953) as a generative model: choose a logged first observation,
one of its nearest neighbours in normalised space, and a place between the two, all uniformly. It needs no training,
invents no region that the logs do not show, and stays by curved sets, such as the circle of a cosine and a sine.
Departures: all points are used (there is no minority class), and one place serves all dimensions. Whole numbers are
drawn from their logged frequencies, as there is nothing between two of them.

Shape legend: ``S`` logged points, ``N`` neighbours, ``K`` rows to start, ``O`` the observation's shape, ``D`` its
numbers.
"""

from typing import ClassVar

import numpy as np
import torch

from envs.errors import require
from envs.world_model import ModelState, WorldModel
from worldmodels.gym.start_sources import pick
from worldmodels.normaliser import fit_normaliser

NUM_NEIGHBOURS = 5
"""As in the paper."""

_MOST_DISTANCES = 10_000_000


class LearnedStarts:
    """Starts drawn between near points.

    Args:
        model: makes the states, as after a first observation.
        observations: ``[S, *O]``, logged first observations in the observation space's dtype.

    Raises:
        InputError: no observations.
    """

    num_draws: ClassVar[int] = 3

    def __init__(self, model: WorldModel, observations: np.ndarray):
        require(len(observations) > 0, "start observations", "of at least one point", len(observations))
        self._model, self._observations = model, observations
        self._between = np.issubdtype(observations.dtype, np.floating) and len(observations) > 1
        if self._between:
            self._neighbours = nearest_neighbours(observations.reshape(len(observations), -1))

    def __call__(self, draws: np.ndarray) -> tuple[np.ndarray, ModelState]:
        chosen = pick(draws[:, 0], len(self._observations))
        found = self._observations[chosen]
        if self._between:
            near = self._neighbours[chosen, pick(draws[:, 1], self._neighbours.shape[1])]
            share = draws[:, 2].reshape(-1, *[1] * (found.ndim - 1))
            other = self._observations[near]
            # Rounding can lead past the nearer of two ends, and so out of the space.
            line = np.clip(found + share * (other - found), np.minimum(found, other), np.maximum(found, other))
            found = line.astype(self._observations.dtype)
        return found, self._model.encode(torch.from_numpy(found).to(self._model.device))


def nearest_neighbours(points: np.ndarray) -> np.ndarray:
    """Returns the indices ``[S, N]`` of each point's nearest others, ``N`` at most 5; ``points`` ``[S, D]``, ``S > 1``.

    Distances are Euclidean, after every dimension was brought to unit variance; one that never changes counts nothing.
    """
    values = torch.from_numpy(points).float()
    scaled = fit_normaliser(values).normalise(values)
    count, rows = min(NUM_NEIGHBOURS, len(points) - 1), max(1, _MOST_DISTANCES // len(points))
    found = []
    for first in range(0, len(points), rows):
        distances = torch.cdist(scaled[first : first + rows], scaled)
        distances[torch.arange(len(distances)), torch.arange(first, first + len(distances))] = torch.inf
        found.append(distances.topk(count, largest=False).indices)
    return torch.cat(found).numpy()
