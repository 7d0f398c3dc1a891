"""PPO on probe environments with analytic answers, both ways to collect, and its exactness and determinism."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.algorithms.ppo import Batch, Hyperparameters, loss, make_ppo
from agents.configs import PPOConfig
from agents.networks.actor_critic import make_actor_critic
from agents.training.compiled import make_compiled_training
from agents.training.hosted import HostCollector, train_hosted
from envs.errors import InputError
from envs.gymnax_adapter import make_classic_control
from envs.spec import spec_of
from tests.agents import probe_envs as probes

CONFIG = PPOConfig(
    total_steps=8192, num_envs=8, num_steps=16, num_epochs=8, num_minibatches=1, hidden=(16,), gamma=0.5,
    gae_lambda=0.9, learning_rate=5e-3, anneal=False,
)  # fmt: skip
HYPER = Hyperparameters.of(CONFIG)
MODES = list(AutoresetMode)

# probe, {observation: value}; gamma is 0.5, so an endless reward of 1 is worth 2
VALUES = [
    (probes.ConstantReward, {1.0: 1.0, -1.0: 1.0}),
    (probes.RewardByObservation, {1.0: 1.0, -1.0: -1.0}),
    (probes.TwoSteps, {0.0: 0.5, 1.0: 1.0}),
    (probes.Endless, {0.0: 2.0}),
    (probes.StartsElsewhere, {1.0: 2.0, -1.0: 1.0}),
]


def train(probe: probes.Probe) -> tuple:
    training = make_compiled_training(probe, CONFIG)
    return training.networks, jax.jit(training.train)(jax.random.key(1), None, HYPER)


@pytest.mark.parametrize(("probe_type", "values"), VALUES)
def test_compiled_values_of_probes(probe_type, values):
    networks, params = train(probe_type())
    for observation, value in values.items():
        assert networks.value(params, jnp.array([observation])) == pytest.approx(value, abs=0.1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("probe_type", "values"), VALUES[2:])
def test_hosted_values_of_probes_in_every_autoreset_mode(probe_type, values, mode):
    probe = probe_type()
    env = SyncVectorEnv([lambda: probes.HostProbe(probe)] * CONFIG.num_envs, autoreset_mode=mode)
    *_, (learner, _, _) = train_hosted(env, probe.spec, PPOConfig(**{**vars(CONFIG), "total_steps": 4096}), seed=0)
    networks = make_actor_critic(probe.spec, CONFIG)
    for observation, value in values.items():
        assert networks.value(learner.params, jnp.array([observation])) == pytest.approx(value, abs=0.15)


def test_the_policy_learns_which_action_pays_where():
    networks, params = train(probes.RewardByAction())
    logits = networks.preferences(params, jnp.array([[1.0], [-1.0]]))
    probabilities = jax.nn.softmax(logits)
    assert probabilities[0, 1] > 0.95
    assert probabilities[1, 0] > 0.95


def test_the_same_seed_gives_the_same_agent_and_rows_of_a_vmap_are_its_single_runs():
    training = make_compiled_training(probes.RewardByAction(), PPOConfig(**{**vars(CONFIG), "total_steps": 512}))
    single = jax.jit(training.train)
    keys = jax.random.split(jax.random.key(3), 3)
    many = jax.jit(jax.vmap(training.train, in_axes=(0, None, None)))(keys, None, HYPER)
    for row in range(3):
        one, again = single(keys[row], None, HYPER), single(keys[row], None, HYPER)
        jax.tree.map(np.testing.assert_array_equal, one, again)
        jax.tree.map(lambda m, o: np.testing.assert_allclose(m[row], o, atol=1e-4), many, one)  # noqa: B023


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
    log_prob, entropy = training.networks.log_prob_and_entropy(params, observation, jnp.ones((1, 1)))
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


@pytest.mark.slow
def test_cartpole_is_solved_the_same_way_by_both_collectors():
    """One update, two ways to collect: both reach 475 on the functional CartPole's and Gymnasium's own dynamics."""
    from agents.agent_policy import AgentPolicy
    from envs.evaluate import evaluate

    config = PPOConfig(
        total_steps=100_000, num_envs=8, num_epochs=4, num_minibatches=1, hidden=(64,), gamma=0.99, gae_lambda=0.95,
        learning_rate=1e-2,
    )  # fmt: skip
    env = make_classic_control("CartPole-v1")
    training = make_compiled_training(env, config)
    compiled = jax.jit(training.train)(jax.random.key(0), env.default_params, Hyperparameters.of(config))
    vector = gymnasium.make_vec("CartPole-v1", num_envs=8, vectorization_mode="sync")
    *_, (learner, _, _) = train_hosted(vector, spec_of("CartPole-v1"), config, seed=0)
    for params in (compiled, learner.params):
        policy = AgentPolicy(spec_of("CartPole-v1"), config, params)
        assert evaluate(policy, "CartPole-v1", episodes=20, seed=9).returns.mean() >= 475
