"""The networks of SAC: a policy and twin critics, for Box actions (squashed Gaussian) and Discrete ones (categorical).

Box actions are those of the environment: the squashed Gaussian in (-1, 1) scaled to the bounds. Densities, and so
entropies, are those of the scaled-back action in (-1, 1), whatever the bounds; critics read the scaled-back action too.

Shape legend: ``...`` any batch axes, ``O`` observation size, ``A`` number of discrete actions or action size.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces

from agents.agent import Memory, Params
from agents.configs import SACConfig
from agents.equations.q_learning import at_action
from agents.networks.box_actions import Bounds
from agents.networks.critics import criticise, init_critics
from agents.networks.fitting import action_bounds, action_size, observation_size
from agents.networks.squashed_gaussian import sample_squashed
from envs.mlp import apply_mlp, init_mlp
from envs.spec import EnvSpec

LOG_STD_BOUNDS = (-10.0, 2.0)
"""The Gaussian's log standard deviation is clipped to these."""

NUM_CRITICS = 2


class SACNetworks(NamedTuple):
    """A policy and what its critics look like, for one pair of spaces; hashable.

    Attributes:
        observation_size: ``O``.
        action_size: ``A``.
        bounds: of a Box's actions; None for Discrete ones.
        hidden: widths of the hidden layers, of the policy and of each critic.
        activation: name of the activation.
    """

    observation_size: int
    action_size: int
    bounds: Bounds | None
    hidden: tuple[int, ...]
    activation: str

    @property
    def discrete(self) -> bool:
        """Whether actions are integers."""
        return self.bounds is None

    def init(self, key: jax.Array) -> Params:
        """Returns fresh parameters of the policy; it starts close to uniform (output scale 0.01)."""
        outputs = self.action_size if self.discrete else 2 * self.action_size
        return {"actor": init_mlp(key, (self.observation_size, *self.hidden, outputs), output_scale=0.01)}

    def init_critics(self, key: jax.Array) -> Params:
        """Returns fresh parameters of the two critics, each leaf ``[2, ...]``."""
        inputs, outputs = self.observation_size + self.action_size, 1
        if self.discrete:
            inputs, outputs = self.observation_size, self.action_size
        return init_critics(key, NUM_CRITICS, (inputs, *self.hidden, outputs))

    def initial_memory(self, num_rows: int) -> Memory:  # noqa: ARG002, the protocol's signature
        """Returns no memory."""
        return ()

    def sample(
        self, params: Params, observation: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]:
        """Returns random actions: ``[...]`` int32, or ``[..., A]`` float32 inside the bounds."""
        if self.bounds is None:
            return jax.random.categorical(key, self._outputs(params, observation)).astype(jnp.int32), memory
        return self.bounds.scaled(sample_squashed(*self._gaussian(params, observation), key)[0]), memory

    def mode(self, params: Params, observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Returns the most likely actions, or the squashed means, shaped as `sample`'s."""
        if self.bounds is None:
            return self._outputs(params, observation).argmax(-1).astype(jnp.int32), memory
        return self.bounds.scaled(jnp.tanh(self._gaussian(params, observation)[0])), memory

    def uniform(self, observation: jax.Array, key: jax.Array) -> jax.Array:
        """Returns uniformly random actions, shaped as `sample`'s."""
        rows = observation.shape[:-1]
        if self.bounds is None:
            return jax.random.randint(key, rows, 0, self.action_size)
        return self.bounds.uniform(rows, key)

    def q_values(self, critics: Params, observation: jax.Array, action: jax.Array) -> jax.Array:
        """Returns what both critics hold of actions ``[..., (A)]``: ``[2, ...]``."""
        if self.bounds is None:
            every = criticise(critics, observation, self.activation)
            return at_action(every, jnp.broadcast_to(action, every.shape[:-1]))
        inputs = jnp.concatenate([observation, self.bounds.scaled_back(action)], axis=-1)
        return criticise(critics, inputs, self.activation)[..., 0]

    def soft_value(
        self,
        params: Params,
        critics: Params,
        observation: jax.Array,
        temperature: jax.Array,
        pessimism: jax.Array,
        key: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the policy's soft value ``E[Q(s, a) - temperature log pi(a|s)]`` and entropy, each ``[...]``.

        Q is the lower of the critics' values where ``pessimism`` is 1, their mean where it is 0. The
        expectation is exact over Discrete actions (Christodoulou 2019, eq. 10), and one sample of Box ones.
        """
        if self.discrete:
            log_probs = jax.nn.log_softmax(self._outputs(params, observation))
            q_value = cautious(criticise(critics, observation, self.activation), pessimism)
            probs = jnp.exp(log_probs)
            return (probs * (q_value - temperature * log_probs)).sum(-1), -(probs * log_probs).sum(-1)
        squashed, log_prob = sample_squashed(*self._gaussian(params, observation), key)
        inputs = jnp.concatenate([observation, squashed], axis=-1)
        q_value = cautious(criticise(critics, inputs, self.activation)[..., 0], pessimism)
        return q_value - temperature * log_prob, -log_prob

    def _outputs(self, params: Params, observation: jax.Array) -> jax.Array:
        return apply_mlp(params["actor"], observation, self.activation)

    def _gaussian(self, params: Params, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean, log_std = jnp.split(self._outputs(params, observation), 2, axis=-1)
        return mean, jnp.clip(log_std, *LOG_STD_BOUNDS)


def cautious(q_values: jax.Array, pessimism: jax.Array) -> jax.Array:
    """Returns of twin critics' values ``[2, ...]`` the mean, or the lower, or what lies a share between them."""
    lower = q_values.min(axis=0)
    return lower + (1.0 - pessimism) * (q_values.mean(axis=0) - lower)


def make_sac_networks(spec: EnvSpec, config: SACConfig) -> SACNetworks:
    """Returns the networks for ``spec``; raises `InputError` for spaces they cannot serve."""
    size, actions = observation_size(spec), action_size(spec)
    discrete = isinstance(spec.action_space, spaces.Discrete)
    bounds = None if discrete else Bounds(*action_bounds(spec))
    return SACNetworks(size, actions, bounds, config.hidden, config.activation)
