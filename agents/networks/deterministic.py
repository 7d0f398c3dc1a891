"""The networks of TD3 and DDPG: a deterministic policy for Box actions and one or more critics.

Critics read actions scaled back to [-1, 1], whatever the bounds.

Shape legend: ``...`` any batch axes, ``O`` observation size, ``A`` action size, ``C`` critics.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Memory, Params
from agents.configs import TD3Config
from agents.networks.box_actions import Bounds
from agents.networks.critics import criticise, init_critics
from agents.networks.fitting import action_bounds, observation_size
from envs.mlp import apply_mlp, init_mlp
from envs.spec import EnvSpec


class DeterministicNetworks(NamedTuple):
    """A policy and what its critics look like, for one pair of spaces; hashable.

    Attributes:
        observation_size: ``O``.
        bounds: of the actions.
        num_critics: ``C``.
        hidden: widths of the hidden layers, of the policy and of each critic.
        activation: name of the activation.
    """

    observation_size: int
    bounds: Bounds
    num_critics: int
    hidden: tuple[int, ...]
    activation: str

    @property
    def action_size(self) -> int:
        """``A``."""
        return len(self.bounds.low)

    def init(self, key: jax.Array) -> Params:
        """Returns fresh parameters of the policy; it starts in the middle of the bounds (output scale 0.01)."""
        return {"actor": init_mlp(key, (self.observation_size, *self.hidden, self.action_size), output_scale=0.01)}

    def init_critics(self, key: jax.Array) -> Params:
        """Returns fresh parameters of the critics, each leaf ``[C, ...]``."""
        return init_critics(key, self.num_critics, (self.observation_size + self.action_size, *self.hidden, 1))

    def initial_memory(self, num_rows: int) -> Memory:  # noqa: ARG002, the protocol's signature
        """Returns no memory."""
        return ()

    def sample(
        self,
        params: Params,
        observation: jax.Array,
        memory: Memory,
        key: jax.Array,  # noqa: ARG002, the protocol's signature
    ) -> tuple[jax.Array, Memory]:
        """Returns what `mode` does: the policy draws nothing."""
        return self.mode(params, observation, memory)

    def mode(self, params: Params, observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Returns actions ``[..., A]`` float32 inside the bounds."""
        return self.bounds.scaled(self.squashed(params, observation)), memory

    def squashed(self, params: Params, observation: jax.Array) -> jax.Array:
        """Returns the policy's actions in (-1, 1) ``[..., A]`` for ``[..., O]``."""
        return jnp.tanh(apply_mlp(params["actor"], observation, self.activation))

    def q_values(self, critics: Params, observation: jax.Array, squashed: jax.Array) -> jax.Array:
        """Returns what the critics hold of actions in [-1, 1] ``[..., A]``: ``[C, ...]``."""
        inputs = jnp.concatenate([observation, squashed], axis=-1)
        return criticise(critics, inputs, self.activation)[..., 0]


def make_deterministic_networks(spec: EnvSpec, config: TD3Config) -> DeterministicNetworks:
    """Returns the networks for ``spec``; raises `InputError` for spaces they cannot serve."""
    size, bounds = observation_size(spec), Bounds(*action_bounds(spec))
    return DeterministicNetworks(size, bounds, config.num_critics, config.hidden, config.activation)
