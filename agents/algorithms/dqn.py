"""DQN (Mnih et al. 2015, "Human-level control through deep reinforcement learning") and, by switches, all of Rainbow.

Each alone or together (Hessel et al. 2018, "Rainbow"): double Q-learning (van Hasselt et al. 2016), dueling streams
(Wang et al. 2016), noisy networks (Fortunato et al. 2018), distributions of the return, categorical (C51: Bellemare et
al. 2017) or as quantiles (QR-DQN: Dabney et al. 2018), n-step returns and prioritised replay (Schaul et al. 2016), the
last two by `agents/algorithms/off_policy.py`. The target network follows hard (``tau`` 1, now and then) or softly.

Departures: time limits are bootstrapped through; a random action, and the noise of noisy networks, may be held for
several steps (after temporally extended exploration, Dabney et al. 2021, whose durations are random); Adam, where the
paper of DQN has RMSProp; rows of a minibatch share one draw of the noise, acting environments have their own.
Priorities are made of the absolute error, of C51's Kullback-Leibler divergence (as in Rainbow), of the quantiles' loss.
Every numeric setting is a traced value.

Shape legend: ``B`` environments, ``N`` rows of a minibatch, ``O`` observation size, ``A`` number of actions, ``K``
numbers that the network says of an action.
"""

import math
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Params, ReplayAlgorithm
from agents.algorithms.adam import Adam, adam_step, follow, init_adam
from agents.algorithms.exploration import ExplorationHyper, epsilon_at
from agents.algorithms.held_noise import held_key, init_noise_seed
from agents.algorithms.off_policy import ReplayHyper, replay_agent
from agents.configs import DQNConfig
from agents.equations.distributional import categorical_projection, cross_entropy, quantile_huber_loss
from agents.equations.q_learning import at_action, huber
from agents.networks.fitting import num_actions, observation_size
from agents.networks.q_networks import Head, QNetworks
from agents.replay.ring import Transitions
from envs.spec import EnvSpec

METRICS = ("loss", "value")
"""What `gradient_step` tells: the weighted loss, and the mean value of the actions taken."""

_HEADS: dict[str, Head] = {"none": "plain", "categorical": "categorical", "quantile": "quantile"}


class Hyperparameters(NamedTuple):
    """The numeric settings of an update, each a scalar; see `DQNConfig` for their meaning."""

    learning_rate: jax.Array
    learning_rate_end: jax.Array
    max_grad_norm: jax.Array
    adam_epsilon: jax.Array
    huber_threshold: jax.Array
    tau: jax.Array
    lowest_return: jax.Array
    highest_return: jax.Array
    exploration: ExplorationHyper
    replay: ReplayHyper


class Brain(NamedTuple):
    """What a gradient step changes.

    Attributes:
        params: of the network that learns and acts.
        targets: of the one that follows.
        opt_state: Adam's moments.
        num_steps: gradient steps taken, int32 scalar.
        noise_seed: what exploration is drawn from, see `held_key`.
    """

    params: Params
    targets: Params
    opt_state: Adam
    num_steps: jax.Array
    noise_seed: jax.Array


def make_dqn(spec: EnvSpec, config: DQNConfig) -> Agent:
    """Returns DQN, or what its switches make of it, as an agent; raises `UnfitSpace` for spaces it cannot serve."""
    return _agent(make_q_networks(spec, config), config)


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(networks: QNetworks, config: DQNConfig) -> Agent:
    return replay_agent(
        ReplayAlgorithm(
            config=config,
            networks=networks,
            hyper=hyperparameters_of(config),
            observation=jnp.zeros(networks.observation_size),
            action=jnp.int32(0),
            init_brain=lambda key: init_brain(networks, key),
            explore=lambda brain, observation, key, num_added, hyper: explore(
                brain, observation, key, num_added, networks, hyper, config
            ),
            gradient_step=lambda brain, batch, weight, key, hyper: gradient_step(
                brain, batch, weight, key, networks, hyper, config
            ),
            metrics=METRICS,
        )
    )


def make_q_networks(spec: EnvSpec, config: DQNConfig) -> QNetworks:
    """Returns the networks for ``spec``; raises `UnfitSpace` for spaces they cannot serve."""
    num_outputs = {"none": 1, "categorical": config.num_atoms, "quantile": config.num_quantiles}
    return QNetworks(
        observation_size=observation_size(spec),
        num_actions=num_actions(spec),
        hidden=config.hidden,
        stream_hidden=config.stream_hidden,
        activation=config.activation,
        head=_HEADS[config.distribution],
        num_outputs=num_outputs[config.distribution],
        dueling=config.dueling,
        noisy=config.noisy,
        support=(config.lowest_return, config.highest_return),
        epsilon=config.epsilon_end,
    )


def hyperparameters_of(config: DQNConfig) -> Hyperparameters:
    """Returns the numeric settings."""
    limit = math.inf if config.max_grad_norm is None else config.max_grad_norm
    threshold = math.inf if config.huber_threshold is None else config.huber_threshold
    return Hyperparameters(
        learning_rate=jnp.float32(config.learning_rate),
        learning_rate_end=jnp.float32(config.learning_rate_end),
        max_grad_norm=jnp.float32(limit),
        adam_epsilon=jnp.float32(config.adam_epsilon),
        huber_threshold=jnp.float32(threshold),
        tau=jnp.float32(config.tau),
        lowest_return=jnp.float32(config.lowest_return),
        highest_return=jnp.float32(config.highest_return),
        exploration=ExplorationHyper.of(config),
        replay=ReplayHyper.of(config),
    )


def init_brain(networks: QNetworks, key: jax.Array) -> Brain:
    """Returns fresh networks; the target equals the other."""
    params = networks.init(key)
    targets = jax.tree.map(jnp.copy, params)  # not the same arrays, so that a learner can be donated
    return Brain(params, targets, init_adam(params), jnp.int32(0), init_noise_seed(jax.random.fold_in(key, 1)))


def explore(
    brain: Brain,
    observation: jax.Array,
    key: jax.Array,
    num_added: jax.Array,
    networks: QNetworks,
    hyper: Hyperparameters,
    config: DQNConfig,
) -> jax.Array:
    """Returns actions ``[B]`` for ``[B, O]``: uniform until there are ``warmup_steps``, then by the schedule."""
    key = held_key(key, brain.noise_seed, num_added, config.noise_steps, config.num_envs)
    epsilon = jnp.where(num_added < config.warmup_steps, 1.0, epsilon_at(num_added, hyper.exploration, config))
    return networks.explore(brain.params, observation, key, epsilon)


def gradient_step(
    brain: Brain,
    batch: Transitions,
    weight: jax.Array,
    key: jax.Array,
    networks: QNetworks,
    hyper: Hyperparameters,
    config: DQNConfig,
) -> tuple[Brain, jax.Array, dict[str, jax.Array]]:
    """Takes one step of Adam on a minibatch ``[N, ...]`` and, when it is due, lets the target network follow.

    Args:
        brain: the networks.
        batch: ``[N, ...]``.
        weight: each row's in the loss ``[N]``.
        key: draws the noise of noisy networks.
        networks: static.
        hyper: the numeric settings.
        config: static; only its switches and whole numbers are read here.

    Returns:
        The brain after it, each row's error ``[N]``, and metrics.
    """
    params, targets = (with_support(one, networks, hyper) for one in (brain.params, brain.targets))
    target_key, learn_key = jax.random.split(key)
    target = bootstrap_target(params, targets, batch, target_key, networks, config.double)

    def loss(params: Params) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        outputs = networks.outputs(params, batch.observation, learn_key if networks.noisy else None)
        taken = at_action(outputs, batch.action)
        of_rows, error = row_losses(taken, target, networks, hyper)
        return (weight * of_rows).mean(), (error, networks.expected(params, taken).mean())

    (total, (error, value)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    done = jnp.minimum(brain.num_steps / (config.num_updates * config.gradient_steps), 1.0)
    rate = hyper.learning_rate * (1.0 - (1.0 - hyper.learning_rate_end) * done)
    params, opt_state = adam_step(params, gradient, brain.opt_state, rate, hyper.max_grad_norm, hyper.adam_epsilon)
    num_steps = brain.num_steps + 1
    due = num_steps % config.target_period == 0
    targets = follow(targets, params, jnp.where(due, hyper.tau, 0.0))
    brain = Brain(params, targets, opt_state, num_steps, brain.noise_seed)
    return brain, error, dict(zip(METRICS, (total, value), strict=True))


def bootstrap_target(
    params: Params, targets: Params, batch: Transitions, key: jax.Array, networks: QNetworks, double: bool
) -> jax.Array:
    """Returns what the actions taken should have been worth ``[N, K]``: a value, probabilities, or quantiles.

    With ``double`` the learning network chooses the next action, else the target network does; with noisy networks
    each has noise of its own.
    """
    judge_key, choose_key = jax.random.split(key) if networks.noisy else (None, None)
    outputs = networks.outputs(targets, batch.next_observation, judge_key)
    if double:
        values = networks.q_values(params, batch.next_observation, choose_key)
    else:
        values = networks.expected(targets, outputs)
    chosen = at_action(outputs, values.argmax(-1))
    reward, discount = batch.reward[:, None], batch.discount[:, None]
    if networks.head == "categorical":
        support = targets["support"]
        return categorical_projection(reward + discount * support, jax.nn.softmax(chosen), support)
    return reward + discount * chosen


def row_losses(
    taken: jax.Array, target: jax.Array, networks: QNetworks, hyper: Hyperparameters
) -> tuple[jax.Array, jax.Array]:
    """Returns the losses ``[N]`` and errors ``[N]`` of what the network says of the actions taken ``[N, K]``."""
    if networks.head == "categorical":
        losses = cross_entropy(taken, target)
        return losses, losses + jax.scipy.special.xlogy(target, target).sum(-1)
    if networks.head == "quantile":
        losses = quantile_huber_loss(taken, target, hyper.huber_threshold)
        return losses, losses
    error = (taken - target)[:, 0]
    return huber(error, hyper.huber_threshold), jnp.abs(error)


def with_support(params: Params, networks: QNetworks, hyper: Hyperparameters) -> Params:
    """Returns the parameters with the support that the numeric settings say, where the head has one."""
    if networks.head != "categorical":
        return params
    return {**params, "support": jnp.linspace(hyper.lowest_return, hyper.highest_return, networks.num_outputs)}
