"""Networks of action values: plain ones and whole distributions of the return, with the switches of Rainbow.

- ``dueling`` (Wang et al. 2016): two streams, a value and the actions' advantages over their mean, after shared layers.
- ``noisy`` (Fortunato et al. 2018): the streams' layers, or the output layer where there are none, have learned noise.
- ``head``: a number an action; C51's logits over a fixed support (Bellemare et al. 2017); QR-DQN's quantiles
  (Dabney et al. 2018).

Shape legend: ``...`` any batch axes, ``O`` observation size, ``A`` number of actions, ``K`` numbers an action: 1, atoms
or quantiles.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Memory, Params
from agents.networks.fan_in import init_fan_in_mlp
from agents.networks.noisy import apply_noisy_mlp, init_noisy_mlp
from envs.mlp import activation_fn, apply_mlp

Head = Literal["plain", "categorical", "quantile"]
"""What a network says of an action: its value, or the distribution of its return, as logits or as quantiles."""


class QNetworks(NamedTuple):
    """Action values for one pair of spaces, and the policy that is greedy in them; hashable.

    Attributes:
        observation_size: ``O``.
        num_actions: ``A``.
        hidden: widths of the shared hidden layers.
        stream_hidden: widths of the hidden layers of each stream.
        activation: name of the activation.
        head: what the outputs are.
        num_outputs: ``K``.
        dueling: whether there are two streams, or one.
        noisy: whether the streams are noisy.
        support: lowest and highest value of a categorical head, where its parameters do not say otherwise.
        epsilon: share of uniformly random actions in what `sample` returns.
    """

    observation_size: int
    num_actions: int
    hidden: tuple[int, ...] = (64, 64)
    stream_hidden: tuple[int, ...] = ()
    activation: str = "relu"
    head: Head = "plain"
    num_outputs: int = 1
    dueling: bool = False
    noisy: bool = False
    support: tuple[float, float] = (-10.0, 10.0)
    epsilon: float = 0.0

    def init(self, key: jax.Array) -> Params:
        """Returns fresh parameters; those of a categorical head hold its support ``[K]``, which is not learned."""
        shared_key, advantage_key, value_key = jax.random.split(key, 3)
        params: Params = {"shared": init_fan_in_mlp(shared_key, (self.observation_size, *self.hidden))}
        params["advantage"] = self._init_stream(advantage_key, self.num_actions)
        if self.dueling:
            params["value"] = self._init_stream(value_key, 1)
        if self.head == "categorical":
            params["support"] = jnp.linspace(*self.support, self.num_outputs)
        return params

    def outputs(self, params: Params, observation: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Returns what the network says of each action ``[..., A, K]``.

        Args:
            params: from `init`.
            observation: ``[..., O]``.
            key: draws the noise of noisy networks, one for all rows; None for no noise.
        """
        features = activation_fn(self.activation)(apply_mlp(params["shared"], observation, self.activation))
        advantage_key, value_key = (None, None) if key is None else jax.random.split(key)
        advantage = self._stream(params["advantage"], features, self.num_actions, advantage_key)
        if not self.dueling:
            return advantage
        value = self._stream(params["value"], features, 1, value_key)
        return value + advantage - advantage.mean(axis=-2, keepdims=True)

    def expected(self, params: Params, outputs: jax.Array) -> jax.Array:
        """Returns the action values ``[..., A]`` of ``outputs`` ``[..., A, K]``."""
        if self.head == "categorical":
            return (jax.nn.softmax(outputs) * params["support"]).sum(-1)
        return outputs.mean(-1)

    def q_values(self, params: Params, observation: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Returns action values ``[..., A]``; the arguments are those of `outputs`."""
        return self.expected(params, self.outputs(params, observation, key))

    def initial_memory(self, num_rows: int) -> Memory:  # noqa: ARG002, the protocol's signature
        """Returns no memory."""
        return ()

    def mode(self, params: Params, observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Returns the actions of the highest value ``[...]`` int32, without noise."""
        return self.q_values(params, observation).argmax(-1).astype(jnp.int32), memory

    def sample(
        self, params: Params, observation: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]:
        """Returns actions as an agent explores: greedy in noisy values, and ``epsilon`` of them uniform."""
        return self.explore(params, observation, key, self.epsilon), memory

    def explore(self, params: Params, observation: jax.Array, key: jax.Array, epsilon: jax.Array | float) -> jax.Array:
        """Returns actions ``[...]`` int32 like `sample`'s, with another ``epsilon``; each row has noise of its own."""
        noise_key, which_key, uniform_key = jax.random.split(key, 3)
        rows = observation.shape[:-1]
        uniform = jax.random.randint(uniform_key, rows, 0, self.num_actions)
        greedy = self._greedy_with_noise(params, observation, noise_key)
        return jnp.where(jax.random.uniform(which_key, rows) < epsilon, uniform, greedy)

    def _greedy_with_noise(self, params: Params, observation: jax.Array, key: jax.Array) -> jax.Array:
        if not self.noisy:
            return self.mode(params, observation, ())[0]
        flat = observation.reshape(-1, self.observation_size)
        keys = jax.random.split(key, len(flat))
        values = jax.vmap(self.q_values, in_axes=(None, 0, 0))(params, flat, keys)
        return values.argmax(-1).astype(jnp.int32).reshape(observation.shape[:-1])

    def _init_stream(self, key: jax.Array, num_rows: int) -> Params:
        sizes = (self.hidden[-1], *self.stream_hidden, num_rows * self.num_outputs)
        return init_noisy_mlp(key, sizes) if self.noisy else init_fan_in_mlp(key, sizes)

    def _stream(self, params: Params, features: jax.Array, num_rows: int, key: jax.Array | None) -> jax.Array:
        if self.noisy:
            flat = apply_noisy_mlp(params, features, self.activation, key)
        else:
            flat = apply_mlp(params, features, self.activation)
        return flat.reshape(*flat.shape[:-1], num_rows, self.num_outputs)
