"""Probe environments: tiny, with analytic answers, each of which isolates one fault of an agent (after rejax)."""

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from envs.spec import EnvSpec

OBSERVATION = spaces.Box(-1.0, 1.0, (1,), np.float32)


class Probe:
    """A functional environment with two actions; subclasses say what a step does."""

    def __init__(self) -> None:
        self.spec = EnvSpec(f"probe/{type(self).__name__}", OBSERVATION, spaces.Discrete(2))

    @property
    def default_params(self) -> None:
        return None

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array]:
        observation = jnp.where(jax.random.bernoulli(key), jnp.ones(1), -jnp.ones(1))
        return observation, observation

    def outcome(self, state: jax.Array, action: jax.Array) -> tuple[Any, Any, Any, Any]:
        """Returns the next state (its observation), reward, terminated, truncated."""
        raise NotImplementedError

    def step(self, key: jax.Array, state: jax.Array, action: jax.Array, params: Any) -> tuple:
        state, reward, terminated, truncated = self.outcome(state, action)
        return state, state, jnp.float32(reward), jnp.bool_(terminated), jnp.bool_(truncated), {}


class ConstantReward(Probe):
    """Reward 1, one step: value 1. Fails if the value loss is wrong."""

    def outcome(self, state, action):
        return state, 1.0, True, False


class RewardByObservation(Probe):
    """Reward is the observation, one step: value(o) = o. Fails if observations do not reach the critic."""

    def outcome(self, state, action):
        return state, state[0], True, False


class RewardByAction(Probe):
    """Reward 1 for action 1 where o > 0 and for action 0 elsewhere. Fails if the policy loss is wrong."""

    def outcome(self, state, action):
        return state, jnp.where((state[0] > 0) == (action == 1), 1.0, 0.0), True, False


class TwoSteps(Probe):
    """0 then 1: value gamma at the start (o = 0), 1 afterwards (o = 1). Fails if discounting is wrong."""

    def reset(self, key, params):
        return jnp.zeros(1), jnp.zeros(1)

    def outcome(self, state, action):
        return jnp.ones(1), jnp.where(state[0] > 0.5, 1.0, 0.0), state[0] > 0.5, False


class Endless(Probe):
    """Reward 1 for ever, truncated after every step: value 1 / (1 - gamma). Fails if a time limit ends the return."""

    def reset(self, key, params):
        return jnp.zeros(1), jnp.zeros(1)

    def outcome(self, state, action):
        return state, 1.0, False, True


class StartsElsewhere(Probe):
    """Truncated after one step at o = 1, which is worth 1/(1-gamma) by itself; episodes start at o = -1 (reward 0).

    Value(-1) = gamma * value(1): fails if the next episode's start is bootstrapped from instead of the final
    observation.
    """

    def reset(self, key, params):
        start = jnp.where(jax.random.bernoulli(key), 1.0, -1.0) * jnp.ones(1)
        return start, start

    def outcome(self, state, action):
        return jnp.ones(1), jnp.where(state[0] > 0, 1.0, 0.0), False, True


class HostProbe(gymnasium.Env):
    """A probe behind the plain Gymnasium interface, for the host collector."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.observation_space, self.action_space = probe.spec.observation_space, probe.spec.action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        key = jax.random.key(int(self.np_random.integers(2**31)))
        observation, self.state = self.probe.reset(key, None)
        return np.asarray(observation), {}

    def step(self, action):
        self.state, reward, terminated, truncated = self.probe.outcome(self.state, action)
        return np.asarray(self.state), float(reward), bool(terminated), bool(truncated), {}
