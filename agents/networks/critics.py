"""Several critics of one shape, side by side.

Shape legend: ``...`` any batch axes, ``C`` critics, ``I`` inputs, ``K`` outputs.
"""

import jax

from agents.agent import Params
from envs.mlp import apply_mlp, init_mlp


def init_critics(key: jax.Array, num_critics: int, sizes: tuple[int, ...]) -> Params:
    """Returns fresh parameters of perceptrons of ``sizes`` (inputs, hidden layers, outputs), each leaf ``[C, ...]``."""
    return jax.vmap(lambda one: init_mlp(one, sizes))(jax.random.split(key, num_critics))


def criticise(critics: Params, inputs: jax.Array, activation: str) -> jax.Array:
    """Returns what every critic says of ``inputs`` ``[..., I]``: ``[C, ..., K]``."""
    return jax.vmap(apply_mlp, in_axes=(0, None, None))(critics, inputs, activation)
