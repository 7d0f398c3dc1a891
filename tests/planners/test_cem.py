import math

import numpy as np
import pytest
import torch

from envs.world_model import Imagined, ModelState
from planners.cem import cem, elite_weights
from planners.configs import CEMConfig

LQR = CEMConfig(horizon=30, num_sequences=300, iterations=30, hold=1, min_std=0.0, smoothing=0.1)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_linear_quadratic_optimum(make_integrator) -> None:
    """Optimal cost and first force from (1, 0) over 30 steps and a final cost, by the Riccati recursion."""
    plan = cem(make_integrator(), {"x": torch.tensor([[1.0, 0.0]])}, LQR, _seeded(), value_fn=_final_value)
    assert -plan.value.item() == pytest.approx(13.25030, rel=0.01)
    assert -plan.value.item() >= 13.2503
    assert plan.action.item() == pytest.approx(-2.56633, abs=0.3)


def _final_value(state: ModelState) -> torch.Tensor:
    return -state["x"].square().sum(dim=1)


def test_linear_quadratic_optimum_replanned_with_warm_starts(make_integrator) -> None:
    """A narrow search is enough once the plan is handed on; 13.31722 is the infinite-horizon optimum."""
    model, generator = make_integrator(), _seeded()
    config = CEMConfig(horizon=25, num_sequences=500, iterations=8, hold=1, min_std=0.002, initial_std=0.03)
    state, warm_start, cost = {"x": torch.tensor([[1.0, 0.0]])}, None, 0.0
    for _ in range(60):
        plan = cem(model, state, config, generator, warm_start, _final_value)
        imagined = model.step(state, plan.action)
        state, warm_start, cost = imagined.state, plan.warm_start, cost - imagined.reward.item()
    assert cost == pytest.approx(13.31722, rel=0.01)


def test_elites_are_the_best_and_their_equals() -> None:
    returns = torch.tensor([[5.0, 1.0, 3.0, 3.0], [math.nan, 2.0, -math.inf, 1.0], [-math.inf] * 4])
    returns = torch.where(returns.isnan(), -math.inf, returns)
    weights = elite_weights(returns, 0.5)
    third = 1 / 3
    expected = torch.tensor([[third, 0, third, third], [0, 0.5, 0, 0.5], [0, 0, 0, 0]])
    torch.testing.assert_close(weights, expected)


def test_diverging_sequences_are_never_elites(make_integrator) -> None:
    """Forces above 0.1 diverge, and would be best: the plan stays below. Diverging everywhere changes nothing."""
    model = make_integrator(1.0)
    limits = torch.tensor([0.1, -2.0])

    def step(state: dict, action: torch.Tensor, generator: torch.Generator | None = None) -> Imagined:
        reward = torch.where(action[:, 0] > state["limit"], math.nan, action[:, 0])
        return Imagined(state, state["limit"], reward, torch.ones(len(reward)), *torch.zeros(2, len(reward)))

    model.step = step
    config = CEMConfig(horizon=2, num_sequences=200, iterations=5, hold=1)
    plan = cem(model, {"limit": limits}, config, _seeded())
    assert -0.2 < plan.action[0].item() <= 0.1
    assert plan.action[1].item() == 0.0
    assert plan.value[1].item() == -math.inf


@pytest.mark.parametrize("start", [0, 7])
def test_discrete_actions(corridor, random_table, start: int) -> None:
    config = CEMConfig(horizon=4, num_sequences=60, iterations=4, hold=1)
    plan = cem(corridor, {"cell": torch.tensor([0, 1, 2, 3])}, config, _seeded())
    assert plan.action.tolist() == [1, 1, 1, 1]
    plan = cem(random_table(0, start=start), {"cell": torch.arange(12)}, config, _seeded())
    assert plan.action.min() >= start
    assert plan.action.max() < start + 3
    torch.testing.assert_close(plan.warm_start.sum(dim=-1), torch.ones(12, 4))


def test_bounds_are_kept_even_when_the_best_lies_outside(make_integrator) -> None:
    model = make_integrator(0.3)  # its step asserts the bounds
    plan = cem(model, {"x": torch.tensor([[9.0, 9.0], [-9.0, -9.0]])}, CEMConfig(horizon=6, hold=2), _seeded())
    assert plan.action[0].item() == pytest.approx(-0.3, abs=0.05)
    assert plan.action.abs().max() <= np.float32(0.3)


def test_warm_start_is_the_plan_shifted_by_one(make_integrator) -> None:
    config = CEMConfig(horizon=5, num_sequences=200, iterations=10, hold=1, min_std=0.001)
    plan = cem(make_integrator(), {"x": torch.tensor([[1.0, 0.0]])}, config, _seeded())
    assert plan.warm_start.shape == (1, 5, 1)
    assert plan.warm_start[0, -1].item() == 0.0  # the middle of the bounds
    frozen = CEMConfig(horizon=5, num_sequences=2, iterations=1, hold=1, initial_std=1e-9, min_std=0.0)
    again = cem(make_integrator(), {"x": torch.zeros(1, 2)}, frozen, _seeded(), warm_start=plan.warm_start)
    torch.testing.assert_close(again.action, plan.warm_start[:, 0])


def test_same_seed_same_plan(cartpole) -> None:
    state = {"x": torch.randn(4, 4, generator=_seeded()) * 0.05}
    first, again = (cem(cartpole, state, CEMConfig(), _seeded(2)) for _ in range(2))
    assert torch.equal(first.warm_start, again.warm_start)
    assert torch.equal(first.action, again.action)
