"""Networks of synthetic environments: perceptrons of `envs.mlp`, and such with PReLU, whose slopes are evolved too.

Shape legend: ``I`` inputs, ``O`` outputs.
"""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from jax.nn.initializers import lecun_normal

from envs.dense import dense
from envs.mlp import MLPParams, apply_mlp
from synthetic_envs.configs import Activation

_FIRST_SLOPE = 0.25
"""PReLU's slope below 0 at the start (He et al. 2015)."""


def init_network(key: jax.Array, sizes: Sequence[int], activation: Activation, output_scale: float = 1.0) -> MLPParams:
    """Returns parameters for layers of ``sizes`` (input, hidden..., output); PReLU adds a ``slope`` ``[]`` a layer.

    Weights are LeCun-normal, those of the last layer times ``output_scale``; biases are zero.
    """
    shapes = list(pairwise(sizes))
    params: MLPParams = {}
    for i, (layer_key, shape) in enumerate(zip(jax.random.split(key, len(shapes)), shapes, strict=True)):
        hidden = i < len(shapes) - 1
        weights = lecun_normal()(layer_key, shape, jnp.float32)
        params[str(i)] = {"w": weights if hidden else output_scale * weights, "b": jnp.zeros(shape[1])}
        if hidden and activation == "prelu":
            params[str(i)]["slope"] = jnp.full((), _FIRST_SLOPE, jnp.float32)
    return params


def apply_network(params: MLPParams, inputs: jax.Array, activation: Activation) -> jax.Array:
    """Returns outputs ``[..., O]`` for ``inputs`` ``[..., I]``."""
    if activation != "prelu":
        return apply_mlp(params, inputs, activation)
    last = len(params) - 1
    for i in range(len(params)):
        layer = params[str(i)]
        inputs = dense(inputs, layer["w"], layer["b"])
        inputs = inputs if i == last else jnp.where(inputs > 0, inputs, layer["slope"] * inputs)
    return inputs
