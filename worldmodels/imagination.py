"""Many imagined episodes side by side: the core that the single and the vector environment share.

Every row draws the same amount of random numbers at every step, whatever happens in it, so that no row depends on
what another one holds.

Shape legend: ``B`` rows, ``D`` observation dimensions, ``A`` the action's shape, ``S`` start observations.
"""

import math
from dataclasses import dataclass
from typing import Any, get_args

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from envs.errors import InputError, require, unknown_name
from envs.spaces import first_outside
from envs.spec import EnvSpec
from envs.world_model import ModelState, WorldModel, where_state
from worldmodels.configs import Start
from worldmodels.saved_model import SavedWorldModel

DIVERGED_UNCERTAINTY = math.inf
"""Uncertainty reported for a row whose imagination was no longer finite."""


@dataclass(frozen=True)
class EpisodeLimits:
    """When an imagined episode is cut, and where it starts.

    Attributes:
        starts: observations ``[S, D]`` to start from, in the observation space's dtype.
        horizon: steps after which an episode is truncated, at least 1.
        max_uncertainty: a step above this uncertainty truncates the episode; None for no such limit.
    """

    starts: np.ndarray
    horizon: int
    max_uncertainty: float | None = None

    def __post_init__(self) -> None:
        if len(self.starts) == 0:
            raise InputError("expected at least one start observation, got none")
        if self.horizon < 1:
            raise InputError(f"expected a horizon of at least 1 step, got {self.horizon}")
        if self.max_uncertainty is not None and not self.max_uncertainty >= 0:
            raise InputError(f"expected max_uncertainty of at least 0, got {self.max_uncertainty}")


@dataclass(frozen=True)
class ImaginedStep:
    """What one step of all rows led to; NumPy arrays that nothing else refers to.

    Attributes:
        observation: ``[B, D]`` in the space's dtype; of a diverged row the last finite one.
        reward: ``[B]`` float64; 0 of a diverged row.
        terminated: ``[B]`` bool, the model's continuation probability fell below 0.5.
        truncated: ``[B]`` bool: horizon, uncertainty, or divergence.
        uncertainty: ``[B]`` float32; infinite for a diverged row.
        diverged: ``[B]`` bool, the model's outcome was not finite.
    """

    observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    uncertainty: np.ndarray
    diverged: np.ndarray


class Imagination:
    """``B`` episodes inside a world model. It never restarts one by itself: its caller does, by `restart`."""

    def __init__(self, model: WorldModel, limits: EpisodeLimits, num_rows: int):
        if num_rows < 1:
            raise InputError(f"expected at least 1 environment, got {num_rows}")
        self.model, self.limits, self.num_rows = model, limits, num_rows
        self._generator = torch.Generator(model.device)
        self._seed = 0
        self._next_start = np.zeros(num_rows, np.int64)
        self._taken = np.zeros(num_rows, bool)  # rows whose next start has been used already
        self._num_redrawn = np.zeros(num_rows, np.int64)
        self._elapsed = np.zeros(num_rows, np.int64)
        # These arrays may share memory with the model's state: they are replaced, never written to or handed out.
        self._observation = limits.starts[self._next_start]
        self._state = self._encode(self._observation)

    def seed(self, random: np.random.Generator) -> None:
        """Makes all later draws follow from ``random``."""
        self._seed = int(random.integers(2**63))
        self._generator.manual_seed(self._seed)
        self._num_redrawn[:] = 0
        self._draw_starts()

    def restart(self, rows: np.ndarray) -> np.ndarray:
        """Starts a new episode in ``rows`` (mask ``[B]``) and returns the observations of all rows ``[B, D]``.

        Where they start was drawn with the last step, for every row, whether it ended or not. A row that is restarted
        again before the next step starts somewhere drawn anew.
        """
        self._redraw_starts(rows & self._taken)
        self._taken |= rows
        starts = self.limits.starts[self._next_start]
        self._observation = np.where(rows[:, None], starts, self._observation)
        mask = torch.from_numpy(rows).to(self.model.device)
        self._state = where_state(mask, self._encode(starts), self._state)
        self._elapsed[rows] = 0
        return self._observation.copy()

    def reset(self) -> np.ndarray:
        """Starts new episodes in all rows, at newly drawn starts; returns their observations ``[B, D]``."""
        self._draw_starts()
        return self.restart(np.ones(self.num_rows, bool))

    def step(self, actions: np.ndarray) -> ImaginedStep:
        """Imagines one step of all rows; ``actions`` ``[B, *A]`` as `valid_actions` returned them."""
        action = torch.from_numpy(actions).to(self.model.device)
        imagined = self.model.step(self._state, action, self._generator)
        self._draw_starts()
        self._elapsed += 1
        columns = (imagined.observation, imagined.reward, imagined.continuation, imagined.uncertainty)
        observation, reward, continuation, uncertainty = (column.cpu().numpy() for column in columns)
        state = imagined.state
        with np.errstate(invalid="ignore", over="ignore"):
            diverged = ~np.isfinite(observation.sum(axis=1) + reward + continuation + uncertainty)
        if diverged.any():
            observation = np.where(diverged[:, None], self._observation, observation)
            # The state too, or whoever goes on with such a row would go on from what is not finite.
            finite = torch.from_numpy(~diverged).to(self.model.device)
            state = where_state(finite, state, self._state)
        self._state, self._observation = state, observation
        uncertainty = np.where(diverged, DIVERGED_UNCERTAINTY, uncertainty)
        truncated = (self._elapsed >= self.limits.horizon) | diverged
        if self.limits.max_uncertainty is not None:
            truncated |= uncertainty > self.limits.max_uncertainty
        return ImaginedStep(
            observation=observation.copy(),
            reward=np.where(diverged, 0.0, reward.astype(np.float64)),
            terminated=(continuation < 0.5) & ~diverged,
            truncated=truncated,
            uncertainty=uncertainty,
            diverged=diverged,
        )

    def _draw_starts(self) -> None:
        """Draws where each row will start next. Done at every step, or the draws would depend on who has ended."""
        size = (self.num_rows,)
        drawn = torch.randint(len(self.limits.starts), size, generator=self._generator, device=self.model.device)
        self._next_start = drawn.cpu().numpy()
        self._taken[:] = False

    def _redraw_starts(self, rows: np.ndarray) -> None:
        """Draws anew where ``rows`` (mask ``[B]``) start, each from a stream of its own: no other row notices."""
        for row in np.flatnonzero(rows).tolist():
            self._num_redrawn[row] += 1
            random = np.random.default_rng([self._seed, row, int(self._num_redrawn[row])])
            self._next_start[row] = random.integers(len(self.limits.starts))

    def _encode(self, observations: np.ndarray) -> ModelState:
        return self.model.encode(torch.from_numpy(observations).to(self.model.device))


def valid_seed(seed: Any) -> int | None:
    """Returns the one ``seed`` that `Imagination.seed` follows, or None; raises `InputError` for anything else."""
    if seed is None:
        return None
    right = isinstance(seed, int | np.integer) and int(seed) >= 0
    require(right, "one seed", "of at least 0 that the randomness of all environments follows from", seed)
    return int(seed)


def valid_actions(spec: EnvSpec, actions: Any, num_rows: int) -> np.ndarray:
    """Returns ``actions`` as an array ``[B, *A]`` in the action space's dtype.

    Raises:
        InputError: another shape, or an action outside the space (the first such row is named).
    """
    space, values = spec.action_space, np.asarray(actions)
    expected = (num_rows, *(space.shape or ()))
    if values.shape != expected:
        raise InputError(f"expected actions of shape {expected} for {spec.env_id}, got {values.shape}")
    if isinstance(space, spaces.Box):
        values = values.astype(space.dtype)
    row = first_outside(space, values)
    if row is not None:
        raise InputError(f"expected actions inside {space} for {spec.env_id}, got {values[row]} in row {row}")
    return values.astype(space.dtype)


def some_action(space: gymnasium.Space) -> np.ndarray:
    """Returns any one action inside ``space``."""
    match space:
        case spaces.Box():
            return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
        case spaces.Discrete() | spaces.MultiDiscrete():
            return np.asarray(space.start)
    return np.zeros(space.shape or (), space.dtype)


def make_limits(
    model: SavedWorldModel,
    start: Start,
    horizon: int | None,
    max_uncertainty: float | None,
    uncertainty_quantile: float | None,
) -> EpisodeLimits:
    """Returns the limits that the settings of an environment ask for (see `worldmodels.env.make_env`).

    Raises:
        InputError: an unknown start, no horizon where the real environment has none, or two limits of uncertainty.
    """
    if start not in get_args(Start):
        raise unknown_name("start", start, get_args(Start))
    horizon = model.spec.max_episode_steps if horizon is None else horizon
    if horizon is None:
        raise InputError(f"expected a horizon, since {model.spec.env_id} has no limit of its own, got none")
    if max_uncertainty is not None and uncertainty_quantile is not None:
        raise InputError("expected max_uncertainty or uncertainty_quantile, got both")
    if uncertainty_quantile is not None:
        max_uncertainty = model.uncertainty_at(uncertainty_quantile)
    starts = model.starts.initial if start == "initial" else model.starts.any
    return EpisodeLimits(starts.numpy(), horizon, max_uncertainty)
