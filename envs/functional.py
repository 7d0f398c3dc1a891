"""The functional environment contract (JAX), with the signature of gymnax 1.0, and its auto-reset.

An environment is an object of pure functions; its parameters are an argument, so that one compiled function serves a
whole population of them. Everything here is for one environment: batches come from ``jax.vmap``.
"""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from envs.spec import EnvSpec

Params = Any
"""Parameters of a functional environment: a pytree of arrays."""
EnvState = Any
"""State of a functional environment: a pytree of arrays."""


class FunctionalEnv(Protocol):
    """An environment as pure functions. It never resets itself; `step_auto_reset` does."""

    spec: EnvSpec

    @property
    def default_params(self) -> Params:
        """The parameters that make it the environment its spec names."""
        ...

    def reset(self, key: jax.Array, params: Params) -> tuple[jax.Array, EnvState]:
        """Returns the first observation and state of an episode."""
        ...

    def step(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: Params
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        """Returns observation, state, reward (float32), terminated (bool), truncated (bool) and info."""
        ...


class AutoResetStep(NamedTuple):
    """What `step_auto_reset` returns.

    Attributes:
        observation: what to act on next: after an end, the first observation of a new episode.
        state: the state that belongs to it.
        final_observation: what the action led to, also at an end: the one to bootstrap from.
        reward: float32.
        terminated: bool, the environment ended the episode.
        truncated: bool, a limit cut the episode.
    """

    observation: jax.Array
    state: EnvState
    final_observation: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array


def step_auto_reset(
    env: FunctionalEnv, key: jax.Array, state: EnvState, action: jax.Array, params: Params
) -> AutoResetStep:
    """Steps once and, where the episode ended, starts the next one, keeping the observation that ended it."""
    step_key, reset_key = jax.random.split(key)
    final_observation, next_state, reward, terminated, truncated, _ = env.step(step_key, state, action, params)
    first_observation, first_state = env.reset(reset_key, params)
    ended = terminated | truncated
    observation = jnp.where(ended, first_observation, final_observation)
    kept = jax.tree.map(lambda first, later: jnp.where(ended, first, later), first_state, next_state)
    return AutoResetStep(observation, kept, final_observation, reward, terminated, truncated)


def strongly_typed(tree: Any) -> Any:
    """Returns ``tree`` with plain arrays as leaves: Python numbers become arrays, weak JAX types firm ones.

    An environment that passes its outputs through this gives the same types at reset and at every step, so that what
    is compiled for the one serves the other.
    """
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), tree)
