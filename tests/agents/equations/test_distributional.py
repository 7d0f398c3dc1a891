"""C51's projection and loss and QR-DQN's loss, against rlax and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.equations.distributional import (
    categorical_projection,
    cross_entropy,
    quantile_huber_loss,
    quantile_midpoints,
)
from agents.equations.q_learning import at_action

pytestmark = pytest.mark.filterwarnings("ignore:Rlax:PendingDeprecationWarning")
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("num_atoms", "low", "high"), [(51, -10.0, 10.0), (2, 0.0, 1.0), (7, -3.0, 100.0)])
def test_projections_equal_rlax(rlax, num_atoms, low, high):
    support = jnp.linspace(low, high, num_atoms)
    reward, discount = 5 * normal(40), RNG.uniform(0, 1, 40).astype(np.float32)
    atoms = reward[:, None] + discount[:, None] * support
    probs = jax.nn.softmax(normal(40, num_atoms))
    found = categorical_projection(atoms, probs, support)
    expected = jax.vmap(rlax.categorical_l2_project, in_axes=(0, 0, None))(atoms, probs, support)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_allclose(found.sum(-1), 1.0, atol=1e-5)


def test_a_projection_by_hand():
    """Of atoms at 0.25 (near 0), 9 (beyond the end) and -1 (before it), on a support of 0, 1, 2."""
    found = categorical_projection(jnp.array([0.25, 9.0, -1.0]), jnp.array([0.4, 0.5, 0.1]), jnp.arange(3.0))
    np.testing.assert_allclose(found, [0.4 * 0.75 + 0.1, 0.4 * 0.25, 0.5], atol=1e-7)


def test_a_projection_inside_the_support_keeps_the_mean():
    support, probs = jnp.linspace(-10, 10, 51), jax.nn.softmax(normal(51))
    atoms = 1.0 + 0.5 * support
    found = categorical_projection(atoms, probs, support)
    assert (found * support).sum() == pytest.approx(float((atoms * probs).sum()), abs=1e-5)


def test_the_categorical_loss_equals_rlax(rlax):
    support = jnp.linspace(-4, 4, 21)
    logits, next_logits = normal(30, 3, 21), normal(30, 3, 21)
    action, reward, discount = RNG.integers(0, 3, 30), normal(30), RNG.uniform(0, 1, 30).astype(np.float32)
    expected = jax.vmap(rlax.categorical_q_learning, in_axes=(None, 0, 0, 0, 0, None, 0))(
        support, logits, action, reward, discount, support, next_logits
    )
    probs = jax.nn.softmax(next_logits)
    best = (probs * support).sum(-1).argmax(-1)
    target = categorical_projection(reward[:, None] + discount[:, None] * support, at_action(probs, best), support)
    np.testing.assert_allclose(
        cross_entropy(at_action(jnp.array(logits), jnp.array(action)), target), expected, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("threshold", [0.5, 1.0])
@pytest.mark.parametrize("num_targets", [8, 5])
def test_the_quantile_loss_and_its_gradient_equal_rlax(rlax, threshold, num_targets):
    quantiles, target = normal(30, 8), 2 * normal(30, num_targets)

    def theirs(row: jax.Array, target: jax.Array) -> jax.Array:
        return rlax.quantile_regression_loss(row, quantile_midpoints(8), target, threshold)

    found = quantile_huber_loss(quantiles, target, threshold)
    np.testing.assert_allclose(found, jax.vmap(theirs)(quantiles, target), rtol=1e-6, atol=1e-6)
    slope = jax.vmap(jax.grad(quantile_huber_loss), in_axes=(0, 0, None))(quantiles, target, threshold)
    np.testing.assert_allclose(slope, jax.vmap(jax.grad(theirs))(quantiles, target), rtol=1e-6, atol=1e-6)


def test_the_quantile_loss_is_least_at_the_quantiles():
    """Of numbers from 0 to 1, the middles of four equal parts are an eighth, three eighths and so on."""
    target = jnp.linspace(0, 1, 2001)
    np.testing.assert_allclose(quantile_midpoints(4), [0.125, 0.375, 0.625, 0.875])
    quantiles = jnp.full(4, 0.9)
    slope = jax.jit(jax.grad(lambda q: quantile_huber_loss(q, target, 1e-3)))
    for _ in range(400):
        quantiles = quantiles - 100.0 * slope(quantiles)
    np.testing.assert_allclose(quantiles, [0.125, 0.375, 0.625, 0.875], atol=5e-3)
