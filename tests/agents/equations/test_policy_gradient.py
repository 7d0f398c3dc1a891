"""Parts of policy gradients' objectives, and generalised advantages, against rlax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.equations.advantages import gae
from agents.equations.policy_gradient import categorical_entropy, clipped_surrogate

pytestmark = pytest.mark.filterwarnings("ignore:Rlax:PendingDeprecationWarning")
RNG = np.random.default_rng(0)
T = 30
REWARD, ADVANTAGE = RNG.normal(size=(2, T)).astype(np.float32)
VALUES = RNG.normal(size=T + 1).astype(np.float32)
TERMINATED = RNG.uniform(size=T) < 0.2


@pytest.mark.parametrize("clip", [0.1, 0.3])
def test_the_clipped_surrogate_and_its_gradient_equal_rlax(rlax, clip):
    ratio = jnp.exp(0.5 * RNG.normal(size=T).astype(np.float32))

    def ours(ratio: jax.Array) -> jax.Array:
        return -clipped_surrogate(ratio, ADVANTAGE, clip).mean()

    def theirs(ratio: jax.Array) -> jax.Array:
        return rlax.clipped_surrogate_pg_loss(ratio, ADVANTAGE, clip)

    np.testing.assert_allclose(ours(ratio), theirs(ratio), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(ours)(ratio), jax.grad(theirs)(ratio), atol=1e-6)


def test_entropies_equal_rlax(rlax):
    logits = 3 * RNG.normal(size=(T, 5)).astype(np.float32)
    expected = -rlax.entropy_loss(logits, np.ones(T, np.float32))
    np.testing.assert_allclose(categorical_entropy(logits).mean(), expected, rtol=1e-6)
    assert categorical_entropy(jnp.zeros(5)) == pytest.approx(np.log(5))


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(0.99, 0.95), (1.0, 1.0), (0.9, 0.0)])
def test_advantages_over_episodes_that_terminate_equal_rlax(rlax, gamma, gae_lambda):
    discount = gamma * (1.0 - TERMINATED).astype(np.float32)
    found = gae(REWARD, VALUES[:-1], VALUES[1:], TERMINATED, np.zeros(T, bool), gamma, gae_lambda)
    expected = rlax.truncated_generalized_advantage_estimation(REWARD, discount, gae_lambda, VALUES)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-6)
    returns = rlax.lambda_returns(REWARD, discount, VALUES[1:], gae_lambda)
    np.testing.assert_allclose(found + VALUES[:-1], returns, rtol=1e-6, atol=3e-6)


def test_advantages_before_a_time_limit_are_those_of_the_episode_alone(rlax):
    """rlax knows no time limits: a truncated episode is a trajectory of its own that ends in its last observation."""
    end, final_value = 12, np.float32(0.7)
    next_value = np.append(VALUES[1:end], final_value)
    discount = 0.9 * (1.0 - TERMINATED[:end]).astype(np.float32)
    discount[-1] = 0.9
    truncated = np.arange(T) == end - 1
    following = np.append(next_value, VALUES[end + 1 :])
    found = gae(REWARD, VALUES[:-1], following, TERMINATED & ~truncated, truncated, 0.9, 0.8)
    values = np.append(VALUES[:end], final_value)
    expected = rlax.truncated_generalized_advantage_estimation(REWARD[:end], discount, 0.8, values)
    np.testing.assert_allclose(found[:end], expected, rtol=1e-6, atol=2e-6)
