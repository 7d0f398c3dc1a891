"""Distributions of returns: C51's projection and loss (Bellemare et al. 2017), QR-DQN's loss (Dabney et al. 2018).

Shape legend: ``...`` any batch axes, ``K`` atoms or quantiles, ``M`` those of the target.
"""

import jax
import jax.numpy as jnp

from agents.equations.q_learning import huber


def categorical_projection(atoms: jax.Array, probs: jax.Array, support: jax.Array) -> jax.Array:
    """Returns the distribution on ``support`` closest to another one, ``[..., K]`` (Bellemare et al. 2017, eq. 7).

    Each atom's probability goes to its two neighbours in the support, the nearer one getting more; what lies beyond
    the support goes to its end.

    Args:
        atoms: ``[..., M]``, values of the distribution to project.
        probs: ``[..., M]``, their probabilities.
        support: ``[K]``, equally spaced values, rising, at least 2.
    """
    spacing = (support[-1] - support[0]) / (len(support) - 1)
    inside = jnp.clip(atoms, support[0], support[-1])
    share = jnp.maximum(1.0 - jnp.abs(inside[..., :, None] - support) / spacing, 0.0)
    # As a product of matrices it is three times as fast as summing up each number.
    return jnp.einsum("...m,...mk->...k", probs, share, precision="highest")


def cross_entropy(logits: jax.Array, probs: jax.Array) -> jax.Array:
    """Returns the cross entropy ``[...]`` of ``softmax(logits)`` ``[..., K]`` under ``probs`` ``[..., K]``, in nats."""
    return -(probs * jax.nn.log_softmax(logits)).sum(-1)


def quantile_midpoints(num_quantiles: int) -> jax.Array:
    """Returns the fractions ``[K]`` whose quantiles are learned: the middles of ``K`` equal parts of [0, 1]."""
    return (jnp.arange(num_quantiles) + 0.5) / num_quantiles


def quantile_huber_loss(quantiles: jax.Array, target: jax.Array, threshold: jax.Array | float) -> jax.Array:
    """Returns the quantile Huber loss ``[...]``: summed over quantiles, averaged over targets (Dabney et al., eq. 10).

    Args:
        quantiles: ``[..., K]``, at `quantile_midpoints`.
        target: ``[..., M]``, samples or quantiles of the target's distribution; no gradient may flow into them.
        threshold: of the Huber loss, above 0; the paper's kappa.
    """
    error = target[..., None, :] - quantiles[..., :, None]
    fraction = quantile_midpoints(quantiles.shape[-1])[:, None]
    weight = jnp.where(error < 0.0, 1.0 - fraction, fraction)
    return (weight * huber(error, threshold)).mean(-1).sum(-1)
