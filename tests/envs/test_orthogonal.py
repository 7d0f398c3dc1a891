"""Random orthogonal weights: orthonormal, uniform, and each layer's its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.mlp import init_mlp
from envs.orthogonal import orthogonal_weights, orthonormal_columns

SHAPES = [(4, 6), (6, 6), (6, 2), (1, 3), (5, 1)]


def test_columns_or_rows_are_orthonormal():
    weights = orthogonal_weights(jax.random.key(0), SHAPES)
    assert [w.shape for w in weights] == SHAPES
    for w in weights:
        gram = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-6)


def test_a_batch_of_keys_equals_each_alone():
    keys = jax.random.split(jax.random.key(1), 3)
    together = jax.vmap(lambda key: orthogonal_weights(key, SHAPES))(keys)
    for i, key in enumerate(keys):
        for batch, alone in zip(together, orthogonal_weights(key, SHAPES), strict=True):
            np.testing.assert_allclose(batch[i], alone, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 3), (3, 2), (2, 3)])
def test_they_are_uniform(shape):
    # Of a uniformly random orthonormal matrix every entry has mean 0 and mean square 1 / (the longer side).
    keys = jax.random.split(jax.random.key(2), 4000)
    weights = jax.vmap(lambda key: orthogonal_weights(key, [(7, 7), shape])[1])(keys)
    np.testing.assert_allclose(weights.mean(0), np.zeros(shape), atol=0.04)
    np.testing.assert_allclose((weights**2).mean(0), np.full(shape, 1 / 3), atol=0.03)
    if shape == (3, 3):  # both kinds, rotations and reflections
        assert abs(jnp.sign(jnp.linalg.det(weights)).mean()) < 0.06


def test_layers_differ_and_keys_fix_them():
    first, second = orthogonal_weights(jax.random.key(3), [(4, 4), (4, 4)])
    again, _ = orthogonal_weights(jax.random.key(3), [(4, 4), (4, 4)])
    assert not jnp.allclose(first, second)
    np.testing.assert_array_equal(first, again)


def test_large_ones_are_orthonormal_too_and_are_those_of_the_decomposition():
    gaussian = jax.random.normal(jax.random.key(4), (300, 256))
    found = orthonormal_columns(gaussian)
    np.testing.assert_allclose(found.T @ found, np.eye(256), atol=1e-5)
    q, r = np.linalg.qr(np.asarray(gaussian, np.float64))
    np.testing.assert_allclose(found, q * np.sign(np.diag(r)), atol=1e-4)


@pytest.mark.slow
def test_many_at_once_never_wait_for_each_other():
    """A batched decomposition of LAPACK's hung in one of some tens of these."""
    many = jax.jit(jax.vmap(lambda key: (init_mlp(key, (4, 64, 64, 2)), init_mlp(key, (4, 64, 64, 1)))))
    for seed in range(30):
        jax.block_until_ready(many(jax.random.split(jax.random.key(seed), 16)))
