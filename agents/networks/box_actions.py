"""Box actions and the interval (-1, 1) that networks think in.

Shape legend: ``...`` any batch axes, ``A`` action size.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Bounds(NamedTuple):
    """Lowest and highest actions, both of length ``A`` and finite; hashable."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def scaled(self, squashed: jax.Array) -> jax.Array:
        """Returns the actions ``[..., A]`` that ``squashed`` ``[..., A]`` in [-1, 1] stands for."""
        low, high = jnp.array(self.low), jnp.array(self.high)
        return low + 0.5 * (high - low) * (squashed + 1.0)

    def scaled_back(self, action: jax.Array) -> jax.Array:
        """Returns what in [-1, 1] stands for the actions ``[..., A]``."""
        low, high = jnp.array(self.low), jnp.array(self.high)
        return 2.0 * (action - low) / (high - low) - 1.0

    def uniform(self, batch_shape: tuple[int, ...], key: jax.Array) -> jax.Array:
        """Returns uniformly random actions ``[*batch_shape, A]``."""
        shape = (*batch_shape, len(self.low))
        return self.scaled(jax.random.uniform(key, shape, minval=-1.0, maxval=1.0))
