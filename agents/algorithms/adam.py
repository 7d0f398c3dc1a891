"""Adam (Kingma and Ba 2015) whose step size and limit of the gradient are traced: trainings can be vmapped over them.

The moments of all parameters are one vector each: of the small arrays of small networks, each would cost a compiled
loop of its own for every line of the algorithm, in time to run and to compile.

Shape legend: ``P`` numbers in all parameters together.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

_MEAN_DECAY, _SQUARE_DECAY = 0.9, 0.999


class Adam(NamedTuple):
    """Moments of the gradients.

    Attributes:
        mean: running mean ``[P]``.
        square: running mean of squares ``[P]``.
        num_steps: steps taken, int32 scalar.
    """

    mean: jax.Array
    square: jax.Array
    num_steps: jax.Array


def init_adam(params: Any) -> Adam:
    """Returns the moments of no gradients."""
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    return Adam(jnp.zeros(size), jnp.zeros(size), jnp.int32(0))


def adam_step(
    params: Any,
    gradient: Any,
    opt_state: Adam,
    learning_rate: jax.Array,
    max_grad_norm: jax.Array,
    epsilon: jax.Array | float = 1e-8,
) -> tuple[Any, Adam]:
    """Returns parameters and moments after a step against ``gradient``.

    Args:
        params: any pytree.
        gradient: of its shape.
        opt_state: the moments.
        learning_rate: scalar.
        max_grad_norm: the gradient is scaled down to this global norm; infinity for no limit.
        epsilon: keeps the step small where gradients have been tiny.
    """
    flat, nest = ravel_pytree(gradient)
    flat = flat * jnp.minimum(1.0, max_grad_norm / jnp.linalg.norm(flat))
    num_steps = opt_state.num_steps + 1
    mean = _MEAN_DECAY * opt_state.mean + (1 - _MEAN_DECAY) * flat
    square = _SQUARE_DECAY * opt_state.square + (1 - _SQUARE_DECAY) * flat**2
    # Both start at 0, which is divided out (section 3).
    mean_share, square_share = 1 - _MEAN_DECAY**num_steps, 1 - _SQUARE_DECAY**num_steps
    steps = nest(learning_rate * (mean / mean_share) / (jnp.sqrt(square / square_share) + epsilon))
    return jax.tree.map(jnp.subtract, params, steps), Adam(mean, square, num_steps)


def follow(targets: Any, learned: Any, tau: jax.Array) -> Any:
    """Returns targets that went a share ``tau`` of the way to what was ``learned`` (Lillicrap et al. 2016)."""
    return jax.tree.map(lambda old, new: old + tau * (new - old), targets, learned)
