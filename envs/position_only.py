"""Real environments whose velocities are hidden: what an agent or a model without memory cannot solve.

`simulacra/PositionOnlyCartPole-v1` shows the cart's position and the pole's angle, `simulacra/PositionOnlyPendulum-v1`
the cosine and the sine of the angle. Everything else is Gymnasium's own environment: dynamics, rewards, ends, limits.

They are among the usual tests of memory, for example in Wierstra et al. 2007 and in Ni et al. 2022
(https://arxiv.org/abs/2110.05038).
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class PositionOnly(gymnasium.ObservationWrapper):
    """Shows some numbers of an observation and hides the others.

    Args:
        env: has Box vectors as observations.
        shown: indices of the numbers that are kept, in their order.
    """

    def __init__(self, env: gymnasium.Env, shown: tuple[int, ...]):
        super().__init__(env)
        self._shown = np.array(shown)
        space = env.observation_space
        assert isinstance(space, spaces.Box)
        self.observation_space = spaces.Box(space.low[self._shown], space.high[self._shown], dtype=np.float32)

    def observation(self, observation: Any) -> np.ndarray:
        """Returns the numbers ``[K]`` of ``observation`` ``[D]`` that are shown."""
        return observation[self._shown]


def make_cartpole(render_mode: str | None = None) -> PositionOnly:
    """Makes CartPole-v1 that shows (position, angle), without a time limit of its own."""
    return PositionOnly(_bare("CartPole-v1", render_mode), (0, 2))


def make_pendulum(render_mode: str | None = None) -> PositionOnly:
    """Makes Pendulum-v1 that shows (cosine, sine), without a time limit of its own."""
    return PositionOnly(_bare("Pendulum-v1", render_mode), (0, 1))


def _bare(env_id: str, render_mode: str | None) -> gymnasium.Env:
    """Returns the environment alone: limits belong to the id that it is registered under here."""
    return gymnasium.make(env_id, render_mode=render_mode, disable_env_checker=True).unwrapped
