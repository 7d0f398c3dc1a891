"""Behaviour cloning (Pomerleau 1989): a policy that acts as a log did, for Discrete and Box actions.

It looks at no reward, so it cannot go on by collecting; but its networks are those of PPO and its simple cases, which
can start with its policy (`agents.training.offline.start_with_policy`).

Departure: see `imitation_loss` for Box actions.

Shape legend: ``N`` rows of a minibatch.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces

from agents.agent import Agent, Params, ReplayAlgorithm
from agents.algorithms.adam import adam_step, init_adam
from agents.algorithms.imitation import imitation_loss
from agents.algorithms.off_policy import ReplayHyper, replay_agent
from agents.configs import BCConfig
from agents.networks.actor_critic import ActorCritic
from agents.networks.fitting import action_size, observation_size
from agents.replay.ring import Transitions
from envs.errors import InputError
from envs.spec import EnvSpec

METRICS = ("policy_loss",)
"""What `gradient_step` tells."""


class Hyperparameters(NamedTuple):
    """The numeric settings of a gradient step, each a scalar."""

    learning_rate: jax.Array
    max_grad_norm: jax.Array
    replay: ReplayHyper


class Brain(NamedTuple):
    """What a gradient step changes: the weights of the policy (and of a critic that learns nothing), Adam's moments."""

    params: Params
    opt_state: Any


def make_bc(spec: EnvSpec, config: BCConfig) -> Agent:
    """Returns behaviour cloning as an agent, whose ``single_steps`` learn from logs.

    Raises:
        InputError: spaces that it cannot serve; or, later, its update is asked for: it does not learn by collecting.
    """
    discrete = isinstance(spec.action_space, spaces.Discrete)
    return _agent(
        ActorCritic(observation_size(spec), action_size(spec), discrete, config.hidden, config.activation), config
    )


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(networks: ActorCritic, config: BCConfig) -> Agent:
    def refuse(*_: Any) -> tuple[Any, dict[str, jax.Array]]:
        raise InputError("behaviour cloning learns from logs only: to go on by collecting, start PPO with its policy "
                         "(agents.training.offline.start_with_policy)")  # fmt: skip

    limit = math.inf if config.max_grad_norm is None else config.max_grad_norm
    algorithm = ReplayAlgorithm(
        config=config,
        networks=networks,
        hyper=Hyperparameters(jnp.float32(config.learning_rate), jnp.float32(limit), ReplayHyper.of(config)),
        observation=jnp.zeros(networks.observation_size),
        action=jnp.int32(0) if networks.discrete else jnp.zeros(networks.action_size),
        init_brain=lambda key: init_brain(networks, key),
        explore=lambda brain, observation, key, *_: networks.sample(brain.params, observation, (), key)[0],
        gradient_step=lambda brain, batch, weight, _, hyper: gradient_step(brain, batch, weight, networks, hyper),
        metrics=METRICS,
    )
    return replay_agent(algorithm)._replace(update=refuse)


def init_brain(networks: ActorCritic, key: jax.Array) -> Brain:
    """Returns fresh networks."""
    params = networks.init(key)
    return Brain(params, init_adam(params))


def gradient_step(
    brain: Brain, batch: Transitions, weight: jax.Array, networks: ActorCritic, hyper: Hyperparameters
) -> tuple[Brain, jax.Array, dict[str, jax.Array]]:
    """Takes one step of Adam on a minibatch ``[N, ...]``, whose rows count as ``weight`` ``[N]`` says.

    Returns:
        The brain after it, each row's loss ``[N]``, and metrics.
    """

    def loss(params: Params) -> tuple[jax.Array, jax.Array]:
        losses = imitation_loss(networks.distribution(params, batch.observation), batch.action)
        return (weight * losses).mean(), losses

    (value, losses), gradient = jax.value_and_grad(loss, has_aux=True)(brain.params)
    params, opt_state = adam_step(brain.params, gradient, brain.opt_state, hyper.learning_rate, hyper.max_grad_norm)
    return Brain(params, opt_state), losses, {"policy_loss": value}
