"""A world model as a natively batched Gymnasium vector environment: one network evaluation steps all rows.

Shape legend: ``B`` environments (rows), ``O`` the observation's shape.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.errors import InputError, unknown_name
from envs.spaces import checked_actions
from envs.spec import EnvSpec
from envs.world_model import WorldModel
from worldmodels.configs import EpisodeConfig, Propagation, Start, UncertaintyKind
from worldmodels.gym.checks import checked_mask, checked_options, checked_seed, checked_starts
from worldmodels.gym.imagination import Imagination, ImaginationState, ImaginedStep
from worldmodels.gym.picture import RENDER_MODES, DrawFn, make_draw
from worldmodels.gym.rules import EpisodeRules, make_rules
from worldmodels.saved_model import LoadOptions
from worldmodels.saving import load_model


@dataclass(frozen=True, eq=False)
class VectorEnvState:
    """All that the future of a `WorldModelVectorEnv` follows from, beside the actions.

    Attributes:
        imagination: the rows.
        ended: ``[B]`` bool, rows whose episode is over.
        started: whether there was a reset.
    """

    imagination: ImaginationState
    ended: np.ndarray
    started: bool


class WorldModelVectorEnv(VectorEnv):
    """``B`` episodes imagined side by side; returns and infos are those of Gymnasium 1.3's ``SyncVectorEnv``.

    What ends an episode is told in `worldmodels.gym.env.WorldModelEnv`. Autoreset modes: NEXT_STEP (the step after an
    end ignores the action and returns the start of a new episode, with reward 0), SAME_STEP (the start is returned at
    once, the end goes to ``final_obs`` and ``final_info``), DISABLED (reset by ``options={"reset_mask": [B] bool}``).
    Rewards are float64; each call returns new arrays. The trajectory of a row depends on the seed, the number of rows
    and its own actions, not on what other rows hold.

    Args:
        model: what imagines.
        rules: what its episodes obey.
        num_envs: ``B``, at least 1.
        autoreset_mode: what happens after an end.
        draw: makes the pictures of `render`; None for none.
    """

    def __init__(
        self,
        model: WorldModel,
        rules: EpisodeRules,
        num_envs: int,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        draw: DrawFn | None = None,
    ):
        self.num_envs, self.autoreset_mode = num_envs, autoreset_mode
        self.metadata = {"render_modes": list(RENDER_MODES), "render_fps": 30, "autoreset_mode": autoreset_mode}
        self.render_mode = None if draw is None else RENDER_MODES[0]
        self.model_spec: EnvSpec = model.spec
        self._draw = draw
        self._agent = f"the agent on {model.spec.env_id}"
        self._imagination = Imagination(model, rules, num_envs)
        self.single_observation_space = model.spec.observation_space
        self.single_action_space = model.spec.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended = np.zeros(num_envs, bool)
        self._started = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts new episodes in all rows, or in those of ``options["reset_mask"]`` (``[B]`` bool, at least one).

        They start where the rules say, or at ``options["start"]`` ``[B, *O]``, taken as first observations of an
        episode (of rows that are not reset it does not matter).

        A ``seed`` renews the randomness of all rows, also of those that are not reset. It is one number: the rows
        share one stream of noise, so a seed for each row would promise what it cannot keep.

        Raises:
            InputError: several seeds or one below 0, other options, a wrong mask, a start outside the space, or a
                first reset of some rows only; nothing is changed then.
        """
        given, number = checked_options(options, ("reset_mask", "start")), checked_seed(seed)
        rows: np.ndarray = np.ones(self.num_envs, bool)
        if "reset_mask" in given:
            rows = checked_mask(given["reset_mask"], self.num_envs)
        if not (self._started or rows.all()):
            raise InputError(f"expected a first reset of all rows before one of some, got the reset_mask {rows}")
        starts = checked_starts(self.model_spec, given["start"], rows) if "start" in given else None
        super().reset(seed=number)
        if seed is not None or not self._started:
            self._imagination.seed(self.np_random)
            self._started = True
        self._ended = self._ended & ~rows
        return self._imagination.restart(rows, starts), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Imagines one step of all rows.

        Raises:
            InputError: an action outside the space, or rows that must be reset first; nothing is changed then.
        """
        if not self._started:
            raise InputError("expected a reset before this step: no episode is under way")
        over = self._ended if self._ended.any() else None
        if over is not None and self.autoreset_mode == AutoresetMode.DISABLED:
            raise InputError(f"expected a reset of row {over.argmax()}, whose episode has ended, before its step")
        step = self._imagination.step(
            checked_actions(self.single_action_space, actions, self.num_envs, self._agent, over)
        )
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            return self._restarted_at_once(step)
        observations = step.observation
        if over is not None:
            observations = self._imagination.restart(over)
            step.reward[over] = 0.0
            step.terminated[over] = step.truncated[over] = False
        self._ended = step.terminated | step.truncated
        infos = _step_infos(step, None if over is None else ~over)
        return observations, step.reward, step.terminated, step.truncated, infos

    def _restarted_at_once(
        self, step: ImaginedStep
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """What SAME_STEP returns: rows that ended show the start of their next episode."""
        ended = step.terminated | step.truncated
        observations = self._imagination.restart(ended) if ended.any() else step.observation
        infos = {**_final_infos(step, ended), **_step_infos(step, ~ended)}
        return observations, step.reward, step.terminated, step.truncated, infos

    def get_state(self) -> VectorEnvState:
        """Returns a copy of all that the future follows from, beside the actions."""
        return VectorEnvState(self._imagination.get_state(), self._ended.copy(), self._started)

    def set_state(self, state: VectorEnvState) -> None:
        """Goes on from ``state``, bit for bit; it is not changed and can be used again, also in another environment.

        Raises:
            InputError: a state of another number of rows or of another model; nothing is changed then.
        """
        self._imagination.set_state(state.imagination)
        self._ended, self._started = state.ended.copy(), state.started

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Returns a picture of each row's observation, ``[H, W, 3]`` uint8, or None without a render mode.

        Raises:
            InputError: before the first reset.
        """
        if not self._started:
            raise InputError("expected a reset before this picture: nothing was observed yet")
        return None if self._draw is None else tuple(map(self._draw, self._imagination.observation))


def _step_infos(step: ImaginedStep, rows: np.ndarray | None) -> dict[str, Any]:
    """Infos of ``rows`` (mask ``[B]``, None for all) in Gymnasium's form: each beside a mask of who has it."""
    uncertainty, diverged = step.uncertainty, step.diverged
    if rows is None:
        rows = ~np.zeros(len(diverged), bool)
    elif rows.any():
        uncertainty, diverged = np.where(rows, uncertainty, 0.0), diverged & rows
    else:
        return {}
    return {"uncertainty": uncertainty, "diverged": diverged, "_uncertainty": rows, "_diverged": rows.copy()}


def _final_infos(step: ImaginedStep, ended: np.ndarray) -> dict[str, Any]:
    """What SAME_STEP tells about ends: observations as an object array ``[B]``, None where no episode ended."""
    if not ended.any():
        return {}
    final_obs: np.ndarray = np.full(len(ended), None, dtype=object)
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
    uncertainty: UncertaintyKind = "epistemic",
    pessimism: float = 0.0,
    epistemic: bool = True,
    propagation: Propagation | None = None,
    device: str = "cpu",
    render_mode: str | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
) -> WorldModelVectorEnv:
    """Makes a vector environment from a saved world model (``gymnasium.make_vec("simulacra/WorldModel-v0", ...)``).

    Args:
        num_envs: rows, at least 1.
        autoreset_mode: what happens after an end: NextStep, SameStep or Disabled.

    The other settings, and the errors, are those of `worldmodels.gym.env.make_env`.
    """
    known = {mode.value: mode for mode in AutoresetMode}
    mode = known.get(autoreset_mode) if isinstance(autoreset_mode, str) else autoreset_mode
    if mode is None:
        raise unknown_name("autoreset mode", str(autoreset_mode), known)
    config = EpisodeConfig(start, horizon, uncertainty, max_uncertainty, uncertainty_quantile, pessimism)
    model = load_model(path, LoadOptions(propagation, device, epistemic))
    return WorldModelVectorEnv(model, make_rules(model, config), num_envs, mode, make_draw(model, render_mode))
