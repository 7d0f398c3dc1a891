"""A world model as a natively batched Gymnasium vector environment: one network evaluation steps all rows.

Shape legend: ``B`` environments (rows), ``D`` observation dimensions, ``A`` the action's shape.
"""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.errors import InputError, require, unknown_name
from envs.world_model import WorldModel
from worldmodels.configs import Propagation, Start
from worldmodels.imagination import (
    EpisodeLimits,
    Imagination,
    ImaginedStep,
    make_limits,
    some_action,
    valid_actions,
    valid_seed,
)
from worldmodels.saving import load_model


class WorldModelVectorEnv(VectorEnv):
    """``B`` episodes imagined side by side; returns and infos are those of Gymnasium 1.3's ``SyncVectorEnv``.

    What ends an episode is told in `worldmodels.env.WorldModelEnv`. Autoreset modes: NEXT_STEP (the step after an end
    ignores the action and returns the start of a new episode, with reward 0), SAME_STEP (the start is returned at
    once, the end goes to ``final_obs`` and ``final_info``), DISABLED (reset by ``options={"reset_mask": [B] bool}``).
    Rewards are float64; each call returns new arrays. The trajectory of a row depends on the seed, the number of rows
    and its own actions, not on what other rows hold.
    """

    def __init__(
        self,
        model: WorldModel,
        limits: EpisodeLimits,
        num_envs: int,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
    ):
        self.num_envs, self.autoreset_mode = num_envs, autoreset_mode
        self.metadata = {"render_modes": [], "autoreset_mode": autoreset_mode}
        self.model_spec = model.spec
        self._imagination = Imagination(model, limits, num_envs)
        self.single_observation_space = model.spec.observation_space
        self.single_action_space = model.spec.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._some_action = some_action(model.spec.action_space)
        self._ended = np.zeros(num_envs, bool)
        self._started = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts new episodes in all rows, or in those of ``options["reset_mask"]`` (``[B]`` bool, at least one).

        A ``seed`` renews the randomness of all rows, also of those that are not reset. It is one number: the rows
        share one stream of noise, so a seed for each row would promise what it cannot keep.

        Raises:
            InputError: several seeds or one below 0, other options, a wrong mask, or a first reset of some rows only.
        """
        mask, checked_seed = self._reset_mask(options or {}), valid_seed(seed)
        super().reset(seed=checked_seed)
        if seed is not None or not self._started:
            self._imagination.seed(self.np_random)
            self._started = True
        if mask is None:
            self._ended = np.zeros(self.num_envs, bool)
            return self._imagination.reset(), {}
        self._ended = self._ended & ~mask
        return self._imagination.restart(mask), {}

    def _reset_mask(self, options: dict[str, Any]) -> np.ndarray | None:
        """Returns the mask of rows to reset, None without one; raises `InputError` for what `reset` refuses."""
        others = sorted(options.keys() - {"reset_mask"})
        require(not others, "no reset option", "but reset_mask", others)
        if "reset_mask" not in options:
            return None
        mask = options["reset_mask"]
        right = isinstance(mask, np.ndarray) and mask.shape == (self.num_envs,) and mask.dtype == bool and mask.any()
        if not right:
            expected = f"expected reset_mask as a bool array [{self.num_envs}] with at least one True"
            raise InputError(f"{expected}, got {mask!r}")
        if not (self._started or mask.all()):
            raise InputError(f"expected a first reset of all rows before one of some, got the reset_mask {mask}")
        return mask

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Imagines one step of all rows.

        Raises:
            InputError: an action outside the space, or rows that must be reset first; nothing is changed then.
        """
        if not self._started:
            raise InputError("expected a reset before this step: no episode is under way")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._ended.any():
            raise InputError(
                f"expected a reset of row {self._ended.argmax()}, whose episode has ended, before its step"
            )
        restarting = self._ended & (self.autoreset_mode == AutoresetMode.NEXT_STEP)
        step = self._imagination.step(self._actions(actions, restarting))
        stepped = ~restarting
        terminated, truncated = step.terminated & stepped, step.truncated & stepped
        rewards = np.where(stepped, step.reward, 0.0)
        ended = terminated | truncated
        infos = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            infos = _final_infos(step, ended)
            restarting, stepped = ended, ~ended
        observations = self._imagination.restart(restarting) if restarting.any() else step.observation
        self._ended = ended & (self.autoreset_mode != AutoresetMode.SAME_STEP)
        return observations, rewards, terminated, truncated, {**infos, **_step_infos(step, stepped)}

    def _actions(self, actions: Any, ignored: np.ndarray) -> np.ndarray:
        """Valid actions; those of ``ignored`` rows ``[B]`` can be anything and are replaced."""
        if ignored.any() and np.shape(actions) == self.action_space.shape:
            actions = np.array(actions)
            actions[ignored] = self._some_action
        return valid_actions(self.model_spec, actions, self.num_envs)


def _step_infos(step: ImaginedStep, rows: np.ndarray) -> dict[str, Any]:
    """Infos of ``rows`` (mask ``[B]``) in Gymnasium's form: each value beside a mask of the rows that have it."""
    if not rows.any():
        return {}
    uncertainty = np.where(rows, step.uncertainty, 0.0).astype(np.float64)
    infos = {"uncertainty": uncertainty, "diverged": step.diverged & rows}
    return {**infos, **{f"_{name}": rows.copy() for name in infos}}


def _final_infos(step: ImaginedStep, ended: np.ndarray) -> dict[str, Any]:
    """What SAME_STEP tells about ends: observations as an object array ``[B]``, None where no episode ended."""
    if not ended.any():
        return {}
    final_obs = np.full(len(ended), None, dtype=object)
    for row in np.flatnonzero(ended):
        final_obs[row] = step.observation[row].copy()
    finals = {"final_obs": final_obs, "final_info": _step_infos(step, ended)}
    return {**finals, **{f"_{name}": ended.copy() for name in finals}}


def make_vector_env(
    num_envs: int,
    path: str,
    start: Start = "initial",
    horizon: int | None = None,
    max_uncertainty: float | None = None,
    uncertainty_quantile: float | None = None,
    propagation: Propagation | None = None,
    device: str = "cpu",
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
) -> WorldModelVectorEnv:
    """Makes a vector environment from a saved world model (``gymnasium.make_vec("simulacra/WorldModel-v0", ...)``).

    Args:
        num_envs: rows, at least 1.
        autoreset_mode: what happens after an end: NextStep, SameStep or Disabled.

    The other settings, and the errors, are those of `worldmodels.env.make_env`.
    """
    model = load_model(path, propagation, device)
    limits = make_limits(model, start, horizon, max_uncertainty, uncertainty_quantile)
    known = {mode.value: mode for mode in AutoresetMode}
    mode = known.get(autoreset_mode) if isinstance(autoreset_mode, str) else autoreset_mode
    if mode is None:
        raise unknown_name("autoreset mode", str(autoreset_mode), known)
    return WorldModelVectorEnv(model, limits, num_envs, mode)
