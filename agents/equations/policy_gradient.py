"""Parts of policy gradients' objectives.

Shape legend: ``...`` any batch axes, ``A`` number of actions.
"""

import jax
import jax.numpy as jnp


def clipped_surrogate(ratio: jax.Array, advantage: jax.Array, clip: jax.Array | float) -> jax.Array:
    """Returns PPO's objective ``[...]``, to be made large (Schulman et al. 2017, eq. 7).

    Args:
        ratio: probability of the action now over that when it was taken ``[...]``.
        advantage: ``[...]``.
        clip: how far from 1 a ratio may pay, above 0.
    """
    return jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)


def categorical_entropy(logits: jax.Array) -> jax.Array:
    """Returns the entropy ``[...]`` of ``softmax(logits)`` ``[..., A]``, in nats."""
    log_probs = jax.nn.log_softmax(logits)
    return -(jnp.exp(log_probs) * log_probs).sum(-1)
