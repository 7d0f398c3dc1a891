"""The evolved contextual bandit (Liesen et al. 2024, "Discovering Minimal Reinforcement Learning Environments").

One network turns Gaussian noise into a context, another rewards an action in it, and the episode ends. Both networks'
weights are the parameters of the functional environment, so that a population of bandits is one vmapped call.

Departure: contexts are clipped to the real environment's observation bounds, so that the bandit keeps the real
environment's spaces and a policy fits both.

Shape legend: ``O`` observation size, ``A`` number of discrete actions or action size.
"""

from typing import Any

import jax
import jax.numpy as jnp
from gymnasium import spaces
from jax.nn.initializers import lecun_normal

from envs.mlp import MLPParams, apply_mlp, init_mlp
from envs.spec import EnvSpec
from synthetic_envs.configs import BanditConfig
from synthetic_envs.vectors import action_vector, require_vectors

BanditParams = dict[str, MLPParams]


class Bandit:
    """A contextual bandit with the spaces of the real environment that ``spec`` names; a `FunctionalEnv`.

    Raises:
        InputError: an observation space other than a vector Box, or an action space other than Discrete or a vector
            Box.
    """

    family = "bandit"

    def __init__(self, spec: EnvSpec, config: BanditConfig):
        self._observation_size, self._action_size = require_vectors(spec, "a bandit")
        observation = spec.observation_space
        assert isinstance(observation, spaces.Box)
        self.spec = EnvSpec(spec.env_id, observation, spec.action_space, max_episode_steps=1)
        self.config = config
        self._low, self._high = jnp.asarray(observation.low), jnp.asarray(observation.high)

    @property
    def default_params(self) -> BanditParams:
        """Fresh random weights from a fixed key: a bandit that nobody has evolved yet."""
        return self.init_params(jax.random.key(0))

    def init_params(self, key: jax.Array) -> BanditParams:
        """Returns random weights: ``state`` and ``reward`` networks."""
        state_key, reward_key = jax.random.split(key)
        size = self._observation_size
        state_sizes = (size, *self.config.state_hidden, size)
        reward_sizes = (size + self._action_size, *self.config.reward_hidden, 1)
        return {
            "state": init_mlp(state_key, state_sizes, lecun_normal()),
            "reward": init_mlp(reward_key, reward_sizes, lecun_normal()),
        }

    def reset(self, key: jax.Array, params: BanditParams) -> tuple[jax.Array, jax.Array]:
        """Returns a context ``[O]``, twice: it is the observation and the state."""
        noise = jax.random.normal(key, (self._observation_size,))
        context = jnp.clip(apply_mlp(params["state"], noise, "relu"), self._low, self._high)
        return context, context

    def step(
        self, key: jax.Array, state: jax.Array, action: jax.Array, params: BanditParams
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        """Rewards ``action`` in the context ``state`` and terminates; the observation stays the context."""
        del key
        return state, state, self.reward(params, state, action), jnp.array(True), jnp.array(False), {}

    def reward(self, params: BanditParams, context: jax.Array, action: jax.Array) -> jax.Array:
        """Returns rewards ``[...]`` of actions ``[..., *A]`` in contexts ``[..., O]``."""
        inputs = jnp.concatenate([context, action_vector(self.spec.action_space, action)], axis=-1)
        return apply_mlp(params["reward"], inputs, "relu")[..., 0]
