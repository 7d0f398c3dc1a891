"""Compiled evaluation: each episode counted once, and the returns of CartPole are those of `envs.evaluate`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from envs.evaluate import evaluate
from envs.functional_evaluate import episode_returns
from envs.gymnax_adapter import make_classic_control
from envs.spec import EnvSpec, spec_of


class Countdown:
    """Lives for as many steps as its key says, 1 to 9; truncated where that is even. Rewards are 1 + the action.

    Beyond its end the reward is NaN and it claims to go on, so whoever counts it again is found out.
    """

    spec = EnvSpec("Countdown", spaces.Box(-10, 10, (1,), np.float32), spaces.Discrete(2))

    @property
    def default_params(self) -> None:
        return None

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array]:
        left = jax.random.randint(key, (), 1, 10)
        return left[None].astype(jnp.float32), jnp.stack([left, left])

    def step(self, key: jax.Array, state: jax.Array, action: jax.Array, params: Any) -> tuple:
        length, left = state[0], state[1] - 1
        reward = jnp.where(left < 0, jnp.nan, 1.0 + action)
        ended = left == 0
        even = length % 2 == 0
        return left[None].astype(jnp.float32), jnp.stack([length, left]), reward, ended & ~even, ended & even, {}


class AnglePolicy:
    """Pushes to the side to which the pole leans: about 42 steps."""

    spec = spec_of("CartPole-v1")

    def initial_state(self, num_rows: int, seed: int) -> None:
        return None

    def act(self, observations: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        return (observations[:, 2] > 0).astype(np.int64), None


def test_every_episode_is_counted_once_and_to_its_end():
    key = jax.random.key(0)
    returns, lengths = episode_returns(Countdown(), None, lambda o, m: (jnp.ones(len(o), jnp.int32), m), key, 200)
    assert (returns.shape, returns.dtype, lengths.dtype) == ((200,), jnp.float32, jnp.int32)
    np.testing.assert_array_equal(returns, 2.0 * lengths)
    assert set(lengths.tolist()) == set(range(1, 10))
    assert lengths.mean() == pytest.approx(5.0, abs=0.6)  # 3.3 standard errors


def test_keys_fix_the_returns_and_compiled_equals_eager():
    def run(key: jax.Array) -> jax.Array:
        return episode_returns(Countdown(), None, lambda o, m: ((o[:, 0] > 3).astype(jnp.int32), m), key, 8)[0]

    once, other = run(jax.random.key(0)), run(jax.random.key(1))
    np.testing.assert_array_equal(once, jax.jit(run)(jax.random.key(0)))
    assert (once != other).any()
    keys = jax.random.split(jax.random.key(2), 3)
    np.testing.assert_array_equal(jax.vmap(run)(keys), [run(key) for key in keys])


def test_cartpole_gives_the_same_distribution_as_the_reference():
    env = make_classic_control("CartPole-v1")

    @jax.jit
    def run(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return episode_returns(env, env.default_params, lambda o, m: ((o[:, 2] > 0).astype(jnp.int32), m), key, 400)

    returns, lengths = run(jax.random.key(0))
    found = evaluate(AnglePolicy(), "CartPole-v1", episodes=400)
    np.testing.assert_array_equal(returns, lengths)
    error = np.hypot(returns.std(), found.returns.std()) / np.sqrt(400)
    assert returns.mean() == pytest.approx(found.returns.mean(), abs=4 * error)
    quantiles = np.linspace(0.1, 0.9, 5)
    np.testing.assert_allclose(np.quantile(returns, quantiles), np.quantile(found.returns, quantiles), atol=5)
