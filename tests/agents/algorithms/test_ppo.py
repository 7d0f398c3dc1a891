"""PPO's losses by hand and its refusals; `tests/agents/test_trust.py` has what it must learn."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from agents.algorithms.ppo import Batch, Hyperparameters, loss, make_ppo
from agents.configs import PPOConfig
from agents.networks.actor_critic import make_actor_critic
from agents.training.compiled import make_compiled_training
from agents.training.hosted import HostCollector
from envs.errors import InputError
from envs.gymnax_adapter import make_classic_control
from envs.spec import spec_of
from tests.agents import probe_envs as probes

CONFIG = PPOConfig(
    total_steps=8192, num_envs=8, num_steps=16, num_epochs=8, num_minibatches=1, hidden=(16,), gamma=0.5,
    gae_lambda=0.9, learning_rate=5e-3, anneal=False,
)  # fmt: skip
HYPER = Hyperparameters.of(CONFIG)


def test_training_on_in_chunks_is_the_whole_training_and_compiles_once():
    training = make_compiled_training(probes.RewardByAction(), PPOConfig(**{**vars(CONFIG), "total_steps": 1024}))
    traces = []

    def advance(state, hyper):
        traces.append(1)
        return training.advance(state, None, hyper, 2)

    chunk = jax.jit(advance)
    state = training.init(jax.random.key(5), None)
    for _ in range(4):
        state, metrics = chunk(state, HYPER)
    assert len(traces) == 1
    assert metrics["episode_return"].shape == (2,)
    whole = jax.jit(training.train)(jax.random.key(5), None, HYPER)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.learner.params, whole)


def test_rows_of_weight_zero_do_not_count_in_the_loss():
    spec = probes.ConstantReward().spec
    networks = make_actor_critic(spec, CONFIG)
    params = networks.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=(6,)).astype(np.float32) for _ in range(4)]
    batch = Batch(rng.normal(size=(6, 1)).astype(np.float32), np.array([0, 1, 0, 1, 0, 1]), *columns,
                  weight=np.array([1, 1, 1, 1, 0, 0], np.float32))  # fmt: skip
    shorter = Batch(*(column[:4] for column in batch))
    np.testing.assert_allclose(
        loss(params, batch, networks, CONFIG, HYPER)[0], loss(params, shorter, networks, CONFIG, HYPER)[0], rtol=1e-6
    )


def test_the_clipped_loss_by_hand():
    """Ratios e and 1 with advantages normalised to +1 and -1: eq. 7 gives mean(min(e, 1.2), -1) = 0.1."""
    spec = probes.ConstantReward().spec
    networks = make_actor_critic(spec, CONFIG)
    params = jax.tree.map(jnp.zeros_like, networks.init(jax.random.key(0)))  # uniform policy, value 0
    log_half = np.float32(np.log(0.5))
    batch = Batch(np.zeros((2, 1), np.float32), np.array([0, 1]), np.array([log_half - 1, log_half]), np.zeros(2),
                  np.array([3.0, 1.0]), np.array([1.0, 3.0]), np.ones(2, np.float32))  # fmt: skip
    _, metrics = loss(params, batch, networks, CONFIG, HYPER)
    assert metrics["policy_loss"] == pytest.approx(-0.1, abs=1e-5)
    assert metrics["value_loss"] == pytest.approx(0.5 * (1 + 9) / 2)
    assert metrics["entropy"] == pytest.approx(np.log(2))
    assert metrics["clip_fraction"] == pytest.approx(0.5)


def test_continuous_actions_have_gaussian_densities_and_stay_in_bounds():
    env = make_classic_control("Pendulum-v1")
    training = make_compiled_training(env, PPOConfig(**{**vars(CONFIG), "total_steps": 512}))
    params = jax.jit(training.train)(jax.random.key(0), env.default_params, HYPER)
    observation = jnp.zeros((1, 3))
    log_prob, entropy, _ = training.networks.judge(params, observation, jnp.ones((1, 1)))
    mean, log_std = training.networks.preferences(params, observation)[0, 0], params["log_std"][0]
    expected = -0.5 * ((1 - mean) / jnp.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
    assert log_prob[0] == pytest.approx(float(expected), rel=1e-5)
    assert entropy[0] == pytest.approx(float(log_std + 0.5 * np.log(2 * np.pi * np.e)), rel=1e-5)


def test_spaces_that_ppo_cannot_serve_are_refused():
    with pytest.raises(InputError, match="FrozenLake"):
        make_actor_critic(spec_of("FrozenLake-v1"), CONFIG)


@pytest.mark.parametrize(
    ("name", "value"),
    [("gamma", 1.5), ("learning_rate", 0.0), ("num_envs", 0), ("num_minibatches", 7), ("hidden", ())],
)
def test_hyperparameters_out_of_range_are_named(name, value):
    with pytest.raises(InputError, match=name):
        PPOConfig(**{name: value})


def test_an_environment_that_returns_nan_is_named():
    class Broken(gymnasium.Env):
        observation_space, action_space = probes.OBSERVATION, gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(1, np.float32), {}

        def step(self, action):
            return np.zeros(1, np.float32), float("nan"), False, False, {}

    spec = probes.ConstantReward().spec
    agent = make_ppo(spec, CONFIG)
    collector = HostCollector(SyncVectorEnv([Broken] * 8), spec, agent)
    collector.restart(0)
    with pytest.raises(InputError, match="row 0"):
        collector.collect(agent.init(jax.random.key(0)), jax.random.key(1))
