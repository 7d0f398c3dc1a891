"""A multi-layer perceptron as pure functions (JAX), shared by agents and synthetic environments.

Parameters are nested dicts, ``{"0": {"w": [I, H], "b": [H]}, "1": ...}``, so that they can be vmapped, evolved as one
flat vector, and saved by name.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer, orthogonal

from envs.errors import unknown_name

MLPParams = dict[str, dict[str, jax.Array]]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "silu": jax.nn.silu,
}


def activation_fn(name: str) -> Callable[[jax.Array], jax.Array]:
    """Returns the activation of that name; raises `InputError` with the known ones."""
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def init_mlp(
    key: jax.Array, sizes: Sequence[int], hidden_init: Initializer | None = None, output_scale: float = 1.0
) -> MLPParams:
    """Returns parameters for layers of ``sizes`` (input, hidden..., output).

    Weights are orthogonal: gain sqrt(2) in hidden layers unless ``hidden_init`` says otherwise, ``output_scale`` in
    the last; biases are zero (Andrychowicz et al. 2021 recommend a small scale for a policy's last layer).
    """
    keys = jax.random.split(key, len(sizes) - 1)
    hidden = orthogonal(2**0.5) if hidden_init is None else hidden_init
    inits = [hidden] * (len(sizes) - 2) + [orthogonal(output_scale)]
    pairs = pairwise(sizes)
    return {
        str(i): {"w": init(k, shape, jnp.float32), "b": jnp.zeros(shape[1])}
        for i, (k, init, shape) in enumerate(zip(keys, inits, pairs, strict=True))
    }


def apply_mlp(params: MLPParams, inputs: jax.Array, activation: str = "tanh") -> jax.Array:
    """Returns outputs ``[..., O]`` for ``inputs`` ``[..., I]``."""
    act_fn = activation_fn(activation)
    last = len(params) - 1
    for i in range(len(params)):
        layer = params[str(i)]
        inputs = inputs @ layer["w"] + layer["b"]
        inputs = inputs if i == last else act_fn(inputs)
    return inputs
