"""A policy trained by an evolution strategy: it finds what pays best, and its steps are counted."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.configs import PPOConfig
from agents.table import make_networks
from envs.errors import InputError
from envs.spec import spec_of
from experiments.evolve_configs import EvolvedPolicyConfig
from experiments.evolved_policy import make_evolved_policy
from experiments.greedy_return import greedily
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, EvolutionConfig, MDPConfig
from synthetic_envs.synthetic_env import make_synthetic

SPEC = spec_of("CartPole-v1")
SMALL = EvolvedPolicyConfig(PPOConfig(hidden=(8,)), EvolutionConfig(population_size=8, sigma=0.1), 16, 1_000)


def test_it_finds_the_action_that_pays_best_in_each_context():
    env = Bandit(SPEC, BanditConfig((8,), (8,)))
    config = EvolvedPolicyConfig(PPOConfig(hidden=(16,)), SMALL.search, num_episodes=64, total_steps=50_000)
    params, _ = jax.jit(make_evolved_policy(env, config))(jax.random.key(0), env.default_params)
    act, memory = greedily(SPEC, make_networks(SPEC, config.policy), params, 1)
    contexts, _ = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(jax.random.key(9), 2_000), env.default_params)
    pays = jnp.stack([env.reward(env.default_params, contexts, jnp.full(2_000, action)) for action in range(2)])
    got = jnp.take_along_axis(pays, act(contexts, memory)[0][None], 0).mean()
    assert got - pays.mean() >= 0.9 * (pays.max(0).mean() - pays.mean())


def test_it_is_a_function_of_its_key_and_the_generation_that_reaches_the_steps_is_its_last():
    env = Bandit(SPEC, BanditConfig((4,), (4,)))
    train = partial(jax.jit(make_evolved_policy(env, SMALL)), env_params=env.default_params)
    (once, steps), (again, _), (other, _) = (train(jax.random.key(seed)) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, once, again)
    assert not np.array_equal(once["actor"]["0"]["w"], other["actor"]["0"]["w"])
    assert steps == 8 * 8 * 16  # 8 generations; 7 take 896


def test_steps_of_long_episodes_are_counted_one_by_one():
    env = make_synthetic(SPEC, MDPConfig(hidden=(4,), max_steps=30))
    _, steps = jax.jit(make_evolved_policy(env, SMALL))(jax.random.key(0), env.default_params)
    assert 1_000 <= steps <= 1_000 + 8 * 16 * 30


def test_settings_that_cannot_be_are_told():
    with pytest.raises(InputError, match="the evolved policy's num_episodes of at least 1"):
        EvolvedPolicyConfig(num_episodes=0)
    with pytest.raises(InputError, match="the memory of an evolved policy none"):
        EvolvedPolicyConfig(PPOConfig(memory="gru"))
