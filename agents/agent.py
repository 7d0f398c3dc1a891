"""The face of an agent: what both ways to collect, the learning curves and the saved policies ask of every algorithm.

An algorithm is an update on a `Rollout`; it does not know who collected it. `agents/training/compiled.py` steps
functional environments inside one compiled function, `agents/training/hosted.py` steps any `VectorEnv`.

Shape legend: ``B`` rows, ``N`` rows of a minibatch, ``...`` any batch axes, ``O`` and ``A`` the shapes of an
observation and of an action.
"""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from gymnasium import spaces

from agents.configs import AgentConfig, ReplayConfig
from agents.replay.ring import Transitions
from agents.training.rollout import Rollout
from envs.spec import EnvSpec

Params = dict[str, Any]
"""Weights of networks, as nested dicts."""

Learner = Any
"""What an update changes: a NamedTuple of arrays; its attribute ``params`` is what the policy acts with."""

Brain = Any
"""What a gradient step changes: a NamedTuple of arrays whose field ``params`` holds the weights of the policy."""

Memory = Any
"""What a policy carries from step to step of an episode: a pytree of ``[B, ...]`` arrays, ``()`` where it has none."""


class PolicyNetworks(Hashable, Protocol):
    """A policy's networks as functions of their parameters; hashable, so that they can be static arguments of jit."""

    def init(self, key: jax.Array) -> Params:
        """Returns fresh parameters of the policy."""
        ...

    def initial_memory(self, num_rows: int) -> Memory:
        """Returns the memory ``[num_rows, ...]`` at the start of an episode."""
        ...

    def sample(
        self, params: Params, observation: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]:
        """Returns random actions ``[..., *A]`` for ``[..., *O]``, which `to_env_action` makes fit for an environment.

        The second value is the memory for the next step.
        """
        ...

    def mode(self, params: Params, observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """Returns the most likely actions, shaped as `sample`'s, and the memory for the next step."""
        ...


class ReplayAlgorithm(NamedTuple):
    """An algorithm that learns from single transitions, as pure functions.

    Attributes:
        config: the settings.
        networks: of the policy, which see normalised observations.
        hyper: the numeric settings as float32 scalars; its field ``replay`` is an
            `agents.algorithms.off_policy.ReplayHyper`.
        observation: an example ``[*O]``; only its shape and dtype matter.
        action: an example ``[*A]``, as the policy gives it.
        init_brain: ``key -> brain``.
        explore: ``(brain, observation [B, *O], key, num_added, hyper) -> action [B, *A]``; ``num_added`` transitions
            have been collected.
        gradient_step: ``(brain, transitions [N, ...], weight [N], key, hyper) -> (brain, error [N], metrics)``; the
            weight is each row's share in the loss, the error what priorities are made of.
        metrics: names of the metrics, all scalars.
    """

    config: ReplayConfig
    networks: PolicyNetworks
    hyper: Any
    observation: jax.Array
    action: jax.Array
    init_brain: Callable[[jax.Array], Brain]
    explore: Callable[[Brain, jax.Array, jax.Array, jax.Array, Any], jax.Array]
    gradient_step: Callable[
        [Brain, Transitions, jax.Array, jax.Array, Any], tuple[Brain, jax.Array, dict[str, jax.Array]]
    ]
    metrics: tuple[str, ...]


class Agent(NamedTuple):
    """An algorithm with its settings, for one pair of spaces, as pure functions.

    Attributes:
        config: the settings; how many environments, steps and updates is read from it.
        networks: of the policy.
        hyper: the numeric settings as float32 scalars, so that a training can be vmapped over them.
        init: ``key -> Learner``.
        act: ``(learner, observation [B, *O], memory, key, hyper) -> (action [B, *A], memory)``: how experience is
            collected.
        update: ``(learner, rollout, key, hyper) -> (learner, metrics)``; metrics are scalars.
        single_steps: how it learns from single steps, logged ones too; None for what needs whole rollouts.
    """

    config: AgentConfig
    networks: PolicyNetworks
    hyper: Any
    init: Callable[[jax.Array], Learner]
    act: Callable[[Learner, jax.Array, Memory, jax.Array, Any], tuple[jax.Array, Memory]]
    update: Callable[[Learner, Rollout, jax.Array, Any], tuple[Learner, dict[str, jax.Array]]]
    single_steps: ReplayAlgorithm | None = None


def fresh_where(started: jax.Array, memory: Memory, networks: PolicyNetworks) -> Memory:
    """Returns ``memory`` with the rows where an episode ``started`` ``[B]`` as they are at its start."""
    fresh = networks.initial_memory(len(started))
    return jax.tree.map(lambda new, old: jax.vmap(jnp.where)(started, new, old), fresh, memory)


def to_env_action(spec: EnvSpec, action: Any) -> Any:
    """Returns actions, NumPy's or JAX's, as the environment wants them: from the space's start, or in its bounds."""
    if isinstance(spec.action_space, spaces.Discrete):
        return action + int(spec.action_space.start)
    assert isinstance(spec.action_space, spaces.Box)
    return action.clip(spec.action_space.low, spec.action_space.high)
