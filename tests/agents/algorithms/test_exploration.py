"""Epsilon schedules by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from agents.algorithms.exploration import ExplorationHyper, epsilon_at
from agents.configs import DQNConfig, QLearningConfig


@pytest.mark.parametrize("config_type", [DQNConfig, QLearningConfig])
@pytest.mark.parametrize(
    ("schedule", "expected"), [("linear", [0.8, 0.5, 0.2, 0.2, 0.2]), ("exponential", [0.8, 0.4, 0.2, 0.2, 0.2])]
)
def test_epsilon_falls_over_its_part_of_the_training(config_type, schedule, expected):
    config = config_type(
        total_steps=20_000, exploration_fraction=0.25, epsilon_start=0.8, epsilon_end=0.2, epsilon_schedule=schedule
    )
    found = epsilon_at(jnp.array([0, 2500, 5000, 6000, 30_000]), ExplorationHyper.of(config), config)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
