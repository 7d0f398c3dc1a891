"""Prioritised experience replay (Schaul et al. 2016, "Prioritized Experience Replay"): proportional and rank-based.

Priorities lie in a sum tree kept as arrays, sixteen siblings a row, so that drawing and updating touch a few short
rows whatever the capacity, and a parent is always summed anew from its children: rounding errors do not add up.

Rank-based priorities are ``1 / rank`` in the same tree. Departure: the paper keeps transitions roughly sorted in a
heap; here the errors are sorted anew each time about as many rows have been updated as the buffer holds (after twice
as many as the last time, at first), and in between an error's rank is looked up among those of the last sort.

Importance weights are normalised by the largest of the minibatch, not of the buffer.

Shape legend: ``C`` capacity, ``N`` rows, ``P`` the capacity rounded up to whole rows of siblings.
"""

from itertools import accumulate
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

_SIBLINGS = 16
_SMALLEST_ERROR = 1e-6
"""Added to errors, so that what was learned exactly can still be drawn."""


class Ranking(NamedTuple):
    """What ranks are made of.

    Attributes:
        closeness: minus the absolute errors ``[P]``; -inf for what is new, inf where nothing was written.
        sorted_closeness: the same at the last sort, rising ``[P]``.
        rows_left: rows to update before the next sort, int32 scalar.
        interval: rows between the last sort and the next, int32 scalar.
    """

    closeness: jax.Array
    sorted_closeness: jax.Array
    rows_left: jax.Array
    interval: jax.Array


class Priorities(NamedTuple):
    """How likely each slot of a ring is to be drawn.

    Attributes:
        levels: of the tree, leaves first, each ``[rows, 16]``; leaves are priorities raised to their exponent, 0 where
            nothing was written; every other number is the sum of one row of the level before it.
        highest: the highest leaf so far, scalar, which new transitions get.
        ranking: None for proportional priorities.
    """

    levels: tuple[jax.Array, ...]
    highest: jax.Array
    ranking: Ranking | None


def init_priorities(capacity: int, kind: Literal["proportional", "rank"]) -> Priorities:
    """Returns the priorities of an empty ring of ``capacity``."""
    levels, num_nodes = [], capacity
    while not levels or num_nodes > 1:
        num_nodes = -(-num_nodes // _SIBLINGS)
        levels.append(jnp.zeros((num_nodes, _SIBLINGS)))
    ranking = None
    if kind == "rank":
        unknown = jnp.full(levels[0].size, jnp.inf)
        ranking = Ranking(unknown, unknown.copy(), jnp.int32(0), jnp.int32(1))
    return Priorities(tuple(levels), jnp.float32(1.0), ranking)


def add(priorities: Priorities, places: jax.Array) -> Priorities:
    """Returns the priorities after new transitions were written, which get the highest seen so far.

    Args:
        priorities: before.
        places: ``[N]`` int, the ring's slots; those beyond its end are dropped.
    """
    places = jnp.where(places < 0, priorities.levels[0].size, places)
    ranking = priorities.ranking
    if ranking is not None:
        ranking = ranking._replace(closeness=ranking.closeness.at[places].set(-jnp.inf, mode="drop"))
    levels = _set_leaves(priorities.levels, places, jnp.broadcast_to(priorities.highest, places.shape))
    return priorities._replace(levels=levels, ranking=ranking)


def draw(
    priorities: Priorities, key: jax.Array, num_rows: int, importance_exponent: jax.Array | float
) -> tuple[jax.Array, jax.Array]:
    """Draws slots in proportion to their leaves, one from each of ``N`` equal shares of the sum.

    Args:
        priorities: something must have been added; else the slots mean nothing and all weights are 0.
        key: random key.
        num_rows: ``N``, static.
        importance_exponent: the paper's beta, in [0, 1]: how much of the bias the weights take back.

    Returns:
        Slots ``[N]`` int32, with rising numbers, and importance weights ``[N]`` in (0, 1], the largest of them 1.
    """
    total = priorities.levels[-1].sum()
    shares = jnp.arange(num_rows) + jax.random.uniform(key, (num_rows,))
    slots = _find(priorities.levels, shares / num_rows * total)
    leaves = priorities.levels[0].reshape(-1)[slots]
    ratio = jnp.where(leaves > 0.0, leaves.min() / leaves, 0.0)
    return slots, ratio**importance_exponent


def update(
    priorities: Priorities, slots: jax.Array, errors: jax.Array, priority_exponent: jax.Array | float
) -> Priorities:
    """Returns the priorities after the transitions at ``slots`` were learned from.

    Args:
        priorities: before.
        slots: ``[N]`` int; those beyond the ring's end are dropped. Of equal ones the largest error counts.
        errors: ``[N]``, of either sign.
        priority_exponent: the paper's alpha, at least 0: how much priorities count.
    """
    errors = _largest_of_equals(slots, jnp.abs(errors))
    ranking = priorities.ranking
    if ranking is None:
        leaves = (errors + _SMALLEST_ERROR) ** priority_exponent
        levels = _set_leaves(priorities.levels, slots, leaves)
        inside = slots < levels[0].size
        highest = jnp.maximum(priorities.highest, jnp.where(inside, leaves, 0.0).max())
        return Priorities(levels, highest, None)
    rank = 1 + jnp.searchsorted(ranking.sorted_closeness, -errors)
    levels = _set_leaves(priorities.levels, slots, rank.astype(jnp.float32) ** -priority_exponent)
    closeness = ranking.closeness.at[slots].set(-errors, mode="drop")
    rows_left = ranking.rows_left - (slots < len(closeness)).sum(dtype=jnp.int32)
    ranking = ranking._replace(closeness=closeness, rows_left=rows_left)
    return _sort_if_due(priorities._replace(levels=levels, ranking=ranking), priority_exponent)
