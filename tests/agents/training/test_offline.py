"""Learning from logs of problems with analytic answers, and going on online."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from agents.agent_policy import AgentPolicy
from agents.algorithms.cql import hyperparameters_of
from agents.configs import (
    A2CConfig,
    BCConfig,
    CQLConfig,
    DDPGConfig,
    IQLConfig,
    PPOConfig,
    SACConfig,
    TD3BCConfig,
    TD3Config,
)
from agents.networks.implicit_q import make_iql_networks
from agents.table import make_agent
from agents.training.compiled import make_compiled_training
from agents.training.hosted import start_hosted, train_hosted
from agents.training.offline import (
    logged_steps,
    make_offline_training,
    start_online,
    start_with_policy,
    train_offline,
)
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.logs import Transitions as Steps
from envs.record import record
from envs.spec import EnvSpec, spec_of
from experiments.behaviours import make_behaviour
from tests.agents import probe_envs as probes

SMALL = {"hidden": (16,), "batch_size": 32, "learning_rate": 5e-3, "gamma": 0.5}
VALUES = {**SMALL, "batch_size": 128, "learning_rate": 3e-3, "tau": 0.05, "normalise_rewards": False}
RNG = np.random.default_rng(0)
WHERE = probes.OBSERVATION


def log_of(probe: probes.Probe, num_steps: int = 400) -> Steps:
    """Steps of a probe from both of its observations, as many by each action, or by actions all over the Box."""
    number = np.arange(num_steps)
    observation = np.where(number % 2 == 0, 1.0, -1.0).astype(np.float32)[:, None]
    space = probe.spec.action_space
    if isinstance(space, spaces.Box):
        action = (space.low + (space.high - space.low) * RNG.random((num_steps, 1))).astype(np.float32)
    else:
        action = number // 2 % 2
    after, reward, terminated, truncated = jax.vmap(
        lambda state, action: tuple(jnp.asarray(x) for x in probe.outcome(state, action))
    )(observation, action)
    return Steps(*(np.asarray(x) for x in (observation, action, jnp.float32(reward), terminated, truncated, after)))


def learned(probe: probes.Probe, config, num_steps: int = 1500):
    *_, (state, _) = train_offline(log_of(probe), probe.spec, config, 0, num_steps, chunk=num_steps)
    return state


# What they learn


def test_values_bootstrap_through_time_limits_and_not_through_terminations():
    """o = -1 is cut at o = 1, which is worth 1: gamma; see `BothEnds`."""
    at, box = jnp.array([[-1.0], [1.0]]), probes.WithBoxActions(probes.BothEnds())
    both = make_iql_networks(box.spec, IQLConfig(**VALUES))
    for probe in (probes.BothEnds(), box):
        state = learned(probe, IQLConfig(**VALUES))
        networks = both._replace(bounds=None) if probe is not box else both
        action = jnp.zeros((2, 1)) if probe is box else jnp.zeros(2, jnp.int32)
        np.testing.assert_allclose(networks.policy.value(state.params, at), [0.5, 1.0], atol=0.05)
        np.testing.assert_allclose(networks.q_values(state.brain.critics, at, action), [[0.5, 1.0]] * 2, atol=0.05)
    values = make_agent(probes.BothEnds().spec, CQLConfig(**VALUES)).networks.q_values
    state = learned(probes.BothEnds(), CQLConfig(**VALUES, conservatism=0.0))
    np.testing.assert_allclose(values(state.params, at), [[0.5] * 2, [1.0] * 2], atol=0.05)
    config = TD3BCConfig(**{**VALUES, "normalise_observations": False})
    critics = make_agent(box.spec, config).single_steps.networks.q_values
    state = learned(box, config)
    np.testing.assert_allclose(critics(state.brain.critics, at, jnp.zeros((2, 1))), [[0.5, 1.0]] * 2, atol=0.05)


def test_iql_values_are_expectiles_and_its_policy_prefers_by_advantage():
    """Actions worth 0 and 1, equally often: their 0.7 expectile is 0.7; odds of acting well are exp(temperature)."""
    probe = probes.RewardByAction()
    config = IQLConfig(**VALUES, expectile=0.7, inverse_temperature=2.0)
    state = learned(probe, config, 3000)
    policy, at = make_iql_networks(probe.spec, config).policy, jnp.array([[-1.0], [1.0]])
    np.testing.assert_allclose(policy.value(state.params, at), [0.7, 0.7], atol=0.06)
    logits = policy.preferences(state.params, at)
    np.testing.assert_allclose(logits @ jnp.array([1.0, -1.0]), [2.0, -2.0], atol=0.5)


def test_cql_values_are_where_error_and_penalty_balance():
    """Of two equally frequent actions worth 0 and 1: q - r + conservatism (softmax(q) - 1/2) / (1/2) = 0."""
    probe = probes.RewardByAction()
    config = CQLConfig(**VALUES, conservatism=0.5)
    state = learned(probe, config, 3000)
    networks = make_agent(probe.spec, config).networks
    found = networks.q_values(state.params, jnp.array([[-1.0], [1.0]]))
    reward = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(found - reward + (jax.nn.softmax(found) - 0.5), jnp.zeros((2, 2)), atol=0.06)
    assert hyperparameters_of(config).conservatism == 0.5


def test_td3_bc_goes_from_imitation_to_the_best_action_by_its_weight():
    """Actions are logged at random; ``-(a - 2 o)^2`` pays for one."""
    probe = probes.HitTheTarget()
    steps = log_of(probe, 1000)
    wanted = jnp.array([[1.0], [-1.0]])
    config = TD3BCConfig(**{**SMALL, "normalise_observations": False, "learning_rate": 1e-2}, tau=0.05)
    training, logged = make_offline_training(probe.spec, config), logged_steps(steps, probe.spec, config)

    def acts(weight: jax.Array) -> jax.Array:
        begun, hyper = training.init(jax.random.key(0), logged), training.hyper._replace(value_weight=weight)
        return training.networks.mode(training.advance(begun, logged, hyper, 1500)[0].params, wanted, ())[0][:, 0]

    imitating, best = jax.jit(jax.vmap(acts))(jnp.array([0.0, 1e4]))
    np.testing.assert_allclose(imitating, steps.action.mean(), atol=0.35)  # what imitates random actions best
    np.testing.assert_allclose(best, [2.0, -1.0], atol=0.3)


def test_behaviour_cloning_finds_the_behaviours_probabilities():
    observation = np.where(RNG.random((4000, 1)) < 0.5, 1.0, -1.0).astype(np.float32)
    chance = np.where(observation[:, 0] > 0, 0.9, 0.3)
    action = 5 + (RNG.random(4000) < chance)
    nothing = np.zeros(4000, np.float32)
    steps = Steps(observation, action, nothing, nothing > 1, nothing > 1, observation)
    spec, config = EnvSpec("Toy-v0", WHERE, spaces.Discrete(2, start=5)), BCConfig(hidden=(16,))
    *_, (state, _) = train_offline(steps, spec, config, 0, 600, chunk=600)
    logits = make_agent(spec, config).networks.preferences(state.params, jnp.array([[1.0], [-1.0]]))
    found = [action[chance == share].mean() - 5 for share in (0.9, 0.3)]
    np.testing.assert_allclose(jax.nn.softmax(logits)[:, 1], found, atol=0.04)


def test_behaviour_cloning_finds_a_gaussian_behaviours_mean_and_spread():
    observation = RNG.uniform(-1, 1, (4000, 1)).astype(np.float32)
    action = np.concatenate([2 * observation, 0.5 - observation], axis=1) + [0.3, 0.0] * RNG.normal(size=(4000, 2))
    nothing = np.zeros(4000, np.float32)
    steps = Steps(observation, action.astype(np.float32), nothing, nothing > 1, nothing > 1, observation)
    spec = EnvSpec("Toy-v0", WHERE, spaces.Box(-9, 9, (2,)))
    config = BCConfig(hidden=(32,), learning_rate=5e-3)
    *_, (state, _) = train_offline(steps, spec, config, 0, 2500, chunk=2500)
    policy = make_agent(spec, config).networks.distribution(state.params, jnp.array([[0.5], [-0.5]]))
    np.testing.assert_allclose(policy.mode(), [[1.0, 0.0], [-1.0, 1.0]], atol=0.06)
    assert float(jnp.exp(policy.log_std)[0]) == pytest.approx(0.3, rel=0.1)
    assert float(jnp.exp(policy.log_std)[1]) < 0.1


# How they learn


def test_seeds_and_settings_side_by_side_are_single_trainings():
    probe, config = probes.RewardByAction(), CQLConfig(**SMALL)
    training = make_offline_training(probe.spec, config)
    logged = logged_steps(log_of(probe), probe.spec, config)
    keys = jax.random.split(jax.random.key(0), 2)
    hypers = [training.hyper, training.hyper._replace(replay=training.hyper.replay._replace(gamma=jnp.float32(0.9)))]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *hypers)

    def train(key, hyper):
        return training.advance(training.init(key, logged), logged, hyper, 50)[0].params

    many, single = jax.jit(jax.vmap(train))(keys, stacked), jax.jit(train)
    for row in range(2):
        one = single(keys[row], hypers[row])
        jax.tree.map(lambda m, o: np.testing.assert_allclose(m[row], o, atol=1e-5), many, one)  # noqa: B023


def test_moments_are_those_of_the_whole_log():
    observation, reward = RNG.normal(3, 2, (6, 1)).astype(np.float32), np.arange(6, dtype=np.float32)
    ended = np.array([0, 0, 1, 0, 0, 1], bool)
    steps = Steps(observation, np.zeros(6, np.int64), reward, ended, ended & False, observation)
    config = IQLConfig(gamma=0.5, normalise_observations=True)
    spec = probes.RewardByAction().spec
    normaliser = logged_steps(steps, spec, config).normaliser
    np.testing.assert_allclose(normaliser.observation.mean, observation.mean(0), rtol=1e-5)
    np.testing.assert_allclose(normaliser.observation.variance, observation.var(0), rtol=1e-5)
    returns = [0, 1, 2.5, 3, 5.5, 7.75]
    np.testing.assert_allclose(normaliser.reward.variance, np.var(returns), rtol=1e-5)
    assert normaliser.returns.shape == (config.num_envs,)
    assert "normaliser" in next(train_offline(steps, spec, config, 0, 1, chunk=1))[0].params


def test_what_cannot_be_learned_from_is_told():
    probe = probes.RewardByAction()
    steps = log_of(probe, 4)
    for config, told in ((PPOConfig(), "PPO needs whole rollouts"), (IQLConfig(n_step=3), "IQL's n_step of 1")):
        with pytest.raises(InputError, match=told):
            next(train_offline(steps, probe.spec, config, 0, 1))
    none = Steps(*(x[:0] for x in vars(steps).values()))
    with pytest.raises(InputError, match="at least one step"):
        next(train_offline(none, probe.spec, BCConfig(), 0, 1))
    broken = Steps(**{**vars(steps), "reward": steps.reward * np.nan})
    with pytest.raises(InputError, match="finite numbers in the reward column of a log of probe/RewardByAction"):
        next(train_offline(broken, probe.spec, BCConfig(), 0, 1))
    for config_type, action, able in (
        (TD3BCConfig, spaces.Discrete(2), "iql"), (CQLConfig, spaces.Box(-1, 1, (1,)), "td3-bc"),
        (IQLConfig, spaces.Box(-np.inf, np.inf, (1,)), "bc"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"{config_type.label.replace('+', '.')} does not fit: .*{able}"):
            make_agent(EnvSpec("Toy-v0", WHERE, action), config_type())


@pytest.mark.parametrize(
    ("config_type", "name", "value"),
    [(TD3BCConfig, "value_weight", -1.0), (IQLConfig, "expectile", 1.0), (IQLConfig, "inverse_temperature", np.inf),
     (IQLConfig, "largest_weight", 0.0), (IQLConfig, "tau", 0.0), (CQLConfig, "conservatism", -0.1),
     (CQLConfig, "epsilon", 1.1), (CQLConfig, "tau", 2.0)],
)  # fmt: skip
def test_settings_out_of_range_are_named(config_type, name, value):
    with pytest.raises(InputError) as told:
        config_type(**{name: value})
    assert f"{config_type.label}'s {name}" in str(told.value)


# Going on


ONLINE = {**SMALL, "total_steps": 800, "num_envs": 4, "num_steps": 2, "gradient_steps": 8, "warmup_steps": 50}


def all_wrong() -> tuple[probes.Probe, Steps]:
    """A log of the worse action everywhere, from which nobody can know the better one."""
    probe = probes.RewardByAction()
    steps = log_of(probe)
    action = (steps.observation[:, 0] < 0).astype(np.int64)
    return probe, Steps(**{**vars(steps), "action": action, "reward": np.zeros_like(steps.reward)})


@pytest.mark.parametrize("config_type", [IQLConfig, CQLConfig])
def test_what_was_learned_goes_on_compiled_and_hosted(config_type):
    probe, steps = all_wrong()
    config = config_type(**ONLINE, tau=0.05, normalise_observations=True, normalise_rewards=False)
    *_, (state, _) = train_offline(steps, probe.spec, config, 0, 300, chunk=300)
    networks, at = make_agent(probe.spec, config).networks, jnp.array([[1.0], [-1.0]])
    assert networks.mode(state.params, at, ())[0].tolist() == [0, 1]
    logged = logged_steps(steps, probe.spec, config)
    if config_type is CQLConfig:  # else what is rarely tried stays under suspicion
        config = replace(config, conservatism=0.0, epsilon=0.3)
    training = make_compiled_training(probe, config)
    learner = start_online(probe.spec, config, state, logged)
    jax.tree.map(np.testing.assert_array_equal, learner.params, state.params)
    assert (learner.replay.num_added, learner.replay.capacity) == (400, 1200)
    np.testing.assert_array_equal(learner.replay.rows.discount[:400], np.where(steps.terminated, 0.0, 0.5))
    if config_type is IQLConfig:  # whose policy has all but no spread left
        softer = jax.tree.map(lambda x: 0.2 * x, learner.brain.params)
        learner = learner._replace(brain=learner.brain._replace(params=softer))
    begun = training.init(jax.random.key(0), None)._replace(learner=learner)
    after, _ = jax.jit(training.advance, static_argnums=3)(begun, None, training.hyper, 100)
    assert networks.mode(after.learner.params, at, ())[0].tolist() == [1, 0]
    if config_type is IQLConfig:
        return
    env = SyncVectorEnv([lambda: probes.HostProbe(probe)] * config.num_envs)
    hosted = start_hosted(make_agent(probe.spec, config), 0)._replace(learner=learner)
    update = next(iter(train_hosted(env, probe.spec, config, 0, hosted)))
    assert update.learner.replay.num_added > 400


def test_logs_larger_than_the_buffer_leave_their_latest_steps():
    probe = probes.RewardByAction()
    config = CQLConfig(**ONLINE, buffer_size=100)
    steps = log_of(probe)
    logged = logged_steps(steps, probe.spec, config)
    state = make_offline_training(probe.spec, config).init(jax.random.key(0), logged)
    learner = start_online(probe.spec, config, state, logged)
    assert (learner.replay.num_added, learner.replay.capacity) == (100, 100)
    np.testing.assert_array_equal(learner.replay.rows.action, steps.action[-100:])
    assert start_online(probe.spec, config, state).replay.num_added == 0
    ranked = start_online(probe.spec, replace(config, priorities="proportional"), state, logged)
    assert ranked.priorities.levels[-1].sum() == 100


def test_td3_goes_on_where_td3_bc_stopped_but_no_other_agent():
    probe = probes.HitTheTarget()
    learned_by = TD3BCConfig(**SMALL)
    logged = logged_steps(log_of(probe), probe.spec, learned_by)
    state = make_offline_training(probe.spec, learned_by).init(jax.random.key(0), logged)
    going_on = TD3Config(**SMALL, normalise_observations=True)
    learner = start_online(probe.spec, going_on, state)
    jax.tree.map(np.testing.assert_array_equal, learner.params, state.params)
    for config, what in (
        (TD3Config(**SMALL), "normalisation"), (DDPGConfig(**SMALL, normalise_observations=True), "networks"),
        (SACConfig(**SMALL, normalise_observations=True), "networks"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"expected the {what} that {config.label}"):
            start_online(probe.spec, config, state)
    with pytest.raises(InputError, match="PPO needs whole rollouts"):
        start_online(probe.spec, PPOConfig(), state)


@pytest.mark.parametrize("config_type", [BCConfig, IQLConfig])
def test_ppo_and_its_simple_cases_start_with_a_policy_from_a_log(config_type):
    probe, steps = all_wrong()
    settings = {"hidden": (16,), "activation": "tanh", "normalise_observations": True, "normalise_rewards": True}
    config = config_type(**settings)
    *_, (state, _) = train_offline(steps, probe.spec, config, 0, 100, chunk=100)
    going_on = PPOConfig(**settings, num_steps=8, total_steps=4000, learning_rate=1e-2, entropy_coefficient=0.01)
    training = make_compiled_training(probe, going_on)
    learner = start_with_policy(probe.spec, going_on, state, 0)
    jax.tree.map(np.testing.assert_array_equal, learner.params, state.params)
    begun, at = training.init(jax.random.key(0), None)._replace(learner=learner), jnp.array([[1.0], [-1.0]])
    assert training.networks.mode(learner.params, at, ())[0].tolist() == [0, 1]
    after, _ = jax.jit(training.advance, static_argnums=3)(begun, None, training.hyper, 60)
    assert training.networks.mode(after.learner.params, at, ())[0].tolist() == [1, 0]
    start_with_policy(probe.spec, A2CConfig(**settings), state, 0)
    with pytest.raises(InputError, match="expected the networks that PPO is set to"):
        start_with_policy(probe.spec, PPOConfig(**{**settings, "hidden": (8,)}), state, 0)
    with pytest.raises(InputError, match="to be PPO, A2C or REINFORCE"):
        start_with_policy(probe.spec, config, state, 0)


def test_behaviour_cloning_says_how_it_goes_on():
    training = make_compiled_training(probes.RewardByAction(), BCConfig())
    with pytest.raises(InputError, match="start PPO with its policy"):
        training.train(jax.random.key(0), None, training.hyper)


@pytest.mark.slow
def test_a_mixed_log_of_pendulum_is_improved_on_and_going_on_improves_further(tmp_path):
    spec = spec_of("Pendulum-v1")
    log = record(make_behaviour("mixed", spec), "Pendulum-v1", 10_000, 0, tmp_path / "log")
    steps = log.transitions()
    config = TD3BCConfig(batch_size=64, value_weight=100.0, total_steps=4000, num_envs=1, gradient_steps=1)
    *_, (state, _) = train_offline(steps, spec, config, 0, 4000)
    behaviour = log.rewards.sum() / log.num_episodes
    policy = AgentPolicy(spec, config, jax.tree.map(np.asarray, state.params))
    offline = evaluate(policy, "Pendulum-v1", episodes=10, seed=9).returns.mean()
    assert offline > behaviour + 400
