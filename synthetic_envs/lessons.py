"""What a teacher tells, and what actions are paid for following it.

A lesson is a row of numbers for each observation: for Discrete actions the pay of each of them, 0 for the best; for Box
actions the action to take, from which pay falls with the squared distance. So the best that can be earned is 0 in
every state, and who is greedy for the next reward alone acts as the teacher does.

Shape legend: ``N`` observations, ``A`` the action's shape, ``K`` number of discrete actions, ``L`` a lesson's width.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

LessonFn = Callable[[np.ndarray], jax.Array]
"""Lessons ``[N, L]`` for observations ``[N, O]``; ``L`` is ``K`` for Discrete actions, else their size."""
RewardFn = Callable[[jax.Array, jax.Array], jax.Array]
"""Rewards ``[...]`` for observations ``[..., O]`` and actions ``[..., *A]``."""
_NEAR = 0.2
"""Spread, in half ranges, of the actions drawn around the teacher's: where rewards must be told apart most finely."""
_DRAWS = 256


def lessons_from_choices(space: spaces.Space, actions: np.ndarray) -> jax.Array:
    """Returns lessons for the actions ``[N, *A]`` that a policy takes: of Discrete ones the others are paid -1."""
    if isinstance(space, spaces.Discrete):
        return jax.nn.one_hot(jnp.asarray(actions) - int(space.start), int(space.n)) - 1.0
    return jnp.asarray(actions, jnp.float32)


def lessons_from_values(values: jax.Array) -> jax.Array:
    """Returns lessons for the values ``[N, K]`` of all Discrete actions: minus the root of how much less each is worth.

    In standard deviations of that over all rows. The root lies between the gap itself, which leaves small differences
    to chance, and the mere choice, which makes as much of a decision that hardly matters as of one that does.
    """
    gaps = values.max(-1, keepdims=True) - values
    return -jnp.sqrt(gaps / (gaps.std() + 1e-8))


def pay(space: spaces.Space, action: jax.Array, lesson: jax.Array) -> jax.Array:
    """Returns what actions ``[N, *A]`` are paid by lessons ``[N, L]``; distances are in half ranges."""
    if isinstance(space, spaces.Discrete):
        return jnp.take_along_axis(lesson, (action - int(space.start))[:, None], axis=-1)[:, 0]
    return -(((action - lesson) / half_range(space)) ** 2).mean(-1)


def half_range(space: spaces.Space) -> jax.Array:
    """Returns half of what a bounded Box spans ``[*A]``."""
    assert isinstance(space, spaces.Box)
    return jnp.asarray((space.high - space.low) / 2)


def draw_actions(space: spaces.Space, lesson: jax.Array, key: jax.Array) -> jax.Array:
    """Returns an action for each lesson: uniform Discrete ones; of a Box every second one near the teacher's."""
    num_rows = len(lesson)
    if isinstance(space, spaces.Discrete):
        return jax.random.randint(key, (num_rows,), 0, int(space.n)) + int(space.start)
    assert isinstance(space, spaces.Box)
    uniform_key, near_key = jax.random.split(key)
    uniform = jax.random.uniform(uniform_key, lesson.shape, minval=space.low, maxval=space.high)
    near = lesson + _NEAR * half_range(space) * jax.random.normal(near_key, lesson.shape)
    every_second = (jnp.arange(num_rows) % 2 == 0)[:, None]
    return jnp.clip(jnp.where(every_second, uniform, near), space.low, space.high)


def agreement(
    space: spaces.Space, reward_fn: RewardFn, observations: jax.Array, lesson: jax.Array, key: jax.Array
) -> float:
    """Returns how far the best-paid action is the teacher's, 1 for always.

    The share of rows for Discrete actions; 1 less their mean distance in half ranges for Box ones, the best of 256
    draws standing for the best-paid one.
    """
    if isinstance(space, spaces.Discrete):
        actions = jnp.arange(int(space.n)) + int(space.start)
    else:
        assert isinstance(space, spaces.Box)
        actions = jax.random.uniform(key, (_DRAWS, *space.shape), minval=space.low, maxval=space.high)

    def paid(action: jax.Array) -> jax.Array:
        return reward_fn(observations, jnp.broadcast_to(action, (len(observations), *action.shape)))

    best = jax.vmap(paid)(actions).argmax(0)
    if isinstance(space, spaces.Discrete):
        return float((best == lesson.argmax(-1)).mean())
    return 1.0 - float(jnp.abs((actions[best] - lesson) / half_range(space)).mean())
