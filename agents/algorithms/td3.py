"""TD3 (Fujimoto et al. 2018, "Addressing Function Approximation Error in Actor-Critic Methods") and, by settings, DDPG.

The lowest of several target critics, target policy smoothing, and a policy that learns (and targets that follow) only
every few steps of the critics. With one critic, no smoothing and no delay it is DDPG (Lillicrap et al. 2016).

Departures: exploration noise may be held for several steps (`agents/algorithms/held_noise.py`), and is Gaussian for
DDPG too. Time limits are bootstrapped through. Every numeric setting is a traced value.

Shape legend: ``B`` environments, ``N`` rows of a minibatch, ``O`` observation size, ``A`` action size, ``C`` critics.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Params, ReplayAlgorithm
from agents.algorithms.adam import adam_step, follow, init_adam
from agents.algorithms.held_noise import held_key, init_noise_seed
from agents.algorithms.off_policy import ReplayHyper, replay_agent
from agents.configs import TD3Config
from agents.networks.deterministic import DeterministicNetworks, make_deterministic_networks
from agents.replay.ring import Transitions
from envs.spec import EnvSpec

METRICS = ("critic_loss", "value")
"""What `gradient_step` tells: the critics' loss, and their mean value of the actions taken."""


class Hyperparameters(NamedTuple):
    """The numeric settings of an update, each a scalar; see `TD3Config` for their meaning."""

    learning_rate: jax.Array
    max_grad_norm: jax.Array
    tau: jax.Array
    exploration_noise: jax.Array
    target_noise: jax.Array
    target_noise_clip: jax.Array
    replay: ReplayHyper


class Brain(NamedTuple):
    """What a gradient step changes.

    Attributes:
        params: of the policy.
        critics: each leaf ``[C, ...]``.
        targets: slowly following copies of both, in this order.
        opt_states: Adam's moments of both.
        num_steps: gradient steps taken, int32 scalar.
        noise_seed: what exploration is drawn from, see `held_key`.
    """

    params: Params
    critics: Params
    targets: tuple[Params, Params]
    opt_states: tuple[Any, Any]
    num_steps: jax.Array
    noise_seed: jax.Array


PolicyLoss = Callable[[Params, Params, Transitions], jax.Array]
"""``(params of the policy, critics, minibatch) -> scalar``."""


def make_td3(spec: EnvSpec, config: TD3Config) -> Agent:
    """Returns TD3 or DDPG as an agent; raises `InputError` for spaces that it cannot serve."""
    return _agent(make_deterministic_networks(spec, config), config)


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(networks: DeterministicNetworks, config: TD3Config) -> Agent:
    policy_loss = make_policy_loss(networks)

    def step(
        brain: Brain, batch: Transitions, weight: jax.Array, key: jax.Array, hyper: Hyperparameters
    ) -> tuple[Brain, jax.Array, dict[str, jax.Array]]:
        return gradient_step(brain, batch, weight, key, networks, hyper, config.policy_delay, policy_loss)

    return replay_agent(replay_algorithm(networks, config, hyperparameters_of(config), step))


def replay_algorithm(
    networks: DeterministicNetworks, config: TD3Config, hyper: Any, step: Callable[..., Any]
) -> ReplayAlgorithm:
    """Returns what explores and starts as TD3 does, and learns by ``step``.

    Args:
        networks: of policy and critics.
        config: the settings.
        hyper: the numeric ones, with TD3's ``exploration_noise`` and ``replay`` among their attributes.
        step: the gradient step, see `ReplayAlgorithm`.
    """
    return ReplayAlgorithm(
        config=config,
        networks=networks,
        hyper=hyper,
        observation=jnp.zeros(networks.observation_size),
        action=jnp.zeros(networks.action_size),
        init_brain=lambda key: init_brain(networks, key),
        explore=lambda brain, observation, key, num_added, hyper: explore(
            brain, observation, key, num_added, networks, hyper, config
        ),
        gradient_step=step,
        metrics=METRICS,
    )


def hyperparameters_of(config: TD3Config) -> Hyperparameters:
    """Returns the numeric settings."""
    limit = math.inf if config.max_grad_norm is None else config.max_grad_norm
    noises = (config.exploration_noise, config.target_noise, config.target_noise_clip)
    numbers = (jnp.float32(x) for x in (config.learning_rate, limit, config.tau, *noises))
    return Hyperparameters._make((*numbers, ReplayHyper.of(config)))


def init_brain(networks: DeterministicNetworks, key: jax.Array) -> Brain:
    """Returns fresh networks; the targets equal them."""
    actor_key, critic_key, noise_key = jax.random.split(key, 3)
    params, critics = networks.init(actor_key), networks.init_critics(critic_key)
    targets = jax.tree.map(jnp.copy, (params, critics))  # not the same arrays, so that a learner can be donated
    opt_states = (init_adam(params), init_adam(critics))
    return Brain(params, critics, targets, opt_states, jnp.int32(0), init_noise_seed(noise_key))


def explore(
    brain: Brain,
    observation: jax.Array,
    key: jax.Array,
    num_added: jax.Array,
    networks: DeterministicNetworks,
    hyper: Any,
    config: TD3Config,
) -> jax.Array:
    """Returns actions ``[B, A]`` for ``[B, O]``: uniform ones until there are ``warmup_steps``, then noisy ones."""
    key = held_key(key, brain.noise_seed, num_added, config.noise_steps, config.num_envs)
    chosen = networks.squashed(brain.params, observation)
    noise = hyper.exploration_noise * jax.random.normal(key, chosen.shape)
    noisy = networks.bounds.scaled(jnp.clip(chosen + noise, -1.0, 1.0))
    uniform = networks.bounds.uniform(observation.shape[:-1], key)
    return jnp.where(num_added < config.warmup_steps, uniform, noisy)


def gradient_step(
    brain: Brain,
    batch: Transitions,
    weight: jax.Array,
    key: jax.Array,
    networks: DeterministicNetworks,
    hyper: Hyperparameters,
    policy_delay: int,
    policy_loss: PolicyLoss,
) -> tuple[Brain, jax.Array, dict[str, jax.Array]]:
    """Takes one step of Adam with the critics and, every ``policy_delay`` times, one with the policy.

    Args:
        brain: the networks.
        batch: ``[N, ...]``.
        weight: each row's in the critics' loss ``[N]``.
        key: draws the smoothing noise.
        networks: static.
        hyper: the numeric settings.
        policy_delay: static.
        policy_loss: what the policy makes small.

    Returns:
        The brain after it, each row's error ``[N]`` (the mean of the critics' absolute ones), and metrics.
    """
    squashed = networks.bounds.scaled_back(batch.action)
    target = critic_target(brain, batch, key, networks, hyper)

    def critic_loss(critics: Params) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        values = networks.q_values(critics, batch.observation, squashed)
        error = values - target
        return 0.5 * (weight * error**2).mean(axis=1).sum(), (error, values)

    (loss, (error, values)), gradient = jax.value_and_grad(critic_loss, has_aux=True)(brain.critics)
    critics, critics_state = adam_step(
        brain.critics, gradient, brain.opt_states[1], hyper.learning_rate, hyper.max_grad_norm
    )
    num_steps = brain.num_steps + 1
    brain = brain._replace(critics=critics, opt_states=(brain.opt_states[0], critics_state), num_steps=num_steps)
    if policy_delay == 1:
        brain = improve(brain, batch, hyper, policy_loss)
    else:
        due = num_steps % policy_delay == 0
        brain = jax.lax.cond(due, lambda: improve(brain, batch, hyper, policy_loss), lambda: brain)
    return brain, jnp.abs(error).mean(0), dict(zip(METRICS, (loss, values.mean()), strict=True))


def critic_target(
    brain: Brain, batch: Transitions, key: jax.Array, networks: DeterministicNetworks, hyper: Hyperparameters
) -> jax.Array:
    """Returns ``reward + discount min_c Q_c(next observation, smoothed target policy)`` ``[N]`` (eq. 14)."""
    target_params, target_critics = brain.targets
    chosen = networks.squashed(target_params, batch.next_observation)
    noise = hyper.target_noise * jax.random.normal(key, chosen.shape)
    noise = jnp.clip(noise, -hyper.target_noise_clip, hyper.target_noise_clip)
    smoothed = jnp.clip(chosen + noise, -1.0, 1.0)
    value = networks.q_values(target_critics, batch.next_observation, smoothed).min(axis=0)
    return batch.reward + batch.discount * value


def make_policy_loss(networks: DeterministicNetworks) -> PolicyLoss:
    """Returns the deterministic policy gradient's loss: minus the first critic's value (Silver et al. 2014)."""

    def policy_loss(params: Params, critics: Params, batch: Transitions) -> jax.Array:
        return -first_value(params, critics, batch, networks)[1].mean()

    return policy_loss


def first_value(
    params: Params, critics: Params, batch: Transitions, networks: DeterministicNetworks
) -> tuple[jax.Array, jax.Array]:
    """Returns the policy's actions in (-1, 1) ``[N, A]`` and what the first critic holds of them ``[N]``."""
    chosen = networks.squashed(params, batch.observation)
    first = jax.tree.map(lambda leaf: leaf[:1], critics)
    return chosen, networks.q_values(first, batch.observation, chosen)[0]


def improve(brain: Brain, batch: Transitions, hyper: Hyperparameters, policy_loss: PolicyLoss) -> Brain:
    """Returns the brain after one step of Adam with the policy, both targets having followed."""
    gradient = jax.grad(policy_loss)(brain.params, brain.critics, batch)
    params, state = adam_step(brain.params, gradient, brain.opt_states[0], hyper.learning_rate, hyper.max_grad_norm)
    targets = follow(brain.targets, (params, brain.critics), hyper.tau)
    return brain._replace(params=params, opt_states=(state, brain.opt_states[1]), targets=targets)
