"""Logged or imagined steps as an agent learns from them."""

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from agents.replay.ring import Transitions
from envs.logs import Transitions as Steps
from envs.spec import EnvSpec


def transitions_of(steps: Steps, spec: EnvSpec, gamma: float) -> Transitions:
    """Returns steps of an environment as an agent wants them: Discrete actions from 0 on, all in 32 bits.

    A step that was truncated is bootstrapped through, one that terminated is not.

    Args:
        steps: ``[N, ...]``.
        spec: of the environment.
        gamma: discount in [0, 1].
    """
    action: np.ndarray = steps.action
    if isinstance(spec.action_space, spaces.Discrete):
        action = (action - int(spec.action_space.start)).astype(np.int32)
    discount = np.where(steps.terminated, 0.0, gamma).astype(np.float32)
    columns = (steps.observation, action, steps.reward, discount, steps.next_observation)
    return Transitions(*(jnp.asarray(x.astype(np.float32) if x.dtype == np.float64 else x) for x in columns))
