"""The replay buffer: a ring of the latest valid transitions, drawn uniformly, with what truncated steps led to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.replay.ring import Replay, Transitions, add, draw, empty_replay

add_in_place = jax.jit(lambda *given: add(*given)[0], donate_argnums=0)


def numbered(first: int, count: int) -> Transitions:
    """Transitions that tell their number in every column."""
    number = np.arange(first, first + count, dtype=np.int32)
    wide = number[:, None] * np.ones(2, np.float32)
    return Transitions(wide, number, np.float32(number), np.float32(number % 2), wide + 0.5)


def stored(replay: Replay) -> list[int]:
    return np.asarray(replay.rows.action)[: int(replay.size)].tolist()


@pytest.mark.parametrize("capacity", [4, 6])
@given(data=st.data())
def test_it_holds_the_latest_valid_transitions(capacity, data):
    replay, expected = empty_replay(capacity, jnp.zeros(2), jnp.int32(0)), []
    for first in range(0, 4 * data.draw(st.integers(0, 6)), 4):
        valid = data.draw(st.lists(st.booleans(), min_size=4, max_size=4))
        replay = add_in_place(replay, numbered(first, 4), np.array(valid))
        expected += [first + i for i in range(4) if valid[i]]
    assert int(replay.num_added) == len(expected)
    assert sorted(stored(replay)) == expected[-capacity:]
    rows = jax.tree.map(lambda x: np.asarray(x)[: len(expected)], replay.rows)
    for column in (rows.observation[:, 0], rows.observation[:, 1], rows.reward, rows.next_observation[:, 1] - 0.5):
        np.testing.assert_array_equal(column, rows.action)
    np.testing.assert_array_equal(rows.discount, rows.action % 2)


def test_draws_are_uniform_over_what_is_stored_only():
    replay = add_in_place(empty_replay(100, jnp.zeros(2), jnp.int32(0)), numbered(0, 5), np.ones(5, bool))
    counts = np.bincount(np.asarray(draw(replay, jax.random.key(0), (10, 1000))).ravel(), minlength=100)
    assert counts[5:].sum() == 0
    np.testing.assert_allclose(counts[:5], 2000, atol=180)  # 4.5 standard deviations


def test_a_donated_buffer_is_filled_in_place():
    replay = empty_replay(1000, jnp.zeros(2), jnp.int32(0))
    before = replay.rows.observation.unsafe_buffer_pointer()
    after = add_in_place(replay, numbered(0, 3), jnp.ones(3, bool))
    assert after.rows.observation.unsafe_buffer_pointer() == before


def test_places_of_what_was_added_and_of_what_was_not():
    replay = empty_replay(4, jnp.zeros(2), jnp.int32(0))
    replay, places = add(replay, numbered(0, 3), np.array([True, False, True]))
    assert places.tolist() == [0, 4, 1]
    assert add(replay, numbered(3, 3), np.ones(3, bool))[1].tolist() == [2, 3, 0]
