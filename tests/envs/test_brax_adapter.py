"""brax behind our contract. `test_functional_conformance` has what every functional environment must do."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from envs.brax_adapter import BRAX, BraxEnv, brax, make_brax
from envs.errors import InputError
from envs.functional_gym import FunctionalVectorEnv


def test_fast_is_its_own_arithmetic():
    # brax's `fast`: a positive action adds 0.02 to the speed, a step lasts 0.02, the reward is the position.
    env = make_brax("fast")
    step = jax.jit(env.step)
    observation, state = env.reset(jax.random.key(0), env.default_params)
    np.testing.assert_array_equal(observation, [0, 0])
    speed = position = 0.0
    for action in (1.0, 1.0, -1.0, 0.5):
        speed += 0.02 * (action > 0)
        position += 0.02 * speed
        observation, state, reward, *_ = step(jax.random.key(0), state, jnp.full(1, action), ())
        np.testing.assert_allclose(observation, [position, speed], rtol=1e-6)
        np.testing.assert_allclose(reward, position, rtol=1e-6)


def test_truncates_after_a_thousand_steps():
    env = make_brax("fast")
    step = jax.jit(env.step)
    _, state = env.reset(jax.random.key(0), ())
    for time, expected in ((0, False), (998, False), (999, True)):
        *_, terminated, truncated, _ = step(jax.random.key(0), state._replace(time=jnp.int32(time)), jnp.zeros(1), ())
        assert (bool(terminated), bool(truncated)) == (False, expected)


def test_a_step_leaves_the_state_it_was_given_alone():
    class Writing:
        """As brax's swimmer and others: its step writes into the metrics of its argument."""

        action_size = 1

        def reset(self, key: jax.Array) -> brax.envs.State:
            return brax.envs.State(None, jax.random.uniform(key, (1,)), 0.0, 0.0, {"speed": 0.0})

        def step(self, state: brax.envs.State, action: jax.Array) -> brax.envs.State:
            state.metrics.update(speed=action[0])
            return state

    env = BraxEnv("brax/writing", Writing())
    _, state = env.reset(jax.random.key(0), ())
    _, after, *_ = env.step(jax.random.key(0), state, jnp.ones(1), ())
    assert (state.inner.metrics["speed"], after.inner.metrics["speed"]) == (0, 1)


def test_the_spec_names_the_environment_and_its_spaces():
    spec = make_brax("fast").spec
    assert (spec.env_id, spec.max_episode_steps) == ("brax/fast", 1000)
    assert spec.action_space == spaces.Box(-1, 1, (1,), np.float32)
    assert spec.observation_space == spaces.Box(-np.inf, np.inf, (2,), np.float32)


def test_bad_names_are_told():
    with pytest.raises(InputError, match="inverted_pendulum"):
        make_brax("inverted_pendulun")
    with pytest.raises(InputError, match="spring"):
        make_brax("ant", "sprung")
    with pytest.raises(InputError, match=r"swimmer.*spring"):
        make_brax("swimmer", "spring")
    with pytest.raises(InputError, match="fast"):
        make_brax("fast", "spring")


def test_the_list_is_brax_own():
    assert set(BRAX) == set(brax.envs._envs)


def test_importing_it_prints_nothing():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import envs.brax_adapter"], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.slow
def test_inverted_pendulum_falls_and_starts_anew():
    env = FunctionalVectorEnv(make_brax("inverted_pendulum"), 3, autoreset_mode="SameStep")
    observations, _ = env.reset(seed=0)
    assert (np.abs(observations) <= 0.01).all()
    lengths, num_ends = np.zeros(3, int), 0
    for _ in range(60):
        observations, reward, terminated, truncated, infos = env.step(np.full((3, 1), 0.5, np.float32))
        lengths += 1
        assert (reward == 1).all()
        assert not truncated.any()
        for row in np.flatnonzero(terminated):
            assert abs(infos["final_obs"][row][1]) > 0.2
            assert abs(observations[row][1]) <= 0.01
            assert lengths[row] > 2
            lengths[row], num_ends = 0, num_ends + 1
    assert num_ends >= 3
