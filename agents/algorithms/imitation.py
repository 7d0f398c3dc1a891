"""What it costs a policy that it would not have acted as a log did.

Shape legend: ``...`` any batch axes, ``A`` action size.
"""

import jax
import jax.numpy as jnp

from agents.networks.action_distribution import ActionDistribution

_SMALLEST_STD = 0.01
"""What a Gaussian's standard deviation tends to where nothing is left to err."""


def imitation_loss(policy: ActionDistribution, action: jax.Array) -> jax.Array:
    """Returns the loss ``[...]`` of logged actions ``[..., (A)]``: where it is smallest, they are likeliest.

    Discrete actions: minus the log-probability. Box actions: half the squared error of the mean, and apart from it
    minus the log-density in the standard deviation alone. Their best mean and deviation are those of the density as a
    whole, whose gradient in the mean however grows beyond limits as the deviation of a faithful policy falls.
    """
    if policy.log_std is None:
        return -policy.log_prob_and_entropy(action)[0]
    square = (action - policy.preferences) ** 2
    spread = 0.5 * (jax.lax.stop_gradient(square) + _SMALLEST_STD**2) * jnp.exp(-2.0 * policy.log_std) + policy.log_std
    return (0.5 * square + spread).sum(-1)
