"""Many imagined episodes side by side: the core that the environments and the rollouts share.

No row depends on what another one holds: the model draws the same amount of random numbers for every row at every
step, whatever happens in it, and starts come from a stream of each row's own.

Shape legend: ``B`` rows, ``K`` some of them, ``O`` the observation's shape, ``A`` the action's shape.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.errors import InputError, require
from envs.world_model import ModelState, WorldModel, where_state
from worldmodels.gym.row_streams import row_keys, uniforms
from worldmodels.gym.rules import EpisodeRules
from worldmodels.uncertainty import uncertainty_of

DIVERGED_UNCERTAINTY = math.inf
"""Uncertainty reported for a row whose imagination was no longer finite."""


class ImaginedStep(NamedTuple):
    """What one step of all rows led to; NumPy arrays that nothing else refers to.

    Attributes:
        observation: ``[B, *O]`` in the space's dtype; of a diverged row the last finite one.
        reward: ``[B]`` float64, less what uncertainty costs; 0 of a diverged row.
        terminated: ``[B]`` bool, the model's continuation probability fell below 0.5.
        truncated: ``[B]`` bool: horizon, uncertainty, or divergence.
        uncertainty: ``[B]`` float64, of the rules' kind; infinite for a diverged row, NaN where it is not measured.
        diverged: ``[B]`` bool, the model's outcome was not finite.
    """

    observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    uncertainty: np.ndarray
    diverged: np.ndarray


@dataclass(frozen=True, eq=False)
class ImaginationState:
    """All that the future of an `Imagination` follows from, beside the actions; copies that nothing else refers to.

    Attributes:
        model: the rows' states.
        observation: ``[B, *O]``, what they show.
        elapsed: ``[B]`` int64, steps since each row's start.
        episode: ``[B]`` int64, how many episodes each row has started.
        keys: ``[B]`` uint64, the streams that starts come from.
        generator: the state of the stream that the model draws from.
    """

    model: ModelState
    observation: np.ndarray
    elapsed: np.ndarray
    episode: np.ndarray
    keys: np.ndarray
    generator: Tensor


class Imagination:
    """``B`` episodes inside a world model. It never restarts one by itself: its caller does, by `restart`.

    Args:
        model: what imagines.
        rules: what the episodes obey.
        num_rows: ``B``.

    Raises:
        InputError: no rows.
    """

    def __init__(self, model: WorldModel, rules: EpisodeRules, num_rows: int):
        if num_rows < 1:
            raise InputError(f"expected at least 1 environment, got {num_rows}")
        self.model, self.rules, self.num_rows = model, rules, num_rows
        self._generator = torch.Generator(model.device)
        self._keys = row_keys(0, num_rows)
        self._episode = np.zeros(num_rows, np.int64)
        self._elapsed = np.zeros(num_rows, np.int64)
        # These may share memory with each other: they are replaced, never written to or handed out.
        self._observation, self._state = self._starts(np.arange(num_rows))

    @property
    def observation(self) -> np.ndarray:
        """What the rows show now, ``[B, *O]``; a copy."""
        return self._observation.copy()

    def seed(self, random: np.random.Generator) -> None:
        """Makes all later draws follow from ``random``."""
        seed = int(random.integers(2**63))
        self._generator.manual_seed(seed)
        self._keys = row_keys(seed, self.num_rows)
        self._episode[:] = 0

    def restart(self, rows: np.ndarray, observations: np.ndarray | None = None) -> np.ndarray:
        """Starts new episodes in ``rows`` (mask ``[B]``) and returns the observations of all rows ``[B, *O]``.

        ``observations`` ``[B, *O]`` inside the space say where; they are taken as first observations of an episode.
        Without them the rules do.
        """
        chosen = np.flatnonzero(rows)
        self._episode[chosen] += 1
        self._elapsed[chosen] = 0
        if observations is None:
            found, state = self._starts(chosen)
        else:
            found = observations[chosen]
            state = self.model.encode(torch.from_numpy(found).to(self.model.device))
        if len(chosen) == self.num_rows:
            self._observation, self._state = found, state
        else:
            self._observation = self._observation.copy()
            self._observation[chosen] = found
            index = torch.from_numpy(chosen).to(self.model.device)
            self._state = {name: value.index_copy(0, index, state[name]) for name, value in self._state.items()}
        return self._observation.copy()

    def step(self, actions: np.ndarray) -> ImaginedStep:
        """Imagines one step of all rows; ``actions`` ``[B, *A]`` inside the space, in its dtype."""
        rules = self.rules
        imagined = self.model.step(self._state, torch.from_numpy(actions).to(self.model.device), self._generator)
        self._elapsed += 1
        observation, continuation = imagined.observation.cpu().numpy(), imagined.continuation.cpu().numpy()
        uncertainty = uncertainty_of(imagined, rules.uncertainty).cpu().numpy().astype(np.float64)
        reward = imagined.reward.cpu().numpy().astype(np.float64)
        if rules.pessimism > 0:
            reward -= rules.pessimism * uncertainty
        terminated, truncated = continuation < 0.5, self._elapsed >= rules.horizon
        if rules.max_uncertainty is not None:
            truncated |= uncertainty > rules.max_uncertainty
        nowhere: np.ndarray = np.zeros(self.num_rows, bool)
        step = ImaginedStep(observation.copy(), reward, terminated, truncated, uncertainty, nowhere)
        if not (np.isfinite(observation).all() and np.isfinite(reward + continuation).all()):
            return self._diverged(step, continuation, imagined.state)
        self._state, self._observation = imagined.state, observation
        return step

    def _diverged(self, step: ImaginedStep, continuation: np.ndarray, state: ModelState) -> ImaginedStep:
        """Keeps the rows of ``step`` that are not finite at what they were before it."""
        shown = np.isfinite(step.observation).reshape(self.num_rows, -1).all(axis=1)
        finite = shown & np.isfinite(step.reward) & np.isfinite(continuation)
        wide = finite.reshape(-1, *[1] * (step.observation.ndim - 1))
        self._observation = np.where(wide, step.observation, self._observation)
        # The state too, or whoever goes on with such a row would go on from what is not finite.
        self._state = where_state(torch.from_numpy(finite).to(self.model.device), state, self._state)
        return ImaginedStep(
            observation=self._observation.copy(),
            reward=np.where(finite, step.reward, 0.0),
            terminated=step.terminated & finite,
            truncated=step.truncated | ~finite,
            uncertainty=np.where(finite, step.uncertainty, DIVERGED_UNCERTAINTY),
            diverged=~finite,
        )

    def get_state(self) -> ImaginationState:
        """Returns a copy of all that the future follows from."""
        return ImaginationState(
            model={name: value.clone() for name, value in self._state.items()},
            observation=self._observation.copy(),
            elapsed=self._elapsed.copy(),
            episode=self._episode.copy(),
            keys=self._keys.copy(),
            generator=self._generator.get_state(),
        )

    def set_state(self, state: ImaginationState) -> None:
        """Goes on from ``state``, which is not changed and can be used again.

        Raises:
            InputError: a state of another number of rows, or of another model; nothing is changed then.
        """
        require(len(state.elapsed) == self.num_rows, "a state", f"of {self.num_rows} rows", len(state.elapsed))
        mine, others = _form(self._state), _form(state.model)
        if mine != others:
            raise InputError(f"expected a state of this model, {mine}, got {others}")
        self._state = {name: value.clone() for name, value in state.model.items()}
        self._observation = state.observation.copy()
        self._elapsed, self._episode = state.elapsed.copy(), state.episode.copy()
        self._keys = state.keys.copy()
        self._generator.set_state(state.generator)

    def _starts(self, chosen: np.ndarray) -> tuple[np.ndarray, ModelState]:
        """Where the rows ``chosen`` (indices ``[K]``) start the episode that they are in."""
        draws = uniforms(self._keys[chosen], self._episode[chosen], self.rules.starts.num_draws)
        return self.rules.starts(draws)


def _form(state: ModelState) -> dict[str, tuple[list[int], str]]:
    return {name: (list(value.shape), str(value.dtype)) for name, value in state.items()}
