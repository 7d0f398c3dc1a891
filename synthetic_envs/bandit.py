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

from envs.errors import InputError
from envs.mlp import MLPParams, apply_mlp, init_mlp
from envs.spec import EnvSpec
from synthetic_envs.configs import BanditConfig

BanditParams = dict[str, MLPParams]


class Bandit:
    """A contextual bandit with the spaces of the real environment that ``spec`` names; a `FunctionalEnv`.

    Raises:
        InputError: an observation space other than a vector Box, or an action space other than Discrete or a vector
            Box.
    """

    family = "bandit"

    def __init__(self, spec: EnvSpec, config: BanditConfig):
        observation, action = spec.observation_space, spec.action_space
        if not (isinstance(observation, spaces.Box) and len(observation.shape) == 1):
            raise InputError(
                f"expected a vector Box observation space of {spec.env_id} for a bandit, got {observation}"
            )
        vector_box = isinstance(action, spaces.Box) and len(action.shape) == 1
        if not (isinstance(action, spaces.Discrete) or vector_box):
            raise InputError(f"expected a Discrete or vector Box action space for a bandit, got {action}")
        self.spec = EnvSpec(spec.env_id, observation, action, max_episode_steps=1)
        self.config = config
        self._low, self._high = jnp.asarray(observation.low), jnp.asarray(observation.high)
        self._observation_size = observation.shape[0]
        self._action_size = int(action.n) if isinstance(action, spaces.Discrete) else spaces.utils.flatdim(action)

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
        space = self.spec.action_space
        if isinstance(space, spaces.Discrete):
            action = jax.nn.one_hot(action - int(space.start), self._action_size)
        return apply_mlp(params["reward"], jnp.concatenate([context, action], axis=-1), "relu")[..., 0]
