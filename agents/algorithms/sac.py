"""Soft actor-critic (Haarnoja et al. 2018b, "Soft Actor-Critic Algorithms and Applications") with learned temperature.

Discrete actions after Christodoulou 2019, "Soft Actor-Critic for Discrete Action Settings": expectations over actions
are exact there.

Departures: critics, policy and temperature take one joint Adam step from the same weights, where the paper takes them
one after the other; the temperature's loss is linear in its logarithm, as in the authors' own code; the default target
entropy for Discrete actions is much lower than Christodoulou's 98% of the highest, which keeps a policy close to
random; there the mean of the twin critics replaces the lower one (Zhou et al. 2022, "Revisiting Discrete Soft
Actor-Critic"), which underestimates. Exploration noise may be held for several steps
(`agents/algorithms/held_noise.py`). Time limits are bootstrapped through. Every numeric setting is a traced value.

Shape legend: ``B`` environments, ``N`` rows of a minibatch, ``O`` observation size.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Params, ReplayAlgorithm
from agents.algorithms.adam import adam_step, follow, init_adam
from agents.algorithms.held_noise import held_key, init_noise_seed
from agents.algorithms.off_policy import ReplayHyper, replay_agent
from agents.configs import SACConfig
from agents.networks.soft_actor_critic import SACNetworks, make_sac_networks
from agents.replay.ring import Transitions
from envs.spec import EnvSpec

_DISCRETE_ENTROPY = 0.15
"""Default target entropy for Discrete actions, as a share of the highest."""


class Hyperparameters(NamedTuple):
    """The numeric settings of an update, each a scalar; see `SACConfig` for their meaning."""

    learning_rate: jax.Array
    max_grad_norm: jax.Array
    tau: jax.Array
    target_entropy: jax.Array
    pessimism: jax.Array
    replay: ReplayHyper


class Brain(NamedTuple):
    """What a gradient step changes.

    Attributes:
        params: of the policy.
        critics: of the twin critics.
        log_temperature: scalar.
        targets: slowly following copy of the critics.
        opt_state: Adam's moments, of the first three.
        noise_seed: what exploration is drawn from, see `held_key`.
    """

    params: Params
    critics: Params
    log_temperature: jax.Array
    targets: Params
    opt_state: Any
    noise_seed: jax.Array


def make_sac(spec: EnvSpec, config: SACConfig) -> Agent:
    """Returns SAC as an agent; raises `InputError` for spaces that it cannot serve."""
    return _agent(make_sac_networks(spec, config), config)


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(networks: SACNetworks, config: SACConfig) -> Agent:
    return replay_agent(
        ReplayAlgorithm(
            config=config,
            networks=networks,
            hyper=hyperparameters_of(config, networks),
            observation=jnp.zeros(networks.observation_size),
            action=jnp.int32(0) if networks.discrete else jnp.zeros(networks.action_size),
            init_brain=lambda key: init_brain(networks, config, key),
            explore=lambda brain, observation, key, num_added, _: explore(
                brain, observation, key, num_added, networks, config
            ),
            gradient_step=lambda brain, batch, weight, key, hyper: gradient_step(
                brain, batch, weight, key, networks, hyper
            ),
            metrics=METRICS,
        )
    )


def hyperparameters_of(config: SACConfig, networks: SACNetworks) -> Hyperparameters:
    """Returns the numeric settings, the target entropy resolved for the action space."""
    entropy = config.target_entropy
    if entropy is None:
        entropy = _DISCRETE_ENTROPY * math.log(networks.action_size) if networks.discrete else -networks.action_size
    limit = math.inf if config.max_grad_norm is None else config.max_grad_norm
    pessimism = config.pessimism
    if pessimism is None:
        pessimism = 0.0 if networks.discrete else 1.0
    numbers = (jnp.float32(x) for x in (config.learning_rate, limit, config.tau, entropy, pessimism))
    return Hyperparameters._make((*numbers, ReplayHyper.of(config)))


def init_brain(networks: SACNetworks, config: SACConfig, key: jax.Array) -> Brain:
    """Returns fresh networks; the targets equal the critics."""
    actor_key, critic_key, noise_key = jax.random.split(key, 3)
    params, critics = networks.init(actor_key), networks.init_critics(critic_key)
    log_temperature = jnp.float32(math.log(config.initial_temperature))
    targets = jax.tree.map(jnp.copy, critics)  # not the same arrays, so that a learner can be donated
    opt_state = init_adam((params, critics, log_temperature))
    return Brain(params, critics, log_temperature, targets, opt_state, init_noise_seed(noise_key))


def explore(
    brain: Brain,
    observation: jax.Array,
    key: jax.Array,
    num_added: jax.Array,
    networks: SACNetworks,
    config: SACConfig,
) -> jax.Array:
    """Returns actions for ``[B, O]``: uniformly random ones until there are ``warmup_steps``, then the policy's."""
    key = held_key(key, brain.noise_seed, num_added, config.noise_steps, config.num_envs)
    return jnp.where(
        num_added < config.warmup_steps,
        networks.uniform(observation, key),
        networks.sample(brain.params, observation, (), key)[0],
    )


METRICS = ("critic_loss", "value", "entropy", "temperature")
"""What `loss` tells."""


def gradient_step(
    brain: Brain,
    batch: Transitions,
    weight: jax.Array,
    key: jax.Array,
    networks: SACNetworks,
    hyper: Hyperparameters,
) -> tuple[Brain, jax.Array, dict[str, jax.Array]]:
    """Takes one step of Adam on a minibatch ``[N, ...]`` and lets the target critics follow.

    Returns:
        The brain after it, each row's error ``[N]`` (the mean of both critics' absolute ones), and `loss`'s metrics.
    """
    target_key, actor_key = jax.random.split(key)
    target = critic_target(brain, batch, target_key, networks, hyper)
    learned = (brain.params, brain.critics, brain.log_temperature)
    (_, (error, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(
        learned, batch, target, weight, actor_key, networks, hyper
    )
    (params, critics, log_temperature), opt_state = adam_step(
        learned, gradient, brain.opt_state, hyper.learning_rate, hyper.max_grad_norm
    )
    targets = follow(brain.targets, critics, hyper.tau)
    return Brain(params, critics, log_temperature, targets, opt_state, brain.noise_seed), error, metrics


def critic_target(
    brain: Brain, batch: Transitions, key: jax.Array, networks: SACNetworks, hyper: Hyperparameters
) -> jax.Array:
    """Returns ``reward + discount V(next observation)`` ``[N]``, V the policy's soft value (eq. 3)."""
    temperature = jnp.exp(brain.log_temperature)
    value, _ = networks.soft_value(
        brain.params, brain.targets, batch.next_observation, temperature, hyper.pessimism, key
    )
    return batch.reward + batch.discount * value


def loss(
    learned: tuple[Params, Params, jax.Array],
    batch: Transitions,
    target: jax.Array,
    weight: jax.Array,
    key: jax.Array,
    networks: SACNetworks,
    hyper: Hyperparameters,
) -> tuple[jax.Array, tuple[jax.Array, dict[str, jax.Array]]]:
    """Returns the sum of the losses of critics (eq. 5), policy (eq. 9) and temperature (eq. 18), errors and metrics.

    Each has its own parameters, so that one gradient serves all. ``weight`` ``[N]`` is each row's in the critics' loss.
    Errors ``[N]`` are the mean of both critics' absolute ones. Metrics: ``critic_loss``, ``value`` (the policy's mean
    soft value), ``entropy`` (nats), ``temperature``.
    """
    params, critics, log_temperature = learned
    error = networks.q_values(critics, batch.observation, batch.action) - target
    critic_loss = 0.5 * (weight * error**2).mean(axis=1).sum()
    temperature = jnp.exp(jax.lax.stop_gradient(log_temperature))
    frozen = jax.lax.stop_gradient(critics)
    value, entropy = networks.soft_value(params, frozen, batch.observation, temperature, hyper.pessimism, key)
    policy_loss = -value.mean()
    temperature_loss = log_temperature * jax.lax.stop_gradient(entropy.mean() - hyper.target_entropy)
    parts = (critic_loss, value.mean(), entropy.mean(), temperature)
    total = critic_loss + policy_loss + temperature_loss
    return total, (jnp.abs(error).mean(0), dict(zip(METRICS, parts, strict=True)))
