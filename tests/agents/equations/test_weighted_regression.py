"""The expectile loss against rlax, advantage weights by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.equations.weighted_regression import advantage_weights, expectile_loss

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("expectile", [0.5, 0.7, 0.9])
def test_the_expectile_loss_equals_rlax(rlax, expectile):
    prediction, target = RNG.normal(size=(2, 100)).astype(np.float32)
    expected = rlax.expectile_loss(prediction, target, expectile)
    np.testing.assert_allclose(expectile_loss(target - prediction, expectile), expected, rtol=1e-6, atol=1e-6)


def test_an_expectile_balances_weighed_errors_on_both_sides():
    """Of 0 and 1, the 0.8 expectile m solves 0.2 m = 0.8 (1 - m)."""
    slope = jax.grad(lambda m: expectile_loss(jnp.array([0.0, 1.0]) - m, 0.8).sum())
    assert slope(0.8) == pytest.approx(0.0, abs=1e-6)
    assert slope(0.7) < 0 < slope(0.9)


def test_advantage_weights_grow_with_the_advantage_up_to_their_limit():
    found = advantage_weights(jnp.array([-1.0, 0.0, 1.0, 1000.0]), 3.0, 100.0)
    np.testing.assert_allclose(found, [np.exp(-3), 1.0, np.exp(3), 100.0], rtol=1e-6)
    assert jnp.isfinite(jax.grad(lambda x: advantage_weights(x, 3.0, 100.0))(1000.0))
