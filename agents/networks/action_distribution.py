"""The distributions over actions of policies that are learned by their probabilities.

Discrete: a categorical over logits. Box: a diagonal Gaussian with a learned, state-independent log standard deviation,
unbounded inside the agent; what is sent to an environment is clipped to the space.

Shape legend: ``...`` any batch axes, ``A`` number of discrete actions or action size.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Judged(NamedTuple):
    """What actor and critic hold of steps that were taken; each ``[...]``.

    Attributes:
        log_prob: ``log pi(action | observation)``.
        entropy: of the policy, in nats.
        value: of the observation.
    """

    log_prob: jax.Array
    entropy: jax.Array
    value: jax.Array


class ActionDistribution(NamedTuple):
    """A distribution over actions for each row.

    Attributes:
        preferences: logits, or means of the Gaussian, ``[..., A]``.
        log_std: logarithm of the Gaussian's standard deviation ``[A]``; None for discrete actions.
    """

    preferences: jax.Array
    log_std: jax.Array | None

    def sample(self, key: jax.Array) -> jax.Array:
        """Returns random actions: ``[...]`` int32, or ``[..., A]`` float32 before clipping."""
        if self.log_std is None:
            return jax.random.categorical(key, self.preferences).astype(jnp.int32)
        noise = jax.random.normal(key, self.preferences.shape)
        return self.preferences + jnp.exp(self.log_std) * noise

    def mode(self) -> jax.Array:
        """Returns the most likely actions, shaped as `sample`'s."""
        return self.preferences.argmax(-1).astype(jnp.int32) if self.log_std is None else self.preferences

    def log_prob_and_entropy(self, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the log-probability, or -density, of ``action`` ``[...]`` and the entropy ``[...]``, in nats."""
        if self.log_std is None:
            log_probs = jax.nn.log_softmax(self.preferences)
            log_prob = jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]
            return log_prob, -(jnp.exp(log_probs) * log_probs).sum(-1)
        log_std = jnp.broadcast_to(self.log_std, self.preferences.shape)
        standardised = (action - self.preferences) * jnp.exp(-log_std)
        log_prob = (-0.5 * standardised**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
        return log_prob, (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
