"""Proximal policy optimisation (Schulman et al. 2017), the clipped variant with generalised advantages.

Departures: truncations are bootstrapped from the observation that ended the episode (Pardo et al. 2018), so the
values of a rollout are recomputed from it in one batch instead of being stored while collecting; learning rate and
clipping fall linearly to zero; advantages are normalised over each minibatch. Every numeric setting is a traced
value (`Hyperparameters`), so one compiled function serves every setting and can be vmapped over them.

Shape legend: ``T`` time, ``B`` environments, ``N`` rows of a minibatch.
"""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange

from agents.agent import Agent, Params
from agents.algorithms.adam import adam_step, init_adam
from agents.configs import PPOConfig
from agents.equations.advantages import gae
from agents.networks.actor_critic import ActorCritic, make_actor_critic
from agents.networks.normalised import policy_of
from agents.networks.recurrent import RecurrentActorCritic
from agents.training.normalisation import Normaliser, init_normaliser
from agents.training.rollout import Rollout
from agents.training.shuffling import random_order
from envs.spec import EnvSpec

Networks = ActorCritic | RecurrentActorCritic


class Hyperparameters(NamedTuple):
    """The numeric settings of an update, each a scalar; see `PPOConfig` for their meaning."""

    learning_rate: jax.Array
    gamma: jax.Array
    gae_lambda: jax.Array
    clip: jax.Array
    entropy_coefficient: jax.Array
    value_coefficient: jax.Array
    max_grad_norm: jax.Array

    @staticmethod
    def of(config: PPOConfig) -> "Hyperparameters":
        settings = {name: getattr(config, name) for name in Hyperparameters._fields}
        return Hyperparameters(*(jnp.float32(jnp.inf if x is None else x) for x in settings.values()))


class Learner(NamedTuple):
    """What an update changes.

    Attributes:
        weights: of actor and critic.
        opt_state: Adam's moments.
        num_updates: updates done, int32 scalar.
        normaliser: running moments.
    """

    weights: Params
    opt_state: Any
    num_updates: jax.Array
    normaliser: Normaliser

    @property
    def params(self) -> Params:
        """The weights, with what a policy needs to know of the normalisation."""
        return {**self.weights, **self.normaliser.policy_params()}


class Batch(NamedTuple):
    """Rows of a rollout with what does not change during its epochs; each ``[N, ...]``.

    A row is a step, or, where the networks have a memory, the sequence of one environment's steps.
    """

    inputs: Any
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    target: jax.Array
    weight: jax.Array


def make_ppo(spec: EnvSpec, config: PPOConfig) -> Agent:
    """Returns PPO as an agent; raises `InputError` for spaces that it cannot serve."""
    return _agent(make_actor_critic(spec, config), config)


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(networks: Networks, config: PPOConfig) -> Agent:
    policy = policy_of(networks, config.normalise_observations, (networks.observation_size,))
    return Agent(
        config=config,
        networks=policy,
        hyper=Hyperparameters.of(config),
        init=lambda key: init_learner(networks, config, key),
        act=lambda learner, observation, memory, key, _: policy.sample(learner.params, observation, memory, key),
        update=lambda learner, rollout, key, hyper: update(learner, rollout, key, networks, config, hyper),
    )


def init_learner(networks: Networks, config: PPOConfig, key: jax.Array) -> Learner:
    """Returns fresh weights and optimiser state."""
    weights = networks.init(key)
    normaliser = init_normaliser(config, (networks.observation_size,))
    return Learner(weights, init_adam(weights), jnp.int32(0), normaliser)


def update(
    learner: Learner, rollout: Rollout, key: jax.Array, networks: Networks, config: PPOConfig, hyper: Hyperparameters
) -> tuple[Learner, dict[str, jax.Array]]:
    """Learns from one rollout ``[T, B, ...]``.

    Args:
        learner: weights and optimiser state.
        rollout: collected with ``learner.params``.
        key: shuffles the minibatches.
        networks: static.
        config: static; only its whole numbers and switches are read here.
        hyper: the numeric settings.

    Returns:
        The new learner and the means over the update's gradient steps of: ``policy_loss``, ``value_loss``,
        ``entropy``, ``approx_kl`` (Schulman's k3 estimator), ``clip_fraction``.
    """
    left = 1.0 - learner.num_updates / config.num_updates if config.anneal else 1.0
    hyper = hyper._replace(learning_rate=hyper.learning_rate * left, clip=hyper.clip * left)
    # Observations as they were when acted on, or the probabilities would not be those of the actions.
    normaliser = learner.normaliser.observe_rewards(rollout, hyper.gamma)
    batch = make_batch(learner.weights, _seen(rollout, normaliser), networks, hyper)

    def gradient_step(carry: tuple[Params, Any], rows: Batch) -> tuple[tuple[Params, Any], dict[str, jax.Array]]:
        params, opt_state = carry
        (_, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(params, rows, networks, config, hyper)
        stepped = adam_step(params, gradient, opt_state, hyper.learning_rate, hyper.max_grad_norm, epsilon=1e-5)
        return stepped, metrics

    def epoch(carry: tuple[Params, Any], epoch_key: jax.Array) -> tuple[tuple[Params, Any], dict[str, jax.Array]]:
        return jax.lax.scan(gradient_step, carry, _minibatches(batch, epoch_key, config.num_minibatches))

    epoch_keys = jax.random.split(key, config.num_epochs)
    (weights, opt_state), metrics = jax.lax.scan(epoch, (learner.weights, learner.opt_state), epoch_keys)
    learner = Learner(weights, opt_state, learner.num_updates + 1, normaliser.observe(rollout))
    return learner, jax.tree.map(jnp.mean, metrics)


def _seen(rollout: Rollout, normaliser: Normaliser) -> Rollout:
    """Returns a rollout as networks and losses see it."""
    return rollout._replace(
        observation=normaliser.observations(rollout.observation),
        next_observation=normaliser.observations(rollout.next_observation),
        reward=normaliser.rewards(rollout.reward),
    )


def make_batch(params: Params, rollout: Rollout, networks: Networks, hyper: Hyperparameters) -> Batch:
    """Returns the rollout's rows ``[N, ...]`` with log-probabilities, values, advantages and value targets."""
    (log_prob, _, value), next_value = networks.judge_rollout(params, rollout)
    advantage = gae(
        rollout.reward, value, next_value, rollout.terminated, rollout.truncated, hyper.gamma, hyper.gae_lambda
    )
    target, weight = advantage + value, rollout.valid.astype(jnp.float32)
    batch = Batch(networks.inputs(rollout), rollout.action, log_prob, value, advantage, target, weight)
    return networks.rows(batch)


def _minibatches(batch: Batch, key: jax.Array, num_minibatches: int) -> Batch:
    """Shuffles the rows and splits them: ``[num_minibatches, N, ...]``. One minibatch needs no shuffling."""
    if num_minibatches == 1:
        return jax.tree.map(lambda x: x[None], batch)
    order = random_order(key, len(batch.weight))
    return jax.tree.map(lambda x: rearrange(x[order], "(m n) ... -> m n ...", m=num_minibatches), batch)


def loss(
    params: Params, batch: Batch, networks: Networks, config: PPOConfig, hyper: Hyperparameters
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns a minibatch's loss (eq. 9; its policy term is eq. 7) and its parts; rows of weight 0 do not count."""
    weight = batch.weight / jnp.maximum(batch.weight.sum(), 1.0)
    log_prob, entropy, value = networks.judge(params, batch.inputs, batch.action)
    ratio = jnp.exp(log_prob - batch.log_prob)
    advantage = batch.advantage if config.baseline else batch.target
    advantage = _normalise(advantage, weight) if config.normalise_advantages else advantage
    clipped = jnp.clip(ratio, 1.0 - hyper.clip, 1.0 + hyper.clip)
    policy_loss = -(weight * jnp.minimum(ratio * advantage, clipped * advantage)).sum()

    error = (value - batch.target) ** 2
    if config.clip_value:
        near = batch.value + jnp.clip(value - batch.value, -hyper.clip, hyper.clip)
        error = jnp.maximum(error, (near - batch.target) ** 2)
    value_loss = 0.5 * (weight * error).sum()

    mean_entropy = (weight * entropy).sum()
    total = policy_loss + hyper.value_coefficient * value_loss - hyper.entropy_coefficient * mean_entropy
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": mean_entropy,
        "approx_kl": (weight * (ratio - 1.0 - jnp.log(ratio))).sum(),
        "clip_fraction": (weight * (jnp.abs(ratio - 1.0) > hyper.clip)).sum(),
    }
    return total, metrics


def _normalise(advantage: jax.Array, weight: jax.Array) -> jax.Array:
    """Zero mean, unit variance under ``weight`` (sums to 1)."""
    centred = advantage - (weight * advantage).sum()
    return centred / (jnp.sqrt((weight * centred**2).sum()) + 1e-8)
