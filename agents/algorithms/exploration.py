"""Epsilon schedules: how the share of uniformly random actions falls over a training."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.configs import DQNConfig, QLearningConfig


class ExplorationHyper(NamedTuple):
    """The numeric settings of exploration, each a scalar; see `DQNConfig` for their meaning."""

    epsilon_start: jax.Array
    epsilon_end: jax.Array
    exploration_fraction: jax.Array

    @staticmethod
    def of(config: DQNConfig | QLearningConfig) -> "ExplorationHyper":
        return ExplorationHyper(*(jnp.float32(getattr(config, name)) for name in ExplorationHyper._fields))


def epsilon_at(num_steps: jax.Array, hyper: ExplorationHyper, config: DQNConfig | QLearningConfig) -> jax.Array:
    """Returns the share of uniformly random actions after ``num_steps`` of the training's ``config.total_steps``."""
    done = jnp.minimum(num_steps / (hyper.exploration_fraction * config.total_steps), 1.0)
    start, end = hyper.epsilon_start, hyper.epsilon_end
    if config.epsilon_schedule == "exponential":
        return start * (end / start) ** done
    return start + (end - start) * done
