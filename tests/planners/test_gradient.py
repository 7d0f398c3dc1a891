import math

import pytest
import torch

from envs.errors import InputError
from planners.configs import GradientConfig
from planners.gradient import gradient
from planners.planner_policy import make_planner
from planners.simulator import SimulatorModel

CONFIG = GradientConfig(horizon=6, num_sequences=3, iterations=30)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_linear_quadratic_optimum(lqr_plan, lqr_value) -> None:
    config = GradientConfig(horizon=30, num_sequences=2, iterations=400, learning_rate=0.02)
    plan = lqr_plan(make_planner(config, lqr_value))
    assert -plan.value.item() == pytest.approx(13.25030, rel=0.01)
    assert -plan.value.item() >= 13.25029
    assert plan.action.item() == pytest.approx(-2.56633, abs=0.2)


def test_finds_each_rows_optimum_and_keeps_the_bounds(make_integrator) -> None:
    model = make_integrator(0.3)  # its step asserts the bounds
    plan = gradient(model, {"x": torch.tensor([[9.0, 9.0], [-9.0, -9.0]])}, CONFIG, _seeded())
    assert plan.action[:, 0].tolist() == pytest.approx([-0.3, 0.3])
    assert not plan.action.requires_grad


def test_a_refinement_never_makes_a_plan_worse(make_bandit) -> None:
    """With a step far too large every move lands beyond the optimum; the plan it came with is kept."""
    model = make_bandit(lambda action: -(action - 0.2).abs())
    config = GradientConfig(horizon=1, num_sequences=1, iterations=3, learning_rate=5.0)
    state = {"member": torch.zeros(1, dtype=torch.int64)}
    plan = gradient(model, state, config, _seeded(), warm_start=torch.tensor([[[0.21]]]))
    assert plan.action.item() == pytest.approx(0.21)
    assert plan.warm_start.tolist() == [[[0.0]]]


def test_sequences_that_diverge_are_left_where_they_are(make_bandit) -> None:
    model = make_bandit(lambda action: torch.where(action > 0.5, math.nan, action))
    config = GradientConfig(horizon=1, num_sequences=20, iterations=30, learning_rate=0.005)
    plan = gradient(model, {"member": torch.zeros(1, dtype=torch.int64)}, config, _seeded())
    assert 0.4 < plan.action.item() <= 0.5


def test_works_inside_inference_mode(make_integrator) -> None:
    with torch.inference_mode():
        plan = gradient(make_integrator(), {"x": torch.ones(1, 2)}, CONFIG, _seeded())
    assert plan.value.isfinite().all()


def test_discrete_actions_and_models_without_gradients_are_refused(cartpole) -> None:
    with pytest.raises(
        InputError, match=r"gradient expects a bounded Box .* serve it: random-shooting, cem, icem, mppi"
    ):
        gradient(cartpole, {"x": torch.zeros(1, 4)}, CONFIG)
    simulator = SimulatorModel("Pendulum-v1")
    state = simulator.encode(torch.tensor([[1.0, 0.0, 0.0]]))
    with pytest.raises(InputError, match="expects a model that can be differentiated, this one of Pendulum-v1 cannot"):
        gradient(simulator, state, CONFIG)
