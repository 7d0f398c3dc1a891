"""Running normalisation of observations and rewards, at the border of an agent: its networks see normalised numbers.

Observations are shifted and scaled by the mean and standard deviation of all that were collected, and clipped to
[-10, 10]. Rewards are only scaled, by the standard deviation of the running discounted returns, which keeps their sign
(Engstrom et al. 2020, "Implementation Matters in Deep Policy Gradients", section 3).

Shape legend: ``T`` time, ``B`` environments, ``N`` rows, ``O`` the shape of an observation.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.configs import AgentConfig
from agents.training.rollout import Rollout

_LIMIT = 10.0
_EPSILON = 1e-8


class Moments(NamedTuple):
    """Mean and variance of what was seen so far.

    Attributes:
        mean: ``[*O]``.
        variance: ``[*O]``.
        num_rows: rows seen, float32 scalar.
    """

    mean: jax.Array
    variance: jax.Array
    num_rows: jax.Array

    @staticmethod
    def empty(shape: tuple[int, ...]) -> "Moments":
        """Returns mean 0 and variance 1 of no rows: what changes nothing."""
        return Moments(jnp.zeros(shape), jnp.ones(shape), jnp.float32(0))

    def add(self, rows: jax.Array, counted: jax.Array) -> "Moments":
        """Returns the moments with those of ``rows`` ``[N, *O]`` that are ``counted`` ``[N]`` (Chan et al. 1979)."""
        weight = counted.astype(jnp.float32).reshape(-1, *[1] * (rows.ndim - 1))
        num = weight.sum()
        mean = (weight * rows).sum(0) / jnp.maximum(num, 1.0)
        squares = (weight * (rows - mean) ** 2).sum(0)
        count, shift = self.num_rows + num, mean - self.mean
        both = self.variance * self.num_rows + squares + shift**2 * self.num_rows * num / jnp.maximum(count, 1.0)
        share = num / jnp.maximum(count, 1.0)
        variance = jnp.where(count > 0, both / jnp.maximum(count, 1.0), self.variance)
        return Moments(self.mean + share * shift, variance, count)


class Normaliser(NamedTuple):
    """The running moments of a training; None in place of what is not normalised.

    Attributes:
        observation: `Moments` of observations.
        reward: `Moments` of discounted returns.
        returns: discounted return so far of each environment's episode ``[B]``.
    """

    observation: Moments | None
    reward: Moments | None
    returns: jax.Array | None

    def policy_params(self) -> dict[str, Any]:
        """Returns what a policy must know to see what its networks were trained on: nothing, or ``normaliser``."""
        if self.observation is None:
            return {}
        return {"normaliser": {"mean": self.observation.mean, "scale": _scale(self.observation)}}

    def observe(self, rollout: Rollout) -> "Normaliser":
        """Returns the normaliser after the observations of a rollout ``[T, B, *O]``."""
        if self.observation is None:
            return self
        rows = rollout.observation.reshape(-1, *self.observation.mean.shape)
        return self._replace(observation=self.observation.add(rows, rollout.valid.reshape(-1)))

    def observe_rewards(self, rollout: Rollout, gamma: jax.Array) -> "Normaliser":
        """Returns the normaliser after the rewards of a rollout ``[T, B]``."""
        if self.reward is None or self.returns is None:
            return self

        def step(returns: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            reward, ended = now
            returns = gamma * returns + reward
            return jnp.where(ended, 0.0, returns), returns

        ended = rollout.terminated | rollout.truncated | ~rollout.valid
        returns, seen = jax.lax.scan(step, self.returns, (rollout.reward, ended))
        return self._replace(returns=returns, reward=self.reward.add(seen.reshape(-1), rollout.valid.reshape(-1)))

    def observations(self, observation: jax.Array) -> jax.Array:
        """Returns observations ``[..., *O]`` as the networks see them."""
        if self.observation is None:
            return observation
        return normalise(observation, self.observation.mean, _scale(self.observation))

    def rewards(self, reward: jax.Array) -> jax.Array:
        """Returns rewards ``[...]`` as the losses see them."""
        return reward if self.reward is None else reward * _scale(self.reward)


def init_normaliser(config: AgentConfig, observation_shape: tuple[int, ...]) -> Normaliser:
    """Returns the normaliser at the start of a training, with what ``config`` asks for."""
    observation = Moments.empty(observation_shape) if config.normalise_observations else None
    if not config.normalise_rewards:
        return Normaliser(observation, None, None)
    return Normaliser(observation, Moments.empty(()), jnp.zeros(config.num_envs))


def normalise(observation: jax.Array, mean: jax.Array, scale: jax.Array) -> jax.Array:
    """Returns ``(observation - mean) * scale`` within [-10, 10]."""
    return jnp.clip((observation - mean) * scale, -_LIMIT, _LIMIT)


def _scale(moments: Moments) -> jax.Array:
    return jax.lax.rsqrt(moments.variance + _EPSILON)
