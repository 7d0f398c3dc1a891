"""Environments with hidden velocities are Gymnasium's own, but for what they show."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from envs.spec import make_real, spec_of

SHOWN = {"CartPole-v1": [0, 2], "Pendulum-v1": [0, 1]}


def hidden(env_id: str) -> str:
    return f"simulacra/PositionOnly{env_id}"


@pytest.mark.parametrize("env_id", SHOWN)
def test_an_episode_is_that_of_the_whole_environment(env_id: str) -> None:
    whole, part = make_real(env_id), make_real(hidden(env_id))
    whole.action_space.seed(0)
    for seed in range(3):
        expected, shown = whole.reset(seed=seed)[0], part.reset(seed=seed)[0]
        over = False
        while not over:
            np.testing.assert_array_equal(shown, expected[SHOWN[env_id]])
            assert shown in part.observation_space
            action = whole.action_space.sample()
            expected, *outcome, _ = whole.step(action)
            shown, *same, _ = part.step(action)
            assert same == outcome
            over = outcome[1] or outcome[2]


@pytest.mark.parametrize("env_id", SHOWN)
def test_its_spec_is_that_of_the_whole_environment(env_id: str) -> None:
    whole, part = spec_of(env_id), spec_of(hidden(env_id))
    assert part.env_id == hidden(env_id)
    assert part.action_space == whole.action_space
    assert part.max_episode_steps == whole.max_episode_steps
    assert gymnasium.spec(hidden(env_id)).reward_threshold == gymnasium.spec(env_id).reward_threshold
    np.testing.assert_array_equal(part.observation_space.low, whole.observation_space.low[SHOWN[env_id]])
    np.testing.assert_array_equal(part.observation_space.high, whole.observation_space.high[SHOWN[env_id]])


def test_there_is_one_limit_and_it_can_be_set() -> None:
    env = make_real(hidden("Pendulum-v1"), max_episode_steps=300)
    env.reset(seed=0)
    truncated = [env.step(np.zeros(1, np.float32))[3] for _ in range(300)]
    assert truncated == [False] * 299 + [True]


@pytest.mark.parametrize("env_id", SHOWN)
def test_gymnasium_makes_it_by_id_by_spec_and_as_rows(env_id: str) -> None:
    env = gymnasium.make(hidden(env_id))
    again = gymnasium.make(env.spec)
    assert str(again) == str(env)
    rows = gymnasium.make_vec(hidden(env_id), num_envs=3)
    observations, _ = rows.reset(seed=[4, 5, 6])
    rows.close()
    np.testing.assert_array_equal(observations[1], env.reset(seed=5)[0])
    assert isinstance(copy.deepcopy(env).reset(seed=5)[0], np.ndarray)


def test_it_is_drawn() -> None:
    env = make_real(hidden("CartPole-v1"), render_mode="rgb_array")
    env.reset(seed=0)
    whole = make_real("CartPole-v1", render_mode="rgb_array")
    whole.reset(seed=0)
    np.testing.assert_array_equal(env.render(), whole.render())


def warned(check: Callable[..., Any], env: gymnasium.Env, **settings: Any) -> set[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(env, **settings)
    return {str(one.message).split("WARN: ")[-1] for one in caught}


@pytest.mark.parametrize("env_id", SHOWN)
def test_the_checkers_warn_of_nothing_that_the_whole_environment_does_not(env_id: str) -> None:
    whole, part = make_real(env_id), make_real(hidden(env_id))
    while type(part).__name__ != "PositionOnly":
        part = part.env
    new = warned(check_env, part, skip_render_check=True) - warned(check_env, whole.unwrapped, skip_render_check=True)
    assert all("different from the unwrapped version" in one for one in new)  # which shows the velocities
    assert warned(check_env_sb3, part) <= warned(check_env_sb3, whole.unwrapped)
