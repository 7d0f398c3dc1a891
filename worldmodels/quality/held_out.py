"""The held-out steps that a world model is measured on, and the units that its errors are told in.

Shape legend: ``N`` held-out steps, ``E`` episodes, ``P`` chosen steps, ``D`` observation dimensions, ``Y`` predicted
numbers (for vectors ``D + 1``: the next observation, then the reward).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.errors import InputError
from envs.logs import Log, Transitions
from envs.world_model import ModelState, index_state
from worldmodels.filtering import filtered_states
from worldmodels.normaliser import fit_normaliser
from worldmodels.saved_model import PredictiveModel

MAX_STEPS = 10_000
"""Held-out steps that one-step measures are made on; more are thinned out by chance."""

MAX_STARTS = 2_000
"""Held-out steps that open-loop predictions start from; more are thinned out by chance."""


@dataclass(frozen=True)
class Scales:
    """Standard deviations over the training episodes of a log, the units of errors; 0 where nothing ever changed.

    Attributes:
        observation: ``[D]``.
        target: ``[Y]``, of the change of the observation and of the reward.
    """

    observation: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """Whole held-out episodes and some of their steps.

    Attributes:
        steps: all ``N`` steps.
        lengths: of the episodes ``[E]``.
        rows: which steps were chosen ``[P]``, ascending.
        starts: the same for open-loop predictions.
    """

    steps: Transitions
    lengths: np.ndarray
    rows: np.ndarray
    starts: np.ndarray

    def episode_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns in which of the ``E`` episodes the steps ``rows`` ``[P]`` lie."""
        episodes: np.ndarray = np.searchsorted(np.cumsum(self.lengths), rows, side="right")
        return episodes

    def remaining(self, rows: np.ndarray) -> np.ndarray:
        """Returns how many steps ``[P]`` there are from each of ``rows`` to its episode's end, itself included."""
        return np.cumsum(self.lengths)[self.episode_of(rows)] - rows

    def states(self, model: PredictiveModel) -> ModelState:
        """Returns what ``model`` knew before every step ``[N, ...]``, having seen all that came before it."""
        return filtered_states(model, self.steps, self.lengths)

    def actions(self, model: PredictiveModel, rows: np.ndarray) -> Tensor:
        """Returns the actions ``[P, *A]`` of ``rows``, on the model's device."""
        return torch.from_numpy(self.steps.action[rows]).to(model.device)


def hold_out(log: Log, episodes: np.ndarray, seed: int) -> HeldOut:
    """Returns the steps of ``episodes`` (indices ``[E]``, at least one); ``seed`` chooses where there are too many.

    Raises:
        InputError: no episode.
    """
    if len(episodes) == 0:
        raise InputError("expected at least one episode to measure a world model on, got none")
    steps, lengths = log.transitions(episodes), log.lengths[episodes]
    random = np.random.default_rng([seed, 0])
    rows, starts = (np.sort(random.permutation(int(lengths.sum()))[:most]) for most in (MAX_STEPS, MAX_STARTS))
    return HeldOut(steps, lengths, rows, starts)


def vector_scales(log: Log, episodes: np.ndarray) -> Scales:
    """Returns the units of the errors of vector observations, from ``episodes`` (indices ``[E]``) of ``log``."""
    steps = log.transitions(episodes)
    change = np.subtract(steps.next_observation, steps.observation, dtype=np.float64)
    target = np.concatenate((change, steps.reward[:, None]), axis=1)
    observed = steps.observation.astype(np.float64)
    return Scales(*(fit_normaliser(torch.from_numpy(values)).std.double().numpy() for values in (observed, target)))


def chosen(state: ModelState, rows: np.ndarray) -> ModelState:
    """Returns the ``rows`` ``[P]`` of a state on whatever device it is."""
    device = next(iter(state.values())).device
    return index_state(state, torch.from_numpy(rows).to(device))


def inverse(scale: np.ndarray) -> np.ndarray:
    """Returns 1 / ``scale``, and 0 where it is 0: what never changed in training is no error."""
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
