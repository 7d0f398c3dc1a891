"""Q-learning in a table: updates by hand, and optimal policies of toy text."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from agents.agent_policy import AgentPolicy, load_policy, save_policy
from agents.algorithms.q_learning import Learner, hyperparameters_of, update
from agents.configs import QLearningConfig
from agents.networks.q_table import QTable
from agents.table import make_agent
from agents.training.hosted import train_hosted
from agents.training.rollout import Rollout
from envs.errors import InputError
from envs.spec import EnvSpec, spec_of

TABLE = QTable(3, 0, 2)


def rollout(*steps: tuple) -> Rollout:
    """Steps (observation, action, reward, terminated, truncated, next observation, valid) of one environment."""
    columns = [np.array(column)[:, None] for column in zip(*steps, strict=True)]
    observation, action, reward, terminated, truncated, following, valid = columns
    return Rollout(
        jnp.asarray(observation), jnp.asarray(action), jnp.float32(reward), jnp.asarray(terminated),
        jnp.asarray(truncated), jnp.asarray(following), jnp.asarray(valid),
        started=jnp.zeros_like(terminated), memory=(),
    )  # fmt: skip


def learned(steps: Rollout, values: list, table: QTable = TABLE, **settings) -> Learner:
    hyper = hyperparameters_of(QLearningConfig(gamma=0.5, **settings))
    start = Learner({"table": jnp.array(values)}, jnp.zeros((3, 2), jnp.int32), jnp.int32(0))
    return jax.jit(lambda learner: update(learner, steps, table, hyper))(start)[0]


def test_steps_are_learned_one_after_the_other():
    """At full rate: 1 + .5 * 4 = 3; then -1 + .5 * 3 = .5; a termination is worth its reward; a time limit more."""
    steps = rollout(
        (0, 1, 1.0, False, False, 1, True),
        (2, 0, -1.0, False, False, 0, True),
        (1, 0, 7.0, True, False, 2, True),
        (1, 1, 1.0, False, True, 0, True),
    )
    found = learned(steps, [[0.0, 0.0], [2.0, 4.0], [0.0, 0.0]], rate_exponent=0.0)
    np.testing.assert_allclose(found.params["table"], [[0, 3], [7, 2.5], [0.5, 0]])
    assert found.visits.tolist() == [[0, 1], [1, 1], [1, 0]]
    assert found.num_steps == 4


def test_the_rate_falls_with_the_visits():
    """Targets 8, 4, 6 of one value: with a power of 1 it is their mean, from half a rate on it halves."""
    steps = rollout(*((0, 0, reward, True, False, 0, True) for reward in (8.0, 4.0, 6.0)))
    assert learned(steps, [[0.0, 0.0]] * 3, rate_exponent=1.0).params["table"][0, 0] == pytest.approx(6.0)
    halves = learned(steps, [[0.0, 0.0]] * 3, learning_rate=0.5, rate_exponent=0.0)
    assert halves.params["table"][0, 0] == pytest.approx(0.5 * (6 + 0.5 * (4 + 0.5 * 8)))


def test_steps_that_are_not_valid_do_not_count():
    steps = rollout((0, 0, 5.0, True, False, 0, True), (0, 0, 100.0, False, False, 1, False))
    found = learned(steps, [[0.0, 0.0]] * 3)
    np.testing.assert_allclose(found.params["table"], [[5, 0], [0, 0], [0, 0]])
    assert found.num_steps == 1
    assert found.visits.sum() == 1


def test_observations_may_begin_anywhere():
    table = QTable(3, 10, 2)
    found = learned(rollout((12, 1, 3.0, True, False, 10, True)), [[0.0, 0.0]] * 3, table)
    assert found.params["table"][2, 1] == 3.0
    assert table.mode(found.params, jnp.array([12, 10]), ())[0].tolist() == [1, 0]


def test_equal_values_are_tried_equally_often_and_lower_ones_by_epsilon():
    table, params = QTable(1, 0, 3), {"table": jnp.array([[1.0, 1.0, 0.0]])}
    action = table.explore(params, jnp.zeros(20_000, jnp.int32), jax.random.key(0), 0.3)
    np.testing.assert_allclose(np.bincount(action, minlength=3) / 20_000, [0.45, 0.45, 0.1], atol=0.015)


def test_a_policy_comes_back_bit_for_bit(tmp_path):
    spec, config = spec_of("FrozenLake-v1"), QLearningConfig()
    values = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    save_policy(tmp_path / "policy", AgentPolicy(spec, config, {"table": jnp.asarray(values)}), {"seed": 1})
    found, _ = load_policy(tmp_path / "policy").act(np.arange(16), None)
    np.testing.assert_array_equal(found, values.argmax(1))


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 1.5), ("rate_exponent", -0.1), ("initial_value", np.inf), ("normalise_rewards", True),
     ("normalise_observations", True), ("max_grad_norm", 1.0), ("epsilon_end", 2.0)],
)  # fmt: skip
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(InputError, match=f"Q-learning's {name}"):
        QLearningConfig(**{name: value})


def test_spaces_that_it_cannot_serve_are_refused():
    vectors = EnvSpec("Toy-v0", spaces.Box(-1, 1, (2,)), spaces.Discrete(2))
    with pytest.raises(InputError, match=r"Discrete observation space of Toy-v0.*agents that fit: .*dqn"):
        make_agent(vectors, QLearningConfig())


# Toy text: exact values of the greedy policy are those of an optimal one

OPTIMAL = {"FrozenLake-v1": (0.542026, 0.99), "CliffWalking-v1": (-13.0, 1.0), "Taxi-v4": (7.930, 1.0)}


def train(env_id: str, **settings) -> AgentPolicy:
    config = QLearningConfig(**settings)
    env = gymnasium.make_vec(env_id, num_envs=config.num_envs, vectorization_mode="sync")
    for now in train_hosted(env, spec_of(env_id), config, seed=0):
        params = now.learner.params
    return AgentPolicy(spec_of(env_id), config, jax.tree.map(np.asarray, params))


def exact_value(env_id: str, action: np.ndarray, gamma: float) -> float:
    """Returns the mean value of a policy over the starts, from the environment's own table of what follows."""
    env = gymnasium.make(env_id).unwrapped
    values = np.zeros(env.observation_space.n)
    for _ in range(2000):
        values = np.array(
            [
                sum(p * (reward + gamma * values[after] * (not ended)) for p, after, reward, ended in env.P[state][act])
                for state, act in enumerate(action)
            ]
        )
    return float(env.initial_state_distrib @ values)


def assert_optimal(env_id: str, **settings) -> None:
    value, gamma = OPTIMAL[env_id]
    policy = train(env_id, gamma=gamma, **settings)
    action, _ = policy.act(np.arange(policy.networks.num_observations), None)
    assert exact_value(env_id, action, gamma) == pytest.approx(value, abs=1e-4)


def test_the_cliff_is_walked_along():
    assert_optimal("CliffWalking-v1", total_steps=10_000, rate_exponent=0.0, epsilon_start=0.1)


@pytest.mark.slow
def test_the_lake_is_crossed_as_well_as_can_be():
    assert_optimal("FrozenLake-v1", total_steps=300_000, epsilon_end=0.2)


@pytest.mark.slow
def test_every_passenger_is_driven_the_shortest_way():
    assert_optimal("Taxi-v4", total_steps=200_000, rate_exponent=0.0, exploration_fraction=1.0)
