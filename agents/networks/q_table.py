"""Action values in a table: one for each pair of a Discrete observation and a Discrete action.

Shape legend: ``...`` any batch axes, ``S`` number of observations, ``A`` number of actions.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Memory, Params


class QTable(NamedTuple):
    """Action values for one pair of spaces, and the policy that is greedy in them; hashable.

    Attributes:
        num_observations: ``S``.
        first_observation: the lowest.
        num_actions: ``A``.
        initial_value: of every action.
        epsilon: share of uniformly random actions in what `sample` returns.
    """

    num_observations: int
    first_observation: int
    num_actions: int
    initial_value: float = 0.0
    epsilon: float = 0.0

    def init(self, key: jax.Array) -> Params:  # noqa: ARG002, the protocol's signature
        """Returns fresh values ``[S, A]`` under ``table``."""
        return {"table": jnp.full((self.num_observations, self.num_actions), self.initial_value)}

    def q_values(self, params: Params, observation: jax.Array) -> jax.Array:
        """Returns action values ``[..., A]`` of observations ``[...]`` int."""
        return params["table"][self.row(observation)]

    def row(self, observation: jax.Array) -> jax.Array:
        """Returns the table's rows ``[...]`` int32 for observations ``[...]``."""
        return observation.astype(jnp.int32) - self.first_observation

    def initial_memory(self, num_rows: int) -> Memory:  # noqa: ARG002, the protocol's signature
        """Returns no memory."""
        return ()

    def mode(self, params: Params, observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Returns the actions of the highest value ``[...]`` int32."""
        return self.q_values(params, observation).argmax(-1).astype(jnp.int32), memory

    def sample(
        self, params: Params, observation: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]:
        """Returns the actions of the highest value, and ``epsilon`` of them uniform."""
        return self.explore(params, observation, key, self.epsilon), memory

    def explore(self, params: Params, observation: jax.Array, key: jax.Array, epsilon: jax.Array | float) -> jax.Array:
        """Returns actions ``[...]`` int32 of the highest value, any of them where several are, or uniform ones.

        Args:
            params: from `init`.
            observation: ``[...]`` int.
            key: random key.
            epsilon: share of the uniform ones.
        """
        which_key, uniform_key, tie_key = jax.random.split(key, 3)
        values = self.q_values(params, observation)
        best = values == values.max(-1, keepdims=True)
        greedy = jax.random.categorical(tie_key, jnp.where(best, 0.0, -jnp.inf))
        uniform = jax.random.randint(uniform_key, observation.shape, 0, self.num_actions)
        explores = jax.random.uniform(which_key, observation.shape) < epsilon
        return jnp.where(explores, uniform, greedy).astype(jnp.int32)
