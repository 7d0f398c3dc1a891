import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.nn.initializers import constant

from envs.errors import InputError
from envs.mlp import ACTIVATIONS, activation_fn, apply_mlp, init_mlp

PARAMS = {
    "0": {"w": jnp.array([[1.0, -1.0], [2.0, 1.0]]), "b": jnp.array([0.0, 1.0])},
    "1": {"w": jnp.array([[3.0], [-2.0]]), "b": jnp.array([0.5])},
}


def test_two_layers_by_hand():
    # [1, 1] -> [3, 1] -> 9 - 2 + 0.5; [-1, 0] -> [-1, 2] -> relu [0, 2] -> -3.5
    inputs = jnp.array([[1.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(apply_mlp(PARAMS, inputs, "relu"), [[7.5], [-3.5]])
    leaky = apply_mlp(PARAMS, inputs, "leaky_relu")
    np.testing.assert_allclose(leaky, [[7.5], [-3.53]], rtol=1e-6)
    np.testing.assert_allclose(apply_mlp(PARAMS, inputs[0]), 3 * np.tanh([3.0]) - 2 * np.tanh(1.0) + 0.5, rtol=1e-6)


def test_the_last_layer_is_linear_and_one_layer_is_allowed():
    params = {"0": {"w": -jnp.eye(2), "b": jnp.zeros(2)}}
    np.testing.assert_array_equal(apply_mlp(params, jnp.array([1.0, 5.0]), "relu"), [-1.0, -5.0])


def test_batch_axes_are_rows():
    params = init_mlp(jax.random.key(0), (3, 8, 2))
    inputs = jax.random.normal(jax.random.key(1), (4, 5, 3))
    outputs = apply_mlp(params, inputs)
    assert outputs.shape == (4, 5, 2)
    np.testing.assert_allclose(outputs[2, 3], apply_mlp(params, inputs[2, 3]), rtol=1e-5)


def test_more_than_ten_layers_are_applied_in_their_order():
    # Sorted as text, as files of tensors are, "10" would come before "2".
    params = {str(i): {"w": jnp.full((1, 1), 2.0), "b": jnp.full(1, float(i))} for i in range(12)}
    expected = 1.0
    for i in range(12):
        expected = 2 * expected + i
    assert apply_mlp({name: params[name] for name in sorted(params)}, jnp.ones(1), "relu") == expected


@pytest.mark.parametrize("output_scale", [1.0, 0.01])
def test_weights_are_orthogonal_with_their_gains_and_biases_zero(output_scale):
    params = init_mlp(jax.random.key(3), (4, 6, 6, 2), output_scale=output_scale)
    for name, gain in (("0", 2.0), ("1", 2.0), ("2", output_scale**2)):
        weights = params[name]["w"]
        gram = weights @ weights.T if weights.shape[0] < weights.shape[1] else weights.T @ weights
        np.testing.assert_allclose(gram, gain * np.eye(len(gram)), atol=1e-5)
        assert not params[name]["b"].any()
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}


def test_hidden_layers_take_another_initialiser_the_last_does_not():
    params = init_mlp(jax.random.key(0), (3, 4, 1), constant(7.0), output_scale=2.0)
    assert (params["0"]["w"] == 7).all()
    np.testing.assert_allclose((params["1"]["w"] ** 2).sum(), 4.0, rtol=1e-5)


def test_keys_fix_the_weights_and_layers_differ():
    once, again, other = (init_mlp(jax.random.key(seed), (5, 5, 5, 5)) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, once, again)
    assert not jnp.allclose(once["0"]["w"], other["0"]["w"])
    assert not jnp.allclose(once["0"]["w"], once["1"]["w"])


def test_an_unknown_activation_comes_with_near_ones():
    assert set(ACTIVATIONS) == {"tanh", "relu", "leaky_relu", "silu"}
    with pytest.raises(InputError, match="unknown activation 'rellu'; did you mean 'relu'"):
        activation_fn("rellu")
