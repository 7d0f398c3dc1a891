"""DQN and its switches: losses against rlax, a step by hand, and every switch alone on probe environments."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from jax.flatten_util import ravel_pytree

from agents.algorithms.dqn import (
    bootstrap_target,
    explore,
    gradient_step,
    hyperparameters_of,
    init_brain,
    make_dqn,
    make_q_networks,
    row_losses,
)
from agents.configs import C51Config, DQNConfig, QRDQNConfig, RainbowConfig
from agents.equations.distributional import quantile_midpoints
from agents.equations.q_learning import at_action
from agents.replay.ring import Transitions
from agents.table import make_agent, name_of
from agents.training.compiled import make_compiled_training
from envs.errors import InputError
from envs.gymnax_adapter import make_classic_control
from envs.spec import EnvSpec
from experiments.agent_presets import AGENT_PRESETS
from tests.agents import probe_envs as probes

pytestmark = pytest.mark.filterwarnings("ignore:Rlax:PendingDeprecationWarning")
RNG = np.random.default_rng(0)
N, A = 6, 3
SPEC = EnvSpec("Toy-v0", spaces.Box(-1, 1, (4,), np.float32), spaces.Discrete(A))
BATCH = Transitions(
    observation=RNG.uniform(-1, 1, (N, 4)).astype(np.float32),
    action=RNG.integers(0, A, N).astype(np.int32),
    reward=RNG.normal(size=N).astype(np.float32),
    discount=np.array([0.9, 0, 0.9, 0.81, 0, 0.9], np.float32),
    next_observation=RNG.uniform(-1, 1, (N, 4)).astype(np.float32),
)
SMALL = {"hidden": (7,), "lowest_return": -3.0, "highest_return": 3.0, "num_atoms": 11, "num_quantiles": 5}
KEY = jax.random.key(5)


def networks_and_brain(config: DQNConfig) -> tuple:
    """The target network is another than the one that learns."""
    networks = make_q_networks(SPEC, config)
    brain = init_brain(networks, jax.random.key(0))
    return networks, brain._replace(targets=networks.init(jax.random.key(1)))


def losses(config: DQNConfig) -> tuple[jax.Array, jax.Array]:
    networks, brain = networks_and_brain(config)
    target = bootstrap_target(brain.params, brain.targets, BATCH, KEY, networks, config.double)
    taken = at_action(networks.outputs(brain.params, BATCH.observation), BATCH.action)
    return row_losses(taken, target, networks, hyperparameters_of(config))


# Against rlax


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_losses_of_means_equal_rlax(rlax, double, threshold):
    config = DQNConfig(**SMALL, double=double, huber_threshold=threshold)
    networks, brain = networks_and_brain(config)
    now = networks.q_values(brain.params, BATCH.observation)
    judge = networks.q_values(brain.targets, BATCH.next_observation)
    choose = networks.q_values(brain.params, BATCH.next_observation) if double else judge
    error = jax.vmap(rlax.double_q_learning)(now, BATCH.action, BATCH.reward, BATCH.discount, judge, choose)
    found, priority = losses(config)
    expected = rlax.l2_loss(error) if threshold is None else rlax.huber_loss(error, threshold)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(priority, jnp.abs(error), atol=1e-6)


@pytest.mark.parametrize("double", [False, True])
def test_losses_of_categorical_distributions_equal_rlax(rlax, double):
    config = C51Config(**SMALL, double=double)
    networks, brain = networks_and_brain(config)
    support = brain.params["support"]
    np.testing.assert_allclose(support, np.linspace(-3, 3, 11), atol=1e-6)
    now = networks.outputs(brain.params, BATCH.observation)
    judge = networks.outputs(brain.targets, BATCH.next_observation)
    choose = networks.q_values(brain.params if double else brain.targets, BATCH.next_observation)
    expected = jax.vmap(rlax.categorical_double_q_learning, in_axes=(None, 0, 0, 0, 0, None, 0, 0))(
        support, now, BATCH.action, BATCH.reward, BATCH.discount, support, judge, choose
    )
    found, priority = losses(config)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    target = bootstrap_target(brain.params, brain.targets, BATCH, KEY, networks, double)
    taken = jax.nn.log_softmax(at_action(now, BATCH.action))
    inside = target > 0
    divergence = np.where(inside, target * (np.log(np.where(inside, target, 1)) - taken), 0).sum(-1)
    np.testing.assert_allclose(priority, divergence, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_losses_of_quantiles_equal_rlax(rlax, double):
    config = QRDQNConfig(**SMALL, double=double, huber_threshold=0.7)
    networks, brain = networks_and_brain(config)
    now = networks.outputs(brain.params, BATCH.observation).swapaxes(1, 2)
    judge = networks.outputs(brain.targets, BATCH.next_observation).swapaxes(1, 2)
    choose = networks.outputs(brain.params, BATCH.next_observation).swapaxes(1, 2) if double else judge

    def theirs(*row: jax.Array) -> jax.Array:
        now, action, reward, discount, choose, judge = row
        return rlax.quantile_q_learning(now, quantile_midpoints(5), action, reward, discount, choose, judge, 0.7)

    expected = jax.vmap(theirs)(now, BATCH.action, BATCH.reward, BATCH.discount, choose, judge)
    np.testing.assert_allclose(losses(config)[0], expected, rtol=1e-5, atol=1e-6)


# A step by hand


@cache
def compiled_step(config: DQNConfig):
    networks = make_q_networks(SPEC, config)
    return jax.jit(
        lambda brain, batch, weight, hyper: gradient_step(brain, batch, weight, KEY, networks, hyper, config)
    )


def step(config: DQNConfig, brain, weight=None, batch: Transitions = BATCH, **hyper):
    weight = jnp.ones(len(batch.reward)) if weight is None else weight
    settings = hyperparameters_of(config)._replace(**{name: jnp.float32(value) for name, value in hyper.items()})
    return compiled_step(config)(brain, batch, weight, settings)


def test_a_step_goes_down_the_weighted_loss():
    """Adam's first step moves each number by the learning rate against its slope, here that of the output's bias."""
    config = DQNConfig(**SMALL, learning_rate=0.01, huber_threshold=None)
    networks, brain = networks_and_brain(config)
    weight = jnp.arange(6.0)
    after, error, metrics = step(config, brain, weight)
    target = bootstrap_target(brain.params, brain.targets, BATCH, KEY, networks, False)[:, 0]
    taken = at_action(networks.q_values(brain.params, BATCH.observation), BATCH.action)
    np.testing.assert_allclose(error, np.abs(taken - target), rtol=1e-5, atol=1e-6)
    assert metrics["loss"] == pytest.approx(float((0.5 * weight * (taken - target) ** 2).mean()), rel=1e-5)
    assert metrics["value"] == pytest.approx(float(taken.mean()), rel=1e-5)
    moved = after.params["advantage"]["0"]["b"] - brain.params["advantage"]["0"]["b"]
    slope = [(weight * (taken - target))[BATCH.action == action].sum() for action in range(A)]
    np.testing.assert_allclose(moved, -0.01 * np.sign(slope), rtol=1e-3)


def test_rows_of_weight_0_do_not_count():
    config = DQNConfig(**SMALL)
    _, brain = networks_and_brain(config)
    shorter = jax.tree.map(lambda x: x[:4], BATCH)
    longer = step(config, brain, jnp.array([1.5, 1.5, 1.5, 1.5, 0, 0]))[0]
    same = step(config, brain, jnp.ones(4), shorter)[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), longer.params, same.params)


def test_a_hard_target_follows_every_so_many_steps_a_soft_one_a_little_each_time():
    hard, soft = DQNConfig(**SMALL, target_period=3), DQNConfig(**SMALL, target_period=1, tau=0.25)
    _, brain = networks_and_brain(hard)
    for number in range(1, 7):
        before, brain = brain, step(hard, brain)[0]
        expected = brain.params if number % 3 == 0 else before.targets
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), brain.targets, expected)
    after = step(soft, brain)[0]
    jax.tree.map(
        lambda new, old, followed: np.testing.assert_allclose(followed, 0.75 * old + 0.25 * new, rtol=1e-4, atol=1e-6),
        after.params, brain.targets, after.targets,
    )  # fmt: skip


def test_the_support_is_that_of_the_numeric_settings():
    config = C51Config(**SMALL)
    after = step(config, networks_and_brain(config)[1], lowest_return=-1.0, highest_return=9.0)[0]
    for params in (after.params, after.targets):
        np.testing.assert_allclose(params["support"], np.arange(-1.0, 9.5), atol=1e-6)


def test_noise_differs_between_steps_and_without_noisy_layers_there_is_none():
    for config, noisy in ((DQNConfig(**SMALL, noisy=True), True), (DQNConfig(**SMALL), False)):
        networks, brain = networks_and_brain(config)
        first, second = (
            bootstrap_target(brain.params, brain.targets, BATCH, jax.random.key(seed), networks, True)
            for seed in (0, 1)
        )
        assert np.array_equal(first, second) != noisy


# Exploration


def test_actions_are_uniform_at_first_then_by_the_schedule():
    config = DQNConfig(
        **SMALL, warmup_steps=100, total_steps=1000, exploration_fraction=0.5, epsilon_start=0.8, epsilon_end=0.2
    )
    networks, brain = networks_and_brain(config)
    observation = jnp.tile(BATCH.observation[:1], (6000, 1))
    greedy = int(networks.mode(brain.params, observation[0], ())[0])
    act = jax.jit(
        lambda num_added: explore(brain, observation, KEY, num_added, networks, hyperparameters_of(config), config)
    )
    for num_added, epsilon in ((99, 1.0), (250, 0.5), (500, 0.2), (900, 0.2)):
        share = (np.asarray(act(num_added)) == greedy).mean()
        assert share == pytest.approx(1 - epsilon * (A - 1) / A, abs=0.02)


# On probes

TINY = {
    "total_steps": 1600, "num_envs": 4, "num_steps": 2, "gradient_steps": 8, "batch_size": 32, "warmup_steps": 100,
    "hidden": (16,), "gamma": 0.5, "learning_rate": 5e-3, "target_period": 10, "huber_threshold": None,
    "num_atoms": 21, "lowest_return": -3.0, "highest_return": 3.0, "num_quantiles": 8,
}  # fmt: skip
PROBES = (probes.RewardByAction, probes.TwoSteps, probes.WorthlessEnd)
SWITCHES = {
    "none": {},
    "soft": {"tau": 0.05, "target_period": 1},
    "double": {"double": True},
    "dueling": {"dueling": True, "stream_hidden": (8,)},
    "noisy": {"noisy": True, "epsilon_start": 0.0, "epsilon_end": 0.0},
    "n-step": {"n_step": 2},
    "proportional": {"priorities": "proportional"},
    "rank": {"priorities": "rank"},
    "exponential": {"epsilon_schedule": "exponential"},
    "quantile with all others": {
        "distribution": "quantile", "double": True, "dueling": True, "noisy": True, "n_step": 3, "priorities": "rank",
        "tau": 0.05, "target_period": 1, "huber_threshold": 1.0,
    },
}  # fmt: skip


@pytest.mark.slow
def test_held_exploration_stays_for_as_many_steps_as_asked():
    config = DQNConfig(**SMALL, num_envs=2, noise_steps=3, warmup_steps=100)
    networks, brain = networks_and_brain(config)
    act = jax.jit(lambda added, key: explore(
        brain, jnp.ones((2, 4)), key, added, networks, hyperparameters_of(config), config))  # fmt: skip
    actions = np.stack([act(jnp.int32(2 * step), jax.random.key(step)) for step in range(45)]).reshape(15, 3, 2)
    assert (actions == actions[:, :1]).all()
    assert len(np.unique(actions)) == A
    assert (actions[:, 0, 0] != actions[:, 0, 1]).any()  # rows draw their own
    assert init_brain(networks, jax.random.key(1)).noise_seed != brain.noise_seed


def test_the_learning_rate_falls_by_equal_steps():
    config = DQNConfig(
        **SMALL, num_envs=1, total_steps=12, warmup_steps=4, batch_size=4, gradient_steps=1, learning_rate_end=0.5
    )
    networks, brain = networks_and_brain(config)
    hyper, weight = hyperparameters_of(config), jnp.ones(N)
    step = jax.jit(lambda *given: gradient_step(*given[:4], networks, given[4], config))

    def moved(num_steps: int) -> float:
        start = brain._replace(num_steps=jnp.int32(num_steps))
        after, _, _ = step(start, BATCH, weight, KEY, hyper)
        return float(jnp.abs(ravel_pytree(after.params)[0] - ravel_pytree(brain.params)[0]).max())

    np.testing.assert_allclose([moved(n) / moved(0) for n in (6, 12, 99)], [0.75, 0.5, 0.5], rtol=1e-3)


@pytest.mark.slow
def test_held_exploration_climbs_where_independent_draws_never_do():
    """MountainCar-v0 needs some hundred steps of swinging before it gives anything but -1."""
    env, settings = make_classic_control("MountainCar-v0"), vars(AGENT_PRESETS["MountainCar-v0", "dqn"])
    config = DQNConfig(**{**settings, "total_steps": 40_000})
    training = make_compiled_training(env, config)
    _state, metrics = jax.jit(training.advance, static_argnums=3)(
        jax.jit(training.init)(jax.random.key(0), env.default_params), env.default_params, training.hyper,
        config.num_updates,
    )  # fmt: skip
    assert np.nanmean(metrics["episode_return"][-500:]) > -140


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_alone_and_all_together_solve_probes(name):
    config = DQNConfig(**{**TINY, **SWITCHES[name]})
    training = make_compiled_training(probes.AnyOf(*PROBES), config)
    keys, kinds = jax.random.split(jax.random.key(1), len(PROBES)), jnp.arange(len(PROBES))
    params = jax.jit(jax.vmap(training.train, in_axes=(0, 0, None)))(keys, kinds, training.hyper)
    by_action, two_steps, worthless = (jax.tree.map(lambda x: x[i], params) for i in range(len(PROBES)))  # noqa: B023
    values = lambda params, *seen: training.networks.q_values(params, jnp.array(seen)[:, None])  # noqa: E731
    np.testing.assert_allclose(values(by_action, 1.0, -1.0), [[0, 1], [1, 0]], atol=0.15)
    np.testing.assert_allclose(values(two_steps, 0.0, 1.0), [[0.5, 0.5], [1, 1]], atol=0.15)
    np.testing.assert_allclose(values(worthless, 1.0, -1.0), [[1, 1], [0, 0]], atol=0.15)


# Names and bad input


@pytest.mark.parametrize(
    ("name", "config_type", "told"),
    [("dqn", DQNConfig, ("plain", False)), ("c51", C51Config, ("categorical", False)),
     ("qr-dqn", QRDQNConfig, ("quantile", False)), ("rainbow", RainbowConfig, ("categorical", True))],
)  # fmt: skip
def test_what_goes_by_a_name_of_its_own(name, config_type, told):
    config = config_type()
    assert name_of(config) == name
    networks = make_agent(SPEC, config).networks
    assert (networks.head, networks.noisy and networks.dueling) == told
    assert config.priorities == ("proportional" if name == "rainbow" else "none")


@pytest.mark.parametrize(
    ("name", "value"),
    [("stream_hidden", (0,)), ("distribution", "gaussian"), ("num_atoms", 1), ("num_quantiles", 0),
     ("highest_return", -10.0), ("lowest_return", -np.inf), ("huber_threshold", 0.0), ("adam_epsilon", 0.0),
     ("tau", 0.0), ("target_period", 0), ("epsilon_start", 1.5), ("epsilon_end", -0.1), ("exploration_fraction", 0.0),
     ("epsilon_schedule", "cosine")],
)  # fmt: skip
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(InputError, match=f"QR-DQN's {name}"):
        QRDQNConfig(**{name: value})


def test_an_exponential_schedule_never_reaches_0():
    with pytest.raises(InputError, match="epsilon_end above 0"):
        DQNConfig(epsilon_schedule="exponential", epsilon_end=0.0)


def test_spaces_that_it_cannot_serve_are_refused():
    box = EnvSpec("Toy-v0", SPEC.observation_space, spaces.Box(-1, 1, (2,)))
    with pytest.raises(InputError, match=r"Discrete action space of Toy-v0.*agents that fit: .*sac"):
        make_agent(box, DQNConfig())
    with pytest.raises(InputError, match=r"Box of vectors as observation space of Toy-v0"):
        make_dqn(EnvSpec("Toy-v0", spaces.Discrete(5), SPEC.action_space), DQNConfig())
