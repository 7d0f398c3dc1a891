"""Targets of Q-learning and the Huber loss, against rlax and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.equations.q_learning import at_action, double_q_target, huber, q_learning_target

RNG = np.random.default_rng(0)
N, A = 50, 4


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32) * 3


Q, NEXT_Q, SELECTOR, REWARD = normal(N, A), normal(N, A), normal(N, A), normal(N)
DISCOUNT = RNG.uniform(0, 1, N).astype(np.float32) * (RNG.uniform(size=N) < 0.8)
ACTION = RNG.integers(0, A, N).astype(np.int32)


def test_q_learning_equals_rlax(rlax):
    expected = jax.vmap(rlax.q_learning)(Q, ACTION, REWARD, DISCOUNT, NEXT_Q)
    found = q_learning_target(REWARD, DISCOUNT, NEXT_Q) - at_action(Q, ACTION)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_double_q_learning_equals_rlax(rlax):
    expected = jax.vmap(rlax.double_q_learning)(Q, ACTION, REWARD, DISCOUNT, NEXT_Q, SELECTOR)
    found = double_q_target(REWARD, DISCOUNT, jnp.array(NEXT_Q), jnp.array(SELECTOR)) - at_action(Q, ACTION)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.3, 1.0, 5.0])
def test_the_huber_loss_and_its_slope_equal_rlax(rlax, threshold):
    np.testing.assert_allclose(huber(REWARD, threshold), rlax.huber_loss(REWARD, threshold), atol=1e-6, rtol=1e-6)
    slope = jax.vmap(jax.grad(huber), in_axes=(0, None))(REWARD, threshold)
    np.testing.assert_allclose(slope, np.clip(REWARD, -threshold, threshold), atol=1e-6)


def test_an_endless_threshold_gives_the_squared_error():
    np.testing.assert_allclose(huber(REWARD, jnp.inf), 0.5 * REWARD**2, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: huber(x, jnp.inf).sum())(jnp.array(REWARD)), REWARD, rtol=1e-6)


def test_values_at_actions_keep_what_lies_behind_them():
    values = normal(5, 6, A, 3)
    action = RNG.integers(0, A, (5, 6))
    found = at_action(jnp.array(values), jnp.array(action))
    expected = [[values[i, j, action[i, j]] for j in range(6)] for i in range(5)]
    np.testing.assert_array_equal(found, expected)
