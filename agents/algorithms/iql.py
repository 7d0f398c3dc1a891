"""Implicit Q-learning (Kostrikov et al. 2022, "Offline Reinforcement Learning with Implicit Q-Learning").

No action is ever judged that the log does not show: a state is worth an upper expectile of its logged actions' values
(eq. 5), critics learn towards that (eq. 6), and the policy imitates actions the more the better they are (eq. 7).

It goes on by collecting as it is: it explores by its policy's own spread. Its actor and value function are PPO's, which
can start with them (`agents.training.offline.start_with_policy`).

Departures: all losses take one joint Adam step from the same weights, with a constant step size; rewards are scaled by
the deviation of discounted returns, where the authors scale by the range of episode returns; `imitation_loss` for Box
actions, whose mean is not squashed.

Shape legend: ``B`` environments, ``N`` rows of a minibatch, ``O`` observation size, ``A`` action size.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Params, ReplayAlgorithm
from agents.algorithms.adam import adam_step, follow, init_adam
from agents.algorithms.imitation import imitation_loss
from agents.algorithms.off_policy import ReplayHyper, replay_agent
from agents.configs import IQLConfig
from agents.equations.weighted_regression import advantage_weights, expectile_loss
from agents.networks.implicit_q import IQLNetworks, make_iql_networks
from agents.replay.ring import Transitions
from envs.spec import EnvSpec

METRICS = ("critic_loss", "value_loss", "policy_loss", "value")
"""What `loss` tells; ``value`` is the mean worth of the states."""


class Hyperparameters(NamedTuple):
    """The numeric settings of an update, each a scalar; see `IQLConfig` for their meaning."""

    learning_rate: jax.Array
    max_grad_norm: jax.Array
    tau: jax.Array
    expectile: jax.Array
    inverse_temperature: jax.Array
    largest_weight: jax.Array
    replay: ReplayHyper


class Brain(NamedTuple):
    """What a gradient step changes.

    Attributes:
        params: of actor and value function.
        critics: of the twin critics, each leaf ``[2, ...]``.
        targets: slowly following copy of the critics.
        opt_state: Adam's moments, of the first two.
    """

    params: Params
    critics: Params
    targets: Params
    opt_state: Any


def make_iql(spec: EnvSpec, config: IQLConfig) -> Agent:
    """Returns IQL as an agent; raises `InputError` for spaces that it cannot serve."""
    return _agent(make_iql_networks(spec, config), config)


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(networks: IQLNetworks, config: IQLConfig) -> Agent:
    policy = networks.policy
    return replay_agent(
        ReplayAlgorithm(
            config=config,
            networks=policy,
            hyper=hyperparameters_of(config),
            observation=jnp.zeros(policy.observation_size),
            action=jnp.int32(0) if policy.discrete else jnp.zeros(policy.action_size),
            init_brain=lambda key: init_brain(networks, key),
            explore=lambda brain, observation, key, num_added, _: explore(
                brain, observation, key, num_added, networks, config
            ),
            gradient_step=lambda brain, batch, weight, _, hyper: gradient_step(brain, batch, weight, networks, hyper),
            metrics=METRICS,
        )
    )


def hyperparameters_of(config: IQLConfig) -> Hyperparameters:
    """Returns the numeric settings."""
    settings = (getattr(config, name) for name in Hyperparameters._fields[:-1])
    numbers = (jnp.float32(math.inf if x is None else x) for x in settings)
    return Hyperparameters._make((*numbers, ReplayHyper.of(config)))


def init_brain(networks: IQLNetworks, key: jax.Array) -> Brain:
    """Returns fresh networks; the targets equal the critics."""
    policy_key, critic_key = jax.random.split(key)
    params, critics = networks.policy.init(policy_key), networks.init_critics(critic_key)
    targets = jax.tree.map(jnp.copy, critics)  # not the same arrays, so that a learner can be donated
    return Brain(params, critics, targets, init_adam((params, critics)))


def explore(
    brain: Brain, observation: jax.Array, key: jax.Array, num_added: jax.Array, networks: IQLNetworks, config: IQLConfig
) -> jax.Array:
    """Returns actions for ``[B, O]``: uniformly random ones until there are ``warmup_steps``, then the policy's.

    Box actions are clipped to their bounds here, so that critics judge what the environment was given.
    """
    rows = observation.shape[:-1]
    chosen, _ = networks.policy.sample(brain.params, observation, (), key)
    if networks.bounds is None:
        uniform = jax.random.randint(key, rows, 0, networks.policy.action_size)
    else:
        uniform = networks.bounds.uniform(rows, key)
        chosen = jnp.clip(chosen, jnp.array(networks.bounds.low), jnp.array(networks.bounds.high))
    return jnp.where(num_added < config.warmup_steps, uniform, chosen)


def gradient_step(
    brain: Brain, batch: Transitions, weight: jax.Array, networks: IQLNetworks, hyper: Hyperparameters
) -> tuple[Brain, jax.Array, dict[str, jax.Array]]:
    """Takes one step of Adam on a minibatch ``[N, ...]`` and lets the target critics follow.

    Returns:
        The brain after it, each row's error ``[N]`` (the mean of both critics' absolute ones), and `loss`'s metrics.
    """
    learned = (brain.params, brain.critics)
    (_, (error, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(
        learned, brain.targets, batch, weight, networks, hyper
    )
    (params, critics), opt_state = adam_step(
        learned, gradient, brain.opt_state, hyper.learning_rate, hyper.max_grad_norm
    )
    return Brain(params, critics, follow(brain.targets, critics, hyper.tau), opt_state), error, metrics


def loss(
    learned: tuple[Params, Params],
    targets: Params,
    batch: Transitions,
    weight: jax.Array,
    networks: IQLNetworks,
    hyper: Hyperparameters,
) -> tuple[jax.Array, tuple[jax.Array, dict[str, jax.Array]]]:
    """Returns the sum of the losses of critics, value function and policy, errors and metrics.

    Each has its own parameters, so that one gradient serves all. ``weight`` ``[N]`` is each row's in the critics' loss.
    """
    params, critics = learned
    next_value = jax.lax.stop_gradient(networks.policy.value(params, batch.next_observation))
    error = networks.q_values(critics, batch.observation, batch.action) - (batch.reward + batch.discount * next_value)
    critic_loss = 0.5 * (weight * error**2).mean(axis=1).sum()
    value = networks.policy.value(params, batch.observation)
    advantage = networks.q_values(targets, batch.observation, batch.action).min(axis=0) - value
    value_loss = expectile_loss(advantage, hyper.expectile).mean()
    share = advantage_weights(jax.lax.stop_gradient(advantage), hyper.inverse_temperature, hyper.largest_weight)
    imitation = imitation_loss(networks.policy.distribution(params, batch.observation), batch.action)
    policy_loss = (share * imitation).mean()
    parts = (critic_loss, value_loss, policy_loss, value.mean())
    return critic_loss + value_loss + policy_loss, (jnp.abs(error).mean(0), dict(zip(METRICS, parts, strict=True)))
