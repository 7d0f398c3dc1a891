"""A multi-layer perceptron as pure functions (JAX), shared by agents and synthetic environments.

Parameters are nested dicts, ``{"0": {"w": [I, H], "b": [H]}, "1": ...}``, so that they can be vmapped, evolved as one
flat vector, and saved by name.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from envs.dense import dense
from envs.errors import unknown_name
from envs.orthogonal import orthogonal_weights

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
    if hidden_init is None:
        return init_mlps(key, [sizes], [output_scale])[0]
    shapes = list(pairwise(sizes))
    *keys, last_key = jax.random.split(key, len(shapes))
    weights = [hidden_init(k, shape, jnp.float32) for k, shape in zip(keys, shapes[:-1], strict=True)]
    return _layers([*weights, output_scale * orthogonal_weights(last_key, shapes[-1:])[0]])


def init_mlps(key: jax.Array, sizes: Sequence[Sequence[int]], output_scales: Sequence[float]) -> list[MLPParams]:
    """Returns parameters of several networks, each as `init_mlp` would; one call is compiled faster than several."""
    weights = iter(orthogonal_weights(key, [shape for one in sizes for shape in pairwise(one)]))
    networks = []
    for one, output_scale in zip(sizes, output_scales, strict=True):
        hidden = [2**0.5 * next(weights) for _ in one[2:]]
        networks.append(_layers([*hidden, output_scale * next(weights)]))
    return networks


def _layers(weights: list[jax.Array]) -> MLPParams:
    return {str(i): {"w": w, "b": jnp.zeros(w.shape[1])} for i, w in enumerate(weights)}


def apply_mlp(params: MLPParams, inputs: jax.Array, activation: str = "tanh") -> jax.Array:
    """Returns outputs ``[..., O]`` for ``inputs`` ``[..., I]``."""
    act_fn = activation_fn(activation)
    last = len(params) - 1
    for i in range(len(params)):
        layer = params[str(i)]
        inputs = dense(inputs, layer["w"], layer["b"])
        inputs = inputs if i == last else act_fn(inputs)
    return inputs
