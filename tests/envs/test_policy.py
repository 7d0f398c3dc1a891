from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.policy import RandomPolicy, random_streams, select_rows
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
