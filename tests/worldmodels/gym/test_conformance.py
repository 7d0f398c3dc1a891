"""What holds for the environments of every family of world models, later ones too: `conftest.FAMILY_CASES`."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_sb3

from envs.spaces import any_member, first_outside
from worldmodels.families.table import FAMILIES
from worldmodels.gym.env import WorldModelEnv, make_env
from worldmodels.gym.vector_env import WorldModelVectorEnv, make_vector_env
from worldmodels.saving import load_model

MODES = list(AutoresetMode)


def sampled_actions(env: WorldModelVectorEnv, num_steps: int) -> list[np.ndarray]:
    env.action_space.seed(0)
    return [np.asarray(env.action_space.sample()) for _ in range(num_steps)]


def reset_ended(env: WorldModelVectorEnv, ended: np.ndarray) -> None:
    if env.autoreset_mode == AutoresetMode.DISABLED and ended.any():
        env.reset(options={"reset_mask": ended})


def run(env: WorldModelVectorEnv, actions: list[np.ndarray]) -> list[list[np.ndarray]]:
    """The columns ``[B, ...]`` of each step, all but infos of ends."""
    seen = []
    for action in actions:
        *columns, infos = env.step(action)
        reset_ended(env, columns[2] | columns[3])
        uncertainty = infos.get("uncertainty", np.zeros(env.num_envs))
        seen.append([*columns, uncertainty])
    return seen


def assert_equal(left: list[list[np.ndarray]], right: list[list[np.ndarray]], row: Any = slice(None)) -> None:
    for ours, theirs in zip(left, right, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one[row], other[row])


def test_every_family_is_here(covered_families: set[str]) -> None:
    assert covered_families == FAMILIES.keys()


@pytest.mark.parametrize("start", ["initial", "any", "learned"])
def test_both_checkers_pass_without_a_warning(family_path: str, start: str) -> None:
    env = gymnasium.make("simulacra/WorldModel-v0", path=family_path, start=start, render_mode="rgb_array")
    check_env(env.unwrapped)
    if "shifted" in family_path:
        with pytest.warns(UserWarning, match="non-zero start"):  # it does not support such actions at all
            check_sb3(env)
    else:
        check_sb3(env)


@pytest.mark.parametrize("num_envs", [1, 2, 1000])
@pytest.mark.parametrize("start", ["initial", "any", "learned"])
def test_any_number_of_rows_stays_inside_the_spaces(family_path: str, num_envs: int, start: str) -> None:
    env = gymnasium.make_vec("simulacra/WorldModel-v0", num_envs=num_envs, path=family_path, start=start)
    observations, infos = env.reset(seed=0)
    space = env.single_observation_space
    env.action_space.seed(0)
    assert infos == {}
    for _ in range(15):  # the horizon is 12
        assert observations.dtype == space.dtype
        assert observations.shape == (num_envs, *space.shape)
        assert first_outside(space, observations) is None
        observations, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
        assert (rewards.dtype, terminated.dtype, truncated.dtype) == (np.float64, bool, bool)
        assert rewards.shape == terminated.shape == truncated.shape == (num_envs,)
        if infos:
            assert infos["uncertainty"].shape == (num_envs,)
            assert (infos["uncertainty"] >= 0).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("epistemic", [True, False])
def test_rows_are_independent_and_the_seed_fixes_all(family_path: str, mode: AutoresetMode, epistemic: bool) -> None:
    """Row 1 acts the same while the others act otherwise, are reset out of turn, and end at other times."""

    def trajectory(others: int, seed: int = 4) -> list[list[np.ndarray]]:
        settings = {"start": "learned", "horizon": 4, "epistemic": epistemic, "autoreset_mode": mode}
        env = make_vector_env(5, family_path, **settings)  # type: ignore[arg-type]
        env.reset(seed=seed)
        actions = sampled_actions(env, 12)
        for step, action in enumerate(actions):
            apart = np.arange(5) != 1
            action[apart] = np.roll(action, others * (1 + step), axis=0)[apart]
        before = run(env, actions[:2])
        for _ in range(others):
            env.reset(options={"reset_mask": np.array([True, False, False, True, False])})
        return before + run(env, actions[2:])

    alone = trajectory(others=0)
    assert_equal(alone, trajectory(others=0))
    assert_equal(alone, trajectory(others=1), row=1)
    with pytest.raises(AssertionError):
        assert_equal(alone, trajectory(others=1))
    with pytest.raises(AssertionError):
        assert_equal(alone, trajectory(others=0, seed=5), row=1)


@pytest.mark.parametrize("mode", MODES)
def test_a_vector_state_is_gone_on_from_many_times(family_path: str, mode: AutoresetMode) -> None:
    env = make_vector_env(3, family_path, start="any", horizon=5, autoreset_mode=mode)
    env.reset(seed=0)
    actions = sampled_actions(env, 20)
    run(env, actions[:7])
    state = env.get_state()
    expected = run(env, actions[7:])
    for _ in range(3):
        env.set_state(state)
        assert_equal(run(env, actions[7:]), expected)
    other = make_vector_env(3, family_path, start="any", horizon=5, autoreset_mode=mode)  # never reset
    other.set_state(state)
    assert_equal(run(other, actions[7:]), expected)


def test_a_single_state_is_gone_on_from_many_times(family_path: str) -> None:
    env = make_env(family_path, start="learned", horizon=6)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(20)]

    def go_on() -> list[np.ndarray]:
        seen = []
        for action in actions:
            observation, reward, terminated, truncated, info = env.step(action)
            seen.append(np.hstack([np.ravel(observation), reward, terminated, truncated, info["uncertainty"]]))
            if terminated or truncated:
                seen.append(np.ravel(env.reset()[0]))
        return seen

    env.reset(seed=1)
    env.step(actions[0])
    if not env._under_way:
        env.reset()
    state = env.get_state()
    expected = go_on()
    for _ in range(3):
        env.set_state(state)
        assert all(map(np.array_equal, go_on(), expected))


def test_the_caller_says_where_to_start(family_path: str) -> None:
    vector = make_vector_env(4, family_path, autoreset_mode=AutoresetMode.DISABLED)
    space = vector.single_observation_space
    space.seed(1)
    given = np.stack([np.asarray(space.sample()) for _ in range(4)])
    observations, _ = vector.reset(seed=0, options={"start": given})
    assert (observations.dtype, observations.tolist()) == (space.dtype, given.tolist())
    rows = np.array([True, False, True, False])
    before = vector.step(sampled_actions(vector, 1)[0])[0]
    observations, _ = vector.reset(options={"start": given, "reset_mask": rows})
    assert np.array_equal(observations[rows], given[rows])
    assert np.array_equal(observations[~rows], before[~rows])
    env = make_env(family_path)
    assert np.array_equal(env.reset(options={"start": given[0]})[0], given[0])
    assert space.contains(env.step(vector.single_action_space.sample())[0])


def test_what_the_caller_starts_from_is_a_first_observation(family_path: str) -> None:
    """Nothing is remembered of what was before it."""
    start = load_model(family_path).trained.starts.any.observation[3].numpy()

    def two_steps(env: WorldModelEnv) -> list[np.ndarray]:
        action = any_member(env.action_space)
        return [env.reset(seed=2, options={"start": start})[0]] + [env.step(action)[0] for _ in range(2)]

    used = make_env(family_path)
    used.reset(seed=0)
    used.step(any_member(used.action_space))
    assert all(map(np.array_equal, two_steps(used), two_steps(make_env(family_path))))


def test_pictures(family_path: str) -> None:
    env = make_env(family_path, render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    for _ in range(3):
        env.step(env.action_space.sample())
        if not env._under_way:
            env.reset()
    assert before is not None
    assert (before.dtype, before.shape[2]) == (np.uint8, 3)
    vector = make_vector_env(2, family_path, render_mode="rgb_array")
    vector.reset(seed=0)
    frames = vector.render()
    assert isinstance(frames, tuple)
    assert [frame.shape for frame in frames] == [before.shape] * 2
    for blind in (make_env(family_path), make_vector_env(2, family_path)):
        blind.reset(seed=0)
        assert blind.render() is None
