"""Linear layers with learned noise on their weights (Fortunato et al. 2018, "Noisy Networks for Exploration").

The noise is factorised: one number an input and one an output, whose products perturb the weights (eqs. 10 and 11).

Shape legend: ``...`` any batch axes, ``I`` inputs, ``O`` outputs.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from agents.networks.fan_in import init_fan_in_mlp
from envs.mlp import MLPParams, activation_fn

INITIAL_NOISE = 0.5
"""Scale of the noise at the start; the paper's sigma_0 for factorised noise."""


def init_noisy_mlp(key: jax.Array, sizes: Sequence[int]) -> MLPParams:
    """Returns parameters for noisy layers of ``sizes`` (input, hidden..., output).

    Each has ``w`` and ``w_sigma`` ``[I, O]``, ``b`` and ``b_sigma`` ``[O]``.
    """
    return {name: _with_noise(layer) for name, layer in init_fan_in_mlp(key, sizes).items()}


def _with_noise(layer: dict[str, jax.Array]) -> dict[str, jax.Array]:
    sigma = INITIAL_NOISE * len(layer["w"]) ** -0.5
    return {**layer, "w_sigma": jnp.full_like(layer["w"], sigma), "b_sigma": jnp.full_like(layer["b"], sigma)}


def apply_noisy_mlp(params: MLPParams, inputs: jax.Array, activation: str, key: jax.Array | None) -> jax.Array:
    """Returns outputs ``[..., O]`` for ``inputs`` ``[..., I]``; one draw of the noise serves them all, None is none."""
    act_fn = activation_fn(activation)
    last = len(params) - 1
    for i in range(len(params)):
        inputs = apply_noisy(params[str(i)], inputs, None if key is None else jax.random.fold_in(key, i))
        inputs = inputs if i == last else act_fn(inputs)
    return inputs


def apply_noisy(layer: dict[str, jax.Array], inputs: jax.Array, key: jax.Array | None) -> jax.Array:
    """Returns outputs ``[..., O]`` for ``inputs`` ``[..., I]``; without a key those of the mean weights."""
    outputs = inputs @ layer["w"] + layer["b"]
    if key is None:
        return outputs
    num_inputs, num_outputs = layer["w"].shape
    raw = jax.random.normal(key, (num_inputs + num_outputs,))
    noise = jnp.sign(raw) * jnp.sqrt(jnp.abs(raw))
    of_inputs, of_outputs = noise[:num_inputs], noise[num_inputs:]
    return outputs + ((inputs * of_inputs) @ layer["w_sigma"] + layer["b_sigma"]) * of_outputs
