"""What action values are learned towards: targets of Q-learning and double Q-learning, and the Huber loss.

Shape legend: ``...`` any batch axes, ``A`` number of actions.
"""

import jax
import jax.numpy as jnp


def q_learning_target(reward: jax.Array, discount: jax.Array, next_q: jax.Array) -> jax.Array:
    """Returns ``reward + discount max_a next_q`` ``[...]`` (Watkins 1989).

    Args:
        reward: ``[...]``.
        discount: ``[...]``, what the next value counts; 0 after a termination.
        next_q: ``[..., A]``, values of the actions at what the step led to.
    """
    return reward + discount * next_q.max(-1)


def double_q_target(reward: jax.Array, discount: jax.Array, next_q: jax.Array, selector: jax.Array) -> jax.Array:
    """Returns ``reward + discount next_q[argmax_a selector]`` ``[...]`` (van Hasselt et al. 2016, eq. 4).

    Args:
        reward: ``[...]``.
        discount: ``[...]``, what the next value counts; 0 after a termination.
        next_q: ``[..., A]``, values that the chosen action is judged by.
        selector: ``[..., A]``, values that the action is chosen by.
    """
    return reward + discount * at_action(next_q, selector.argmax(-1))


def at_action(values: jax.Array, action: jax.Array) -> jax.Array:
    """Returns what ``values`` ``[..., A, *K]`` hold for actions ``[...]`` int: ``[..., *K]``."""
    axis = action.ndim
    index = action.reshape(*action.shape, *[1] * (values.ndim - axis))
    return jnp.take_along_axis(values, index, axis=axis).squeeze(axis)


def huber(error: jax.Array, threshold: jax.Array | float) -> jax.Array:
    """Returns ``error^2 / 2`` where ``|error| <= threshold`` and a line of slope ``threshold`` beyond (Huber 1964).

    The threshold is above 0; infinity makes it the squared error.
    """
    size = jnp.abs(error)
    near = jnp.minimum(size, threshold)
    return near * (size - 0.5 * near)
