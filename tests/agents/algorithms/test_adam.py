"""Adam against optax, and what a step must do whatever the gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from agents.algorithms.adam import adam_step, follow, init_adam

PARAMS = {"w": jnp.arange(6.0).reshape(2, 3), "b": {"0": jnp.ones(3)}, "scalar": jnp.float32(0.5)}


def gradients(seed: int, scale: float = 1.0):
    keys = jax.random.split(jax.random.key(seed), len(jax.tree.leaves(PARAMS)))
    leaves, tree = jax.tree.flatten(PARAMS)
    return jax.tree.unflatten(tree, [scale * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)])


@pytest.mark.parametrize("limit", [0.5, 100.0, float("inf")])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-5])
def test_equals_optax(limit, epsilon):
    reference = optax.chain(optax.clip_by_global_norm(limit), optax.adam(1e-2, eps=epsilon))
    ours, theirs, state, their_state = PARAMS, PARAMS, init_adam(PARAMS), reference.init(PARAMS)
    for seed in range(20):
        gradient = gradients(seed, scale=0.1 + seed)
        ours, state = adam_step(ours, gradient, state, jnp.float32(1e-2), jnp.float32(limit), epsilon)
        steps, their_state = reference.update(gradient, their_state)
        theirs = optax.apply_updates(theirs, steps)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)


@pytest.mark.parametrize("limit", [0.5, float("inf")])
def test_no_gradient_no_step(limit):
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    params, state = adam_step(PARAMS, zero, init_adam(PARAMS), jnp.float32(1e-2), jnp.float32(limit))
    jax.tree.map(np.testing.assert_array_equal, params, PARAMS)
    assert state.num_steps == 1


def test_the_first_step_is_the_learning_rate_against_each_sign():
    gradient = gradients(0)
    params, _ = adam_step(PARAMS, gradient, init_adam(PARAMS), jnp.float32(1e-2), jnp.float32(jnp.inf))
    expected = jax.tree.map(lambda p, g: p - 1e-2 * jnp.sign(g), PARAMS, gradient)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), params, expected)


def test_a_batch_of_trainings_equals_each_alone():
    rates, limits = jnp.array([1e-2, 1e-3]), jnp.array([0.1, jnp.inf])
    both = [gradients(seed) for seed in (3, 4)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *both)
    together, _ = jax.vmap(adam_step, in_axes=(None, 0, None, 0, 0))(PARAMS, stacked, init_adam(PARAMS), rates, limits)
    for i in range(2):
        alone, _ = adam_step(PARAMS, both[i], init_adam(PARAMS), rates[i], limits[i])
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-6), together, alone)


def test_targets_follow():
    targets = follow({"w": jnp.zeros(2)}, {"w": jnp.array([1.0, 2.0])}, jnp.float32(0.25))
    np.testing.assert_array_equal(targets["w"], [0.25, 0.5])
