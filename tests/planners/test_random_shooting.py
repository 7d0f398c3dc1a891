import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.world_model import Imagined
from planners.configs import RandomShootingConfig
from planners.random_shooting import random_shooting


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_sequences_give_the_exact_optimum(corridor) -> None:
    config = RandomShootingConfig(horizon=4, num_sequences=16, hold=1, choose="best")
    plan = random_shooting(corridor, {"cell": torch.tensor([0, 1, 2, 3])}, config, _seeded())
    assert plan.action.tolist() == [1, 1, 1, 1]
    torch.testing.assert_close(plan.value, torch.tensor([0.7, 0.8, 0.9, 1.0]))


def test_mean_and_best_tell_actions_apart(make_table) -> None:
    """Action 0 leads to a cell that pays 4 or -9, action 1 to one that pays 1 either way."""
    cells = np.array([[1, 2], [3, 3], [3, 3], [3, 3]])
    model = make_table(cells, np.array([[0, 0], [4, -9], [1, 1], [0, 0]]), np.ones((4, 2)))
    state = {"cell": torch.tensor([0])}
    config = RandomShootingConfig(horizon=2, num_sequences=4, hold=1, choose="best")
    assert random_shooting(model, state, config).action.item() == 0
    careful = random_shooting(model, state, replace(config, choose="mean"))
    assert (careful.action.item(), careful.value.item()) == (1, 1.0)


def test_equal_actions_are_chosen_by_lot(make_table) -> None:
    model = make_table(np.zeros((1, 2), int), np.ones((1, 2)), np.ones((1, 2)))
    plan = random_shooting(model, {"cell": torch.zeros(200, dtype=torch.int64)}, RandomShootingConfig(), _seeded())
    assert 50 < plan.action.sum() < 150


def test_warm_start_competes_and_is_shifted_by_one(make_integrator) -> None:
    model, config = make_integrator(), RandomShootingConfig(horizon=4, num_sequences=5, hold=1)
    state, good = {"x": torch.zeros(2, 2)}, torch.zeros(2, 4, 1)  # doing nothing at rest costs nothing
    plan = random_shooting(model, state, config, _seeded(), warm_start=good)
    assert plan.action.tolist() == [[0.0], [0.0]]
    assert plan.warm_start[:, :3].eq(0).all()
    assert plan.warm_start.shape == (2, 4, 1)
    assert not plan.warm_start[:, 3].eq(0).any()


def test_a_model_that_diverges_is_avoided(make_table) -> None:
    model = make_table(np.zeros((1, 3), int), np.array([[math.nan, 1.0, math.nan]]), np.ones((1, 3)))
    config = RandomShootingConfig(horizon=2, num_sequences=9, hold=1)
    plan = random_shooting(model, {"cell": torch.tensor([0])}, config, _seeded())
    assert (plan.action.item(), plan.value.item()) == (1, 2.0)


def test_discrete_start_and_rows(random_table) -> None:
    """Offset actions, and a batch plans as its rows do one by one (all sequences are listed, so there is no chance)."""
    plain, offset = random_table(1), random_table(1, start=5)
    config = RandomShootingConfig(horizon=4, num_sequences=81, hold=1)
    cells = torch.arange(12)
    plan = random_shooting(offset, {"cell": cells}, config, _seeded())
    alone = [random_shooting(plain, {"cell": cells[i : i + 1]}, config, _seeded()) for i in range(12)]
    assert (plan.action - 5).tolist() == [one.action.item() for one in alone]
    torch.testing.assert_close(plan.value, torch.cat([one.value for one in alone]))


def test_same_seed_same_plan_and_bounds(make_integrator) -> None:
    model, config = make_integrator(0.5), RandomShootingConfig(horizon=5, num_sequences=20, hold=2)
    state = {"x": torch.randn(50, 2, generator=_seeded())}
    first, again = (random_shooting(model, state, config, _seeded(3)) for _ in range(2))
    assert torch.equal(first.action, again.action)
    assert torch.equal(first.warm_start, again.warm_start)
    assert not torch.equal(first.action, random_shooting(model, state, config, _seeded(4)).action)
    assert first.action.dtype == torch.float32
    assert first.action.abs().max() <= 0.5


@pytest.mark.parametrize("stochastic", [True, False])
def test_the_model_gets_the_generator_only_when_asked(corridor, stochastic: bool) -> None:
    seen, step = set(), corridor.step

    def spy(state: dict, action: torch.Tensor, generator: torch.Generator | None = None) -> Imagined:
        seen.add(generator)
        return step(state, action, generator)

    corridor.step, generator = spy, _seeded()
    config = RandomShootingConfig(stochastic_model=stochastic)
    random_shooting(corridor, {"cell": torch.tensor([0])}, config, generator)
    assert seen == {generator if stochastic else None}


@pytest.mark.parametrize("space", [spaces.MultiBinary(3), spaces.Box(0, np.inf, (1,))])
def test_other_action_spaces_are_refused(corridor, space: spaces.Space) -> None:
    corridor.spec = replace(corridor.spec, action_space=space)
    with pytest.raises(InputError, match="random-shooting expects a Discrete or bounded Box action space"):
        random_shooting(corridor, {"cell": torch.tensor([0])}, RandomShootingConfig())
