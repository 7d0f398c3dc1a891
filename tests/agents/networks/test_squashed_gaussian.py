"""The squashed Gaussian's density against torch, against numerical integration, and far out where tanh rounds to 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from agents.networks.squashed_gaussian import sample_squashed, squashed_log_prob

RAW = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
MEAN = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
LOG_STD = np.random.default_rng(2).uniform(-2, 1, size=(50, 3)).astype(np.float32)


def test_the_density_is_that_of_torch():
    raw, mean, log_std = (torch.tensor(x, dtype=torch.float64) for x in (RAW, MEAN, LOG_STD))
    theirs = Independent(TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform()), 1)
    np.testing.assert_allclose(squashed_log_prob(RAW, MEAN, LOG_STD), theirs.log_prob(raw.tanh()), rtol=1e-4)


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, -1.0), (0.5, 0.0), (-2.0, 0.5), (0.0, 1.5)])
def test_the_density_integrates_to_one_over_the_actions(mean, log_std):
    raw = np.linspace(-40, 40, 200_001)
    density = np.exp(
        np.float64(squashed_log_prob(raw[:, None].astype(np.float32), np.float32([mean]), np.float32([log_std])))
    )
    assert np.trapezoid(density / np.cosh(raw) ** 2, raw) == pytest.approx(1.0, abs=1e-4)  # da = du / cosh(u)^2


def test_where_tanh_rounds_to_one_the_density_is_still_exact():
    """log(1 - tanh(u)^2) tends to log(4) - 2|u|; computed from the action it would be log(0)."""
    for raw in (20.0, -20.0, 80.0):
        found = squashed_log_prob(jnp.full((1,), raw), jnp.full((1,), raw), jnp.zeros(1))
        assert found == pytest.approx(-0.5 * np.log(2 * np.pi) - np.log(4) + 2 * abs(raw), rel=1e-6)


def test_samples_follow_the_density_they_are_told_with():
    """The mean of -log p over samples is the entropy, which quadrature gives as well; and samples fill (-1, 1)."""
    mean, log_std = jnp.array([0.3]), jnp.array([0.2])
    action, log_prob = sample_squashed(
        jnp.broadcast_to(mean, (100_000, 1)), jnp.broadcast_to(log_std, (100_000, 1)), jax.random.key(0)
    )
    raw = np.linspace(-12, 12, 100_001)[:, None].astype(np.float32)
    told = np.asarray(squashed_log_prob(raw, mean, log_std), np.float64)
    entropy = -np.trapezoid(np.exp(told) * told / np.cosh(raw[:, 0]) ** 2, raw[:, 0])
    assert -log_prob.mean() == pytest.approx(entropy, abs=0.01)
    assert (action.min(), action.max()) == (pytest.approx(-1, abs=0.01), pytest.approx(1, abs=0.01))
    np.testing.assert_allclose(squashed_log_prob(jnp.arctanh(action), mean, log_std), log_prob, atol=0.05)


def test_gradients_are_finite_far_out_and_reach_both_parameters():
    def told(mean, log_std):
        return sample_squashed(mean, log_std, jax.random.key(0))[1].sum()

    for far in (0.0, 30.0, 100.0):
        gradients = jax.grad(told, argnums=(0, 1))(jnp.full((4, 2), far), jnp.ones((4, 2)))
        assert all(np.isfinite(gradient).all() and np.abs(gradient).max() > 0.1 for gradient in gradients)
