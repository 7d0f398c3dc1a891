"""A world model as a single Gymnasium environment: any agent can be trained inside it, unchanged."""

from typing import Any

import gymnasium
import numpy as np

from envs.errors import InputError, require
from envs.world_model import WorldModel
from worldmodels.configs import Propagation, Start
from worldmodels.imagination import EpisodeLimits, Imagination, make_limits, valid_actions, valid_seed
from worldmodels.saving import load_model


class WorldModelEnv(gymnasium.Env):
    """Episodes imagined by a world model.

    ``terminated`` is the model's continuation probability below 0.5; ``truncated`` the horizon, an uncertainty above
    the limit, or an outcome that is not finite (the observation then stays the last finite one, the reward is 0).
    Each step's info holds ``uncertainty`` (float) and ``diverged`` (bool). All randomness follows from the seed of
    `reset`.
    """

    metadata = {"render_modes": []}  # noqa: RUF012, Gymnasium's own declaration

    def __init__(self, model: WorldModel, limits: EpisodeLimits):
        self.observation_space = model.spec.observation_space
        self.action_space = model.spec.action_space
        self.model_spec = model.spec
        self._imagination = Imagination(model, limits, 1)
        self._seeded = False
        self._under_way = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode at a logged observation; raises `InputError` for any option, or a seed below 0."""
        require(not options, "a reset", "without options", options)
        super().reset(seed=valid_seed(seed))
        if seed is not None or not self._seeded:
            self._imagination.seed(self.np_random)
            self._seeded = True
        self._under_way = True
        return self._imagination.reset()[0], {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Imagines one step.

        Raises:
            InputError: an action outside the space, or no episode under way; nothing is changed then.
        """
        if not self._under_way:
            raise InputError("expected a reset before this step: no episode is under way")
        step = self._imagination.step(valid_actions(self.model_spec, np.asarray(action)[None], 1))
        info = {"uncertainty": float(step.uncertainty[0]), "diverged": bool(step.diverged[0])}
        flags = bool(step.terminated[0]), bool(step.truncated[0])
        self._under_way = not any(flags)
        return step.observation[0], float(step.reward[0]), *flags, info


def make_env(
    path: str,
    start: Start = "initial",
    horizon: int | None = None,
    max_uncertainty: float | None = None,
    uncertainty_quantile: float | None = None,
    propagation: Propagation | None = None,
    device: str = "cpu",
) -> WorldModelEnv:
    """Makes an environment from a saved world model (``gymnasium.make("simulacra/WorldModel-v0", path=...)``).

    Args:
        path: the artifact's folder.
        start: start at first observations of logged episodes (``initial``) or at ``any`` logged observation.
        horizon: steps until truncation; None for the real environment's own limit.
        max_uncertainty: truncate where the uncertainty passes this.
        uncertainty_quantile: the same, as a quantile in [0, 1] of the uncertainty on the training data.
        propagation: how members are combined: mean, ts1 or tsinf; None for what the model was saved with.
        device: where the model computes.

    Raises:
        InputError: no world model at ``path``, or settings that do not fit.
    """
    model = load_model(path, propagation, device)
    return WorldModelEnv(model, make_limits(model, start, horizon, max_uncertainty, uncertainty_quantile))
