"""Ours as gymnax environments (1.0), for agents outside this project that train on those."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnasium import spaces
from gymnax.environments import spaces as gymnax_spaces
from gymnax.environments.environment import Environment

from envs.errors import InputError
from envs.functional import EnvState, FunctionalEnv, Params


@struct.dataclass
class ExportedState:
    """State of a `GymnaxExport`.

    Attributes:
        inner: the functional environment's own state.
        time: steps of this episode, int32.
        terminated: the last step ended the episode, bool.
        truncated: the last step met a limit, bool.
    """

    inner: EnvState
    time: jax.Array
    terminated: jax.Array
    truncated: jax.Array


class GymnaxExport(Environment):
    """A functional environment as a gymnax environment.

    ``reset(key, params)`` and ``step(key, state, action, params)`` are gymnax's own, jitted, with its auto-reset and
    ``info["final_observation"]``; without ``params`` they use the defaults.

    Args:
        functional: the environment.
        params: what ``default_params`` shall be; the environment's own defaults where None.
    """

    def __init__(self, functional: FunctionalEnv, params: Params | None = None):
        super().__init__()
        self.functional = functional
        self._params = functional.default_params if params is None else params

    @property
    def default_params(self) -> Params:
        return self._params

    @property
    def name(self) -> str:
        return self.functional.spec.env_id

    @property
    def num_actions(self) -> int:
        """Number of discrete actions, or of components of a Box action."""
        space = self.functional.spec.action_space
        return int(space.n) if isinstance(space, spaces.Discrete) else int(np.prod(space.shape or ()))

    def reset_env(self, key: jax.Array, params: Params) -> tuple[jax.Array, ExportedState]:
        observation, inner = self.functional.reset(key, params)
        return observation, ExportedState(inner, jnp.int32(0), jnp.bool_(False), jnp.bool_(False))

    def step_env(
        self, key: jax.Array, state: ExportedState, action: jax.Array, params: Params
    ) -> tuple[jax.Array, ExportedState, jax.Array, jax.Array, dict[str, Any]]:
        out = self.functional.step(key, state.inner, action, params)
        observation, inner, reward, terminated, truncated, _ = out
        exported = ExportedState(inner, state.time + 1, terminated, truncated)
        return observation, exported, reward, terminated, {"discount": 1.0 - terminated.astype(jnp.float32)}

    def is_terminated(self, state: ExportedState, params: Params) -> jax.Array:  # noqa: ARG002
        return state.terminated

    def is_truncated(self, state: ExportedState, params: Params) -> jax.Array:  # noqa: ARG002
        return state.truncated

    def action_space(self, params: Params | None = None) -> gymnax_spaces.Space:  # noqa: ARG002
        return _to_gymnax(self.functional.spec.action_space)

    def observation_space(self, params: Params | None = None) -> gymnax_spaces.Space:  # noqa: ARG002
        return _to_gymnax(self.functional.spec.observation_space)


def _to_gymnax(space: spaces.Space) -> gymnax_spaces.Space:
    match space:
        case spaces.Discrete(start=0):
            return gymnax_spaces.Discrete(int(space.n))
        case spaces.Box():
            return gymnax_spaces.Box(jnp.asarray(space.low), jnp.asarray(space.high), space.shape, space.dtype)
    raise InputError(f"expected a Box space, or a Discrete one that starts at 0, to give to gymnax, got {space}")
