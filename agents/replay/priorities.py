"""Prioritised experience replay (Schaul et al. 2016, "Prioritized Experience Replay"): proportional and rank-based.

Priorities lie in a sum tree kept as arrays, sixteen siblings side by side, so that drawing and updating touch a few
short rows whatever the capacity. A parent is always summed anew from its children: rounding errors do not add up.

Rank-based priorities are ``1 / rank`` in the same tree. Departure: the paper keeps transitions roughly sorted in a
heap; here all errors are sorted each time about as many rows have been updated as the buffer holds (at first after
twice as many as the last time), and in between an error's rank is looked up among those of the last sort.

Importance weights are normalised by the largest of the minibatch, not of the buffer.

Shape legend: ``C`` capacity of the ring, ``N`` rows of a minibatch.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

_SIBLINGS = 16
_SMALLEST_ERROR = 1e-6
"""Added to errors, so that what was learned exactly can still be drawn."""


class Ranking(NamedTuple):
    """What ranks are made of.

    Attributes:
        closeness: minus the absolute errors ``[C]``; -inf for what is new, inf where nothing was written.
        sorted_closeness: the same at the last sort, rising ``[C]``.
        rows_left: rows to update before the next sort, int32 scalar.
        interval: rows from the last sort to the next, int32 scalar.
    """

    closeness: jax.Array
    sorted_closeness: jax.Array
    rows_left: jax.Array
    interval: jax.Array


class Priorities(NamedTuple):
    """How likely each slot of a ring is to be drawn.

    Attributes:
        levels: of the tree, from the leaves ``[C]`` to at most 16 sums; leaves are priorities raised to their exponent
            (0 where nothing was written), every other number is the sum of 16 of the level before it.
        highest: the highest leaf so far, scalar; what new transitions get.
        ranking: None for proportional priorities.
    """

    levels: tuple[jax.Array, ...]
    highest: jax.Array
    ranking: Ranking | None


def init_priorities(capacity: int, kind: Literal["proportional", "rank"]) -> Priorities:
    """Returns the priorities of an empty ring of ``capacity``, at least 1."""
    sizes = [capacity]
    while sizes[-1] > _SIBLINGS:
        sizes.append(-(-sizes[-1] // _SIBLINGS))
    ranking = None
    if kind == "rank":
        closeness = (jnp.full(capacity, jnp.inf), jnp.full(capacity, jnp.inf))  # two arrays: they may be donated
        ranking = Ranking(*closeness, jnp.int32(1), jnp.int32(1))
    return Priorities(tuple(jnp.zeros(size) for size in sizes), jnp.float32(1.0), ranking)


def add(priorities: Priorities, slots: jax.Array) -> Priorities:
    """Returns the priorities after new transitions were written, which get the highest so far.

    Args:
        priorities: before.
        slots: ``[N]`` int; those beyond the ring's end are dropped.
    """
    ranking = priorities.ranking
    if ranking is not None:
        ranking = ranking._replace(closeness=ranking.closeness.at[slots].set(-jnp.inf, mode="drop"))
    levels = _set_leaves(priorities.levels, slots, jnp.broadcast_to(priorities.highest, slots.shape))
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
        Slots ``[N]`` int32 in rising order, and importance weights ``[N]`` in (0, 1], the largest of them 1.
    """
    shares = (jnp.arange(num_rows) + jax.random.uniform(key, (num_rows,))) / num_rows
    slots = _find(priorities.levels, shares * priorities.levels[-1].sum())
    leaves = priorities.levels[0][slots]
    # No leaf is below 0. But now slots cannot be had before the leaves are read, and so nothing written before: else
    # the whole tree would be copied, to be read after it was changed.
    slots = jnp.where(leaves < 0.0, 0, slots)
    ratio = jnp.where(leaves > 0.0, leaves.min() / leaves, 0.0)
    return slots, jnp.where(leaves > 0.0, ratio**importance_exponent, 0.0)


def update(
    priorities: Priorities, slots: jax.Array, errors: jax.Array, priority_exponent: jax.Array | float
) -> Priorities:
    """Returns the priorities after the transitions at ``slots`` were learned from.

    Args:
        priorities: before.
        slots: ``[N]`` int; those beyond the ring's end are dropped, and of equal ones the largest error counts.
        errors: ``[N]``, of either sign.
        priority_exponent: the paper's alpha, at least 0: how much priorities count.
    """
    sizes, ranking = jnp.abs(errors), priorities.ranking
    if ranking is None:
        leaves = (sizes + _SMALLEST_ERROR) ** priority_exponent
        levels = _set_leaves(priorities.levels, slots, leaves)
        written = jnp.where(slots < len(levels[0]), leaves, 0.0)
        return Priorities(levels, jnp.maximum(priorities.highest, written.max()), None)
    leaves = _leaves_of_ranks(1 + jnp.searchsorted(ranking.sorted_closeness, -sizes), priority_exponent)
    levels = _set_leaves(priorities.levels, slots, leaves)
    closeness = ranking.closeness.at[slots].set(jnp.inf, mode="drop").at[slots].min(-sizes, mode="drop")
    rows_left = ranking.rows_left - (slots < len(closeness)).sum(dtype=jnp.int32)
    ranking = ranking._replace(closeness=closeness, rows_left=rows_left)
    return _sort_if_due(priorities._replace(levels=levels, ranking=ranking), priority_exponent)


def _find(levels: tuple[jax.Array, ...], mass: jax.Array) -> jax.Array:
    """Returns the leaf ``[N]`` in which each of ``mass`` ``[N]``, in [0, sum of the leaves), falls."""
    node = jnp.zeros(mass.shape, jnp.int32)
    for level in reversed(levels):
        children = _children(level, node)
        upto = jnp.cumsum(children, axis=-1)
        # Sums are rounded: the mass may lie beyond the last child, and children of 0 must not be found between others.
        last = jnp.where(children > 0.0, upto, 0.0).max(-1)
        mass = jnp.minimum(mass, jnp.nextafter(last, 0.0))
        holds = (upto > mass[:, None]) & (children > 0.0)
        child = jnp.where(holds, jnp.arange(_SIBLINGS), _SIBLINGS - 1).min(-1)
        mass = mass - jnp.where(jnp.arange(_SIBLINGS) == child[:, None], upto - children, 0.0).sum(-1)
        node = jnp.minimum(node * _SIBLINGS + child, len(level) - 1)
    return node


def _set_leaves(levels: tuple[jax.Array, ...], slots: jax.Array, leaves: jax.Array) -> tuple[jax.Array, ...]:
    """Returns the tree with new leaves ``[N]``, the largest of those for the same slot, and sums to match."""
    level = levels[0].at[slots].set(0.0, mode="drop").at[slots].max(leaves, mode="drop")
    changed, node = [level], slots
    for parents in levels[1:]:
        node = node // _SIBLINGS
        level = parents.at[node].set(_children(level, node).sum(-1), mode="drop")
        changed.append(level)
    return tuple(changed)


def _children(level: jax.Array, node: jax.Array) -> jax.Array:
    """Returns the children ``[N, 16]`` in ``level`` of nodes ``[N]`` of the next one, 0 where there are none."""
    index = node[:, None] * _SIBLINGS + jnp.arange(_SIBLINGS)
    return level.at[index].get(mode="fill", fill_value=0.0)


def _leaves_of_ranks(rank: jax.Array, priority_exponent: jax.Array | float) -> jax.Array:
    return rank.astype(jnp.float32) ** -priority_exponent


def _sort_if_due(priorities: Priorities, priority_exponent: jax.Array | float) -> Priorities:
    """Returns the priorities with ranks and leaves as they are now, where enough rows have been updated."""
    # A loop of no or one turn: what goes through a condition would be copied, and under vmap sorted each time.
    return jax.lax.while_loop(
        lambda current: _ranking(current).rows_left <= 0,
        lambda current: _sorted(current, priority_exponent),
        priorities,
    )


def _sorted(priorities: Priorities, priority_exponent: jax.Array | float) -> Priorities:
    ranking = _ranking(priorities)
    # What does not change in a loop is computed before it, be there turns or not: this looks as if it might change.
    closeness, _ = jax.lax.optimization_barrier((ranking.closeness, ranking.rows_left))
    order = jnp.argsort(closeness)
    by_rank = jnp.where(
        closeness[order] < jnp.inf, _leaves_of_ranks(1 + jnp.arange(len(order)), priority_exponent), 0.0
    )
    levels = [jnp.zeros_like(closeness).at[order].set(by_rank)]
    for parents in priorities.levels[1:]:
        levels.append(_children(levels[-1], jnp.arange(len(parents))).sum(-1))
    interval = jnp.minimum(2 * ranking.interval, len(order)).astype(jnp.int32)
    return priorities._replace(levels=tuple(levels), ranking=Ranking(closeness, closeness[order], interval, interval))


def _ranking(priorities: Priorities) -> Ranking:
    assert priorities.ranking is not None
    return priorities.ranking
