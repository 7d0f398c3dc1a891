"""Conservative Q-learning for Discrete actions (Kumar et al. 2020, "Conservative Q-Learning for Offline RL", CQL(H)).

Double Q-learning whose loss also makes ``log sum_a exp Q(s, a) - Q(s, logged a)`` small (eq. 4), so that actions the
log does not show are not thought better than those it shows. It goes on by collecting as it is, epsilon-greedily;
then less conservatism is in place, for what is rarely tried stays under suspicion.

Departures: action values as numbers, where the authors learn quantiles; a target network that follows slowly; rewards
are scaled by the deviation of discounted returns, so that the penalty's weight means the same everywhere.

Shape legend: ``B`` environments, ``N`` rows of a minibatch, ``O`` observation size, ``A`` number of actions.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Params, ReplayAlgorithm
from agents.algorithms.adam import adam_step, follow, init_adam
from agents.algorithms.off_policy import ReplayHyper, replay_agent
from agents.configs import CQLConfig
from agents.equations.q_learning import at_action, double_q_target
from agents.networks.fitting import num_actions, observation_size
from agents.networks.q_networks import QNetworks
from agents.replay.ring import Transitions
from envs.spec import EnvSpec

METRICS = ("critic_loss", "conservative_loss", "value")
"""What `loss` tells; ``value`` is the mean value of the logged actions."""


class Hyperparameters(NamedTuple):
    """The numeric settings of an update, each a scalar; see `CQLConfig` for their meaning."""

    learning_rate: jax.Array
    max_grad_norm: jax.Array
    tau: jax.Array
    conservatism: jax.Array
    epsilon: jax.Array
    replay: ReplayHyper


class Brain(NamedTuple):
    """What a gradient step changes.

    Attributes:
        params: of the action values, in which the policy is greedy.
        targets: slowly following copy of them.
        opt_state: Adam's moments.
    """

    params: Params
    targets: Params
    opt_state: Any


def make_cql(spec: EnvSpec, config: CQLConfig) -> Agent:
    """Returns CQL as an agent; raises `InputError` for spaces that it cannot serve."""
    size, actions = observation_size(spec), num_actions(spec)
    return _agent(QNetworks(size, actions, config.hidden, activation=config.activation, epsilon=config.epsilon), config)


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(networks: QNetworks, config: CQLConfig) -> Agent:
    def explore(
        brain: Brain, observation: jax.Array, key: jax.Array, num_added: jax.Array, hyper: Hyperparameters
    ) -> jax.Array:
        epsilon = jnp.where(num_added < config.warmup_steps, 1.0, hyper.epsilon)
        return networks.explore(brain.params, observation, key, epsilon)

    return replay_agent(
        ReplayAlgorithm(
            config=config,
            networks=networks,
            hyper=hyperparameters_of(config),
            observation=jnp.zeros(networks.observation_size),
            action=jnp.int32(0),
            init_brain=lambda key: init_brain(networks, key),
            explore=explore,
            gradient_step=lambda brain, batch, weight, _, hyper: gradient_step(brain, batch, weight, networks, hyper),
            metrics=METRICS,
        )
    )


def hyperparameters_of(config: CQLConfig) -> Hyperparameters:
    """Returns the numeric settings."""
    settings = (getattr(config, name) for name in Hyperparameters._fields[:-1])
    numbers = (jnp.float32(math.inf if x is None else x) for x in settings)
    return Hyperparameters._make((*numbers, ReplayHyper.of(config)))


def init_brain(networks: QNetworks, key: jax.Array) -> Brain:
    """Returns fresh networks; the targets equal them."""
    params = networks.init(key)
    targets = jax.tree.map(jnp.copy, params)  # not the same arrays, so that a learner can be donated
    return Brain(params, targets, init_adam(params))


def gradient_step(
    brain: Brain, batch: Transitions, weight: jax.Array, networks: QNetworks, hyper: Hyperparameters
) -> tuple[Brain, jax.Array, dict[str, jax.Array]]:
    """Takes one step of Adam on a minibatch ``[N, ...]`` and lets the target network follow.

    Returns:
        The brain after it, each row's absolute error ``[N]``, and `loss`'s metrics.
    """
    (_, (error, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(
        brain.params, brain.targets, batch, weight, networks, hyper
    )
    params, opt_state = adam_step(brain.params, gradient, brain.opt_state, hyper.learning_rate, hyper.max_grad_norm)
    return Brain(params, follow(brain.targets, params, hyper.tau), opt_state), error, metrics


def loss(
    params: Params,
    targets: Params,
    batch: Transitions,
    weight: jax.Array,
    networks: QNetworks,
    hyper: Hyperparameters,
) -> tuple[jax.Array, tuple[jax.Array, dict[str, jax.Array]]]:
    """Returns half the squared error plus the penalty, weighted by ``weight`` ``[N]``, errors ``[N]`` and metrics."""
    every = networks.q_values(params, batch.observation)
    value = at_action(every, batch.action)
    selector = jax.lax.stop_gradient(networks.q_values(params, batch.next_observation))
    next_values = networks.q_values(targets, batch.next_observation)
    error = value - double_q_target(batch.reward, batch.discount, next_values, selector)
    critic_loss = 0.5 * (weight * error**2).mean()
    conservative_loss = (weight * (jax.nn.logsumexp(every, axis=-1) - value)).mean()
    parts = (critic_loss, conservative_loss, value.mean())
    return critic_loss + hyper.conservatism * conservative_loss, (
        jnp.abs(error),
        dict(zip(METRICS, parts, strict=True)),
    )
