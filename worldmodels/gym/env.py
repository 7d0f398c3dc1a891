"""A world model as a single Gymnasium environment: any agent can be trained inside it, unchanged.

Shape legend: ``O`` the observation's shape.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from envs.errors import InputError
from envs.spaces import checked_actions
from envs.spec import EnvSpec
from envs.world_model import WorldModel
from worldmodels.configs import EpisodeConfig, Propagation, Start, UncertaintyKind
from worldmodels.gym.checks import checked_options, checked_seed, checked_starts
from worldmodels.gym.imagination import Imagination, ImaginationState
from worldmodels.gym.picture import RENDER_MODES, DrawFn, make_draw
from worldmodels.gym.rules import EpisodeRules, make_rules
from worldmodels.saved_model import LoadOptions
from worldmodels.saving import load_model

_EVERY_ROW = np.ones(1, bool)


@dataclass(frozen=True, eq=False)
class EnvState:
    """All that the future of a `WorldModelEnv` follows from, beside the actions."""

    imagination: ImaginationState
    seeded: bool
    under_way: bool


class WorldModelEnv(gymnasium.Env):
    """Episodes imagined by a world model.

    ``terminated`` is the model's continuation probability below 0.5; ``truncated`` the horizon, an uncertainty above
    the limit, or an outcome that is not finite (the observation then stays the last finite one, the reward is 0).
    Each step's info holds ``uncertainty`` (float, NaN where it is not measured) and ``diverged`` (bool). All
    randomness follows from the seed of `reset`.

    Args:
        model: what imagines.
        rules: what its episodes obey.
        draw: makes the pictures of `render`; None for none.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 30}  # noqa: RUF012, Gymnasium's own declaration

    def __init__(self, model: WorldModel, rules: EpisodeRules, draw: DrawFn | None = None):
        self.observation_space = model.spec.observation_space
        self.action_space = model.spec.action_space
        self.model_spec: EnvSpec = model.spec
        self.render_mode = None if draw is None else RENDER_MODES[0]
        self._draw = draw
        self._agent = f"the agent on {model.spec.env_id}"
        self._imagination = Imagination(model, rules, 1)
        self._seeded = False
        self._under_way = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode where the rules say, or at ``options["start"]`` ``[*O]``, taken as a first observation.

        Raises:
            InputError: other options, a start outside the space, or a seed below 0; nothing is changed then.
        """
        given, number = checked_options(options, ("start",)), checked_seed(seed)
        start = None
        if "start" in given:
            start = checked_starts(self.model_spec, np.asarray(given["start"])[None], _EVERY_ROW)
        super().reset(seed=number)
        if seed is not None or not self._seeded:
            self._imagination.seed(self.np_random)
            self._seeded = True
        self._under_way = True
        return self._imagination.restart(_EVERY_ROW, start)[0], {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Imagines one step.

        Raises:
            InputError: an action outside the space, or no episode under way; nothing is changed then.
        """
        if not self._under_way:
            raise InputError("expected a reset before this step: no episode is under way")
        checked = checked_actions(self.action_space, np.asarray(action)[None], 1, self._agent)
        step = self._imagination.step(checked)
        info = {"uncertainty": float(step.uncertainty[0]), "diverged": bool(step.diverged[0])}
        flags = bool(step.terminated[0]), bool(step.truncated[0])
        self._under_way = not any(flags)
        return step.observation[0], float(step.reward[0]), *flags, info

    def get_state(self) -> EnvState:
        """Returns a copy of all that the future follows from, beside the actions."""
        return EnvState(self._imagination.get_state(), self._seeded, self._under_way)

    def set_state(self, state: EnvState) -> None:
        """Goes on from ``state``, bit for bit; it is not changed and can be used again, also in another environment.

        Raises:
            InputError: a state of another model; nothing is changed then.
        """
        self._imagination.set_state(state.imagination)
        self._seeded, self._under_way = state.seeded, state.under_way

    def render(self) -> np.ndarray | None:
        """Returns a picture of the current observation ``[H, W, 3]`` uint8, or None without a render mode.

        Raises:
            InputError: before the first reset.
        """
        if not self._seeded:
            raise InputError("expected a reset before this picture: nothing was observed yet")
        return None if self._draw is None else self._draw(self._imagination.observation[0])


def make_env(
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
) -> WorldModelEnv:
    """Makes an environment from a saved world model (``gymnasium.make("simulacra/WorldModel-v0", path=...)``).

    Args:
        path: the artifact's folder.
        start: start at first observations of logged episodes (``initial``), at ``any`` logged observation, or at new
            first observations between near logged ones (``learned``).
        horizon: steps until truncation; None for the real environment's own limit.
        max_uncertainty: truncate where the uncertainty passes this.
        uncertainty_quantile: the same, as a quantile in [0, 1] of the uncertainty on the training data.
        uncertainty: the kind that is reported, limited and paid for: epistemic, aleatoric or total.
        pessimism: taken off each reward for each unit of uncertainty.
        epistemic: measure the epistemic uncertainty; without it some models are faster, and it is NaN.
        propagation: how members are combined: mean, ts1, tsinf or elite; None for what the model was saved with.
        device: where the model computes.
        render_mode: rgb_array for pictures, or None.

    Raises:
        InputError: no world model at ``path``, or settings that do not fit.
    """
    config = EpisodeConfig(start, horizon, uncertainty, max_uncertainty, uncertainty_quantile, pessimism)
    model = load_model(path, LoadOptions(propagation, device, epistemic))
    return WorldModelEnv(model, make_rules(model, config), make_draw(model, render_mode))
