"""Synthetic environments as Gymnasium environments. The faces themselves: tests/envs/test_functional_gym.py."""

import warnings
from pathlib import Path

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_sb3

from envs.errors import InputError
from envs.functional_gym import FunctionalGymEnv, FunctionalVectorEnv
from envs.spec import spec_of
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, MDPConfig
from synthetic_envs.saving import save_synthetic
from synthetic_envs.synthetic_env import SyntheticEnv, make_synthetic

ENV_ID = "simulacra/Synthetic-v0"


def test_both_checkers_pass_without_a_warning(saved: Path) -> None:
    env = gymnasium.make(ENV_ID, path=str(saved))
    check_env(env.unwrapped)
    check_sb3(env)


def test_on_cartpole_gymnasium_warns_of_cartpoles_own_bounds_alone(tmp_path: Path) -> None:
    bandit = Bandit(spec_of("CartPole-v1"), BanditConfig(state_hidden=(8,), reward_hidden=(8,)))
    save_synthetic(tmp_path / "bandit", bandit, bandit.default_params, {})
    env = gymnasium.make(ENV_ID, path=tmp_path / "bandit")
    check_sb3(env)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    assert ["infinity" in str(warning.message) for warning in caught] == [True, True]


def test_an_episode_is_the_bandits(bandit: Bandit, saved: Path) -> None:
    env = gymnasium.make(ENV_ID, path=str(saved))
    assert isinstance(env.unwrapped, FunctionalGymEnv)
    assert env.observation_space == bandit.spec.observation_space
    assert env.action_space == bandit.spec.action_space
    context, info = env.reset(seed=3)
    assert info == {}
    action = env.action_space.sample()
    after, reward, terminated, truncated, info = env.step(action)
    np.testing.assert_array_equal(after, context)
    expected = bandit.reward(bandit.init_params(jax.random.key(7)), context, action)
    assert reward == pytest.approx(float(expected), rel=1e-4)
    assert (terminated, truncated, info) == (True, False, {})
    assert not np.array_equal(env.reset()[0], context)
    np.testing.assert_array_equal(env.reset(seed=3)[0], context)


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name)
def test_the_batched_face_is_native_and_does_what_single_ones_do(saved: Path, mode: AutoresetMode) -> None:
    env = gymnasium.make_vec(ENV_ID, num_envs=3, path=str(saved), autoreset_mode=mode)
    assert isinstance(env.unwrapped, FunctionalVectorEnv)
    assert env.metadata["autoreset_mode"] is mode
    contexts, _ = env.reset(seed=5)
    actions = env.action_space.sample()
    _, rewards, terminated, truncated, _ = env.step(actions)
    assert (terminated.tolist(), truncated.tolist()) == ([True] * 3, [False] * 3)
    single = gymnasium.make(ENV_ID, path=str(saved))
    for row in range(3):
        np.testing.assert_allclose(contexts[row], single.reset(seed=5 + row)[0], rtol=1e-5)
        assert rewards[row] == pytest.approx(single.step(actions[row])[1], rel=1e-4, abs=1e-6)


def test_bad_paths_are_told(tmp_path: Path) -> None:
    for make in (gymnasium.make, gymnasium.make_vec):
        with pytest.raises(InputError, match="expected an artifact folder"):
            make(ENV_ID, path=str(tmp_path))


def test_both_checkers_pass_without_a_warning_for_every_kind(saved_kind: Path) -> None:
    env = gymnasium.make(ENV_ID, path=str(saved_kind))
    check_env(env.unwrapped)
    check_sb3(env)


def test_every_kind_has_a_batched_face_that_does_what_single_ones_do(kind: SyntheticEnv, saved_kind: Path) -> None:
    env = gymnasium.make_vec(ENV_ID, num_envs=3, path=str(saved_kind))
    single = gymnasium.make(ENV_ID, path=str(saved_kind))
    assert isinstance(env.unwrapped, FunctionalVectorEnv)
    observations, _ = env.reset(seed=5)
    actions = [env.action_space.sample() for _ in range(3)]
    outs = [env.step(one) for one in actions]
    for row in range(3):
        np.testing.assert_allclose(observations[row], single.reset(seed=5 + row)[0], rtol=1e-5)
        for step, together in zip(actions, outs, strict=True):
            alone = single.step(step[row])
            for left, right in zip(together[:4], alone[:4], strict=True):
                np.testing.assert_allclose(left[row], right, rtol=1e-4, atol=1e-5)
            if alone[2] or alone[3]:
                break
    assert env.unwrapped.single_observation_space == kind.spec.observation_space


def test_an_mdp_is_truncated_by_its_own_step_cap(tmp_path: Path) -> None:
    config = MDPConfig(hidden=(4,), max_steps=4)
    mdp = make_synthetic(spec_of("MountainCar-v0"), config)
    params = jax.tree.map(np.zeros_like, mdp.default_params)
    save_synthetic(tmp_path / "mdp", mdp, params, {})
    env = gymnasium.make(ENV_ID, path=str(tmp_path / "mdp"))
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(4)] == [(False, False)] * 3 + [(False, True)]


@pytest.mark.slow
def test_ppo_of_stable_baselines3_trains_unchanged(saved: Path) -> None:
    agent = PPO("MlpPolicy", gymnasium.make(ENV_ID, path=str(saved)), n_steps=64, batch_size=32, n_epochs=1, seed=0,
                device="cpu")  # fmt: skip
    agent.learn(128)
    assert agent.num_timesteps == 128
