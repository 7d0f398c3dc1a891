"""Priorities: how often what is drawn, what it weighs, and that the tree is the sum of its leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.replay import priorities as functions
from agents.replay.priorities import Priorities, init_priorities

RNG = np.random.default_rng(0)
KINDS = ("proportional", "rank")
# Compiled, and of few sizes, so that little is compiled.
add, update, draw = jax.jit(functions.add), jax.jit(functions.update), jax.jit(functions.draw, static_argnums=2)
CAPACITY, BATCH = 40, 8


@jax.jit
def many_draws(priorities: Priorities) -> jax.Array:
    return jax.vmap(lambda key: functions.draw(priorities, key, 100, 0.5)[0])(jax.random.split(jax.random.key(1), 5000))


def in_batches(slots, fill: int = CAPACITY) -> np.ndarray:
    """Slots ``[..., BATCH]``, filled up with one beyond the ring's end."""
    padded = np.full(-(-len(slots) // BATCH) * BATCH, fill)
    padded[: len(slots)] = slots
    return padded.reshape(-1, BATCH)


def learn(priorities: Priorities, slots, errors, exponent: float = 1.0) -> Priorities:
    for batch, of_batch in zip(in_batches(slots), in_batches(np.arange(len(slots)), 0), strict=True):
        priorities = update(priorities, batch, np.asarray(errors, np.float32)[of_batch], exponent)
    return priorities


def write(priorities: Priorities, slots) -> Priorities:
    for batch in in_batches(slots):
        priorities = add(priorities, batch)
    return priorities


def filled(kind: str, errors, exponent: float = 1.0) -> Priorities:
    """Priorities of a ring that was filled so far, and all learned from once."""
    slots = np.arange(len(errors))
    return learn(write(init_priorities(CAPACITY, kind), slots), slots, errors, exponent)


def shares(priorities: Priorities) -> np.ndarray:
    """How often each slot is drawn."""
    slots = np.asarray(many_draws(priorities))
    return np.bincount(slots.ravel(), minlength=CAPACITY) / slots.size


def assert_sums(priorities: Priorities) -> None:
    for children, parents in zip(priorities.levels, priorities.levels[1:], strict=False):
        padded = np.zeros(16 * len(parents))
        padded[: len(children)] = children
        np.testing.assert_allclose(parents, padded.reshape(-1, 16).sum(1), rtol=1e-6)


# Proportional


def test_slots_are_drawn_in_proportion_to_their_errors():
    """What has no error is not drawn, nor what was never written."""
    errors = [1.0, 2.0, 3.0, 0.0, -4.0, *[0.0] * 27, 5.0, 0.0]
    found = shares(filled("proportional", errors))
    np.testing.assert_allclose(found[: len(errors)], np.abs(errors) / 15, atol=1e-3)
    assert found[len(errors) :].sum() == 0


@pytest.mark.parametrize(("exponent", "expected"), [(0.0, [0.5, 0.5]), (0.5, [2 / 3, 1 / 3]), (1.0, [0.8, 0.2])])
def test_the_exponent_says_how_much_errors_count(exponent, expected):
    np.testing.assert_allclose(shares(filled("proportional", [4.0, 1.0], exponent))[:2], expected, atol=1e-3)


def test_slots_of_a_tall_tree_are_drawn_in_proportion():
    """500,000 draws of 5000 slots (three levels); strata make chi-square smaller than that of independent draws."""
    errors = RNG.exponential(size=5000).astype(np.float32)
    slots = np.arange(5000)
    priorities = functions.update(functions.add(init_priorities(5000, "proportional"), slots), slots, errors, 1.0)
    assert_sums(priorities)
    counts = np.bincount(np.asarray(many_draws(priorities)).ravel(), minlength=5000)
    expected = 500_000 * errors / errors.sum()
    often = expected > 5
    chi_square = ((counts - expected) ** 2 / expected)[often].sum()
    assert 0.5 * often.sum() < chi_square < often.sum() + 4 * np.sqrt(2 * often.sum())


def test_each_stratum_gives_one_row():
    slots, weights = draw(filled("proportional", [1.0] * 4), jax.random.key(0), 4, 1.0)
    assert slots.tolist() == [0, 1, 2, 3]
    assert weights.tolist() == [1.0] * 4


def test_importance_weights_by_hand():
    """Leaves 1 and 4: (1/4)^beta relative to the rarer one's."""
    priorities = filled("proportional", [1.0, 4.0])
    slots, weights = draw(priorities, jax.random.key(0), 10, 0.5)
    assert slots.tolist() == [0, 0, *[1] * 8]
    np.testing.assert_allclose(weights, [1, 1, *[0.5] * 8], rtol=1e-5)
    assert draw(priorities, jax.random.key(0), 10, 0.0)[1].tolist() == [1.0] * 10


def test_new_transitions_get_the_highest_priority_seen():
    assert init_priorities(3, "proportional").highest == 1.0
    priorities = learn(filled("proportional", [0.5, 9.0, 2.0], 0.5), [1], [1.0], 0.5)
    priorities = write(priorities, [3])
    np.testing.assert_allclose(priorities.levels[0][:5], np.sqrt([0.5, 1.0, 2.0, 9.0, 0.0]), rtol=1e-5)


def test_equal_slots_in_one_batch_keep_the_largest_error():
    priorities = filled("proportional", [1.0] * 20)
    for errors in ([3.0, 7.0, 5.0], [5.0, 3.0, 7.0], [7.0, 5.0, 3.0]):
        found = learn(priorities, [17] * 3, errors)
        assert found.levels[0][17] == pytest.approx(7.0)
        assert_sums(found)


# Both kinds


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("capacity", [5, 17, 300])
def test_sums_are_those_of_the_leaves_while_the_ring_is_overwritten(kind, capacity):
    priorities, position = init_priorities(capacity, kind), 0
    for step in range(20):
        new = (position + np.arange(4)) % capacity
        priorities = add(priorities, np.where(RNG.uniform(size=4) < 0.8, new, capacity))
        position += 4
        slots, _ = draw(priorities, jax.random.key(step), BATCH, 0.5)
        assert (np.asarray(priorities.levels[0])[np.asarray(slots)] > 0).all()
        priorities = update(priorities, slots, RNG.normal(size=BATCH).astype(np.float32), 0.7)
        assert_sums(priorities)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scan_over_seeds_and_exponents_is_its_single_runs(kind):
    def run(key: jax.Array, exponent: jax.Array) -> tuple[Priorities, tuple[jax.Array, jax.Array]]:
        def step(priorities: Priorities, key: jax.Array) -> tuple[Priorities, tuple[jax.Array, jax.Array]]:
            slots, weights = functions.draw(priorities, key, BATCH, exponent)
            return functions.update(priorities, slots, jnp.sin(slots), exponent), (slots, weights)

        start = functions.add(init_priorities(CAPACITY, kind), jnp.arange(30))
        return jax.lax.scan(step, start, jax.random.split(key, 20))

    keys, exponents = jax.random.split(jax.random.key(0), 3), jnp.array([0.2, 0.6, 1.0])
    many, single = jax.jit(jax.vmap(run))(keys, exponents), jax.jit(run)
    for row in range(3):
        one = single(keys[row], exponents[row])
        jax.tree.map(lambda m, o: np.testing.assert_allclose(m[row], o, rtol=1e-6), many, one)  # noqa: B023


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_tree_gives_slots_of_no_weight(kind):
    slots, weights = draw(init_priorities(CAPACITY, kind), jax.random.key(0), BATCH, 0.5)
    assert ((slots >= 0) & (slots < CAPACITY)).all()
    assert weights.tolist() == [0.0] * BATCH


@pytest.mark.parametrize("kind", KINDS)
def test_slots_beyond_the_ring_change_nothing(kind):
    priorities = filled(kind, [1.0, 2.0, 3.0])
    found = learn(write(priorities, [CAPACITY] * 4), [CAPACITY] * 6, [100.0] * 6)
    jax.tree.map(np.testing.assert_array_equal, found, priorities)


# By rank


def test_leaves_are_one_over_the_rank():
    errors = RNG.normal(size=30)
    rank = 1 + np.argsort(np.argsort(-np.abs(errors)))
    slots = np.arange(30)
    priorities = functions.add(init_priorities(CAPACITY, "rank"), slots)
    priorities = functions.update(priorities, slots, errors.astype(np.float32), 0.7)
    np.testing.assert_allclose(priorities.levels[0][:30], rank**-0.7, rtol=1e-5)
    assert (priorities.levels[0][30:] == 0).all()
    np.testing.assert_allclose(shares(priorities)[:30], rank**-0.7 / (rank**-0.7).sum(), atol=1e-3)


def test_between_sorts_ranks_are_those_among_the_errors_of_the_last():
    priorities = filled("rank", [5.0, 4.0, 3.0, 2.0, 1.0])
    assert priorities.ranking.rows_left == 2
    priorities = learn(priorities, [0], [2.5])  # lower than 5, 4 and 3
    np.testing.assert_allclose(priorities.levels[0][:5], [1 / 4, 1 / 2, 1 / 3, 1 / 4, 1 / 5], rtol=1e-6)
    priorities = learn(priorities, [4], [9.0])  # the second row: sorted anew
    np.testing.assert_allclose(priorities.levels[0][:5], [1 / 4, 1 / 2, 1 / 3, 1 / 5, 1], rtol=1e-6)


def test_new_transitions_share_the_first_ranks():
    priorities = write(filled("rank", [3.0, 2.0, 1.0]), [3, 4])
    np.testing.assert_allclose(priorities.levels[0][:6], [1, 1 / 2, 1 / 3, 1, 1, 0], rtol=1e-6)
    priorities = learn(priorities, [1, 2], [2.0, 1.0])  # sorts: the new ones come first
    np.testing.assert_allclose(priorities.levels[0][:6], [1 / 3, 1 / 4, 1 / 5, 1, 1 / 2, 0], rtol=1e-6)


def test_sorts_become_rare():
    """After twice as many rows as the last time, at first, and never after more than the capacity."""
    priorities, intervals = write(init_priorities(CAPACITY, "rank"), np.arange(CAPACITY)), []
    for _ in range(40):
        priorities = learn(priorities, np.arange(4), np.ones(4))
        intervals.append(int(priorities.ranking.interval))
    assert sorted(set(intervals)) == [2, 4, 8, 16, 32, CAPACITY]
    assert intervals[:5] == [2, 4, 8, 8, 16]
