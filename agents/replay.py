"""A replay buffer as arrays: a ring that is filled and read inside compiled functions.

It holds what actions led to, so that a time limit (truncated, not terminated) is bootstrapped through. Give it away
(``donate_argnums``) to the jitted function that adds to it, or each call copies it.

Shape legend: ``C`` capacity, ``N`` transitions, ``O`` and ``A`` the shapes of an observation and of an action.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.rollout import Rollout


class Transitions(NamedTuple):
    """Single steps.

    Attributes:
        observation: ``[N, *O]``, what was acted on.
        action: ``[N, *A]``, as the policy gave it.
        reward: ``[N]`` float32.
        terminated: ``[N]`` bool; nothing is worth anything after it.
        next_observation: ``[N, *O]``, what the action led to, before any reset.
    """

    observation: jax.Array
    action: jax.Array
    reward: jax.Array
    terminated: jax.Array
    next_observation: jax.Array


class Replay(NamedTuple):
    """A ring of the latest transitions.

    Attributes:
        rows: ``[C, ...]``; those that were never written are zeros.
        num_added: transitions added so far, int32 scalar.
    """

    rows: Transitions
    num_added: jax.Array

    @property
    def capacity(self) -> int:
        """``C``."""
        return len(self.rows.reward)

    @property
    def size(self) -> jax.Array:
        """Transitions that can be drawn, int32 scalar."""
        return jnp.minimum(self.num_added, self.capacity)


def empty_replay(capacity: int, observation: jax.Array, action: jax.Array) -> Replay:
    """Returns a replay buffer of ``capacity`` for transitions with an ``observation`` ``[*O]`` and ``action`` ``[*A]``.

    Only their shapes and dtypes matter.
    """
    example = Transitions(observation, action, jnp.float32(0), jnp.bool_(False), observation)
    rows = jax.tree.map(lambda x: jnp.zeros((capacity, *jnp.shape(x)), jnp.result_type(x)), example)
    return Replay(rows, jnp.int32(0))


def add(replay: Replay, transitions: Transitions, valid: jax.Array) -> Replay:
    """Returns the buffer with those of ``transitions`` that are ``valid`` ``[N]`` in place of its oldest ones.

    At most ``C`` may be added at once.
    """
    position = (replay.num_added + jnp.cumsum(valid) - 1) % replay.capacity
    place = jnp.where(valid, position, replay.capacity)  # beyond the end: dropped
    rows = jax.tree.map(lambda old, new: old.at[place].set(new, mode="drop"), replay.rows, transitions)
    return Replay(rows, replay.num_added + valid.sum(dtype=jnp.int32))


def draw(replay: Replay, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns indices of ``shape`` of stored transitions, uniform, with replacement; some must have been added."""
    return jax.random.randint(key, shape, 0, replay.size)


def take(replay: Replay, indices: jax.Array) -> Transitions:
    """Returns the transitions at ``indices`` ``[N]``."""
    return jax.tree.map(lambda rows: rows[indices], replay.rows)


def transitions_of(rollout: Rollout) -> Transitions:
    """Returns the steps of a rollout ``[T, B, ...]`` as ``[T * B, ...]``, oldest first."""
    columns = Transitions(
        rollout.observation, rollout.action, rollout.reward, rollout.terminated, rollout.next_observation
    )
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), columns)
