"""Steps of a rollout as transitions that sum up several rewards before they bootstrap (Sutton and Barto 2018, 7.1).

A transition never reaches over an episode's end: where one comes first, it bootstraps from the observation that ended
the episode (a time limit), or from nothing (a termination).

Shape legend: ``T`` time, ``B`` environments, ``n`` steps summed, ``O`` the shape of an observation.
"""

import jax
import jax.numpy as jnp

from agents.replay.ring import Transitions
from agents.training.rollout import Rollout


def n_step_transitions(steps: Rollout, num_summed: int, gamma: jax.Array | float) -> Transitions:
    """Returns the transitions that begin in the first ``T`` steps, ``[T, B, ...]``.

    Args:
        steps: ``[T + n - 1, B, ...]``, oldest first; one that is not valid must follow an episode's end.
        num_summed: ``n``, static, at least 1.
        gamma: discount in [0, 1].
    """
    num_starts = len(steps.reward) - num_summed + 1
    going_on = jnp.ones_like(steps.terminated[:num_starts])
    reward = jnp.zeros_like(steps.reward[:num_starts])
    discount, next_observation = reward, steps.next_observation[:num_starts]
    for k in range(num_summed):
        now = jax.tree.map(lambda x: x[k : k + num_starts], steps._replace(memory=()))  # noqa: B023
        reward = reward + jnp.where(going_on, gamma**k * now.reward, 0.0)
        discount = jnp.where(going_on, gamma ** (k + 1) * (1.0 - now.terminated), discount)
        shown = going_on.reshape(*going_on.shape, *[1] * (next_observation.ndim - 2))
        next_observation = jnp.where(shown, now.next_observation, next_observation)
        going_on = going_on & ~(now.terminated | now.truncated)
    first = jax.tree.map(lambda x: x[:num_starts], steps._replace(memory=()))
    return Transitions(first.observation, first.action, reward, discount, next_observation)
