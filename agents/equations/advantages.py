"""Generalised advantage estimation (Schulman et al. 2016, eq. 16), right about time limits.

Shape legend: ``T`` time, ``...`` batch axes.
"""

import jax
import jax.numpy as jnp


def gae(
    reward: jax.Array,
    value: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    gamma: jax.Array | float,
    gae_lambda: jax.Array | float,
) -> jax.Array:
    """Returns advantages ``[T, ...]``.

    A termination ends the return: nothing is worth anything after it. A truncation only ends the trace: the value of
    the observation that the action led to (``next_value``, not the value of the next episode's start) still counts.

    Args:
        reward: ``[T, ...]``, reward of step t.
        value: ``[T, ...]``, value of the observation before step t.
        next_value: ``[T, ...]``, value of the observation that step t led to, before any reset.
        terminated: ``[T, ...]`` bool.
        truncated: ``[T, ...]`` bool.
        gamma: discount in [0, 1].
        gae_lambda: trace decay in [0, 1].
    """
    delta = reward + gamma * next_value * (1.0 - terminated) - value
    carry_on = gamma * gae_lambda * (1.0 - (terminated | truncated))

    def backwards(advantage: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        delta_t, carry_on_t = step
        advantage = delta_t + carry_on_t * advantage
        return advantage, advantage

    return jax.lax.scan(backwards, jnp.zeros_like(delta[0]), (delta, carry_on), reverse=True)[1]
