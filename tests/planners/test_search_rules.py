"""Masks, noise, budgets, statistics, drawn actions, drawn outcomes and bad input of the tree search."""

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from envs.errors import InputError
from envs.world_model import Imagined, ModelState
from planners.configs import MCTSConfig
from planners.mcts import LeafFunctions, mcts
from planners.planner_policy import make_planner
from planners.sequential_halving import halving_schedule


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(num_actions: int) -> Any:
    return lambda state: (torch.zeros(len(state["cell"]), num_actions), torch.zeros(len(state["cell"])))


@pytest.mark.parametrize("select", ["puct", "uct", "gumbel"])
def test_masked_actions_are_never_taken_at_roots_or_below(random_table: Any, select: Any) -> None:
    model = random_table(2)
    allowed = torch.rand(12, 3, generator=seeded(1)) > 0.4
    allowed[torch.arange(12), torch.arange(12) % 3] = True
    taken = []

    class Masked:
        spec, device, encode = model.spec, model.device, model.encode

        def step(self, state: ModelState, action: Tensor, generator: Any = None) -> Imagined:
            taken.append(allowed[state["cell"], action].all().item())
            return model.step(state, action, generator)

        def valid_actions(self, state: ModelState) -> Tensor:
            return allowed[state["cell"]]

    config = MCTSConfig(num_simulations=40, select=select, rollout_hold=1, dirichlet_fraction=0.3)
    for evaluate_fn in (None, flat(3)):
        found = mcts(Masked(), {"cell": torch.arange(12)}, config, seeded(), evaluate_fn)
        assert found.visits[~allowed].sum() == 0
        assert found.policy[~allowed].sum() == 0
        assert allowed[torch.arange(12), found.action].all()
    assert len(taken) > 40
    assert all(taken)
    banned = torch.zeros(12, 3, dtype=torch.bool)
    banned[:, 1] = True
    found = mcts(model, {"cell": torch.arange(12)}, config, seeded(), flat(3), invalid_actions=banned)
    assert found.visits[:, 1].sum() == 0
    assert found.visits.sum() == 12 * 40


def test_logits_of_minus_infinity_forbid(random_table: Any) -> None:
    logits = torch.tensor([0.0, -math.inf, 1.0])
    found = mcts(
        random_table(0), {"cell": torch.arange(12)}, MCTSConfig(num_simulations=30, pb_c_init=50.0), seeded(),
        lambda state: (logits.expand(len(state["cell"]), 3), torch.zeros(len(state["cell"]))),
    )  # fmt: skip
    assert found.visits[:, 1].sum() == 0
    assert (found.tree.edges["visits"][..., 1][found.tree.nodes["visits"] > 0] == 0).all()


@pytest.mark.parametrize("size", [1e30, 1e4])
@pytest.mark.parametrize("select", ["puct", "gumbel"])
def test_huge_logits_do_not_overflow(random_table: Any, select: Any, size: float) -> None:
    """The exponentials are taken after the highest logit is subtracted."""
    logits = torch.tensor([size, size - 1, -size])
    found = mcts(
        random_table(0), {"cell": torch.arange(12)}, MCTSConfig(num_simulations=30, select=select), seeded(),
        lambda state: (logits.expand(len(state["cell"]), 3), torch.full((len(state["cell"]),), size)),
    )  # fmt: skip
    assert found.policy.isfinite().all()
    assert found.value.isfinite().all()
    torch.testing.assert_close(found.policy.sum(dim=1), torch.ones(12))


@pytest.mark.parametrize("select", ["puct", "uct", "gumbel"])
def test_nothing_is_nan_before_actions_are_visited(random_table: Any, select: Any) -> None:
    found = mcts(random_table(0), {"cell": torch.arange(12)}, MCTSConfig(num_simulations=1, select=select), seeded())
    assert found.value.isfinite().all()
    assert found.policy.isfinite().all()
    assert (found.action_values.isnan() == (found.visits == 0)).all()
    assert found.action.tolist() == found.visits.argmax(dim=1).tolist()


@pytest.mark.parametrize("select", ["puct", "gumbel"])
def test_each_row_gets_noise_of_its_own(random_table: Any, select: Any) -> None:
    config = MCTSConfig(num_simulations=12, select=select, dirichlet_fraction=0.9, random_ties=False)
    state = {"cell": torch.zeros(30, dtype=torch.int64)}
    found = mcts(random_table(5), state, config, seeded(), flat(3))
    assert len({tuple(row) for row in found.visits.tolist()}) > 1
    calm = replace(config, dirichlet_fraction=0.0, gumbel_scale=0.0)
    assert len({tuple(row) for row in mcts(random_table(5), state, calm, seeded(), flat(3)).visits.tolist()}) == 1


@pytest.mark.parametrize("select", ["puct", "uct", "gumbel"])
@pytest.mark.parametrize("backup", ["mean", "best"])
def test_rows_are_independent(random_table: Any, select: Any, backup: Any) -> None:
    model, noise = random_table(4), torch.rand(12, 3, generator=seeded(9))
    config = MCTSConfig(num_simulations=30, select=select, backup=backup, dirichlet_fraction=0.5, random_ties=False)
    values = torch.randn(12, generator=seeded(3))
    functions = LeafFunctions(lambda state: (torch.zeros(len(state["cell"]), 3), values[state["cell"]]))
    together = mcts(model, {"cell": torch.arange(12)}, config, functions=functions, noise=noise)
    rows = torch.tensor([11, 3, 3, 0])
    apart = mcts(model, {"cell": rows}, config, functions=functions, noise=noise[rows])
    assert torch.equal(apart.visits, together.visits[rows])
    assert torch.equal(apart.value, together.value[rows])
    assert torch.equal(apart.action, together.action[rows])


def test_best_values_are_exact_on_a_path_past_a_cliff(make_table: Any) -> None:
    """Left pays 1 at once, right 3 two steps later, with a fall of -100 beside it: means shy away, the best do not."""
    cells = np.array([[1, 2], [1, 1], [3, 1], [1, 1]])
    reward = np.array([[1.0, 0.0], [0, 0], [3.0, -100.0], [0, 0]])
    model = make_table(cells, reward, np.array([[0.0, 1], [0, 0], [0, 0], [0, 0]]))
    config = MCTSConfig(num_simulations=8, select="uct", backup="best", discount=1.0, random_ties=False)
    found = mcts(model, {"cell": torch.tensor([0])}, config, None, lambda s: (torch.zeros(1, 2), torch.zeros(1)))
    assert found.action_values.tolist() == [[1.0, 3.0]]
    assert found.action.item() == 1
    mean = mcts(model, {"cell": torch.tensor([0])}, replace(config, backup="mean"), None,
                lambda s: (torch.zeros(1, 2), torch.zeros(1)))  # fmt: skip
    assert mean.action_values[0, 1] < 0


def test_time_is_a_budget(random_table: Any) -> None:
    model = random_table(0)

    class Slow:
        spec, device, encode = model.spec, model.device, model.encode

        def step(self, state: ModelState, action: Tensor, generator: Any = None) -> Imagined:
            time.sleep(0.002)
            return model.step(state, action, generator)

    config = MCTSConfig(num_simulations=100_000, milliseconds=50.0)
    found = mcts(Slow(), {"cell": torch.arange(2)}, config, seeded(), flat(3))
    assert 1 <= found.statistics.num_simulations <= 25
    assert found.visits.sum(dim=1).tolist() == [found.statistics.num_simulations] * 2
    least = mcts(Slow(), {"cell": torch.arange(2)}, replace(config, milliseconds=1e-6), seeded(), flat(3))
    assert least.statistics.num_simulations == 1


def test_statistics_of_a_search(make_table: Any) -> None:
    """One action, so one path, which ends after four steps: each further simulation meets the end again."""
    model = make_table(
        np.minimum(np.arange(6) + 1, 5)[:, None], np.ones((6, 1)), np.array([1, 1, 1, 0, 0, 0.0])[:, None]
    )
    found = mcts(model, {"cell": torch.tensor([0, 2])}, MCTSConfig(num_simulations=10), None, flat(1))
    assert found.statistics.num_nodes.tolist() == [5, 3]
    assert found.statistics.max_depth.tolist() == [4, 2]
    assert found.statistics.mean_depth.tolist() == [2.5, 1.5]
    assert (found.statistics.model_calls, found.statistics.model_steps) == (10, 20)
    assert found.statistics.num_simulations == 10
    assert found.statistics.seconds > 0
    rollouts = MCTSConfig(num_simulations=3, num_rollouts=2, horizon=4, rollout_hold=1)
    random = mcts(model, {"cell": torch.tensor([0, 2])}, rollouts, seeded())
    # The roots' rollout, then a step and what it leaves of the horizon in the row where that is most.
    assert random.statistics.model_calls == 4 + (1 + 3) + (1 + 2) + (1 + 2)
    assert random.statistics.model_steps == 2 * random.statistics.model_calls


def test_a_box_is_searched_by_drawn_actions(make_integrator: Any) -> None:
    model = make_integrator(2.0)
    config = MCTSConfig(num_simulations=200, num_sampled_actions=12, discount=0.99)

    def propose(state: ModelState, number: int, generator: Any) -> tuple[Tensor, Tensor, Tensor]:
        x = state["x"]
        drawn = torch.rand(len(x), number, 1, generator=generator) * 4 - 2
        return drawn, torch.zeros(len(x), number), -8 * x.square().sum(dim=1)

    state, generator = {"x": torch.tensor([[1.0, 0.0], [-1.0, 0.0]])}, seeded()
    found = mcts(model, state, config, generator, functions=LeafFunctions(propose=propose))
    assert found.sampled_actions is not None
    assert found.sampled_actions.shape == (2, 12, 1)
    assert found.action.shape == (2, 1)
    for row in range(2):
        assert found.action[row] in found.sampled_actions[row]
    assert found.action[0] < -0.5
    assert found.action[1] > 0.0
    by_rollouts = mcts(model, state, replace(config, horizon=6, num_rollouts=4, rollout_hold=3), generator)
    assert by_rollouts.action[0] < 0
    assert (by_rollouts.action.abs() <= 2).all()


def test_priors_of_drawn_actions_count(make_integrator: Any) -> None:
    """Sampled MuZero: logits are log pi - log beta, so what is likelier than it was drawn is visited more."""
    drawn = torch.tensor([[[-1.0], [0.0], [1.0]]])
    functions = LeafFunctions(
        propose=lambda state, number, generator: (drawn, torch.tensor([[0.0, 2.0, 0.0]]), torch.zeros(1))
    )
    config = MCTSConfig(num_simulations=3, num_sampled_actions=3, random_ties=False)
    found = mcts(make_integrator(), {"x": torch.zeros(1, 2)}, config, functions=functions)
    assert found.action.item() == 0.0


def test_outcomes_are_drawn_for_models_that_only_draw() -> None:
    """A coin that pays 1 or -3: one draw can look like a win, the chance nodes' mean does not."""
    from gymnasium import spaces

    from envs.spec import EnvSpec

    class Coin:
        spec, device = EnvSpec("Coin-v0", spaces.Discrete(1), spaces.Discrete(2)), torch.device("cpu")

        def encode(self, observation: Tensor, previous: Any = None, action: Any = None) -> ModelState:
            return {"cell": observation}

        def step(self, state: ModelState, action: Tensor, generator: Any = None) -> Imagined:
            win = torch.rand(len(action), generator=generator) < 0.5
            reward = torch.where(action == 0, torch.where(win, 1.0, -3.0), -0.5)
            return Imagined(state, state["cell"], reward, torch.zeros(len(action)), *torch.zeros(2, len(action)))

    state = {"cell": torch.zeros(200, dtype=torch.int64)}
    config = MCTSConfig(num_simulations=60, stochastic_model=True)
    once = mcts(Coin(), state, config, seeded(), flat(2))
    often = mcts(Coin(), state, replace(config, num_outcomes=16), seeded(), flat(2))
    assert (once.action == 0).float().mean() > 0.3
    assert (often.action == 1).float().mean() > 0.85
    torch.testing.assert_close(often.action_values[:, 0].nanmean(), torch.tensor(-1.0), atol=0.4, rtol=0)


def test_sequential_halving_by_hand() -> None:
    assert halving_schedule(1, 4).tolist() == [0, 1, 2, 3]
    assert halving_schedule(4, 8).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert halving_schedule(4, 3).tolist() == [0, 0, 0]


def test_bad_input_is_told(random_table: Any, make_integrator: Any) -> None:
    model, state = random_table(0), {"cell": torch.arange(2)}
    for wrong in ({"cell": [1, 2]}, {}, {"cell": torch.arange(2), "more": torch.zeros(3)}, torch.arange(2)):
        with pytest.raises(InputError, match="can be copied"):
            mcts(model, wrong, MCTSConfig())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="allowed action at every root, got none in row 1"):
        mcts(model, state, MCTSConfig(), invalid_actions=torch.tensor([[False] * 3, [True] * 3]))
    with pytest.raises(InputError, match=r"invalid_actions \[2, 3\], got \[3\]"):
        mcts(model, state, MCTSConfig(), invalid_actions=torch.zeros(3))
    with pytest.raises(InputError, match=r"noise \[2, 3\]"):
        mcts(model, state, MCTSConfig(dirichlet_fraction=0.5), noise=torch.zeros(2, 2))
    with pytest.raises(InputError, match="hold of 1 for a search with chance nodes"):
        mcts(model, state, MCTSConfig(stochastic_model=True, num_outcomes=2, hold=2))
    with pytest.raises(InputError, match="'propose' for the Box actions"):
        mcts(make_integrator(), {"x": torch.zeros(1, 2)}, MCTSConfig(), None, flat(3))
    with pytest.raises(InputError, match="evaluate_fn or functions"):
        mcts(model, state, MCTSConfig(), None, flat(3), functions=LeafFunctions(flat(3)))

    class Rewardless:
        spec, device, encode = model.spec, model.device, model.encode

        def step(self, state: ModelState, action: Tensor, generator: Any = None) -> Imagined:
            return replace(model.step(state, action), reward=None)  # type: ignore[arg-type]

    with pytest.raises(InputError, match="imagines no rewards"):
        mcts(Rewardless(), state, MCTSConfig(), None, flat(3))
    planner = make_planner(MCTSConfig(num_simulations=2), evaluate_fn=flat(3))
    assert planner(model, state, None, None).action.shape == (2,)
