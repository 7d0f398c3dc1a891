from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor

from envs.errors import InputError
from envs.evaluate import evaluate
from envs.world_model import ModelState, index_state, join_states
from planners.configs import MCTSConfig
from planners.mcts import LeafFunctions, mcts
from planners.planner_policy import PlannerPolicy, make_planner
from planners.tabular_model import toy_text_model
from planners.tree_reuse import most_visits

CONFIG = MCTSConfig(num_simulations=60, reuse=True, random_ties=False, discount=0.9)


def by_table(num_cells: int, num_actions: int) -> Any:
    generator = torch.Generator().manual_seed(0)
    logits, values = (
        torch.randn(num_cells, num_actions, generator=generator),
        torch.randn(num_cells, generator=generator),
    )
    return lambda state: (logits[state["cell"]], values[state["cell"]])


def test_the_tree_below_the_action_is_kept_and_searched_on(random_table: Any) -> None:
    model, evaluate_fn = random_table(3), by_table(12, 3)
    first = mcts(model, {"cell": torch.arange(12)}, CONFIG, None, evaluate_fn)
    step = model.step({"cell": torch.arange(12)}, first.action)
    on = step.continuation > 0
    assert first.warm_start is not None
    second = mcts(model, step.state, CONFIG, None, evaluate_fn, warm_start=first.warm_start)
    rows = np.arange(12)
    below = first.tree.edges["child"][rows, 0, first.action.numpy()]
    visits = first.tree.edges["visits"][rows, below].sum(axis=1)
    carried = torch.from_numpy(visits) * on
    assert torch.equal(second.visits.sum(dim=1), carried + 60)
    assert ((second.statistics.carried_nodes > 0) == on).all()
    assert second.statistics.model_steps == 60 * 12
    fresh = mcts(model, step.state, CONFIG, None, evaluate_fn)
    assert torch.equal(second.visits[~on], fresh.visits[~on])
    assert (second.visits[on] >= 0).all()
    assert not torch.equal(second.visits[on], fresh.visits[on])


def test_a_kept_tree_is_what_one_longer_search_would_be(make_table: Any) -> None:
    """With one action there is one path: going on gives the same tree as searching for longer from the start."""
    cells = np.minimum(np.arange(40) + 1, 39)[:, None]
    model = make_table(cells, np.arange(40.0)[:, None], np.ones((40, 1)))
    config = MCTSConfig(num_simulations=8, reuse=True, discount=0.9)
    values = torch.randn(40, generator=torch.Generator().manual_seed(1))

    def look_up(state: ModelState) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(state["cell"]), 1), values[state["cell"]]

    first = mcts(model, {"cell": torch.tensor([0])}, config, None, look_up)
    second = mcts(model, {"cell": torch.tensor([1])}, config, None, look_up, warm_start=first.warm_start)
    longer = mcts(
        model, {"cell": torch.tensor([1])}, MCTSConfig(num_simulations=15, discount=0.9), None, look_up
    )  # fmt: skip
    assert second.visits.tolist() == longer.visits.tolist() == [[15]]
    torch.testing.assert_close(second.value, longer.value)
    torch.testing.assert_close(second.statistics.max_depth, longer.statistics.max_depth)


def test_a_row_whose_state_is_another_starts_anew(random_table: Any) -> None:
    model, evaluate_fn = random_table(3), by_table(12, 3)
    first = mcts(model, {"cell": torch.arange(12)}, CONFIG, None, evaluate_fn)
    step = model.step({"cell": torch.arange(12)}, first.action)
    elsewhere = {"cell": (step.state["cell"] + torch.arange(12) % 2) % 12}
    second = mcts(model, elsewhere, CONFIG, None, evaluate_fn, warm_start=first.warm_start)
    fresh = mcts(model, elsewhere, CONFIG, None, evaluate_fn)
    odd = torch.arange(12) % 2 == 1
    assert (second.statistics.carried_nodes[odd] == 0).all()
    assert torch.equal(second.visits[odd], fresh.visits[odd])
    assert (second.statistics.carried_nodes[~odd] > 0).any()


def test_a_tree_of_a_larger_search_is_refused(random_table: Any) -> None:
    model, evaluate_fn, state = random_table(3), by_table(12, 3), {"cell": torch.arange(12)}
    large = mcts(model, state, replace(CONFIG, num_simulations=60), None, evaluate_fn)
    with pytest.raises(InputError, match=r"a warm start of at most 10 nodes, which num_simulations allows, got .* 60"):
        mcts(model, state, replace(CONFIG, num_simulations=10), None, evaluate_fn, warm_start=large.warm_start)


def test_only_so_many_nodes_are_kept_however_long_the_episode(make_table: Any) -> None:
    model = make_table(np.zeros((1, 1), int), np.ones((1, 1)), np.ones((1, 1)))
    config, kept = MCTSConfig(num_simulations=5, reuse=True, discount=0.9, horizon_from="leaf"), None
    for _ in range(8):
        found = mcts(model, {"cell": torch.tensor([0])}, config, warm_start=kept)  # type: ignore[arg-type]
        kept = found.warm_start
        assert found.statistics.num_nodes.max() <= 10
    assert most_visits(kept) > 5  # type: ignore[arg-type]


def test_near_states_are_the_same_within_the_tolerance(make_integrator: Any) -> None:
    model = make_integrator(2.0)
    functions = LeafFunctions(propose=lambda state, number, generator: (
        torch.linspace(-1, 1, number).expand(len(state["x"]), -1).unsqueeze(2), torch.zeros(len(state["x"]), number),
        -state["x"].square().sum(dim=1)))  # fmt: skip
    for tolerance, taken in ((0.0, False), (1e-3, True)):
        config = MCTSConfig(num_simulations=40, num_sampled_actions=5, reuse=True, reuse_tolerance=tolerance)
        first = mcts(model, {"x": torch.ones(3, 2)}, config, functions=functions)
        after = model.step({"x": torch.ones(3, 2)}, first.action).state["x"] + 1e-5
        second = mcts(model, {"x": after}, config, functions=functions, warm_start=first.warm_start)  # type: ignore[arg-type]
        assert bool((second.statistics.carried_nodes > 1).all()) == taken
        assert second.sampled_actions.shape == (3, 5, 1)  # type: ignore[union-attr]


def test_a_policy_reuses_its_trees_row_by_row() -> None:
    model = toy_text_model(lambda: gymnasium.make("FrozenLake-v1", is_slippery=False))
    config = MCTSConfig(
        num_simulations=40, discount=0.9, horizon=12, horizon_from="leaf", num_rollouts=8, rollout_hold=1, reuse=True
    )
    policy = PlannerPolicy(model, make_planner(config))
    found = evaluate(policy, lambda: gymnasium.make("FrozenLake-v1", is_slippery=False), episodes=6)
    assert found.returns.tolist() == [1.0] * 6
    _, state = policy.act(np.zeros(2, np.int64), policy.initial_state(2, 0))
    assert state["warm_start"]["nodes"].shape[:2] == (2, 40)
    assert join_states([index_state(state["warm_start"], slice(1))] * 2)["edges"].shape[0] == 2


def test_what_cannot_be_reused_is_refused(random_table: Any) -> None:
    with pytest.raises(InputError, match="horizon_from to be 'leaf'"):
        mcts(random_table(0), {"cell": torch.arange(3)}, MCTSConfig(reuse=True))
    with pytest.raises(InputError, match="reuse off with a stochastic model"):
        MCTSConfig(reuse=True, stochastic_model=True)
    with pytest.raises(InputError, match="reuse off with Gumbel"):
        MCTSConfig(reuse=True, select="gumbel")
