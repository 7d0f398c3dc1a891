"""`Rollout`: what an agent learns from, however it was collected.

Shape legend: ``T`` time, ``B`` environments, ``O`` and ``A`` the shapes of an observation and of an action.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Rollout(NamedTuple):
    """Steps of ``B`` environments side by side, oldest first.

    Attributes:
        observation: ``[T, B, *O]``, what was acted on.
        action: ``[T, B, *A]``, as the agent sampled it (before clipping).
        reward: ``[T, B]`` float32.
        terminated: ``[T, B]`` bool.
        truncated: ``[T, B]`` bool.
        next_observation: ``[T, B, *O]``, what the action led to, before any reset.
        valid: ``[T, B]`` bool, False where a vector environment spent the step on resetting itself.
        started: ``[T, B]`` bool, True where the observation is an episode's first: the policy's memory starts afresh.
        memory: the policy's memory before the first step ``[B, ...]``.
    """

    observation: jax.Array
    action: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    next_observation: jax.Array
    valid: jax.Array
    started: jax.Array
    memory: Any = ()


class EpisodeTally(NamedTuple):
    """Running returns of unfinished episodes ``[B]``, and what has finished since the tally was last emptied.

    Attributes:
        running: return so far of each environment's episode ``[B]``.
        total: sum of the returns of finished episodes, scalar.
        num_episodes: number of finished episodes, scalar.
    """

    running: jax.Array
    total: jax.Array
    num_episodes: jax.Array

    @staticmethod
    def empty(num_envs: int) -> "EpisodeTally":
        return EpisodeTally(jnp.zeros(num_envs), jnp.zeros(()), jnp.zeros(()))

    def add(self, reward: jax.Array, ended: jax.Array) -> "EpisodeTally":
        """Returns the tally after steps with ``reward`` and ``ended`` ``[T, B]``."""
        times = jnp.arange(len(reward))[:, None]
        last_end = jnp.where(ended, times, -1).max(0)
        # What came up to an environment's last end belongs to finished episodes, the rest to the one under way.
        finished, unfinished = ((jnp.where(part, reward, 0.0)).sum(0) for part in (times <= last_end, times > last_end))
        any_ended = last_end >= 0
        total = jnp.where(any_ended, self.running + finished, 0.0).sum()
        running = jnp.where(any_ended, 0.0, self.running) + unfinished
        return EpisodeTally(running, self.total + total, self.num_episodes + ended.sum())
