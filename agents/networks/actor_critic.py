"""Actor and critic networks for discrete and continuous actions, and the distributions over actions.

Discrete: a categorical over logits. Box: a diagonal Gaussian with a learned, state-independent log standard deviation,
unbounded inside the agent; what is sent to an environment is clipped to the space.

Shape legend: ``...`` any batch axes, ``O`` observation size, ``A`` number of discrete actions or action size.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces

from agents.agent import Memory, Params
from agents.configs import PPOConfig
from agents.networks.fitting import action_size, observation_size
from envs.mlp import apply_mlp, init_mlp
from envs.spec import EnvSpec


class ActorCritic(NamedTuple):
    """A policy and a value function for one pair of spaces; hashable, so it can be a static argument of jit.

    Attributes:
        observation_size: ``O``.
        action_size: ``A``.
        discrete: whether actions are integers.
        hidden: widths of the hidden layers.
        activation: name of the activation.
    """

    observation_size: int
    action_size: int
    discrete: bool
    hidden: tuple[int, ...]
    activation: str

    def init(self, key: jax.Array) -> Params:
        """Returns fresh parameters; the policy starts close to uniform (output scale 0.01)."""
        actor_key, critic_key = jax.random.split(key)
        sizes = (self.observation_size, *self.hidden)
        params: Params = {
            "actor": init_mlp(actor_key, (*sizes, self.action_size), output_scale=0.01),
            "critic": init_mlp(critic_key, (*sizes, 1)),
        }
        return params if self.discrete else {**params, "log_std": jnp.zeros(self.action_size)}

    def value(self, params: Params, observation: jax.Array) -> jax.Array:
        """Returns values ``[...]`` of observations ``[..., O]``."""
        return apply_mlp(params["critic"], observation, self.activation)[..., 0]

    def preferences(self, params: Params, observation: jax.Array) -> jax.Array:
        """Returns logits, or means of the Gaussian, ``[..., A]``."""
        return apply_mlp(params["actor"], observation, self.activation)

    def initial_memory(self, num_rows: int) -> Memory:  # noqa: ARG002, the protocol's signature
        """Returns no memory."""
        return ()

    def sample(
        self, params: Params, observation: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]:
        """Returns random actions: ``[...]`` int32, or ``[..., A]`` float32 before clipping."""
        preferences = self.preferences(params, observation)
        if self.discrete:
            return jax.random.categorical(key, preferences).astype(jnp.int32), memory
        return preferences + jnp.exp(params["log_std"]) * jax.random.normal(key, preferences.shape), memory

    def mode(self, params: Params, observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Returns the most likely actions, shaped as `sample`'s."""
        preferences = self.preferences(params, observation)
        return preferences.argmax(-1).astype(jnp.int32) if self.discrete else preferences, memory

    def log_prob_and_entropy(
        self, params: Params, observation: jax.Array, action: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns ``log pi(action | observation)`` ``[...]`` and the policy's entropy ``[...]``, in nats."""
        preferences = self.preferences(params, observation)
        if self.discrete:
            log_probs = jax.nn.log_softmax(preferences)
            log_prob = jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]
            return log_prob, -(jnp.exp(log_probs) * log_probs).sum(-1)
        log_std = jnp.broadcast_to(params["log_std"], preferences.shape)
        standardised = (action - preferences) * jnp.exp(-log_std)
        log_prob = (-0.5 * standardised**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
        return log_prob, (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


def make_actor_critic(spec: EnvSpec, config: PPOConfig) -> ActorCritic:
    """Returns the networks for ``spec``; raises `InputError` for spaces they cannot serve."""
    discrete = isinstance(spec.action_space, spaces.Discrete)
    return ActorCritic(observation_size(spec), action_size(spec), discrete, config.hidden, config.activation)
