"""A replay buffer as arrays: a ring that is filled and read inside compiled functions.

It holds what actions led to and what the value there counts, so that a time limit is bootstrapped through and a
termination is not. Give it away
(``donate_argnums``) to the jitted function that adds to it, or each call copies it.

Shape legend: ``C`` capacity, ``N`` transitions, ``O`` and ``A`` the shapes of an observation and of an action.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Transitions(NamedTuple):
    """Single steps, or sums of several; the value of acting is ``reward + discount * value(next_observation)``.

    Attributes:
        observation: ``[N, *O]``, what was acted on.
        action: ``[N, *A]``, as the policy gave it.
        reward: ``[N]`` float32, the discounted sum of the steps' rewards.
        discount: ``[N]`` float32, gamma to the number of steps; 0 after a termination.
        next_observation: ``[N, *O]``, what the last step led to, before any reset.
    """

    observation: jax.Array
    action: jax.Array
    reward: jax.Array
    discount: jax.Array
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
    example = Transitions(observation, action, jnp.float32(0), jnp.float32(0), observation)
    rows = jax.tree.map(lambda x: jnp.zeros((capacity, *jnp.shape(x)), jnp.result_type(x)), example)
    return Replay(rows, jnp.int32(0))


def add(replay: Replay, transitions: Transitions, valid: jax.Array) -> tuple[Replay, jax.Array]:
    """Returns the buffer with those of ``transitions`` that are ``valid`` ``[N]`` in place of its oldest ones.

    The second value is where each was put ``[N]``: ``C`` for those that are not valid. At most ``C`` may be added.
    """
    position = (replay.num_added + jnp.cumsum(valid) - 1) % replay.capacity
    place = jnp.where(valid, position, replay.capacity)  # beyond the end: dropped
    rows = jax.tree.map(lambda old, new: old.at[place].set(new, mode="drop"), replay.rows, transitions)
    return Replay(rows, replay.num_added + valid.sum(dtype=jnp.int32)), place


def draw(replay: Replay, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns indices of ``shape`` of stored transitions, uniform, with replacement; some must have been added."""
    return jax.random.randint(key, shape, 0, replay.size)


def take(replay: Replay, indices: jax.Array) -> Transitions:
    """Returns the transitions at ``indices`` ``[N]``."""
    return jax.tree.map(lambda rows: rows[indices], replay.rows)
