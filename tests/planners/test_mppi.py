import math

import numpy as np
import pytest
import torch

from planners.configs import MPPIConfig
from planners.mppi import mppi, path_weights
from planners.planner_policy import make_planner

OPEN = MPPIConfig(horizon=30, num_sequences=300, iterations=20, std_decay=0.8)
NARROW = MPPIConfig(horizon=25, num_sequences=256, iterations=6, initial_std=0.03, std_decay=0.7)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _one() -> dict[str, torch.Tensor]:
    return {"member": torch.zeros(1, dtype=torch.int64)}


def test_linear_quadratic_optimum(lqr_plan, lqr_value) -> None:
    plan = lqr_plan(make_planner(OPEN, lqr_value))
    assert -plan.value.item() == pytest.approx(13.25030, rel=0.01)
    assert -plan.value.item() >= 13.2503
    assert plan.action.item() == pytest.approx(-2.56633, abs=0.3)


def test_linear_quadratic_optimum_replanned_with_warm_starts(lqr_cost, lqr_value) -> None:
    assert lqr_cost(make_planner(NARROW, lqr_value)) == pytest.approx(1.0, abs=0.01)


def test_weights_by_hand() -> None:
    scores = torch.tensor([[0.0, -1.0, -math.inf], [-math.inf] * 3, [2.0, 2.0, 2.0]])
    e = math.exp(-2)
    expected = torch.tensor([[1 / (1 + e), e / (1 + e), 0], [0, 0, 0], [1 / 3] * 3])
    torch.testing.assert_close(path_weights(scores, 0.5, relative=False), expected)
    # The standard deviation of 0 and -1 is a half, so that half of it is a quarter.
    e = math.exp(-4)
    expected[0] = torch.tensor([1 / (1 + e), e / (1 + e), 0])
    torch.testing.assert_close(path_weights(scores, 0.5, relative=True), expected)


@pytest.mark.parametrize("offset", [1e6, -1e6])
def test_huge_returns_neither_overflow_nor_vanish(offset: float) -> None:
    scores = torch.tensor([[0.0, -1.0, -4.0]])
    torch.testing.assert_close(path_weights(scores + offset, 1.0, False), path_weights(scores, 1.0, False))


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_draws_have_the_asked_sigma(make_bandit, sigma: float) -> None:
    """The range is 2 wide; every round draws alike, but where the standard deviation is to decay."""
    model = make_bandit(lambda action: -action.square())
    config = MPPIConfig(horizon=1, num_sequences=4000, iterations=2, initial_std=sigma, std_decay=0.5)
    mppi(model, _one(), config, _seeded())
    assert model.seen[0].std().item() == pytest.approx(2 * sigma, rel=0.05)
    assert model.seen[1].std().item() == pytest.approx(sigma, rel=0.05)


def test_the_update_by_hand(make_bandit) -> None:
    """One round from a nominal action: the new one is the mean of the draws, weighed by the paper's exponential."""
    model = make_bandit(lambda action: 3 * action)
    config = MPPIConfig(
        horizon=1, num_sequences=50, iterations=1, temperature=0.7, relative_temperature=False, control_cost=0.2
    )
    nominal = torch.tensor([[[0.25]]])
    plan = mppi(model, _one(), config, _seeded(), warm_start=nominal)
    drawn = model.seen[0][:, 0].double()
    score = 3 * drawn - 0.2 * 0.25 * (drawn - 0.25) / 0.5**2
    weight = torch.softmax(score / 0.7, dim=0)
    assert plan.action.item() == pytest.approx((weight * drawn).sum().item(), abs=1e-6)
    assert plan.value.item() == pytest.approx((weight * 3 * drawn).sum().item(), abs=1e-5)


def test_discrete_actions(corridor, random_table) -> None:
    config = MPPIConfig(horizon=4, num_sequences=60, iterations=4)
    plan = mppi(corridor, {"cell": torch.tensor([0, 1, 2, 3])}, config, _seeded())
    assert plan.action.tolist() == [1, 1, 1, 1]
    torch.testing.assert_close(plan.warm_start.sum(dim=-1), torch.ones(4, 4))
    offset = mppi(random_table(0, start=7), {"cell": torch.arange(12)}, config, _seeded())
    assert offset.action.min() >= 7
    assert offset.action.max() < 10


def test_diverging_sequences_weigh_nothing(make_bandit) -> None:
    config = MPPIConfig(horizon=2, num_sequences=100)
    plan = mppi(make_bandit(lambda a: torch.where(a > 0.1, math.nan, a)), _one(), config, _seeded())
    assert -0.4 < plan.action.item() <= 0.1
    plan = mppi(make_bandit(lambda a: a * math.nan), _one(), config, _seeded())
    assert plan.action.item() == 0.0
    assert plan.value.item() == -math.inf


def test_bounds_and_warm_start(make_integrator) -> None:
    model, config = make_integrator(0.3), MPPIConfig(horizon=6, hold=2)  # its step asserts the bounds
    state = {"x": torch.tensor([[9.0, 9.0], [-9.0, -9.0]])}
    plan = mppi(model, state, config, _seeded())
    assert plan.warm_start.shape == (2, 6, 1)
    assert plan.warm_start[:, -1].eq(0).all()  # the middle of the bounds
    plan = mppi(model, state, config, _seeded(), plan.warm_start)
    assert plan.action[0].item() == pytest.approx(-0.3, abs=0.08)
    assert plan.action.abs().max() <= np.float32(0.3)


def test_same_seed_same_plan(cartpole) -> None:
    state = {"x": torch.randn(4, 4, generator=_seeded()) * 0.05}
    first, again = (mppi(cartpole, state, MPPIConfig(), _seeded(2)) for _ in range(2))
    assert torch.equal(first.warm_start, again.warm_start)
    assert not torch.equal(first.warm_start, mppi(cartpole, state, MPPIConfig(), _seeded(3)).warm_start)
