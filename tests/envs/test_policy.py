from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.policy import RandomPolicy, join_rows, random_streams, select_rows
from envs.spaces import first_outside
from envs.spec import EnvSpec

SPACES = [
    spaces.Discrete(4, start=-1),
    spaces.Box(-2, 1, (3,), np.float32),
    spaces.MultiDiscrete([2, 5]),
    spaces.MultiBinary(3),
]
ROWS = np.array([2, 0])


def make_policy(action_space: spaces.Space) -> RandomPolicy:
    return RandomPolicy(EnvSpec("Toy-v0", spaces.Box(-1, 1, (1,), np.float32), action_space))


def run(policy: RandomPolicy, state: Any, num_steps: int) -> np.ndarray:
    """Returns actions ``[num_steps, B, *A]``."""
    actions = []
    for _ in range(num_steps):
        action, state = policy.act(np.zeros((len(state), 1), np.float32), state)
        actions.append(action)
    return np.stack(actions)


class Memory(NamedTuple):
    hidden: Any
    count: Any


def test_rows_are_selected_in_every_kind_of_nesting():
    array, tensor = np.arange(6).reshape(3, 2), torch.arange(3.0)
    state = {"a": [array, (tensor, None)], "b": Memory(array, {"c": tensor})}
    chosen = select_rows(state, ROWS)
    first, (second, nothing) = chosen["a"]
    assert type(chosen["a"][1]) is tuple
    assert type(chosen["b"]) is Memory
    assert nothing is None
    for found in (first, chosen["b"].hidden):
        np.testing.assert_array_equal(found, [[4, 5], [0, 1]])
    for found in (second, chosen["b"].count["c"]):
        assert isinstance(found, torch.Tensor)
        assert found.tolist() == [2.0, 0.0]


def test_no_memory_and_no_rows():
    assert select_rows(None, ROWS) is None
    assert select_rows({}, ROWS) == {}
    assert select_rows(np.zeros((3, 2)), np.array([], int)).shape == (0, 2)


def test_joining_undoes_selecting_in_every_kind_of_nesting():
    arrays = {"float": np.arange(8.0).reshape(4, 2), "object": random_streams(0, 4), "empty": np.zeros((4, 0), np.int8)}
    tensors = [torch.arange(4), torch.ones(4, 2, 3, dtype=torch.bfloat16)]
    jaxed = (jnp.arange(4, dtype=jnp.int16), jax.random.split(jax.random.key(0), 4))
    state = {"a": [arrays, tensors, None], "b": Memory(jaxed, {"temperature": 0.5, "name": "x", "count": np.int32(3)})}
    parts = [select_rows(state, np.array(rows)) for rows in ([0], [1, 2], [3])]
    joined = join_rows(parts)
    assert jax.tree.structure(joined) == jax.tree.structure(state)
    for found, expected in zip(jax.tree.leaves(joined), jax.tree.leaves(state), strict=True):
        assert type(found) is type(expected)
        if not isinstance(expected, float | str | np.int32):
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert np.all(np.asarray(found == expected))


def test_nothing_is_joined_to_nothing():
    assert join_rows([None, None]) is None
    assert join_rows([{}, {}]) == {}
    assert join_rows([(), ()]) == ()


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ([None, np.zeros(1)], r"expected states of one policy to join, got \['NoneType', 'ndarray'\]"),
        ([{"a": None}, {"b": None}], "got different ones"),
        ([[None], [None, None]], r"got different ones: \[1, 2\]"),
        ([{"t": 0.5}, {"t": 0.25}], r"agree on what all rows share, got \[0.5, 0.25\]"),
        ([{"t": np.zeros(2)}, {"t": torch.zeros(2)}], r"got \['Tensor', 'ndarray'\]"),
    ],
)
def test_states_that_differ_are_not_joined(states, message):
    with pytest.raises(InputError, match=message):
        join_rows(states)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_random_actions_fill_the_space(space):
    policy = make_policy(space)
    actions = run(policy, policy.initial_state(8, seed=0), 50).reshape(-1, *space.shape)
    assert actions.dtype == space.dtype
    assert first_outside(space, actions) is None
    if isinstance(space, spaces.Box):
        np.testing.assert_allclose(actions.mean(0), -0.5, atol=0.15)  # 3.5 standard errors
        assert (actions.min(), actions.max()) == pytest.approx((-2, 1), abs=0.1)
    else:
        assert len(np.unique(actions, axis=0)) == {1: 4, 2: 10, 3: 8}[int(np.prod(space.shape)) or 1]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_row_acts_alike_whichever_others_are_there(space):
    policy = make_policy(space)
    whole = run(policy, policy.initial_state(3, seed=5), 6)
    state = policy.initial_state(3, seed=5)
    start = run(policy, state, 2)
    later = run(policy, select_rows(state, ROWS), 4)
    np.testing.assert_array_equal(start, whole[:2])
    np.testing.assert_array_equal(later, whole[2:, ROWS])
    np.testing.assert_array_equal(run(policy, policy.initial_state(2, seed=5), 6), whole[:, :2])


def test_seeds_fix_every_choice_and_rows_differ():
    policy = make_policy(SPACES[1])
    once, again, other = (run(policy, policy.initial_state(2, seed), 3) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert not np.isin(once, other).any()
    assert not np.isin(once[:, 0], once[:, 1]).any()


def test_the_space_of_the_spec_keeps_its_own_randomness():
    space = spaces.Discrete(1000)
    space.seed(0)
    expected = [space.sample() for _ in range(5)]
    space.seed(0)
    policy = make_policy(space)
    run(policy, policy.initial_state(4, seed=0), 3)
    assert [space.sample() for _ in range(5)] == expected


def test_streams_are_independent_generators_of_their_seed():
    draws = np.array([[stream.random() for stream in random_streams(seed, 50)] for seed in (0, 0, 1)])
    np.testing.assert_array_equal(draws[0], draws[1])
    assert len(np.unique(draws)) == 100
