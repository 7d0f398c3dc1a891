"""The face of an agent: what both ways to collect, the learning curves and the saved policies ask of every algorithm.

An algorithm is an update on a `Rollout`; it does not know who collected it. `agents/compiled.py` steps functional
environments inside one compiled function, `agents/hosted.py` steps any `VectorEnv`.

Shape legend: ``...`` any batch axes, ``O`` and ``A`` the shapes of an observation and of an action.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
from gymnasium import spaces

from agents.configs import AgentConfig
from agents.rollout import Rollout
from envs.spec import EnvSpec

Params = dict[str, Any]
"""Weights of networks, as nested dicts."""

Learner = Any
"""What an update changes: a NamedTuple of arrays whose field ``params`` holds the weights of the policy."""


class PolicyNetworks(Protocol):
    """A policy's networks as functions of their parameters; hashable, so that they can be static arguments of jit."""

    def init(self, key: jax.Array) -> Params:
        """Returns fresh parameters."""
        ...

    def sample(self, params: Params, observation: jax.Array, key: jax.Array) -> jax.Array:
        """Returns random actions ``[..., *A]`` for ``[..., *O]``; `to_env_action` makes them fit for an environment."""
        ...

    def mode(self, params: Params, observation: jax.Array) -> jax.Array:
        """Returns the most likely actions, shaped as `sample`'s."""
        ...


class Agent(NamedTuple):
    """An algorithm with its settings, for one pair of spaces, as pure functions.

    Attributes:
        config: the settings; how many environments, steps and updates is read from it.
        networks: of the policy.
        hyper: the numeric settings as arrays, so that a training can be vmapped over them.
        init: ``key -> Learner``.
        act: ``(learner, observation [B, *O], key) -> action [B, *A]``: how experience is collected.
        update: ``(learner, rollout, key, hyper) -> (learner, metrics)``; metrics are scalars.
    """

    config: AgentConfig
    networks: PolicyNetworks
    hyper: Any
    init: Callable[[jax.Array], Learner]
    act: Callable[[Learner, jax.Array, jax.Array], jax.Array]
    update: Callable[[Learner, Rollout, jax.Array, Any], tuple[Learner, dict[str, jax.Array]]]


def to_env_action(spec: EnvSpec, action: Any) -> Any:
    """Returns actions, NumPy's or JAX's, as the environment wants them: from the space's start, or in its bounds."""
    if isinstance(spec.action_space, spaces.Discrete):
        return action + int(spec.action_space.start)
    assert isinstance(spec.action_space, spaces.Box)
    return action.clip(spec.action_space.low, spec.action_space.high)
