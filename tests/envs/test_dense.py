"""A dense layer and its gradient, against the plain product that JAX differentiates itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.dense import dense


def plain(inputs, weights, biases):
    return inputs @ weights + biases


def given(shape, num_outputs, seed=0):
    keys = jax.random.split(jax.random.key(seed), 4)
    inputs, weights = jax.random.normal(keys[0], shape), jax.random.normal(keys[1], (shape[-1], num_outputs))
    return (inputs, weights, jax.random.normal(keys[2], (num_outputs,))), keys[3]


def pulled_back(layer, args, key):
    outputs, pull = jax.vjp(layer, *args)
    return outputs, pull(jax.random.normal(key, outputs.shape))


@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 3, 7)], ids=str)
@pytest.mark.parametrize("num_outputs", [1, 2, 7, 16])
def test_equals_the_plain_product_and_its_gradient(shape, num_outputs):
    args, key = given(shape, num_outputs)
    ours, theirs = (pulled_back(layer, args, key) for layer in (dense, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, theirs)


def test_batches_of_layers_and_jit_equal_each_alone():
    many = [given((5, 4), 3, seed) for seed in range(3)]
    args, keys = jax.tree.map(lambda *x: jnp.stack(x), *many)
    together = jax.jit(jax.vmap(lambda args, key: pulled_back(dense, args, key)))(args, keys)
    for i, (one, key) in enumerate(many):
        alone = pulled_back(dense, one, key)
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-6), together, alone)


def test_whole_numbers_are_inputs_too():
    (_, weights, biases), _ = given((2, 3), 2)
    counts = jnp.array([[1, 2, 3], [0, 1, 0]])
    ours, theirs = (
        jax.grad(lambda w, layer=layer: layer(counts, w, biases).sum())(weights) for layer in (dense, plain)
    )
    np.testing.assert_allclose(ours, theirs)
