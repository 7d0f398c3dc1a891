"""Fresh linear layers as action values are usually learned with: uniform within one over the root of the inputs.

(LeCun et al. 1998, section 4.6, but for a factor: what PyTorch's layers start with, and what DQN's settings are tuned
for.) Parameters are those of `envs.mlp`.

Shape legend: ``I`` inputs, ``O`` outputs.
"""

from collections.abc import Sequence
from itertools import pairwise

import jax

from envs.mlp import MLPParams


def init_fan_in_mlp(key: jax.Array, sizes: Sequence[int]) -> MLPParams:
    """Returns parameters for layers of ``sizes`` (input, hidden..., output)."""
    keys = jax.random.split(key, len(sizes) - 1)
    return {str(i): init_fan_in(k, *shape) for i, (k, shape) in enumerate(zip(keys, pairwise(sizes), strict=True))}


def init_fan_in(key: jax.Array, num_inputs: int, num_outputs: int) -> dict[str, jax.Array]:
    """Returns ``w`` ``[I, O]`` and ``b`` ``[O]``, uniform in ``(-1 / sqrt(I), 1 / sqrt(I))``."""
    bound = num_inputs**-0.5
    # One draw for both: each costs the compiler as much.
    drawn = jax.random.uniform(key, (num_inputs + 1, num_outputs), minval=-bound, maxval=bound)
    return {"w": drawn[:-1], "b": drawn[-1]}
