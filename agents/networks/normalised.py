"""A policy that sees observations as its networks were trained on them: normalised."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Memory, Params, PolicyNetworks
from agents.training.normalisation import normalise


class NormalisedPolicy(NamedTuple):
    """A policy whose parameters also hold the mean and scale of the observations, under ``normaliser``.

    Attributes:
        inner: the policy of normalised observations.
        observation_shape: ``O``.
    """

    inner: Any
    observation_shape: tuple[int, ...]

    def init(self, key: jax.Array) -> Params:
        """Returns fresh parameters, which change no observation."""
        unchanged = {"mean": jnp.zeros(self.observation_shape), "scale": jnp.ones(self.observation_shape)}
        return {**self.inner.init(key), "normaliser": unchanged}

    def initial_memory(self, num_rows: int) -> Memory:
        """Returns the inner policy's."""
        memory: Memory = self.inner.initial_memory(num_rows)
        return memory

    def sample(
        self, params: Params, observation: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]:
        """Returns random actions, see `agents.agent.PolicyNetworks`."""
        sampled: tuple[jax.Array, Memory] = self.inner.sample(params, _seen(params, observation), memory, key)
        return sampled

    def mode(self, params: Params, observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Returns the most likely actions, see `agents.agent.PolicyNetworks`."""
        chosen: tuple[jax.Array, Memory] = self.inner.mode(params, _seen(params, observation), memory)
        return chosen


def policy_of(networks: PolicyNetworks, normalised: bool, observation_shape: tuple[int, ...]) -> PolicyNetworks:
    """Returns the policy as it acts on real observations: ``networks`` themselves, or behind a normaliser."""
    return NormalisedPolicy(networks, observation_shape) if normalised else networks


def _seen(params: Params, observation: jax.Array) -> jax.Array:
    return normalise(observation, params["normaliser"]["mean"], params["normaliser"]["scale"])
