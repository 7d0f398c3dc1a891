"""Regression that weighs its rows: expectiles, and policies that imitate what turned out better than expected.

Shape legend: ``...`` any batch axes.
"""

import jax
import jax.numpy as jnp


def expectile_loss(error: jax.Array, expectile: jax.Array | float) -> jax.Array:
    """Returns ``|expectile - 1[error < 0]| error^2`` ``[...]`` (Kostrikov et al. 2022, eq. 4).

    Args:
        error: target minus prediction ``[...]``.
        expectile: in (0, 1); 0.5 gives half the squared error, above that predictions move towards the highest targets.
    """
    return jnp.where(error < 0.0, 1.0 - expectile, expectile) * error**2


def advantage_weights(
    advantage: jax.Array, inverse_temperature: jax.Array | float, largest: jax.Array | float
) -> jax.Array:
    """Returns ``min(exp(inverse_temperature * advantage), largest)`` ``[...]`` (AWR: Peng et al. 2019; IQL: eq. 7).

    Args:
        advantage: of the action over the policy's value ``[...]``; no gradient may flow into it.
        inverse_temperature: at least 0; 0 gives plain imitation.
        largest: no weight is above it.
    """
    # Clipped before the exponential, so that it cannot overflow.
    return jnp.exp(jnp.minimum(inverse_temperature * advantage, jnp.log(largest)))
