"""SAC on probe environments with analytic answers, by both collectors, and its losses by hand."""

import math

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.agent_policy import AgentPolicy, load_policy, save_policy
from agents.algorithms.sac import critic_target, gradient_step, hyperparameters_of, init_brain, loss, make_sac
from agents.configs import SACConfig
from agents.networks.soft_actor_critic import make_sac_networks
from agents.replay.ring import Transitions
from agents.training.compiled import make_compiled_training
from agents.training.hosted import train_hosted
from agents.training.rollout import Rollout
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.spec import EnvSpec, spec_of
from tests.agents import probe_envs as probes

# The temperature is all but 0, so that soft values are values; gamma is 0.5, so an endless reward of 1 is worth 2.
SETTINGS = {
    "total_steps": 1600, "num_envs": 4, "num_steps": 2, "gradient_steps": 8, "batch_size": 32, "warmup_steps": 100,
    "hidden": (16,), "gamma": 0.5, "learning_rate": 5e-3, "tau": 0.05, "initial_temperature": 1e-4,
    "target_entropy": 0.0,
}  # fmt: skip
CONFIG = SACConfig(**SETTINGS)
LOW, HIGH = np.array([-1.0, 0.0], np.float32), np.array([3.0, 0.5], np.float32)
BOX = EnvSpec("Box-v0", spaces.Box(-1, 1, (3,), np.float32), spaces.Box(LOW, HIGH))
DISCRETE = EnvSpec("Discrete-v0", spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(4, start=2))
RNG = np.random.default_rng(0)


PROBES = (probes.RewardByObservation, probes.TwoSteps, probes.Endless, probes.StartsElsewhere, probes.RewardByAction)


def train(probe: probes.Probe, **changes) -> tuple:
    """Returns the networks, the learner and the metrics of a training compiled whole."""
    training = make_compiled_training(probe, SACConfig(**{**SETTINGS, **changes}))
    state = training.init(jax.random.key(1), None)
    state, metrics = jax.jit(training.advance, static_argnums=3)(state, None, training.hyper, 200)
    return training.networks, state.learner, metrics


@pytest.fixture(scope="module")
def learners() -> dict[type, tuple]:
    """Networks and learner of every kind of probe, trained side by side."""
    training = make_compiled_training(probes.AnyOf(*PROBES), CONFIG)
    kinds = jnp.arange(len(PROBES))
    state = jax.vmap(training.init, in_axes=(None, 0))(jax.random.key(1), kinds)
    advance = jax.jit(jax.vmap(training.advance, in_axes=(0, 0, None, None)), static_argnums=3)
    state, _ = advance(state, kinds, training.hyper, 200)
    rows = [jax.tree.map(lambda x: x[i], state.learner) for i in range(len(kinds))]  # noqa: B023
    return {kind: (training.networks, row) for kind, row in zip(PROBES, rows, strict=True)}


def worth(networks, learner, observation: float, action: int) -> list[float]:
    """What both critics hold of an action."""
    return networks.q_values(learner.brain.critics, jnp.array([observation]), jnp.int32(action)).tolist()


@pytest.mark.parametrize(
    ("probe_type", "values"),
    [
        (probes.RewardByObservation, {1.0: 1.0, -1.0: -1.0}),
        (probes.TwoSteps, {0.0: 0.5, 1.0: 1.0}),
        (probes.Endless, {0.0: 2.0}),
        (probes.StartsElsewhere, {1.0: 2.0, -1.0: 1.0}),
    ],
)
def test_compiled_values_of_probes(learners, probe_type, values):
    networks, learner = learners[probe_type]
    for observation, value in values.items():
        for action in (0, 1):
            assert worth(networks, learner, observation, action) == pytest.approx([value] * 2, abs=0.1)


def test_the_policy_learns_which_action_pays_where(learners):
    networks, learner = learners[probes.RewardByAction]
    assert networks.mode(learner.params, jnp.array([[1.0], [-1.0]]), ())[0].tolist() == [1, 0]
    assert worth(networks, learner, 1.0, 0) == pytest.approx([0.0] * 2, abs=0.1)
    assert worth(networks, learner, 1.0, 1) == pytest.approx([1.0] * 2, abs=0.1)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_hosted_values_in_every_autoreset_mode(mode):
    probe = probes.BothEnds()
    env = SyncVectorEnv([lambda: probes.HostProbe(probe)] * CONFIG.num_envs, autoreset_mode=mode)
    *_, (learner, metrics, _) = train_hosted(env, probe.spec, CONFIG, seed=0)
    networks = make_sac_networks(probe.spec, CONFIG)
    assert worth(networks, learner, -1.0, 0) == pytest.approx([0.5] * 2, abs=0.06)
    assert worth(networks, learner, 1.0, 0) == pytest.approx([1.0] * 2, abs=0.06)
    resets = CONFIG.total_steps // 2 if mode == AutoresetMode.NEXT_STEP else 0  # which are no transitions
    assert learner.replay.num_added == CONFIG.total_steps - resets
    assert 0 <= metrics["entropy"] <= math.log(2)


def test_continuous_actions_reach_their_target_and_the_bounds():
    networks, learner, _ = train(probes.HitTheTarget(), target_entropy=-3.0)
    found = networks.mode(learner.params, jnp.array([[1.0], [-1.0]]), ())[0][:, 0]
    np.testing.assert_allclose(found, [2.0, -1.0], atol=0.25)


def test_the_temperature_steers_the_entropy_to_its_target():
    _, learner, metrics = train(
        probes.HitTheTarget(), target_entropy=0.3, initial_temperature=1.0, learning_rate=2e-2, gradient_steps=16
    )
    assert metrics["entropy"][-20:].mean() == pytest.approx(0.3, abs=0.1)
    assert np.isfinite(learner.brain.log_temperature)


# By hand


@pytest.mark.parametrize("pessimism", [None, 1.0, 0.0])
@pytest.mark.parametrize("spec", [BOX, DISCRETE], ids=["box", "discrete"])
def test_critic_targets_by_hand(spec, pessimism):
    """reward + gamma (lower or mean of both targets - temperature log pi), nothing after a termination."""
    config = SACConfig(hidden=(5,), gamma=0.9, initial_temperature=0.3, pessimism=pessimism)
    networks = make_sac_networks(spec, config)
    brain = init_brain(networks, config, jax.random.key(0))
    brain = brain._replace(targets=jax.tree.map(lambda x: 2 * x + 0.1, brain.targets))  # others than the critics
    observation = RNG.uniform(-1, 1, (2, 6, 3)).astype(np.float32)
    reward, terminated = RNG.normal(size=6).astype(np.float32), np.array([0, 1, 0, 0, 1, 0], bool)
    batch = Transitions(
        observation[0], jnp.zeros(6, jnp.int32), reward, np.where(terminated, 0, np.float32(0.9)), observation[1]
    )
    found = critic_target(brain, batch, jax.random.key(7), networks, hyperparameters_of(config, networks))
    lower = spec is BOX if pessimism is None else pessimism == 1.0
    value = values_by_hand(brain, networks, observation[1], 0.3, np.min if lower else np.mean)
    np.testing.assert_allclose(found, reward + 0.9 * np.where(terminated, 0, value), rtol=1e-5, atol=1e-5)


def values_by_hand(brain, networks, observation, temperature, joined) -> np.ndarray:
    def mlp(params, inputs):
        hidden = np.maximum(inputs @ params["0"]["w"] + params["0"]["b"], 0)
        return np.asarray(hidden @ params["1"]["w"] + params["1"]["b"])

    targets = [jax.tree.map(lambda x: x[i], brain.targets) for i in (0, 1)]  # noqa: B023
    outputs = mlp(brain.params["actor"], observation)
    if networks.discrete:
        log_probs = outputs - np.log(np.exp(outputs).sum(-1, keepdims=True))
        q_value = joined([mlp(one, observation) for one in targets], axis=0)
        return (np.exp(log_probs) * (q_value - temperature * log_probs)).sum(-1)
    mean, log_std = outputs[:, :2], outputs[:, 2:]
    raw = mean + np.exp(log_std) * np.asarray(jax.random.normal(jax.random.key(7), mean.shape))
    gaussian = -0.5 * ((raw - mean) / np.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
    log_prob = (gaussian - np.log(1 - np.tanh(raw) ** 2)).sum(-1)
    inputs = np.concatenate([observation, np.tanh(raw)], axis=-1)
    return joined([mlp(one, inputs)[:, 0] for one in targets], axis=0) - temperature * log_prob


@pytest.mark.parametrize("spec", [BOX, DISCRETE], ids=["box", "discrete"])
def test_each_loss_moves_its_own_parameters_only(spec):
    config = SACConfig(hidden=(5,))
    networks = make_sac_networks(spec, config)
    brain, hyper = init_brain(networks, config, jax.random.key(0)), hyperparameters_of(config, networks)
    observation = jnp.asarray(RNG.uniform(-1, 1, (6, 3)), jnp.float32)
    action = networks.uniform(observation, jax.random.key(1))
    batch = Transitions(observation, action, jnp.zeros(6), jnp.full(6, 0.99), observation)

    @jax.jit
    def gradient(target):
        learned = (brain.params, brain.critics, brain.log_temperature)
        weight = jnp.ones(6)
        return jax.grad(loss, has_aux=True)(learned, batch, target, weight, jax.random.key(2), networks, hyper)

    q_values = networks.q_values(brain.critics, observation, action)
    (actor, critics, temperature), (errors, metrics) = gradient(q_values[0])
    np.testing.assert_allclose(errors, 0.5 * np.abs(q_values[1] - q_values[0]), rtol=1e-4)
    assert all(np.abs(leaf[0]).max() < 1e-6 for leaf in jax.tree.leaves(critics))  # this critic has no error
    assert all(np.abs(leaf[1]).max() > 0 for leaf in jax.tree.leaves(critics))
    assert metrics["critic_loss"] == pytest.approx(float(0.5 * ((q_values[1] - q_values[0]) ** 2).mean()), rel=1e-4)
    again = gradient(q_values[0] + 5.0)[0]
    jax.tree.map(np.testing.assert_array_equal, again[0], actor)  # the target is no matter of the policy's
    assert temperature == pytest.approx(float(metrics["entropy"] - hyper.target_entropy), rel=1e-5)


def test_target_critics_follow_and_the_step_is_adams():
    config = SACConfig(hidden=(5,), tau=0.25, learning_rate=0.01)
    networks = make_sac_networks(BOX, config)
    brain, hyper = init_brain(networks, config, jax.random.key(0)), hyperparameters_of(config, networks)
    observation = jnp.asarray(RNG.uniform(-1, 1, (6, 3)), jnp.float32)
    batch = Transitions(observation, jnp.zeros((6, 2)), jnp.ones(6), jnp.full(6, 0.99), observation)
    step = jax.jit(gradient_step, static_argnames="networks")
    after, _, _ = step(brain, batch, jnp.ones(6), jax.random.key(1), networks=networks, hyper=hyper)
    jax.tree.map(
        lambda old, new, target: np.testing.assert_allclose(target, 0.75 * old + 0.25 * new, rtol=1e-4, atol=1e-6),
        brain.targets, after.critics, after.targets,
    )  # fmt: skip
    moved = jax.tree.leaves(jax.tree.map(lambda a, b: jnp.abs(a - b).max(), after.critics, brain.critics))
    np.testing.assert_allclose(moved, 0.01, rtol=0.01)  # Adam's first step is the learning rate, whatever the gradient


def test_default_target_entropies():
    for spec, expected in ((BOX, -2.0), (DISCRETE, 0.15 * math.log(4))):
        assert hyperparameters_of(SACConfig(), make_sac_networks(spec, SACConfig())).target_entropy == pytest.approx(
            expected
        )


# As an agent


def rollout_of(agent, observation: jax.Array, key: jax.Array) -> Rollout:
    action, _ = agent.act(agent.init(key), observation, (), key, agent.hyper)
    ends = jnp.zeros(observation.shape[:1], bool)
    columns = (observation, action, jnp.ones(len(observation)), ends, ends, observation, ~ends, ends)
    return Rollout(*(column[None] for column in columns))


def test_it_acts_at_random_and_does_not_learn_until_it_is_warm():
    config = SACConfig(**{**SETTINGS, "num_envs": 50, "num_steps": 1, "warmup_steps": 100})
    agent = make_sac(BOX, config)
    learner, start = agent.init(jax.random.key(0)), agent.init(jax.random.key(0))
    rollout = rollout_of(agent, jnp.zeros((50, 3)), jax.random.key(1))
    uniform = agent.networks.uniform(jnp.zeros((50, 3)), jax.random.key(1))
    np.testing.assert_array_equal(rollout.action[0], uniform)
    assert ((uniform >= LOW) & (uniform <= HIGH)).all()
    np.testing.assert_allclose(uniform.mean(0), (LOW + HIGH) / 2, atol=4 * (HIGH - LOW).max() / math.sqrt(12 * 50))
    update = jax.jit(agent.update)
    learner, metrics = update(learner, rollout, jax.random.key(2), agent.hyper)
    assert np.isnan(list(metrics.values())).all()
    jax.tree.map(np.testing.assert_array_equal, learner.brain, start.brain)
    learner, metrics = update(learner, rollout, jax.random.key(3), agent.hyper)
    assert np.isfinite(list(metrics.values())).all()
    given = (jnp.zeros((50, 3)), (), jax.random.key(1))
    acted, _ = agent.act(learner, *given, agent.hyper)
    np.testing.assert_array_equal(acted, agent.networks.sample(learner.params, *given)[0])


def test_rows_of_a_vmap_over_seeds_are_its_single_runs():
    training = make_compiled_training(probes.RewardByAction(), SACConfig(**{**SETTINGS, "total_steps": 240}))
    keys = jax.random.split(jax.random.key(3), 2)
    many = jax.jit(jax.vmap(training.train, in_axes=(0, None, None)))(keys, None, training.hyper)
    single = jax.jit(training.train)
    for row in range(2):
        one, again = single(keys[row], None, training.hyper), single(keys[row], None, training.hyper)
        jax.tree.map(np.testing.assert_array_equal, one, again)
        jax.tree.map(lambda m, o: np.testing.assert_allclose(m[row], o, atol=1e-4), many, one)  # noqa: B023


@pytest.mark.parametrize("spec", [BOX, DISCRETE], ids=["box", "discrete"])
def test_a_policy_comes_back_bit_for_bit_greedy_and_sampling(spec, tmp_path):
    config = SACConfig(hidden=(8,))
    params = jax.tree.map(lambda leaf: 20 * leaf, make_sac_networks(spec, config).init(jax.random.key(0)))
    save_policy(tmp_path / "policy", AgentPolicy(spec, config, params), {"seed": 1})
    observations = RNG.uniform(-1, 1, (5, 3)).astype(np.float32)
    for stochastic in (False, True):
        ours, loaded = AgentPolicy(spec, config, params, stochastic), load_policy(tmp_path / "policy", stochastic)
        assert (loaded.spec, loaded.config) == (spec, config)
        actions = [one.act(observations, one.initial_state(5, 0))[0] for one in (ours, loaded)]
        np.testing.assert_array_equal(*actions)
        assert all(action in spec.action_space for action in actions[0])
        assert len(np.unique(actions[0], axis=0)) > 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("tau", 0.0), ("gamma", 1.1), ("batch_size", 0), ("buffer_size", 20), ("initial_temperature", 0.0),
     ("target_entropy", math.inf), ("pessimism", -0.1), ("noise_steps", 0),
     ("warmup_steps", 0), ("hidden", ()), ("activation", "sigmoid")],
)  # fmt: skip
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(InputError, match=f"SAC's {name}"):
        SACConfig(**{name: value})


@pytest.mark.parametrize(
    ("observation", "action", "told"),
    [
        (spaces.Discrete(3), spaces.Discrete(2), "a Box of vectors as observation space of Toy-v0"),
        (BOX.observation_space, spaces.Box(-np.inf, 1.0, (1,)), "finite bounds of Toy-v0's actions"),
        (BOX.observation_space, spaces.MultiBinary(3), "a Discrete or vector Box action space of Toy-v0"),
    ],
)
def test_spaces_that_sac_cannot_serve_are_refused(observation, action, told):
    with pytest.raises(InputError, match=told):
        make_sac(EnvSpec("Toy-v0", observation, action), CONFIG)


@pytest.mark.slow
def test_pendulum_is_solved_on_gymnasiums_own_dynamics():
    spec, config = spec_of("Pendulum-v1"), SACConfig(total_steps=10_000)
    env = gymnasium.make_vec("Pendulum-v1", num_envs=config.num_envs, vectorization_mode="sync")
    *_, (learner, _, _) = train_hosted(env, spec, config, seed=0)
    policy = AgentPolicy(spec, config, learner.params)
    assert evaluate(policy, "Pendulum-v1", episodes=20, seed=9).returns.mean() >= -200
