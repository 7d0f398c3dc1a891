"""Noisy layers: the factorised noise by hand, and none where none is asked for."""

import jax
import jax.numpy as jnp
import numpy as np

from agents.networks.noisy import apply_noisy, apply_noisy_mlp, init_noisy_mlp

RNG = np.random.default_rng(0)


def test_outputs_are_those_of_the_perturbed_weights():
    layer, inputs, key = init_noisy_mlp(jax.random.key(0), (5, 3))["0"], RNG.normal(size=(7, 5)), jax.random.key(1)
    raw = np.asarray(jax.random.normal(key, (8,)))
    noise = np.sign(raw) * np.sqrt(np.abs(raw))
    weights = layer["w"] + layer["w_sigma"] * np.outer(noise[:5], noise[5:])
    bias = layer["b"] + layer["b_sigma"] * noise[5:]
    np.testing.assert_allclose(apply_noisy(layer, inputs, key), inputs @ weights + bias, rtol=1e-4, atol=1e-5)


def test_without_a_key_there_is_no_noise():
    layer, inputs = init_noisy_mlp(jax.random.key(0), (5, 3))["0"], RNG.normal(size=(7, 5))
    np.testing.assert_allclose(apply_noisy(layer, inputs, None), inputs @ layer["w"] + layer["b"], rtol=1e-5)


def test_the_noise_is_centred_and_as_large_as_its_scales():
    """Factorised noise has mean 0 and, with E|x| = sqrt(2/pi), variance 2/pi a weight."""
    layer = {name: jnp.zeros_like(x) for name, x in init_noisy_mlp(jax.random.key(0), (1, 1))["0"].items()}
    layer["w_sigma"] = jnp.full((1, 1), 3.0)
    keys = jax.random.split(jax.random.key(0), 20_000)
    found = jax.vmap(lambda key: apply_noisy(layer, jnp.ones(1), key)[0])(keys)
    assert abs(found.mean()) < 0.07
    np.testing.assert_allclose(found.var(), 9 * 2 / np.pi, rtol=0.05)


def test_fresh_layers_have_the_papers_scales():
    layer = init_noisy_mlp(jax.random.key(0), (64, 100))["0"]
    np.testing.assert_allclose(layer["w_sigma"], 0.5 / 8)
    np.testing.assert_allclose(layer["b_sigma"], 0.5 / 8)
    assert 0.12 < jnp.abs(layer["w"]).max() <= 1 / 8


def test_each_layer_has_noise_of_its_own():
    params, key = init_noisy_mlp(jax.random.key(0), (4, 4, 4)), jax.random.key(1)
    inputs = jnp.ones(4)
    hidden = jnp.tanh(apply_noisy(params["0"], inputs, jax.random.fold_in(key, 0)))
    expected = apply_noisy(params["1"], hidden, jax.random.fold_in(key, 1))
    np.testing.assert_allclose(apply_noisy_mlp(params, inputs, "tanh", key), expected, rtol=1e-6)
