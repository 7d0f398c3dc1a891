"""A Gaussian squashed by tanh into (-1, 1), with its exact density (Haarnoja et al. 2018b, appendix C).

Densities are those of the squashed action in (-1, 1), summed over its dimensions, in nats. They are computed from the
value before squashing, which no rounding near the bounds can spoil.

Shape legend: ``...`` any batch axes, ``A`` action size.
"""

import math

import jax
import jax.numpy as jnp


def sample_squashed(mean: jax.Array, log_std: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns an action in (-1, 1) ``[..., A]`` and its log-density ``[...]``, both differentiable in the parameters.

    Args:
        mean: of the Gaussian before squashing ``[..., A]``.
        log_std: logarithm of its standard deviation ``[..., A]``.
        key: random key.
    """
    noise = jax.random.normal(key, mean.shape)
    raw = mean + jnp.exp(log_std) * noise
    return jnp.tanh(raw), squashed_log_prob(raw, mean, log_std)


def squashed_log_prob(raw: jax.Array, mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """Returns the log-density ``[...]`` of ``tanh(raw)``, ``raw`` ``[..., A]`` (eq. 26)."""
    standardised = (raw - mean) * jnp.exp(-log_std)
    gaussian = -0.5 * standardised**2 - log_std - 0.5 * math.log(2 * math.pi)
    # log(1 - tanh(raw)^2), which in this form does not vanish where tanh rounds to 1.
    slope = 2.0 * (math.log(2.0) - raw - jax.nn.softplus(-2.0 * raw))
    return (gaussian - slope).sum(-1)
