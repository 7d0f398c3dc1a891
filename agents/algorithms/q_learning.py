"""Q-learning in a table (Watkins and Dayan 1992), for Discrete observations and actions.

The step size of a value falls with a power of the number of times that it was learned (Even-Dar and Mansour 2003); with
a power above a half and at most 1, and every action tried for ever, values converge to the optimal ones.

Steps of several environments are learned one after the other, as if they had come from one. Time limits are
bootstrapped through. Every numeric setting is a traced value.

Shape legend: ``T`` time, ``B`` environments, ``S`` number of observations, ``A`` number of actions.
"""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Memory, Params
from agents.algorithms.exploration import ExplorationHyper, epsilon_at
from agents.configs import QLearningConfig
from agents.equations.q_learning import q_learning_target
from agents.networks.fitting import num_actions, num_observations
from agents.networks.q_table import QTable
from agents.training.rollout import Rollout
from envs.spec import EnvSpec


class Hyperparameters(NamedTuple):
    """The numeric settings of an update, each a scalar; see `QLearningConfig` for their meaning."""

    learning_rate: jax.Array
    rate_exponent: jax.Array
    gamma: jax.Array
    exploration: ExplorationHyper


class Learner(NamedTuple):
    """What an update changes.

    Attributes:
        params: ``table`` of values ``[S, A]``.
        visits: how often each value was learned ``[S, A]`` int32.
        num_steps: environment steps learned from, int32 scalar.
    """

    params: Params
    visits: jax.Array
    num_steps: jax.Array


def make_q_learning(spec: EnvSpec, config: QLearningConfig) -> Agent:
    """Returns Q-learning as an agent; raises `UnfitSpace` for spaces that it cannot serve."""
    size, first = num_observations(spec), int(spec.observation_space.start)  # type: ignore[attr-defined]
    return _agent(QTable(size, first, num_actions(spec), config.initial_value, config.epsilon_end), config)


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(table: QTable, config: QLearningConfig) -> Agent:
    def act(
        learner: Learner, observation: jax.Array, memory: Memory, key: jax.Array, hyper: Hyperparameters
    ) -> tuple[jax.Array, Memory]:
        epsilon = epsilon_at(learner.num_steps, hyper.exploration, config)
        return table.explore(learner.params, observation, key, epsilon), memory

    return Agent(
        config=config,
        networks=table,
        hyper=hyperparameters_of(config),
        init=lambda key: init_learner(table, key),
        act=act,
        update=lambda learner, rollout, _, hyper: update(learner, rollout, table, hyper),
    )


def hyperparameters_of(config: QLearningConfig) -> Hyperparameters:
    """Returns the numeric settings."""
    learning_rate, rate_exponent = jnp.float32(config.learning_rate), jnp.float32(config.rate_exponent)
    return Hyperparameters(learning_rate, rate_exponent, jnp.float32(config.gamma), ExplorationHyper.of(config))


def init_learner(table: QTable, key: jax.Array) -> Learner:
    """Returns fresh values."""
    params = table.init(key)
    return Learner(params, jnp.zeros(params["table"].shape, jnp.int32), jnp.int32(0))


def update(
    learner: Learner, rollout: Rollout, table: QTable, hyper: Hyperparameters
) -> tuple[Learner, dict[str, jax.Array]]:
    """Learns from the steps of a rollout ``[T, B]``, one after the other; those that are not valid do not count.

    Returns:
        The new learner, and the means over the rollout of ``error`` (absolute, of the target) and ``value`` (of the
        actions taken).
    """

    def learn(carry: tuple[jax.Array, jax.Array], step: Rollout) -> tuple[tuple[jax.Array, jax.Array], tuple]:
        values, visits = carry
        place = (table.row(step.observation), step.action)
        discount = hyper.gamma * (1.0 - step.terminated)
        error = q_learning_target(step.reward, discount, values[table.row(step.next_observation)]) - values[place]
        visits = visits.at[place].add(step.valid.astype(jnp.int32))
        rate = hyper.learning_rate * jnp.maximum(visits[place], 1).astype(jnp.float32) ** -hyper.rate_exponent
        values = values.at[place].add(jnp.where(step.valid, rate * error, 0.0))
        return (values, visits), (jnp.abs(error), values[place])

    steps = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rollout._replace(memory=()))
    (values, visits), (error, value) = jax.lax.scan(learn, (learner.params["table"], learner.visits), steps)
    num_steps = learner.num_steps + rollout.valid.sum(dtype=jnp.int32)
    return Learner({"table": values}, visits, num_steps), {"error": error.mean(), "value": value.mean()}
