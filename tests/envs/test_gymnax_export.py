"""Ours as gymnax environments: a rollout in gymnax's style, and beside gymnax's own."""

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces as gymnax_spaces
from gymnax.environments.classic_control.cartpole import CartPole
from gymnax.environments.environment import Environment
from gymnax.wrappers.purerl import LogWrapper

from envs.errors import InputError
from envs.gymnax_adapter import make_classic_control
from envs.gymnax_export import GymnaxExport
from envs.spec import EnvSpec


def rollout(env: Environment, num_steps: int) -> tuple[Any, ...]:
    """A scan over jitted steps of random actions, as gymnax's users write it; ``[T, ...]`` of all that is returned."""
    params = env.default_params

    def step(carry: tuple[Any, jax.Array], key: jax.Array) -> tuple[Any, tuple]:
        state, observation = carry
        action_key, step_key = jax.random.split(key)
        action = env.action_space(params).sample(action_key)
        next_observation, state, reward, terminated, truncated, info = env.step(step_key, state, action, params)
        return (state, next_observation), (observation, next_observation, reward, terminated, truncated, info)

    observation, state = env.reset(jax.random.key(0), params)
    return jax.lax.scan(step, (state, observation), jax.random.split(jax.random.key(1), num_steps))[1]


def test_a_rollout_is_that_of_gymnaxs_own_cartpole():
    ours = rollout(GymnaxExport(make_classic_control("CartPole-v1")), 200)
    theirs = rollout(CartPole(), 200)
    assert np.asarray(ours[3]).sum() > 3  # episodes ended, and went on by gymnax's auto-reset
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)


def test_truncation_comes_through_and_restarts():
    env = GymnaxExport(make_classic_control("Pendulum-v1"))
    _, observations, _, terminated, truncated, info = rollout(env, 201)
    assert np.flatnonzero(truncated).tolist() == [199]
    assert not np.asarray(terminated).any()
    assert not np.array_equal(info["final_observation"][199], observations[199])
    np.testing.assert_array_equal(info["final_observation"][198], observations[198])


def test_gymnax_wrappers_count_its_episodes():
    env = LogWrapper(GymnaxExport(make_classic_control("MountainCar-v0")))
    params = env.default_params
    _, state = env.reset(jax.random.key(0), params)

    def step(state: Any, key: jax.Array) -> tuple[Any, tuple]:
        out = env.step(key, state, jnp.int32(1), params)
        return out[1], out[5]

    _, info = jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 200))
    assert info["returned_episode_returns"][-1] == -200
    assert info["returned_episode_lengths"][-1] == 200


def test_params_default_to_those_given():
    functional = make_classic_control("Pendulum-v1")
    params = functional.default_params.replace(max_steps_in_episode=jnp.int32(1))
    env = GymnaxExport(functional, params)
    _, state = env.reset(jax.random.key(0))
    *_, truncated, _ = env.step(jax.random.key(0), state, jnp.zeros(1))
    assert truncated


def test_its_name_and_spaces():
    env = GymnaxExport(make_classic_control("Acrobot-v1"))
    assert (env.name, env.num_actions) == ("Acrobot-v1", 3)
    assert isinstance(env.action_space(), gymnax_spaces.Discrete)
    box = env.observation_space()
    assert isinstance(box, gymnax_spaces.Box)
    assert box.shape == (6,)
    assert GymnaxExport(make_classic_control("Pendulum-v1")).num_actions == 1


def test_a_space_that_gymnax_lacks_is_refused():
    env = GymnaxExport(make_classic_control("Acrobot-v1"))
    other = type("Other", (), {"spec": None, "default_params": ()})()
    other.spec = EnvSpec("Other", env.functional.spec.observation_space, gymnasium.spaces.Discrete(2, start=1))
    with pytest.raises(InputError, match="Discrete"):
        GymnaxExport(other).action_space()
