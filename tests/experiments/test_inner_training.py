"""What evolution does with one candidate: fitness by hand, growing horizons, drawn settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.configs import A2CConfig, DQNConfig, PPOConfig, SACConfig
from agents.table import make_agent
from envs.errors import InputError
from envs.gymnax_adapter import make_classic_control
from experiments.evolve_configs import FitnessConfig, InnerAgent
from experiments.hyperparameter_ranges import RANGES, sample_hyperparameters
from experiments.inner_training import as_fitness, horizon_at, make_member_fn
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig

REAL = make_classic_control("CartPole-v1")
BANDIT = Bandit(REAL.spec, BanditConfig(state_hidden=(4,), reward_hidden=(4,)))
TINY = PPOConfig(total_steps=240, num_envs=2, num_steps=10, num_epochs=1, num_minibatches=1, hidden=(4,))
RETURNS = jnp.array([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]])


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (FitnessConfig(), 7.0),
        (FitnessConfig("area"), 4.0),
        (FitnessConfig("worst", num_agents=2), 5.0),
        (FitnessConfig("cautious", caution=0.5, num_agents=2), 6.0),
    ],
    ids=lambda x: getattr(x, "kind", ""),
)
def test_fitness_by_hand(config, expected):
    assert float(as_fitness(RETURNS, config)) == pytest.approx(expected)


def test_horizons_grow_as_asked():
    def at(kind: str, *generations: int) -> list[int]:
        config = FitnessConfig(horizon=kind, first_horizon=100, growing_generations=40)
        return [int(horizon_at(jnp.int32(one), config, 500)) for one in generations]

    assert at("full", 0, 40) == [500, 500]
    assert at("linear", 0, 10, 20, 40, 99) == [100, 200, 300, 500, 500]
    assert at("staged", 0, 9, 10, 19, 39, 40) == [100, 100, 200, 200, 400, 500]
    assert int(horizon_at(jnp.int32(0), FitnessConfig(horizon="linear", first_horizon=900), 500)) == 500


@pytest.mark.parametrize(
    ("name", "config", "spec"),
    [("ppo", PPOConfig(), REAL.spec), ("dqn", DQNConfig(), REAL.spec), ("sac", SACConfig(), REAL.spec)],
)
def test_settings_are_drawn_from_their_lists_and_all_of_them_are(name, config, spec):
    hyper = make_agent(spec, config).hyper
    drawn = jax.vmap(lambda key: sample_hyperparameters(key, name, hyper))(jax.random.split(jax.random.key(0), 200))
    for setting, values in RANGES[name].items():
        found = getattr(drawn, setting) if setting in drawn._fields else getattr(drawn.replay, setting)
        np.testing.assert_array_equal(np.unique(found), np.unique(np.float32(values)))
    assert jax.tree.structure(drawn) == jax.tree.structure(hyper)


def test_a_member_tells_its_fitness_its_return_and_its_real_steps():
    """CartPole pays 1 a step, so steps and returns can be held against each other."""
    config = FitnessConfig("area", num_agents=2, num_episodes=3, num_points=2, horizon="linear", first_horizon=5)
    member = jax.jit(make_member_fn(BANDIT, REAL, InnerAgent(TINY, sampled=True), config))
    params, key = BANDIT.default_params, jax.random.key(0)
    found = member(key, params, jnp.int32(0))
    assert found.score <= 5  # by the first horizon
    assert int(found.real_steps) == pytest.approx(float(found.fitness) * 2 * 2 * 3, rel=1e-5)
    later = member(key, params, jnp.int32(50))
    assert later.score > 5
    jax.tree.map(np.testing.assert_array_equal, found, member(key, params, jnp.int32(0)))


def test_agents_whose_settings_cannot_be_drawn_are_told():
    with pytest.raises(InputError, match="settings of A2C cannot be sampled; of these they can: ppo, dqn"):
        make_member_fn(BANDIT, REAL, InnerAgent(A2CConfig(), sampled=True), FitnessConfig())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kind": "best"}, "fitness's kind to be final, area, cautious or worst"),
        ({"kind": "worst"}, "num_agents of a worst fitness of at least 2"),
        ({"num_episodes": 0}, "num_episodes of at least 1"),
        ({"caution": -1.0}, "caution of at least 0"),
        ({"horizon": "none"}, "horizon to be full, linear or staged"),
    ],
)
def test_settings_out_of_range_are_named(settings, told):
    with pytest.raises(InputError, match=told):
        FitnessConfig(**settings)
