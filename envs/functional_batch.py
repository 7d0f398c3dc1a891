"""Compiled resets and steps of a batch of functional environments, each row with its own random key.

`envs.functional_gym` puts Gymnasium's vector interface around them. The environment is a static argument: it must be
hashable, and what was compiled for it serves every user of the same object.

Shape legend: ``B`` rows, ``A`` the action's shape, ``O`` the observation's shape. Keys are typed JAX keys ``[B]``.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envs.functional import EnvState, FunctionalEnv, Params


class Started(NamedTuple):
    """Rows at the start of an episode: next keys ``[B]``, state ``[B, ...]`` and observations ``[B, *O]``."""

    keys: jax.Array
    state: EnvState
    observations: jax.Array


class Stepped(NamedTuple):
    """Rows after a step.

    Attributes:
        keys: next keys ``[B]``.
        state: ``[B, ...]``.
        observations: what to act on next ``[B, *O]``; for a row that was reset, its first.
        final_observations: what the actions led to ``[B, *O]``.
        reward: float32 ``[B]``.
        terminated: bool ``[B]``.
        truncated: bool ``[B]``.
    """

    keys: jax.Array
    state: EnvState
    observations: jax.Array
    final_observations: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array


@partial(jax.jit, static_argnums=0)
def reset_rows(env: FunctionalEnv, keys: jax.Array, params: Params) -> Started:
    """Resets all rows."""
    keys, reset_keys = _split_rows(keys)
    observations, state = jax.vmap(env.reset, (0, None))(reset_keys, params)
    return Started(keys, state, observations)


@partial(jax.jit, static_argnums=0)
def restart_rows(env: FunctionalEnv, rows: Started, mask: jax.Array, params: Params) -> Started:
    """Resets the rows of ``mask`` ``[B]`` and leaves the others, their keys too, as they are."""
    next_keys, reset_keys = _split_rows(rows.keys)
    observations, state = restarted(env, reset_keys, mask, rows.observations, rows.state, params)
    return Started(_select_rows(mask, next_keys, rows.keys), state, observations)


@partial(jax.jit, static_argnums=0)
def step_rows(
    env: FunctionalEnv, keys: jax.Array, state: EnvState, actions: jax.Array, waiting: jax.Array, params: Params
) -> Stepped:
    """Steps all rows but those ``waiting`` ``[B]`` to be reset, which are, with reward 0: Gymnasium's NEXT_STEP."""
    keys, row_keys = _split_rows(keys)
    stepped = jax.vmap(env.step, (0, 0, 0, None))(row_keys, state, actions, params)
    final_observations, state, reward, terminated, truncated, _ = stepped
    observations, state = restarted(env, row_keys, waiting, final_observations, state, params)
    reward = jnp.where(waiting, 0.0, reward)
    return Stepped(keys, state, observations, final_observations, reward, terminated & ~waiting, truncated & ~waiting)


@partial(jax.jit, static_argnums=0)
def step_rows_same_step(
    env: FunctionalEnv, keys: jax.Array, state: EnvState, actions: jax.Array, params: Params
) -> Stepped:
    """Steps all rows and resets those that ended at once: Gymnasium's SAME_STEP."""
    keys, step_keys = _split_rows(keys)
    stepped = jax.vmap(env.step, (0, 0, 0, None))(step_keys, state, actions, params)
    final_observations, state, reward, terminated, truncated, _ = stepped
    ended = terminated | truncated
    next_keys, reset_keys = _split_rows(keys)
    observations, state = restarted(env, reset_keys, ended, final_observations, state, params)
    keys = _select_rows(ended, next_keys, keys)
    return Stepped(keys, state, observations, final_observations, reward, terminated, truncated)


def _split_rows(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    both = jax.vmap(jax.random.split)(keys)
    return both[:, 0], both[:, 1]


def _select_rows(mask: jax.Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda one, other: jax.vmap(jnp.where)(mask, one, other), yes, no)


def restarted(
    env: FunctionalEnv, keys: jax.Array, mask: jax.Array, observations: jax.Array, state: EnvState, params: Params
) -> tuple[jax.Array, EnvState]:
    """Returns observations ``[B, *O]`` and state ``[B, ...]``, rows of ``mask`` ``[B]`` reset with ``keys`` ``[B]``.

    Without any, no reset is computed.
    """

    def restart() -> tuple[jax.Array, EnvState]:
        return _select_rows(mask, jax.vmap(env.reset, (0, None))(keys, params), (observations, state))

    return jax.lax.cond(mask.any(), restart, lambda: (observations, state))
