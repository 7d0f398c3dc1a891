"""A learned reward on the real dynamics (Ferreira et al. 2022, reward networks).

The real environment is stepped as it is; its reward is changed by a network, whose weights are the parameters of the
functional environment. The potential-based kind is ``F = gamma * Phi(s') - Phi(s)`` of Ng et al. 1999: added to the
real reward it moves every ``Q(s, a)`` by ``-Phi(s)``, so no best policy changes for an agent with this discount.

Departures: the potential of a terminal state is 0, which that proof needs and Ferreira et al. leave out; a time limit
is no termination, so the state it cuts off at keeps its potential. gamma is the environment's setting, not taken from
each agent. The free kind sees state, action and next state (Ferreira et al.: the next state).

Shape legend: ``O`` observation size, ``A`` the action's shape.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envs.functional import EnvState, FunctionalEnv
from envs.mlp import MLPParams
from envs.spec import EnvSpec
from synthetic_envs.configs import RewardNetworkConfig
from synthetic_envs.networks import apply_network, init_network
from synthetic_envs.vectors import action_vector, require_vectors

RewardNetworkParams = dict[str, MLPParams]


class RewardNetworkState(NamedTuple):
    """State of a `RewardNetwork`.

    Attributes:
        inner: the real environment's own state.
        observation: what it shows, ``[O]`` float32.
    """

    inner: EnvState
    observation: jax.Array


class RewardNetwork:
    """The real environment with another reward; a `FunctionalEnv`.

    Args:
        real: the real environment as pure functions; it is stepped with its default parameters.
        config: which reward, and its network.

    Raises:
        InputError: spaces other than vectors (see `require_vectors`).
    """

    family = "reward-network"

    def __init__(self, real: FunctionalEnv, config: RewardNetworkConfig):
        self._observation_size, self._action_size = require_vectors(real.spec, "a reward network")
        spec = real.spec
        self.spec = EnvSpec(spec.env_id, spec.observation_space, spec.action_space, spec.max_episode_steps)
        self.config = config
        self._real = real

    @property
    def default_params(self) -> RewardNetworkParams:
        """Fresh random weights from a fixed key: a reward that nobody has evolved yet."""
        return self.init_params(jax.random.key(0))

    def init_params(self, key: jax.Array) -> RewardNetworkParams:
        """Returns random weights of the one network, ``potential`` or ``reward``."""
        size = self._observation_size
        inputs = size if self.config.kind == "potential" else 2 * size + self._action_size
        network = init_network(key, (inputs, *self.config.hidden, 1), self.config.activation)
        return {"potential" if self.config.kind == "potential" else "reward": network}

    def reset(self, key: jax.Array, params: RewardNetworkParams) -> tuple[jax.Array, RewardNetworkState]:
        """Returns the real environment's first observation ``[O]`` and the state of an episode."""
        del params
        observation, inner = self._real.reset(key, self._real.default_params)
        return observation, RewardNetworkState(inner, observation)

    def step(
        self, key: jax.Array, state: RewardNetworkState, action: jax.Array, params: RewardNetworkParams
    ) -> tuple[jax.Array, RewardNetworkState, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        """Steps the real environment once and changes its reward."""
        observation, inner, real_reward, terminated, truncated, info = self._real.step(
            key, state.inner, action, self._real.default_params
        )
        learned = self.learned_reward(params, state.observation, action, observation, terminated)
        reward = real_reward + learned if self.config.combine == "additive" else learned
        return observation, RewardNetworkState(inner, observation), reward, terminated, truncated, info

    def learned_reward(
        self,
        params: RewardNetworkParams,
        observation: jax.Array,
        action: jax.Array,
        next_observation: jax.Array,
        terminated: jax.Array,
    ) -> jax.Array:
        """Returns what the network pays ``[...]`` for actions ``[..., *A]`` between states ``[..., O]``.

        ``terminated`` ``[...]`` bool says which steps ended the episode for good.
        """
        activation = self.config.activation
        if self.config.kind == "potential":
            after = jnp.where(terminated, 0.0, self.potential(params, next_observation))
            return self.config.gamma * after - self.potential(params, observation)
        told = [observation, action_vector(self.spec.action_space, action), next_observation]
        return apply_network(params["reward"], jnp.concatenate(told, axis=-1), activation)[..., 0]

    def potential(self, params: RewardNetworkParams, observation: jax.Array) -> jax.Array:
        """Returns ``Phi`` ``[...]`` of states ``[..., O]`` that are not terminal; the potential-based kind has it."""
        return apply_network(params["potential"], observation, self.config.activation)[..., 0]
