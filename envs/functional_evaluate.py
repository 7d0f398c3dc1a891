"""Returns of many episodes of a functional environment, compiled, with an early exit when all have ended.

For fitness and for learning curves. Final results come from `envs.evaluate`, on the reference environment.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from envs.functional import FunctionalEnv, Params


def episode_returns(
    env: FunctionalEnv,
    params: Params,
    act_fn: Callable[[jax.Array, Any], tuple[jax.Array, Any]],
    key: jax.Array,
    num_episodes: int,
    memory: Any = (),
    limit: jax.Array | int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Runs ``num_episodes`` episodes side by side, each exactly once.

    Args:
        env: terminates or truncates every episode in the end.
        params: of the environment.
        act_fn: ``(observations [E, *O], memory) -> (actions [E, *A], memory)``.
        key: random key.
        num_episodes: ``E``, static.
        memory: what ``act_fn`` is given first: arrays ``[E, ...]``.
        limit: steps after which an episode is cut, which may be traced; None for the environment's own limit.

    Returns:
        Undiscounted returns ``[E]`` float32 and lengths ``[E]`` int32.
    """
    key, reset_key = jax.random.split(key)
    observation, state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(reset_key, num_episodes), params)
    zeros = jnp.zeros(num_episodes)
    start = (key, observation, state, memory, zeros, zeros.astype(jnp.int32), zeros.astype(bool))

    def step(carry: tuple) -> tuple:
        key, observation, state, memory, returns, lengths, ended = carry
        key, step_key = jax.random.split(key)
        action, memory = act_fn(observation, memory)
        observation, state, reward, terminated, truncated, _ = jax.vmap(env.step, in_axes=(0, 0, 0, None))(
            jax.random.split(step_key, num_episodes), state, action, params
        )
        returns = returns + jnp.where(ended, 0.0, reward)
        lengths = lengths + ~ended
        cut = False if limit is None else lengths >= limit
        return key, observation, state, memory, returns, lengths, ended | terminated | truncated | cut

    *_, returns, lengths, _ = jax.lax.while_loop(lambda carry: ~carry[-1].all(), step, start)
    return returns, lengths
