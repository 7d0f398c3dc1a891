"""The networks of IQL: PPO's actor and value function, and critics of actions, for Box and Discrete actions.

Shape legend: ``...`` any batch axes, ``O`` observation size, ``A`` number of discrete actions or action size.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces

from agents.agent import Params
from agents.configs import IQLConfig
from agents.equations.q_learning import at_action
from agents.networks.actor_critic import ActorCritic
from agents.networks.box_actions import Bounds
from agents.networks.critics import criticise, init_critics
from agents.networks.fitting import action_bounds, action_size, observation_size
from envs.spec import EnvSpec

NUM_CRITICS = 2


class IQLNetworks(NamedTuple):
    """What learns in IQL, for one pair of spaces; hashable.

    Attributes:
        policy: actor and value function.
        bounds: of Box actions; None for Discrete ones.
    """

    policy: ActorCritic
    bounds: Bounds | None

    def init_critics(self, key: jax.Array) -> Params:
        """Returns fresh parameters of the twin critics, each leaf ``[2, ...]``."""
        inputs, outputs = self.policy.observation_size, self.policy.action_size
        if self.bounds is not None:
            inputs, outputs = inputs + outputs, 1
        return init_critics(key, NUM_CRITICS, (inputs, *self.policy.hidden, outputs))

    def q_values(self, critics: Params, observation: jax.Array, action: jax.Array) -> jax.Array:
        """Returns what both critics hold of actions ``[..., (A)]``: ``[2, ...]``."""
        if self.bounds is None:
            every = criticise(critics, observation, self.policy.activation)
            return at_action(every, jnp.broadcast_to(action, every.shape[:-1]))
        inputs = jnp.concatenate([observation, self.bounds.scaled_back(action)], axis=-1)
        return criticise(critics, inputs, self.policy.activation)[..., 0]


def make_iql_networks(spec: EnvSpec, config: IQLConfig) -> IQLNetworks:
    """Returns the networks for ``spec``; raises `InputError` for spaces they cannot serve."""
    discrete = isinstance(spec.action_space, spaces.Discrete)
    policy = ActorCritic(observation_size(spec), action_size(spec), discrete, config.hidden, config.activation)
    return IQLNetworks(policy, None if discrete else Bounds(*action_bounds(spec)))
