"""What a policy's networks reach when they act greedily on a functional environment, compiled."""

from collections.abc import Callable
from typing import Any

import jax

from agents.agent import Memory, Params, PolicyNetworks, to_env_action
from envs.functional import FunctionalEnv
from envs.functional_evaluate import episode_returns
from envs.spec import EnvSpec

ActFn = Callable[[jax.Array, Memory], tuple[jax.Array, Memory]]
Measure = Callable[[jax.Array, Params, Any], tuple[jax.Array, jax.Array]]
"""``(key, params of a policy, limit of an episode or None) -> (mean return, steps)``, scalars."""


def make_greedy_return(real: FunctionalEnv, networks: PolicyNetworks, num_episodes: int) -> Measure:
    """Returns what runs a policy greedily for ``num_episodes`` episodes, until the last one has ended; pure."""

    def measure(key: jax.Array, params: Params, limit: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        act, memory = greedily(real.spec, networks, params, num_episodes)
        returns, lengths = episode_returns(real, real.default_params, act, key, num_episodes, memory, limit)
        return returns.mean(), lengths.sum()

    return measure


def greedily(spec: EnvSpec, networks: PolicyNetworks, params: Params, num_episodes: int) -> tuple[ActFn, Memory]:
    """Returns how a policy acts greedily, as `envs.functional_evaluate` wants it, and its memory at the start."""

    def act(observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        action, memory = networks.mode(params, observation, memory)
        return to_env_action(spec, action), memory

    return act, networks.initial_memory(num_episodes)
