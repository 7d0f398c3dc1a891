import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from planners.configs import ICEMConfig
from planners.icem import icem
from planners.planner_policy import make_planner

LQR = ICEMConfig(horizon=30, num_sequences=500, iterations=30, decay=1.02, noise_exponent=0.25)
NARROW = ICEMConfig(horizon=25, num_sequences=300, iterations=10, decay=1.02, initial_std=0.05, noise_exponent=0.25)
SMALL = ICEMConfig(horizon=5, num_sequences=20, iterations=3)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_linear_quadratic_optimum(lqr_plan, lqr_value) -> None:
    plan = lqr_plan(make_planner(LQR, lqr_value))
    assert -plan.value.item() == pytest.approx(13.25030, rel=0.01)
    assert -plan.value.item() >= 13.2503
    assert plan.action.item() == pytest.approx(-2.56633, abs=0.3)


def test_linear_quadratic_optimum_replanned_with_warm_starts(lqr_cost, lqr_value) -> None:
    assert lqr_cost(make_planner(NARROW, lqr_value)) == pytest.approx(1.0, abs=0.01)


def test_rounds_draw_fewer_and_the_best_and_the_mean_compete_again(make_bandit) -> None:
    """20, then 16 and 13 drawn, never below twice the 5 elites; 2 kept ones from round 2 on, the mean in the last."""
    model = make_bandit(lambda action: -(action - 0.3).square())
    config = replace(SMALL, horizon=1, elite_fraction=0.25, kept_fraction=0.4)
    plan = icem(model, {"member": torch.zeros(1, dtype=torch.int64)}, config, _seeded())
    rounds = [actions[:, 0] for actions in model.seen]
    assert [len(actions) for actions in rounds] == [20, 16 + 2, 13 + 2 + 1]
    best = rounds[0][(rounds[0] - 0.3).abs().argsort()[:2]]
    assert set(best.tolist()) <= set(rounds[1].tolist())
    closest = rounds[2][(rounds[2] - 0.3).abs().argmin()]
    assert plan.action.item() == closest.item()
    icem(model, {"member": torch.zeros(1, dtype=torch.int64)}, replace(config, decay=4.0), _seeded())
    assert [len(actions) for actions in model.seen[3:]] == [20, 10 + 2, 10 + 2 + 1]


def test_kept_elites_are_shifted_into_the_next_step_and_dropped_at_a_start(make_integrator) -> None:
    model, seen = make_integrator(), []
    step = model.step
    model.step = lambda state, action, generator=None: seen.append(action[:, 0]) or step(state, action, generator)
    config = replace(SMALL, iterations=2, elite_fraction=0.25, kept_fraction=0.4)
    state = {"x": torch.tensor([[1.0, 0.0]])}
    plan = icem(model, state, config, _seeded())
    assert plan.warm_start.shape == (1, 3, 5, 1)
    elites = plan.warm_start[0, 1:, :, 0]
    seen.clear()
    icem(model, state, config, _seeded(1), warm_start=plan.warm_start)
    first_round = torch.stack(seen[:5], dim=1)
    assert len(first_round) == 22
    torch.testing.assert_close(first_round[-2:], elites)
    seen.clear()
    icem(model, state, config, _seeded(1))
    assert len(seen[0]) == 20


def test_discrete_actions_with_noise_and_elites(corridor, random_table) -> None:
    config = ICEMConfig(horizon=4, num_sequences=60, iterations=4)
    cells = {"cell": torch.tensor([0, 1, 2, 3])}
    plan = icem(corridor, cells, config, _seeded())
    assert plan.action.tolist() == [1, 1, 1, 1]
    torch.testing.assert_close(plan.value, torch.tensor([0.7, 0.8, 0.9, 1.0]))
    torch.testing.assert_close(plan.warm_start.sum(dim=-1), torch.ones(4, 3, 4))
    again = icem(corridor, cells, replace(config, num_sequences=2, iterations=1), _seeded(3), plan.warm_start)
    assert again.action.tolist() == [1, 1, 1, 1]  # kept elites hold the optimum, whatever two draws say
    offset = icem(random_table(0, start=7), {"cell": torch.arange(12)}, config, _seeded())
    assert offset.action.min() >= 7
    assert offset.action.max() < 10


@pytest.mark.parametrize("act_on", ["best", "mean"])
def test_diverging_sequences_are_never_elites(make_bandit, act_on: str) -> None:
    """Actions above 0.1 diverge, and would be best. Where everything diverges, the middle stays."""
    model = make_bandit(lambda action: torch.where(action > 0.1, math.nan, action))
    config = ICEMConfig(horizon=2, num_sequences=100, act_on=act_on)
    state = {"member": torch.zeros(1, dtype=torch.int64)}
    plan = icem(model, state, config, _seeded())
    assert -0.3 < plan.action.item() <= 0.1
    assert plan.value.item() <= 0.2
    plan = icem(make_bandit(lambda action: action * math.nan), state, config, _seeded())
    assert plan.action.item() == 0.0
    assert plan.value.item() == -math.inf


def test_bounds_are_kept_even_when_the_best_lies_outside(make_integrator) -> None:
    model = make_integrator(0.3)  # its step asserts the bounds
    state, warm_start = {"x": torch.tensor([[9.0, 9.0], [-9.0, -9.0]])}, None
    for _ in range(3):
        plan = icem(model, state, ICEMConfig(horizon=6, hold=2), _seeded(), warm_start)
        warm_start = plan.warm_start
        assert plan.action.abs().max() <= np.float32(0.3)
    assert plan.action[0].item() == pytest.approx(-0.3, abs=0.05)


def test_same_seed_same_plan(cartpole) -> None:
    state = {"x": torch.randn(4, 4, generator=_seeded()) * 0.05}
    first, again = (icem(cartpole, state, SMALL, _seeded(2)) for _ in range(2))
    assert torch.equal(first.warm_start, again.warm_start)
    assert torch.equal(first.action, again.action)
    other = icem(cartpole, state, SMALL, _seeded(3))
    assert not torch.equal(first.warm_start, other.warm_start)
