"""Reward networks; tests/envs/test_functional_conformance.py has what all functional environments must do."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.functional_copies import functional_copy
from envs.spec import EnvSpec, spec_of
from synthetic_envs.configs import RewardNetworkConfig
from synthetic_envs.reward_network import RewardNetwork
from synthetic_envs.synthetic_env import make_synthetic

KEY = jax.random.key(0)
GAMMA = 0.9
NUM_CELLS, LIMIT = 7, 4


class Place(NamedTuple):
    cell: jax.Array
    time: jax.Array


class Corridor:
    """Cells 0 to 6; both ends are terminal, the near one pays 1 and the far one 1.2; each step left costs 0.1."""

    spec = EnvSpec("Corridor-v0", spaces.Box(-9, 99, (2,), np.float32), spaces.Discrete(2), LIMIT)
    default_params = ()

    def show(self, cell: jax.Array) -> jax.Array:
        return jnp.stack([cell, cell**2]).astype(jnp.float32)

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, Place]:
        return self.show(jnp.int32(2)), Place(jnp.int32(2), jnp.int32(0))

    def step(self, key: jax.Array, state: Place, action: jax.Array, params: Any) -> tuple:
        cell, time = state.cell + 2 * action - 1, state.time + 1
        reward = jnp.where(cell == 0, 1.0, 0.0) + jnp.where(cell == 6, 1.2, 0.0) - 0.1 * (action == 0)
        ends = (cell == 0) | (cell == 6)
        return self.show(cell), Place(cell, time), reward, ends, time >= LIMIT, {}


REAL = Corridor()


def make(**settings: Any) -> RewardNetwork:
    return RewardNetwork(REAL, RewardNetworkConfig(gamma=GAMMA, **settings))


def outcomes(env: RewardNetwork, params: Any) -> tuple[np.ndarray, ...]:
    """Next cells, rewards and ends ``[7, 2]`` of every action in every cell, as the environment tells them."""
    cells, actions = (grid.ravel() for grid in jnp.meshgrid(jnp.arange(NUM_CELLS), jnp.arange(2), indexing="ij"))

    def step(cell: jax.Array, action: jax.Array) -> tuple:
        _, state = env.reset(KEY, params)
        place = state.inner._replace(cell=cell)
        _, after, reward, ends, _, _ = env.step(KEY, state._replace(inner=place, observation=REAL.show(cell)), action,
                                                params)  # fmt: skip
        return after.inner.cell, reward, ends

    return tuple(np.asarray(leaf).reshape(NUM_CELLS, 2) for leaf in jax.vmap(step)(cells, actions))


def best_values(env: RewardNetwork, params: Any) -> np.ndarray:
    """``Q*`` of the cells that are not terminal ``[5, 2]``, by value iteration in float64."""
    cells, rewards, ends = outcomes(env, params)
    values = np.zeros((NUM_CELLS, 2))
    for _ in range(400):
        values = rewards + GAMMA * np.where(ends, 0.0, values.max(1)[cells.clip(0, NUM_CELLS - 1)])
    return values[1:-1]


def still(env: RewardNetwork) -> Any:
    """Parameters under which the network says nothing."""
    return jax.tree.map(jnp.zeros_like, env.default_params)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_added_potential_changes_no_best_policy(seed):
    """Ng et al. 1999: every Q*(s, a) moves by -Phi(s), exactly."""
    env = make()
    params = jax.tree.map(lambda leaf: 3 * leaf, env.init_params(jax.random.key(seed)))
    real, shaped = best_values(env, still(env)), best_values(env, params)
    potential = np.asarray(env.potential(params, jax.vmap(REAL.show)(jnp.arange(1, 6))))
    np.testing.assert_allclose(shaped, real - potential[:, None], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(shaped.argmax(1), real.argmax(1))
    assert np.ptp(potential) > 1  # it says something
    assert set(real.argmax(1)) == {0, 1}  # and the best action is not always the same


def test_a_free_reward_and_an_exclusive_one_do_change_it():
    real = best_values(make(), still(make())).argmax(1)
    for settings in ({"kind": "free"}, {"combine": "exclusive"}):
        env = make(**settings)
        params = [jax.tree.map(lambda leaf: 3 * leaf, env.init_params(jax.random.key(seed))) for seed in range(4)]
        assert any((best_values(env, one).argmax(1) != real).any() for one in params)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_on_real_dynamics_discounted_returns_differ_by_what_start_and_end_are_worth(env_id):
    """CartPole terminates within the episode, and Pendulum is cut off at a state that keeps its potential."""
    real = functional_copy(env_id)
    env = RewardNetwork(real, RewardNetworkConfig(gamma=0.99))
    params = env.init_params(jax.random.key(3))
    action = jnp.int32(1) if env_id == "CartPole-v1" else jnp.array([0.5])
    first, state = env.reset(KEY, params)
    inner, difference, ends, t = state.inner, 0.0, False, 0
    step, step_real = jax.jit(env.step), jax.jit(real.step)
    while not ends:
        observation, state, reward, terminated, truncated, _ = step(KEY, state, action, params)
        _, inner, real_reward, *_ = step_real(KEY, inner, action, real.default_params)
        difference += 0.99**t * (float(reward) - float(real_reward))
        ends, t = bool(terminated | truncated), t + 1
    assert bool(terminated) == (env_id == "CartPole-v1")
    kept = 0.0 if terminated else 0.99**t * float(env.potential(params, observation))
    assert difference == pytest.approx(kept - float(env.potential(params, first)), rel=1e-3, abs=1e-4)


def test_a_potential_by_hand():
    params = {"potential": {"0": {"w": jnp.array([[1.0], [0.5]]), "b": jnp.array([0.25])}}}
    steps = jnp.array([[2.0, 4.0]] * 2), jnp.array([1, 1]), jnp.array([[3.0, 9.0]] * 2), jnp.array([False, True])
    env = make(hidden=())
    # Phi is 4.25 before and 7.75 after; a terminal state has none.
    np.testing.assert_allclose(env.learned_reward(params, *steps), [0.9 * 7.75 - 4.25, -4.25], rtol=1e-6)
    _, state = env.reset(KEY, params)
    for combine, expected in (("additive", -0.1), ("exclusive", 0.0)):
        reward = make(hidden=(), combine=combine).step(KEY, state, jnp.int32(0), params)[2]
        assert reward == pytest.approx(expected + 0.9 * 1.75 - 4.25)


def test_a_time_limit_is_no_termination():
    params = {"potential": {"0": {"w": jnp.array([[1.0], [0.0]]), "b": jnp.zeros(1)}}}
    env = make(hidden=(), combine="exclusive")
    _, state = env.reset(KEY, params)
    rewards = []
    for action in (1, 0, 1, 0):
        _, state, reward, terminated, truncated, _ = env.step(KEY, state, jnp.int32(action), params)
        rewards.append(float(reward))
    assert (bool(terminated), bool(truncated)) == (False, True)
    np.testing.assert_allclose(rewards, [0.9 * 3 - 2, 0.9 * 2 - 3, 0.9 * 3 - 2, 0.9 * 2 - 3], rtol=1e-6)


def test_a_free_reward_by_hand():
    weights = jnp.array([[1.0], [0], [10], [20], [0], [100]])  # of cell, its square, both actions and the next two
    params = {"reward": {"0": {"w": weights, "b": jnp.array([0.5])}}}
    for combine, real in (("additive", -0.1), ("exclusive", 0.0)):
        env = make(kind="free", combine=combine, hidden=())
        _, state = env.reset(KEY, params)
        assert env.step(KEY, state, jnp.int32(0), params)[2] == pytest.approx(real + 2 + 10 + 100 + 0.5)


def test_the_dynamics_are_the_real_ones():
    real, env = functional_copy("Acrobot-v1"), make_synthetic(spec_of("Acrobot-v1"), RewardNetworkConfig("free"))
    params = env.default_params
    observation, state = env.reset(KEY, params)
    expected, inner = real.reset(KEY, real.default_params)
    for i in range(4):
        np.testing.assert_array_equal(observation, expected)
        observation, state, _, *ends, _ = env.step(KEY, state, jnp.int32(i % 3), params)
        expected, inner, _, *real_ends, _ = real.step(KEY, inner, jnp.int32(i % 3), real.default_params)
        assert ends == real_ends
    assert (env.spec.max_episode_steps, env.spec.reward_range) == (500, (-np.inf, np.inf))


def test_a_population_is_one_call():
    env = make(kind="free", activation="prelu")
    population = jax.vmap(env.init_params)(jax.random.split(KEY, 3))
    _, state = env.reset(KEY, None)
    rewards = jax.jit(jax.vmap(lambda params: env.step(KEY, state, jnp.int32(1), params)[2]))(population)
    for i in range(3):
        alone = env.step(KEY, state, jnp.int32(1), jax.tree.map(lambda leaf, i=i: leaf[i], population))[2]
        assert rewards[i] == pytest.approx(float(alone), rel=1e-4)
    assert len(np.unique(rewards)) == 3


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kind": "shaped"}, "the reward network's kind to be one of potential, free, got 'shaped'"),
        ({"combine": "both"}, "the reward network's combine to be one of additive, exclusive"),
        ({"gamma": 1.5}, r"the reward network's gamma in \[0, 1\], got 1.5"),
        ({"gamma": "1"}, r"the reward network's gamma in \[0, 1\]"),
        ({"hidden": (0,)}, "the reward network's hidden of whole widths"),
        ({"activation": "gelu"}, "the reward network's activation to be one of"),
    ],
)
def test_settings_out_of_range_are_named(settings, told):
    with pytest.raises(InputError, match=told):
        RewardNetworkConfig(**settings)


def test_other_spaces_are_refused():
    class Grid(Corridor):
        spec = EnvSpec("Grid-v0", spaces.Discrete(7), spaces.Discrete(2), LIMIT)

    with pytest.raises(InputError, match="expected a vector Box observation space of Grid-v0 for a reward network"):
        RewardNetwork(Grid(), RewardNetworkConfig())
