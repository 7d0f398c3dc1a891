"""Optimal values of classic control: exact where an episode is about to end, and nothing known does better."""

import jax.numpy as jnp
import numpy as np
import pytest

from envs.errors import InputError
from envs.evaluate import evaluate
from experiments.optimal_q import OptimalPolicy, optimal_q


def test_a_car_before_the_flag_is_worth_the_steps_that_it_needs():
    q = optimal_q("MountainCar-v0")
    # 0.49 + 0.05 lies beyond the flag at 0.5 whatever is done; at rest in the valley no action gets out soon.
    near, valley = np.asarray(q.at(jnp.array([[0.49, 0.05], [-0.5, 0.0]])))
    np.testing.assert_allclose(near, -1.0, atol=1e-5)
    # Discounted by 0.99, -1 a step for 90 to 130 steps.
    assert -(1 - 0.99**130) / 0.01 < valley.max() < -(1 - 0.99**90) / 0.01


@pytest.mark.parametrize(("env_id", "least"), [("MountainCar-v0", -103.0), ("MountainCarContinuous-v0", 95.0)])
def test_the_best_policy_reaches_what_is_known_to_be_the_best(env_id, least):
    assert evaluate(OptimalPolicy(env_id), env_id, 20).returns.mean() >= least


@pytest.mark.slow
def test_the_pendulum_is_swung_up_as_fast_as_it_can_be():
    """The optimum is about -138 for the mean start; the seeds of these episodes decide the rest."""
    assert evaluate(OptimalPolicy("Pendulum-v1"), "Pendulum-v1", 50).returns.mean() > -160


def test_an_environment_without_a_grid_is_told():
    with pytest.raises(InputError, match="unknown environment with optimal values 'Hopper-v5'"):
        optimal_q("Hopper-v5")
