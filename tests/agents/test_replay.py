"""The replay buffer: a ring of the latest valid transitions, drawn uniformly, with what truncated steps led to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.replay import Replay, Transitions, add, draw, empty_replay, transitions_of
from agents.rollout import Rollout

add_in_place = jax.jit(add, donate_argnums=0)


def numbered(first: int, count: int) -> Transitions:
    """Transitions that tell their number in every column."""
    number = np.arange(first, first + count, dtype=np.int32)
    wide = number[:, None] * np.ones(2, np.float32)
    return Transitions(wide, number, np.float32(number), number % 2 == 0, wide + 0.5)


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
    np.testing.assert_array_equal(rows.terminated, rows.action % 2 == 0)


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


def test_a_rollout_becomes_transitions_in_its_order_without_its_resets_and_time_limits():
    time, rows = jnp.meshgrid(jnp.arange(3), jnp.arange(2), indexing="ij")
    number = (10 * time + rows).astype(jnp.float32)
    ends = jnp.zeros((3, 2), bool)
    rollout = Rollout(
        number[..., None],
        number,
        number,
        ends.at[1, 0].set(True),
        ends.at[2, 1].set(True),
        number[..., None] + 1,
        ~ends,
    )
    found = transitions_of(rollout)
    np.testing.assert_array_equal(found.reward, [0, 1, 10, 11, 20, 21])
    np.testing.assert_array_equal(found.next_observation[:, 0], found.action + 1)
    np.testing.assert_array_equal(found.terminated, [False, False, True, False, False, False])
