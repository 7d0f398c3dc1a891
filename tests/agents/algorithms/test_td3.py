"""TD3 and DDPG on probe environments with analytic answers, by both collectors, and their updates by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.algorithms.td3 import (
    critic_target,
    explore,
    gradient_step,
    hyperparameters_of,
    init_brain,
    make_policy_loss,
)
from agents.configs import DDPGConfig, TD3Config
from agents.networks.deterministic import make_deterministic_networks
from agents.replay.ring import Transitions
from agents.table import make_agent
from agents.training.compiled import make_compiled_training
from agents.training.hosted import train_hosted
from envs.errors import InputError
from envs.spec import EnvSpec
from tests.agents import probe_envs as probes

# Gamma is 0.5, so an endless reward of 1 is worth 2.
SETTINGS = {
    "total_steps": 1600, "num_envs": 4, "num_steps": 2, "gradient_steps": 8, "batch_size": 32, "warmup_steps": 100,
    "hidden": (16,), "gamma": 0.5, "learning_rate": 5e-3, "tau": 0.05,
}  # fmt: skip
LOW, HIGH = np.array([-1.0, 0.0], np.float32), np.array([3.0, 0.5], np.float32)
BOX = EnvSpec("Box-v0", spaces.Box(-1, 1, (3,), np.float32), spaces.Box(LOW, HIGH))
RNG = np.random.default_rng(0)
PROBES = (probes.RewardByObservation, probes.TwoSteps, probes.Endless, probes.StartsElsewhere)


@pytest.fixture(scope="module", params=[TD3Config, DDPGConfig], ids=["td3", "ddpg"])
def learners(request) -> dict[type, tuple]:
    """Networks and learner of every kind of probe, trained side by side."""
    training = make_compiled_training(probes.WithBoxActions(probes.AnyOf(*PROBES)), request.param(**SETTINGS))
    kinds = jnp.arange(len(PROBES))
    state = jax.vmap(training.init, in_axes=(None, 0))(jax.random.key(1), kinds)
    advance = jax.jit(jax.vmap(training.advance, in_axes=(0, 0, None, None)), static_argnums=3)
    state, _ = advance(state, kinds, training.hyper, 200)
    rows = [jax.tree.map(lambda x: x[i], state.learner) for i in range(len(kinds))]  # noqa: B023
    return {kind: (training.networks, row) for kind, row in zip(PROBES, rows, strict=True)}


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
        found = networks.q_values(learner.brain.critics, jnp.array([observation]), jnp.array([0.0]))
        np.testing.assert_allclose(found, [value] * networks.num_critics, atol=0.1)


@pytest.mark.parametrize("config_type", [TD3Config, DDPGConfig])
def test_actions_reach_their_target_and_the_bounds(config_type):
    training = make_compiled_training(
        probes.HitTheTarget(), config_type(**{**SETTINGS, "learning_rate": 1e-2}, exploration_noise=0.5)
    )
    params = jax.jit(training.train)(jax.random.key(0), None, training.hyper)
    found = training.networks.mode(params, jnp.array([[1.0], [-1.0]]), ())[0][:, 0]
    np.testing.assert_allclose(found, [2.0, -1.0], atol=0.25)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_hosted_values_in_every_autoreset_mode(mode):
    probe, config = probes.WithBoxActions(probes.BothEnds()), TD3Config(**{**SETTINGS, "total_steps": 1000})
    env = SyncVectorEnv([lambda: probes.HostProbe(probe)] * config.num_envs, autoreset_mode=mode)
    for update in train_hosted(env, probe.spec, config, seed=0):
        learner = update.learner
    networks = make_deterministic_networks(probe.spec, config)
    for observation, value in ((-1.0, 0.5), (1.0, 1.0)):
        found = networks.q_values(learner.brain.critics, jnp.array([observation]), jnp.array([0.0]))
        np.testing.assert_allclose(found, [value] * 2, atol=0.06)


# By hand


def brain_and_batch(config: TD3Config) -> tuple:
    networks = make_deterministic_networks(BOX, config)
    brain = init_brain(networks, jax.random.key(0))
    brain = brain._replace(targets=jax.tree.map(lambda x: 2 * x + 0.1, brain.targets))  # others than what follows
    observation = RNG.uniform(-1, 1, (2, 6, 3)).astype(np.float32)
    action = RNG.uniform(LOW, HIGH, (6, 2)).astype(np.float32)
    reward = RNG.normal(size=6).astype(np.float32)
    discount = np.array([0.9, 0, 0.9, 0.9, 0, 0.9], np.float32)
    return networks, brain, Transitions(observation[0], action, reward, discount, observation[1])


def mlp(params, inputs) -> np.ndarray:
    hidden = np.maximum(inputs @ params["0"]["w"] + params["0"]["b"], 0)
    return np.asarray(hidden @ params["1"]["w"] + params["1"]["b"])


def worth(critics, index: int, observation, squashed) -> np.ndarray:
    one = jax.tree.map(lambda x: x[index], critics)
    return mlp(one, np.concatenate([observation, squashed], axis=-1))[:, 0]


@pytest.mark.parametrize(
    "config", [TD3Config(hidden=(5,), target_noise=0.5, target_noise_clip=0.3), DDPGConfig(hidden=(5,))]
)
def test_targets_by_hand(config):
    """reward + discount times the lowest target critic's value of the target policy's action, smoothed and clipped."""
    networks, brain, batch = brain_and_batch(config)
    found = critic_target(brain, batch, jax.random.key(7), networks, hyperparameters_of(config))
    policy, critics = brain.targets
    noise = config.target_noise * np.asarray(jax.random.normal(jax.random.key(7), (6, 2)))
    squashed = np.tanh(mlp(policy["actor"], batch.next_observation)) + np.clip(noise, -0.3, 0.3)
    squashed = np.clip(squashed, -1, 1)
    values = [worth(critics, i, batch.next_observation, squashed) for i in range(config.num_critics)]
    np.testing.assert_allclose(found, batch.reward + batch.discount * np.min(values, axis=0), rtol=1e-5, atol=1e-5)


def nudged(params, layer: str, name: str, by: float) -> dict:
    """Returns parameters of a policy, the first of one array's numbers changed."""
    actor = jax.tree.map(np.array, params["actor"])
    actor[layer][name].flat[0] += by
    return {"actor": actor}


def test_a_step_by_hand():
    """Critics go down their squared error's gradient by Adam's first step, the policy up the first critic's."""
    config = DDPGConfig(hidden=(5,), learning_rate=0.01, tau=0.25)
    networks, brain, batch = brain_and_batch(config)
    hyper, weight = hyperparameters_of(config), jnp.arange(6.0)
    after, error, metrics = gradient_step(
        brain, batch, weight, jax.random.key(7), networks, hyper, 1, make_policy_loss(networks)
    )
    target = critic_target(brain, batch, jax.random.key(7), networks, hyper)
    squashed = 2 * (batch.action - LOW) / (HIGH - LOW) - 1
    by_hand = worth(brain.critics, 0, batch.observation, squashed) - target
    np.testing.assert_allclose(error, np.abs(by_hand), rtol=1e-4, atol=1e-5)
    assert metrics["critic_loss"] == pytest.approx(float((0.5 * weight * by_hand**2).mean()), rel=1e-4)
    # The bias of the last layer moves every value by as much: its gradient is the weighted mean error.
    moved = after.critics["1"]["b"][0, 0] - brain.critics["1"]["b"][0, 0]
    assert moved == pytest.approx(-0.01 * np.sign((weight * by_hand).mean()), rel=1e-3)

    def value(params):
        return worth(after.critics, 0, batch.observation, np.tanh(mlp(params["actor"], batch.observation))).mean()

    for layer, name in (("0", "b"), ("1", "b"), ("1", "w")):  # against differences, by the critics after their step
        slope = (
            value(nudged(brain.params, layer, name, 1e-2)) - value(nudged(brain.params, layer, name, -1e-2))
        ) / 2e-2
        step = float((after.params["actor"][layer][name] - brain.params["actor"][layer][name]).ravel()[0])
        assert abs(slope) < 1e-7 or step == pytest.approx(0.01 * np.sign(slope), rel=1e-2)
    jax.tree.map(
        lambda old, new, followed: np.testing.assert_allclose(followed, 0.75 * old + 0.25 * new, rtol=1e-4, atol=1e-6),
        brain.targets, (after.params, after.critics), after.targets,
    )  # fmt: skip


def test_the_policy_and_the_targets_move_only_when_they_are_due():
    config = TD3Config(hidden=(5,), policy_delay=3)
    networks, brain, batch = brain_and_batch(config)
    for number in range(1, 7):
        before = brain
        brain, _, _ = gradient_step(
            brain, batch, jnp.ones(6), jax.random.key(number), networks, hyperparameters_of(config), 3,
            make_policy_loss(networks),
        )  # fmt: skip
        for old, new in ((before.params, brain.params), (before.targets, brain.targets)):
            same = [np.array_equal(a, b) for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)]
            assert not any(same) if number % 3 == 0 else all(same)
        assert not np.array_equal(before.critics["1"]["b"], brain.critics["1"]["b"])


def test_exploration_is_uniform_at_first_then_noise_around_the_policy_within_the_bounds():
    config = TD3Config(hidden=(5,), exploration_noise=0.4, warmup_steps=100)
    networks, brain, _ = brain_and_batch(config)
    observation, key = jnp.ones((2000, 3)), jax.random.key(3)

    def acted(num_added: int) -> np.ndarray:
        return explore(brain, observation, key, jnp.int32(num_added), networks, hyperparameters_of(config), config)

    uniform, noisy = acted(99), acted(100)
    np.testing.assert_allclose(uniform.std(0), (HIGH - LOW) / math.sqrt(12), rtol=0.1)
    assert ((noisy >= LOW) & (noisy <= HIGH)).all()
    chosen, _ = networks.mode(brain.params, observation, ())
    np.testing.assert_allclose((noisy - chosen).std(0), 0.4 * (HIGH - LOW) / 2, rtol=0.1)


def test_held_noise_stays_for_as_many_steps_as_asked():
    config = TD3Config(hidden=(5,), num_envs=2, noise_steps=3, warmup_steps=1, batch_size=1)
    networks, brain, _ = brain_and_batch(config)
    act = jax.jit(lambda added, key: explore(
        brain, jnp.ones((2, 3)), key, added, networks, hyperparameters_of(config), config))  # fmt: skip
    actions = np.stack([act(jnp.int32(2 * step), jax.random.key(step)) for step in range(1, 12)])
    changed = (np.diff(actions, axis=0) != 0).all(axis=(1, 2))
    assert changed.tolist() == [(step + 1) % 3 == 0 for step in range(1, 11)]
    assert not np.array_equal(actions[0][0], actions[0][1])  # rows draw their own
    other = init_brain(networks, jax.random.key(1)).noise_seed
    assert other != brain.noise_seed


@pytest.mark.parametrize(
    ("name", "value"),
    [("tau", 0.0), ("exploration_noise", -0.1), ("noise_steps", 0), ("num_critics", 0), ("target_noise", math.inf),
     ("target_noise_clip", -1.0), ("policy_delay", 0)],
)  # fmt: skip
def test_settings_out_of_range_are_named(name, value):
    for config_type in (TD3Config, DDPGConfig):
        with pytest.raises(InputError, match=f"{config_type.label}'s {name}"):
            config_type(**{name: value})


@pytest.mark.parametrize(
    ("action", "told"),
    [(spaces.Discrete(2), "a vector Box action space of Toy-v0.*agents that fit: .*sac"),
     (spaces.Box(-np.inf, 1.0, (1,)), "finite bounds of Toy-v0's actions.*agents that fit: .*ppo")],
)  # fmt: skip
def test_spaces_that_it_cannot_serve_are_refused(action, told):
    with pytest.raises(InputError, match=told):
        make_agent(EnvSpec("Toy-v0", BOX.observation_space, action), TD3Config())
