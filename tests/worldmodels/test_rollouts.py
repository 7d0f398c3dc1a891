from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.logs import Transitions
from envs.spec import EnvSpec
from worldmodels.configs import EpisodeConfig, RolloutLengthConfig
from worldmodels.families.ensemble import Ensemble
from worldmodels.rollouts import branched_rollouts
from worldmodels.saved_model import LoadOptions, Trained
from worldmodels.starts import StartPoints, Starts


@pytest.fixture
def counting(counting_model: Any) -> Any:
    """The counting model as if it had been trained, on episodes that started at (0, 0) and went through (3, 0)."""
    initial, every = (StartPoints(torch.tensor([[count, 0.0]])) for count in (0.0, 3.0))
    counting_model.trained = Trained(counting_model.spec, Starts(initial, every), torch.ones(3))
    counting_model.recall = lambda observation, memory: counting_model.encode(observation)
    return counting_model


def always(action: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda observations: np.full(len(observations), action)


def test_steps_stop_at_an_end_and_are_sorted_by_time(counting: Any) -> None:
    found = branched_rollouts(counting, always(0), 2, 4, seed=0)
    assert found.observation.tolist() == [[3.0, 0.0]] * 2 + [[4.0, -1.0]] * 2
    assert found.next_observation.tolist() == [[4.0, -1.0]] * 2 + [[5.0, -2.0]] * 2
    assert found.terminated.tolist() == [False, False, True, True]  # a count of 5 ends the episode
    assert not found.truncated.any()
    assert found.action.tolist() == [0] * 4
    assert (found.reward.dtype, found.terminated.dtype) == (np.float32, bool)


def test_the_last_of_all_steps_is_truncated(counting: Any) -> None:
    found = branched_rollouts(counting, always(0), 1, 3, seed=0, episodes=EpisodeConfig("initial"))
    assert found.truncated.tolist() == [False, False, True]
    assert found.observation[:, 0].tolist() == [0.0, 1.0, 2.0]


def test_what_diverges_is_left_out(counting: Any) -> None:
    found = branched_rollouts(counting, always(1), 1, 9, seed=0, episodes=EpisodeConfig("initial"))
    assert found.next_observation.tolist() == [[1.0, 1.0], [2.0, 2.0]]  # a drift of 3 is not a number
    assert not found.truncated.any()


def test_what_is_too_uncertain_is_left_out_and_uncertainty_costs(counting: Any) -> None:
    episodes = EpisodeConfig("initial", max_uncertainty=0.25, pessimism=2.0)
    found = branched_rollouts(counting, always(0), 1, 9, seed=0, episodes=episodes)
    assert found.next_observation[:, 1].tolist() == [-1.0, -2.0]
    assert found.reward.tolist() == pytest.approx([-0.2, -0.4])


def test_rollouts_can_start_at_given_points(counting: Any) -> None:
    points = StartPoints(torch.tensor([[1.0, 0.0], [2.0, 0.0]]))
    found = branched_rollouts(counting, always(0), 50, 1, seed=0, points=points)
    assert set(found.observation[:, 0].tolist()) == {1.0, 2.0}


def test_the_policy_sees_every_row_each_time(counting: Any) -> None:
    """So that a compiled policy has one shape; rows that ended may get any action."""
    shapes = []

    def policy(observations: np.ndarray) -> np.ndarray:
        shapes.append(observations.shape)
        return np.where(observations[:, 0] < 5, 0, 99)

    points = StartPoints(torch.tensor([[0.0, 0.0], [4.0, 0.0]]))
    found = branched_rollouts(counting, policy, 6, 3, seed=0, points=points)
    assert shapes == [(6, 2)] * 3
    assert 6 < len(found.reward) < 18


def test_the_seed_fixes_all(toy: Ensemble) -> None:
    model = replace_options(toy, LoadOptions("ts1", epistemic=False))

    def run(seed: int) -> Transitions:
        return branched_rollouts(model, lambda seen: (seen[:, 0] > 0).astype(np.int64), 30, 4, seed)

    for name, column in vars(run(3)).items():
        np.testing.assert_array_equal(column, vars(run(3))[name])
    assert not np.array_equal(run(3).observation[:30], run(4).observation[:30])


def replace_options(model: Ensemble, options: LoadOptions) -> Ensemble:
    return Ensemble(model.trained, model.parts, options)


@pytest.mark.parametrize(
    ("observations", "actions"),
    [
        (spaces.Box(-2, 2, (3,), np.float64), spaces.Box(-1, 1, (2,), np.float32)),
        (spaces.Box(-9, 9, (3,), np.int16), spaces.Discrete(2, start=4)),
    ],
)
def test_dtypes_are_those_of_the_spaces(
    make_untrained: Callable[..., Ensemble], observations: spaces.Box, actions: spaces.Space
) -> None:
    actions.seed(0)
    model = make_untrained(EnvSpec("Toy-v0", observations, actions))
    found = branched_rollouts(model, lambda seen: np.stack([actions.sample() for _ in seen]), 7, 3, seed=0)
    for column in (found.observation, found.next_observation):
        assert column.dtype == observations.dtype
        assert all(observations.contains(row) for row in column)
    assert found.action.dtype == actions.dtype
    assert len(found.reward) >= 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_rollouts": 0}, "expected num_rollouts of at least 1"),
        ({"length": 0}, "expected a rollout length of at least 1 step"),
        ({"seed": -1}, "expected seed of at least 0"),
        ({"policy_fn": always(2)}, r"expected actions inside Discrete\(2\) from the policy for Counting-v0, got 2"),
        ({"points": StartPoints(torch.zeros(0, 2))}, "at least one point"),
    ],
)
def test_wrong_input_is_refused(counting: Any, changes: dict, message: str) -> None:
    arguments = {"policy_fn": always(0), "num_rollouts": 2, "length": 2, "seed": 0} | changes
    with pytest.raises(InputError, match=message):
        branched_rollouts(counting, **arguments)


def test_lengths_grow_along_a_line() -> None:
    """MBPO's schedule for Hopper."""
    lengths = RolloutLengthConfig(1, 15, 20, 150)
    assert [lengths.length_at(epoch) for epoch in (0, 20, 29, 30, 85, 149, 150, 900)] == [1, 1, 1, 2, 8, 14, 15, 15]
    assert RolloutLengthConfig().length_at(7) == 1
    shrinking = RolloutLengthConfig(5, 1, 0, 4)
    assert [shrinking.length_at(epoch) for epoch in range(6)] == [5, 4, 3, 2, 1, 1]


@pytest.mark.parametrize("settings", [{"first": 0}, {"last": 0}, {"from_epoch": -1}, {"from_epoch": 2, "to_epoch": 2}])
def test_wrong_schedules_are_refused(settings: dict) -> None:
    with pytest.raises(InputError, match="expected"):
        RolloutLengthConfig(**settings)
