"""The Gymnasium faces of functional environments: Gymnasium's checks, and the vector face beside SyncVectorEnv."""

import warnings
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from envs.compiled_ids import CLASSIC_CONTROL
from envs.errors import InputError
from envs.functional_gym import FunctionalGymEnv, FunctionalVectorEnv
from envs.gymnax_adapter import make_classic_control
from envs.spec import EnvSpec

MODES = list(AutoresetMode)


class Countdown:
    """Terminates after 2 to 4 steps, truncates after 3; counts how often JAX traces it.

    The observation is (length drawn, steps done, noise); the reward is 1 + the action.
    """

    def __init__(self) -> None:
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.spec = EnvSpec("Countdown", observation_space, gymnasium.spaces.Discrete(3), 3)
        self.num_resets, self.num_steps = 0, 0

    @property
    def default_params(self) -> tuple[()]:
        return ()

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        self.num_resets += 1
        noise = jax.random.uniform(key)
        length = 2 + jnp.int32(3 * noise)
        return jnp.stack([length.astype(jnp.float32), 0.0, noise]), (length, jnp.int32(0))

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple:
        self.num_steps += 1
        length, time = state[0], state[1] + 1
        observation = jnp.stack([length.astype(jnp.float32), time.astype(jnp.float32), jax.random.uniform(key)])
        return observation, (length, time), 1.0 + action, time >= length, time >= 3, {}


class Contextual:
    """A bandit: one step, then terminated; an unbounded observation."""

    def __init__(self) -> None:
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.spec = EnvSpec("Contextual", observation_space, gymnasium.spaces.Box(-1, 1, (2,), np.float32))

    @property
    def default_params(self) -> jax.Array:
        return jnp.float32(2.0)

    def reset(self, key: jax.Array, params: jax.Array) -> tuple[jax.Array, jax.Array]:
        context = jax.random.uniform(key, (2,))
        return context, context

    def step(self, key: jax.Array, state: jax.Array, action: jax.Array, params: jax.Array) -> tuple:
        return state, state, params * (state @ action), jnp.bool_(True), jnp.bool_(False), {}


# One object each, so that what is compiled for one test serves the others.
COUNTDOWN, CONTEXTUAL, CARTPOLE = Countdown(), Contextual(), make_classic_control("CartPole-v1")


def make_registered(functional: Any) -> gymnasium.Env:
    """The face through `gymnasium.make`, so that it carries the registry's spec, which `check_env` asks for."""
    env_id = f"face/{functional.spec.env_id}"
    gymnasium.registry.pop(env_id, None)
    gymnasium.register(env_id, entry_point=lambda: FunctionalGymEnv(functional))
    return gymnasium.make(env_id).unwrapped


def messages_of(check: Any, env: gymnasium.Env) -> set[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(env)
    return {str(warning.message) for warning in caught}


@pytest.mark.parametrize("check", [check_env, sb3_check_env], ids=["gymnasium", "stable_baselines3"])
@pytest.mark.parametrize("env_id", CLASSIC_CONTROL)
def test_checkers_say_no_more_than_of_gymnasiums_own(check, env_id):
    # The spaces are the real ones: of CartPole's infinite and Pendulum's wide bounds they warn there, too.
    ours = messages_of(check, make_registered(make_classic_control(env_id)))
    real = messages_of(lambda env: check(env, skip_render_check=True), gymnasium.make(env_id).unwrapped)
    assert ours <= real
    if env_id in ("Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"):
        assert not ours


def test_checkers_accept_a_bandit():
    env = make_registered(CONTEXTUAL)
    assert all("infinity" in message for message in messages_of(check_env, env))
    assert not messages_of(sb3_check_env, env)


def test_a_step_gives_plain_python_and_fresh_arrays():
    env = FunctionalGymEnv(CARTPOLE)
    first, info = env.reset(seed=0)
    assert (first.dtype, info) == (np.float32, {})
    second, reward, terminated, truncated, info = env.step(1)
    assert (type(reward), type(terminated), type(truncated), info) == (float, bool, bool, {})
    kept = second.copy()
    first[:] = second[:] = np.nan  # would reach the state if it were a view
    third, *_ = env.step(1)
    assert np.isfinite(third).all()
    assert not np.shares_memory(second, third)
    env.reset(seed=0)
    np.testing.assert_array_equal(env.step(1)[0], kept)


def test_seeds_repeat_bit_for_bit_and_unseeded_resets_go_on():
    def run(env: FunctionalGymEnv, seed: int) -> list[np.ndarray]:
        return [env.reset(seed=seed)[0], env.step(0)[0], env.reset()[0], env.step(1)[0], env.reset()[0]]

    env = FunctionalGymEnv(COUNTDOWN)
    once, again, other = run(env, 5), run(FunctionalGymEnv(COUNTDOWN), 5), run(env, 6)
    np.testing.assert_array_equal(once, again)
    assert not any(np.array_equal(a, b) for a, b in zip(once, other, strict=True))
    assert not np.array_equal(once[0], once[2])
    assert not np.array_equal(once[2], once[4])
    assert not np.array_equal(FunctionalGymEnv(COUNTDOWN).reset()[0], FunctionalGymEnv(COUNTDOWN).reset()[0])


def test_params_reach_the_environment():
    doubled, plain = FunctionalGymEnv(CONTEXTUAL, jnp.float32(4.0)), FunctionalGymEnv(CONTEXTUAL)
    action = np.array([0.5, -0.5], np.float32)
    for env in (doubled, plain):
        env.reset(seed=0)
    assert doubled.step(action)[1] == pytest.approx(2 * plain.step(action)[1])


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("functional", [COUNTDOWN, CONTEXTUAL, CARTPOLE], ids=lambda env: env.spec.env_id)
def test_the_vector_face_is_a_sync_vector_of_single_ones(functional, mode):
    ours = FunctionalVectorEnv(functional, 5, autoreset_mode=mode)
    sync = SyncVectorEnv([lambda: FunctionalGymEnv(functional)] * 5, autoreset_mode=mode)
    assert ours.observation_space == sync.observation_space
    assert ours.action_space == sync.action_space
    assert ours.metadata == sync.metadata
    np.testing.assert_allclose(ours.reset(seed=7)[0], sync.reset(seed=7)[0], rtol=1e-6)
    sync.action_space.seed(0)
    num_ends = 0
    for _ in range(60):
        actions = sync.action_space.sample()
        left, right = ours.step(actions), sync.step(actions)
        assert_same_step(left, right)
        ended = right[2] | right[3]
        num_ends += ended.sum()
        if mode is AutoresetMode.DISABLED and ended.any():
            left, right = (env.reset(options={"reset_mask": ended.copy()}) for env in (ours, sync))
            np.testing.assert_allclose(left[0], right[0], rtol=1e-6)
            assert left[1] == right[1] == {}
    assert num_ends > 5


def assert_same_step(ours: tuple, sync: tuple) -> None:
    for mine, theirs in zip(ours[:4], sync[:4], strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    assert ours[4].keys() == sync[4].keys()
    for key, theirs in sync[4].items():
        mine = ours[4][key]
        if key == "final_obs":
            assert [row is None for row in mine] == [row is None for row in theirs]
            pairs = [(a, b) for a, b in zip(mine, theirs, strict=True) if b is not None]
            np.testing.assert_allclose(*zip(*pairs, strict=True), rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_equal(mine, theirs)


def test_lists_of_seeds_and_masks_reset_as_sync_does():
    ours = FunctionalVectorEnv(COUNTDOWN, 5)
    sync = SyncVectorEnv([lambda: FunctionalGymEnv(COUNTDOWN)] * 5)
    np.testing.assert_array_equal(ours.reset(seed=[4, 1, 4, 0, 2])[0], sync.reset(seed=[4, 1, 4, 0, 2])[0])
    np.testing.assert_array_equal(
        ours.reset(seed=[None, 2, None, 3, None])[0], sync.reset(seed=[None, 2, None, 3, None])[0]
    )
    mask = np.array([True, False, True, True, False])
    for seed in (None, 9, [3, 4, 5, 6, 7]):
        left, right = (env.reset(seed=seed, options={"reset_mask": mask.copy()})[0] for env in (ours, sync))
        np.testing.assert_array_equal(left, right)
    assert_same_step(ours.step(np.zeros(5, int)), sync.step(np.zeros(5, int)))


def test_vector_arrays_are_fresh_and_rewards_float64():
    env = FunctionalVectorEnv(CARTPOLE, 5)
    first, _ = env.reset(seed=0)
    actions = np.ones(5, np.int64)
    second, reward, terminated, truncated, _ = env.step(actions)
    assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float64, bool, bool)
    for array in (first, second, reward, terminated, truncated):
        assert array.flags.writeable
        assert array.base is None
        array[:] = 1
    third, _, terminated, _, _ = env.step(actions)
    assert np.isfinite(third).all()
    assert (third != 1).all()
    assert not terminated.any()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_nothing_is_compiled_twice(mode):
    functional = Countdown()
    for num_faces in range(3):
        env = FunctionalVectorEnv(functional, 3, autoreset_mode=mode)
        env.reset(seed=num_faces)
        env.reset()
        for _ in range(12):
            *_, terminated, truncated, _ = env.step(np.array([0, 1, 2]))
            ended = terminated | truncated
            if mode is AutoresetMode.DISABLED and ended.any():
                env.reset(options={"reset_mask": ended})
        if num_faces == 0:
            traced = functional.num_resets, functional.num_steps
    assert (functional.num_resets, functional.num_steps) == traced
    # A reset in the reset of all rows, in that of some and in the step; a step.
    assert traced == (3, 1)


def test_single_faces_share_what_is_compiled():
    functional = Countdown()
    for seed in range(3):
        env = FunctionalGymEnv(functional)
        env.reset(seed=seed)
        while not any(env.step(0)[2:4]):
            pass
        env.reset()
    assert (functional.num_resets, functional.num_steps) == (1, 1)


def test_bad_input_is_told_in_one_sentence():
    env = FunctionalGymEnv(COUNTDOWN)
    with pytest.raises(InputError, match="expected a reset before"):
        env.step(0)
    with pytest.raises(InputError, match="reset options"):
        env.reset(options={"low": 0})
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"actions inside Discrete\(3\) from the agent on .*, got 3 in row 0"):
        env.step(3)
    with pytest.raises(InputError, match="shape"):
        env.step(np.array([0, 1]))
    bandit = FunctionalGymEnv(CONTEXTUAL)
    bandit.reset(seed=0)
    with pytest.raises(InputError, match="nan"):
        bandit.step(np.array([np.nan, 0], np.float32))
    bandit.step(np.zeros(2, np.float32))
    with pytest.raises(InputError, match="expected a reset before"):
        bandit.step(np.zeros(2, np.float32))


def test_bad_input_to_the_vector_face():
    env = FunctionalVectorEnv(COUNTDOWN, 5, autoreset_mode="Disabled")
    with pytest.raises(InputError, match="expected a reset before"):
        env.step(np.zeros(5, int))
    with pytest.raises(InputError, match="first reset of all rows"):
        env.reset(options={"reset_mask": np.array([True, False, False, True, True])})
    with pytest.raises(InputError, match="one seed for each of 5"):
        env.reset(seed=[1, 2, 3])
    env.reset(seed=0)
    for mask in (np.ones(5, int), np.zeros(5, bool), np.ones(3, bool), [True] * 5):
        with pytest.raises(InputError, match="reset_mask"):
            env.reset(options={"reset_mask": mask})
    with pytest.raises(InputError, match=r"got -1"):
        env.step(np.array([0, -1, 0, 0, 0]))
    while not np.logical_or(*env.step(np.zeros(5, int))[2:4]).any():
        pass
    with pytest.raises(InputError, match="reset_mask before this step"):
        env.step(np.zeros(5, int))
    with pytest.raises(InputError, match="num_envs"):
        FunctionalVectorEnv(COUNTDOWN, 0)
    with pytest.raises(InputError, match="unknown autoreset mode 'same_step'; did you mean 'SameStep'"):
        FunctionalVectorEnv(COUNTDOWN, 1, autoreset_mode="same_step")
    with pytest.raises(InputError, match="unknown autoreset mode 'never'; known: Disabled, NextStep, SameStep"):
        FunctionalVectorEnv(COUNTDOWN, 1, autoreset_mode="never")


def test_the_action_of_a_row_that_is_being_reset_is_ignored():
    env = FunctionalVectorEnv(CONTEXTUAL, 5)
    env.reset(seed=0)
    env.step(np.zeros((5, 2), np.float32))
    _, reward, terminated, _, _ = env.step(np.full((5, 2), np.nan))
    assert (reward.tolist(), terminated.tolist()) == ([0.0] * 5, [False] * 5)


def test_stable_baselines3_trains_on_it():
    env = FunctionalGymEnv(CARTPOLE)
    agent = PPO("MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=1, seed=0, device="cpu")
    agent.learn(128)
    assert agent.num_timesteps == 128
