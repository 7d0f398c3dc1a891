"""Actor and critic networks without memory, for discrete and continuous actions.

Shape legend: ``...`` any batch axes, ``T`` time, ``B`` environments, ``N`` rows to learn from, ``O`` observation size,
``A`` number of discrete actions or action size.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from gymnasium import spaces

from agents.agent import Memory, Params
from agents.configs import OnPolicyConfig
from agents.networks.action_distribution import ActionDistribution, Judged
from agents.networks.fitting import action_size, observation_size
from agents.networks.recurrent import RecurrentActorCritic
from agents.training.rollout import Rollout
from envs.mlp import apply_mlp, init_mlps
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
        inputs = (self.observation_size, *self.hidden)
        actor, critic = init_mlps(key, [(*inputs, self.action_size), (*inputs, 1)], [0.01, 1.0])
        params: Params = {"actor": actor, "critic": critic}
        return params if self.discrete else {**params, "log_std": jnp.zeros(self.action_size)}

    def value(self, params: Params, observation: jax.Array) -> jax.Array:
        """Returns values ``[...]`` of observations ``[..., O]``."""
        return apply_mlp(params["critic"], observation, self.activation)[..., 0]

    def preferences(self, params: Params, observation: jax.Array) -> jax.Array:
        """Returns logits, or means of the Gaussian, ``[..., A]``."""
        return apply_mlp(params["actor"], observation, self.activation)

    def distribution(self, params: Params, observation: jax.Array) -> ActionDistribution:
        """Returns the policy's distributions ``[...]`` for observations ``[..., O]``."""
        return ActionDistribution(self.preferences(params, observation), params.get("log_std"))

    def initial_memory(self, num_rows: int) -> Memory:  # noqa: ARG002, the protocol's signature
        """Returns no memory."""
        return ()

    def sample(
        self, params: Params, observation: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]:
        """Returns random actions: ``[...]`` int32, or ``[..., A]`` float32 before clipping."""
        return self.distribution(params, observation).sample(key), memory

    def mode(self, params: Params, observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Returns the most likely actions, shaped as `sample`'s."""
        return self.distribution(params, observation).mode(), memory

    def inputs(self, rollout: Rollout) -> jax.Array:
        """Returns what `judge` must see of a rollout: its observations ``[T, B, O]``."""
        return rollout.observation

    def rows(self, steps: Any) -> Any:
        """Returns a pytree of ``[T, B, ...]`` as rows that a minibatch may be made of: steps, ``[T * B, ...]``."""
        return jax.tree.map(lambda x: rearrange(x, "t b ... -> (t b) ..."), steps)

    def judge(self, params: Params, inputs: jax.Array, action: jax.Array) -> Judged:
        """Returns `Judged` ``[...]`` for observations ``[..., O]`` and actions ``[..., (A)]``."""
        log_prob, entropy = self.distribution(params, inputs).log_prob_and_entropy(action)
        return Judged(log_prob, entropy, self.value(params, inputs))

    def judge_rollout(self, params: Params, rollout: Rollout) -> tuple[Judged, jax.Array]:
        """Returns `Judged` ``[T, B]`` and the values of what the actions led to ``[T, B]``."""
        judged = self.judge(params, rollout.observation, rollout.action)
        return judged, self.value(params, rollout.next_observation)


def make_actor_critic(spec: EnvSpec, config: OnPolicyConfig) -> ActorCritic | RecurrentActorCritic:
    """Returns the networks for ``spec``; raises `InputError` for spaces they cannot serve."""
    discrete = isinstance(spec.action_space, spaces.Discrete)
    networks = ActorCritic(observation_size(spec), action_size(spec), discrete, config.hidden, config.activation)
    return networks if config.memory == "none" else RecurrentActorCritic(*networks, config.memory, config.memory_size)
