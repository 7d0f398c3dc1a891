"""Ranks and rank weights: by hand, and without a preference among equals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic_envs.shaping import centred_ranks, tells_apart, tied_weights

WEIGHTS = jnp.array([0.6, 0.3, 0.1, 0.0])


@pytest.mark.parametrize(
    ("fitness", "expected"),
    [
        ([3.0, 1.0], [1.0, -1.0]),
        ([10.0, -5.0, 2.0], [1.0, -1.0, 0.0]),
        ([1.0, 4.0, 2.0, 3.0], [-0.75, 0.75, -0.25, 0.25]),
        ([1.0, 2.0, 2.0, 3.0], [-1.0, 0.0, 0.0, 1.0]),
        ([5.0, 5.0, 5.0, 1.0], [1 / 3, 1 / 3, 1 / 3, -1.0]),
        ([np.nan, 1.0, 2.0], [-1.0, 0.0, 1.0]),
        ([np.inf, 1.0, 2.0], [-1.0, 0.0, 1.0]),
        ([-np.inf, np.nan, 0.0, 0.0], [-0.5, -0.5, 0.5, 0.5]),
        ([7.0] * 5, [0.0] * 5),
        ([np.nan] * 4, [0.0] * 4),
        ([1.0], [0.0]),
    ],
    ids=str,
)
def test_ranks_by_hand(fitness, expected):
    np.testing.assert_allclose(centred_ranks(jnp.array(fitness)), expected, rtol=1e-6)


def test_ranks_are_centred_sum_to_two_and_ignore_scale():
    fitness = jax.random.normal(jax.random.key(0), (64,)).round(1)
    ranks = centred_ranks(fitness)
    assert ranks.sum() == pytest.approx(0, abs=1e-6)
    assert jnp.abs(ranks).sum() == pytest.approx(2, rel=1e-6)
    np.testing.assert_array_equal(ranks, centred_ranks(100 * fitness - 7))


@pytest.mark.parametrize(
    ("fitness", "expected"),
    [
        ([1.0, 4.0, 2.0, 3.0], [0.0, 0.6, 0.1, 0.3]),
        ([4.0, 4.0, 1.0, 2.0], [0.45, 0.45, 0.0, 0.1]),
        ([1.0, 1.0, 1.0, 5.0], [0.4 / 3, 0.4 / 3, 0.4 / 3, 0.6]),
        ([np.nan, 1.0, np.inf, 2.0], [0.05, 0.3, 0.05, 0.6]),
        ([2.0] * 4, [0.25] * 4),
    ],
    ids=str,
)
def test_weights_are_shared_among_equals(fitness, expected):
    np.testing.assert_allclose(tied_weights(jnp.array(fitness), WEIGHTS), expected, atol=1e-7)


@pytest.mark.parametrize(
    ("fitness", "expected"),
    [([1.0, 1.0], False), ([np.nan, np.nan], False), ([np.nan, np.inf], False), ([np.nan, 1.0], True), ([1, 2], True)],
    ids=str,
)
def test_whether_fitness_tells_anything_apart(fitness, expected):
    assert bool(tells_apart(jnp.array(fitness))) is expected
