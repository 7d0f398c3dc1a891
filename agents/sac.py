"""Soft actor-critic (Haarnoja et al. 2018b, "Soft Actor-Critic Algorithms and Applications") with learned temperature.

Discrete actions after Christodoulou 2019, "Soft Actor-Critic for Discrete Action Settings": expectations over actions
are exact there.

Departures: critics, policy and temperature take one joint Adam step from the same weights, where the paper takes them
one after the other; the temperature's loss is linear in its logarithm, as in the authors' own code; the default target
entropy for Discrete actions is much lower than Christodoulou's 98% of the highest, which keeps a policy close to
random. Time limits are bootstrapped through. Every numeric setting is a traced value.

Shape legend: ``T`` time, ``B`` environments, ``N`` rows of a minibatch, ``G`` gradient steps.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from agents.agent import Agent, Params
from agents.configs import SACConfig
from agents.replay import Replay, Transitions, add, draw, empty_replay, take, transitions_of
from agents.rollout import Rollout
from agents.sac_networks import SACNetworks, make_sac_networks
from envs.spec import EnvSpec

_ADAM = optax.scale_by_adam()
_DISCRETE_ENTROPY = 0.4
"""Default target entropy for Discrete actions, as a share of the highest."""


class Hyperparameters(NamedTuple):
    """The numeric settings of an update, each a scalar; see `SACConfig` for their meaning."""

    learning_rate: jax.Array
    gamma: jax.Array
    tau: jax.Array
    target_entropy: jax.Array


class Brain(NamedTuple):
    """What a gradient step changes.

    Attributes:
        params: of the policy.
        critics: of the twin critics.
        log_temperature: scalar.
        targets: slowly following copy of the critics.
        opt_state: Adam's moments, of the first three.
    """

    params: Params
    critics: Params
    log_temperature: jax.Array
    targets: Params
    opt_state: Any


class Learner(NamedTuple):
    """What an update changes: the networks and the experience."""

    brain: Brain
    replay: Replay

    @property
    def params(self) -> Params:
        """Of the policy."""
        return self.brain.params


def make_sac(spec: EnvSpec, config: SACConfig) -> Agent:
    """Returns SAC as an agent; raises `InputError` for spaces that it cannot serve."""
    return _agent(make_sac_networks(spec, config), config)


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(networks: SACNetworks, config: SACConfig) -> Agent:
    return Agent(
        config=config,
        networks=networks,
        hyper=hyperparameters_of(config, networks),
        init=lambda key: init_learner(networks, config, key),
        act=lambda learner, observation, key: act(learner, observation, key, networks, config),
        update=lambda learner, rollout, key, hyper: update(learner, rollout, key, networks, config, hyper),
    )


def hyperparameters_of(config: SACConfig, networks: SACNetworks) -> Hyperparameters:
    """Returns the numeric settings, the target entropy resolved for the action space."""
    entropy = config.target_entropy
    if entropy is None:
        entropy = _DISCRETE_ENTROPY * math.log(networks.action_size) if networks.discrete else -networks.action_size
    return Hyperparameters(*(jnp.float32(x) for x in (config.learning_rate, config.gamma, config.tau, entropy)))


def init_brain(networks: SACNetworks, config: SACConfig, key: jax.Array) -> Brain:
    """Returns fresh networks; the targets equal the critics."""
    actor_key, critic_key = jax.random.split(key)
    params, critics = networks.init(actor_key), networks.init_critics(critic_key)
    log_temperature = jnp.float32(math.log(config.initial_temperature))
    targets = jax.tree.map(jnp.copy, critics)  # not the same arrays, so that a learner can be donated
    return Brain(params, critics, log_temperature, targets, _ADAM.init((params, critics, log_temperature)))


def init_learner(networks: SACNetworks, config: SACConfig, key: jax.Array) -> Learner:
    """Returns fresh networks and an empty replay buffer."""
    observation = jnp.zeros(networks.observation_size)
    action = jnp.int32(0) if networks.discrete else jnp.zeros(networks.action_size)
    capacity = min(config.buffer_size, config.num_updates * config.steps_per_update)
    return Learner(init_brain(networks, config, key), empty_replay(capacity, observation, action))


def act(
    learner: Learner, observation: jax.Array, key: jax.Array, networks: SACNetworks, config: SACConfig
) -> jax.Array:
    """Returns actions for ``[B, O]``: uniformly random ones until there are ``warmup_steps``, then the policy's."""
    return jnp.where(
        learner.replay.num_added < config.warmup_steps,
        networks.uniform(observation, key),
        networks.sample(learner.params, observation, key),
    )


def update(
    learner: Learner, rollout: Rollout, key: jax.Array, networks: SACNetworks, config: SACConfig, hyper: Hyperparameters
) -> tuple[Learner, dict[str, jax.Array]]:
    """Stores a rollout ``[T, B, ...]`` and, once there are ``warmup_steps``, takes ``gradient_steps``.

    Args:
        learner: the networks and the experience so far.
        rollout: collected by `act`.
        key: draws the minibatches and the policy's actions in them.
        networks: static.
        config: static; only its whole numbers are read here.
        hyper: the numeric settings.

    Returns:
        The new learner and the means over the gradient steps of `loss`'s metrics (NaN where none were taken).
    """
    replay = add(learner.replay, transitions_of(rollout), rollout.valid.reshape(-1))
    draw_key, learn_key = jax.random.split(key)
    indices = draw(replay, draw_key, (config.gradient_steps, config.batch_size))

    def learn_from_replay(brain: Brain) -> tuple[Brain, dict[str, jax.Array]]:
        def one_step(brain: Brain, step: tuple[jax.Array, jax.Array]) -> tuple[Brain, dict[str, jax.Array]]:
            return gradient_step(brain, take(replay, step[0]), step[1], networks, hyper)

        keys = jax.random.split(learn_key, config.gradient_steps)
        brain, metrics = jax.lax.scan(one_step, brain, (indices, keys))
        return brain, jax.tree.map(jnp.mean, metrics)

    def wait(brain: Brain) -> tuple[Brain, dict[str, jax.Array]]:
        return brain, {name: jnp.float32(jnp.nan) for name in METRICS}

    ready = replay.num_added >= config.warmup_steps
    brain, metrics = jax.lax.cond(ready, learn_from_replay, wait, learner.brain)
    return Learner(brain, replay), metrics


METRICS = ("critic_loss", "value", "entropy", "temperature")
"""What `loss` tells."""


def gradient_step(
    brain: Brain, batch: Transitions, key: jax.Array, networks: SACNetworks, hyper: Hyperparameters
) -> tuple[Brain, dict[str, jax.Array]]:
    """Takes one step of Adam on a minibatch ``[N, ...]`` and lets the target critics follow."""
    target_key, actor_key = jax.random.split(key)
    target = critic_target(brain, batch, target_key, networks, hyper)
    learned = (brain.params, brain.critics, brain.log_temperature)
    (_, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(learned, batch, target, actor_key, networks, hyper)
    steps, opt_state = _ADAM.update(gradient, brain.opt_state)
    params, critics, log_temperature = jax.tree.map(lambda p, step: p - hyper.learning_rate * step, learned, steps)
    targets = jax.tree.map(lambda old, new: old + hyper.tau * (new - old), brain.targets, critics)
    return Brain(params, critics, log_temperature, targets, opt_state), metrics


def critic_target(
    brain: Brain, batch: Transitions, key: jax.Array, networks: SACNetworks, hyper: Hyperparameters
) -> jax.Array:
    """Returns ``reward + gamma (1 - terminated) V(next observation)`` ``[N]``, V the policy's soft value (eq. 3)."""
    temperature = jnp.exp(brain.log_temperature)
    value, _ = networks.soft_value(brain.params, brain.targets, batch.next_observation, temperature, key)
    return batch.reward + hyper.gamma * jnp.where(batch.terminated, 0.0, value)


def loss(
    learned: tuple[Params, Params, jax.Array],
    batch: Transitions,
    target: jax.Array,
    key: jax.Array,
    networks: SACNetworks,
    hyper: Hyperparameters,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the sum of the losses of critics (eq. 5), policy (eq. 9) and temperature (eq. 18), and their parts.

    Each has its own parameters, so that one gradient serves all. Metrics: ``critic_loss``, ``value`` (the policy's mean
    soft value), ``entropy`` (nats), ``temperature``.
    """
    params, critics, log_temperature = learned
    error = networks.q_values(critics, batch.observation, batch.action) - target
    critic_loss = 0.5 * (error**2).mean(axis=1).sum()
    temperature = jnp.exp(jax.lax.stop_gradient(log_temperature))
    frozen = jax.lax.stop_gradient(critics)
    value, entropy = networks.soft_value(params, frozen, batch.observation, temperature, key)
    policy_loss = -value.mean()
    temperature_loss = log_temperature * jax.lax.stop_gradient(entropy.mean() - hyper.target_entropy)
    parts = (critic_loss, value.mean(), entropy.mean(), temperature)
    return critic_loss + policy_loss + temperature_loss, dict(zip(METRICS, parts, strict=True))
