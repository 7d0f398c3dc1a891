import math
from collections.abc import Callable
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.world_model import ModelState, index_state
from planners.configs import MCTSConfig
from planners.mcts import mcts
from planners.simulator import SimulatorModel


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _by_table(num_cells: int, num_actions: int, seed: int = 0) -> Callable[[ModelState], tuple]:
    """An evaluation that looks logits and values up."""
    generator = _seeded(seed)
    logits = torch.randn(num_cells, num_actions, generator=generator)
    values = torch.randn(num_cells, generator=generator)
    return lambda state: (logits[state["cell"]], values[state["cell"]])


def _puct_visits(model, cell: int, evaluate, config: MCTSConfig) -> list[int]:
    """PUCT written for reading: nodes are dicts, one root, values scaled over the tree or over siblings."""

    def make_node(cell: int, reward: float, discount: float) -> dict:
        logits, value = evaluate({"cell": torch.tensor([cell])})
        prior = torch.softmax(logits.double(), -1)[0].numpy()
        value = float(value) if discount else 0.0
        return {"cell": cell, "r": reward, "d": discount, "p": prior, "v": value, "n": 1, "next": {}}

    def q_of(node: dict) -> float:
        return node["r"] + node["d"] * node["v"]

    def score(node: dict, action: int) -> float:
        child = node["next"].get(action)
        low, high = extremes
        if config.normalise == "siblings":
            near = [node["v"], *map(q_of, node["next"].values())]
            low, high = min(near), max(near)
        q = 0.0 if child is None else (q_of(child) - low) / max(high - low, 1e-5 * max(1, abs(low), abs(high)))
        pb_c = config.pb_c_init + math.log((node["n"] + config.pb_c_base + 1) / config.pb_c_base)
        return q + pb_c * node["p"][action] * math.sqrt(node["n"]) / (1 + (0 if child is None else child["n"]))

    root, extremes = make_node(cell, 0.0, 1.0), [math.inf, -math.inf]
    for _ in range(config.num_simulations):
        path = [root]
        while path[-1]["d"]:
            node = path[-1]
            action = max(range(len(node["p"])), key=lambda a: (score(node, a), -a))
            if action in node["next"]:
                path.append(node["next"][action])
                continue
            step = model.step({"cell": torch.tensor([node["cell"]])}, torch.tensor([action]))
            child = make_node(int(step.observation), float(step.reward), config.discount * float(step.continuation))
            node["next"][action], child["n"] = child, 0
            path.append(child)
            break
        value = path[-1]["v"]
        path[-1]["n"] += 1
        for node, parent in zip(path[:0:-1], path[-2::-1], strict=True):
            extremes = [min(extremes[0], q_of(node)), max(extremes[1], q_of(node))]
            value = node["r"] + node["d"] * value
            parent["n"] += 1
            parent["v"] += (value - parent["v"]) / parent["n"]
    return [root["next"][a]["n"] if a in root["next"] else 0 for a in range(len(root["p"]))]


@pytest.mark.parametrize("normalise", ["tree", "siblings"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_visits_equal_an_independent_puct(random_table, normalise: str, seed: int) -> None:
    model, evaluate = random_table(seed), _by_table(12, 3, seed)
    config = MCTSConfig(num_simulations=60, normalise=normalise, random_ties=False, discount=1.0 if seed == 2 else 0.75)
    found = mcts(model, {"cell": torch.arange(12)}, config, evaluate_fn=evaluate)
    expected = [_puct_visits(model, cell, evaluate, config) for cell in range(12)]
    assert found.visits.tolist() == expected
    assert found.visits.sum(dim=1).tolist() == [60] * 12


def test_rows_do_not_depend_on_other_rows(random_table) -> None:
    model, evaluate = random_table(3), _by_table(12, 3)
    config, state = MCTSConfig(num_simulations=40, random_ties=False), {"cell": torch.arange(12)}
    together = mcts(model, state, config, evaluate_fn=evaluate)
    rows = torch.tensor([7, 2, 2])
    apart = mcts(model, index_state(state, rows), config, evaluate_fn=evaluate)
    assert torch.equal(apart.visits, together.visits[rows])
    torch.testing.assert_close(apart.action_values, together.action_values[rows], rtol=0, atol=0, equal_nan=True)


def _value_iteration(next_cell: np.ndarray, reward: np.ndarray, going_on: np.ndarray, discount: float) -> np.ndarray:
    q = np.zeros(next_cell.shape)
    for _ in range(500):
        q = reward + discount * going_on * q.max(axis=1)[next_cell]
    return q


def _frozen_lake() -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
    """The 4x4 lake without slipping: next cells, rewards, 1 where the episode goes on, and the cells to start from."""
    lake, moves = "SFFFFHFHFFFHHFFG", ((0, -1), (1, 0), (0, 1), (-1, 0))
    next_cell = np.array(
        [[4 * min(max(c // 4 + y, 0), 3) + min(max(c % 4 + x, 0), 3) for y, x in moves] for c in range(16)]
    )
    tiles = np.array(list(lake))[next_cell]
    return next_cell, (tiles == "G").astype(float), 1.0 - np.isin(tiles, ["H", "G"]), [
        c for c in range(16) if lake[c] in "SF"
    ]  # fmt: skip


def test_every_action_on_a_grid_is_optimal(make_table) -> None:
    """From all cells at once, with rollouts: the greedy value equals that of value iteration."""
    next_cell, reward, going_on, cells = _frozen_lake()
    model, q = make_table(next_cell, reward, going_on), _value_iteration(next_cell, reward, going_on, 0.9)
    config = MCTSConfig(num_simulations=300, horizon=30, num_rollouts=8, rollout_hold=1, discount=0.9)
    found = mcts(model, {"cell": torch.tensor(cells)}, config, _seeded())
    chosen = q[cells, found.action.numpy()]
    np.testing.assert_allclose(chosen, q[cells].max(axis=1), rtol=1e-6)


def test_walks_over_the_real_lake() -> None:
    """Six steps lead over the lake that does not slip; the model is the real environment."""
    model = SimulatorModel(lambda: gymnasium.make("FrozenLake-v1", is_slippery=False))
    config = MCTSConfig(num_simulations=50, horizon=15, num_rollouts=8, rollout_hold=1, discount=0.9)
    state, generator, rewards = model.encode(torch.tensor([0])), _seeded(), []
    for _ in range(6):
        step = model.step(state, mcts(model, state, config, generator).action)
        state, rewards = step.state, [*rewards, step.reward.item()]
    assert rewards == [0, 0, 0, 0, 0, 1]
    assert step.continuation.item() == 0


def test_an_end_is_worth_nothing_more_and_is_not_stepped_from(make_table) -> None:
    """Action 0 pays 1 and ends; beyond that end the table promises 100 a step. Action 1 pays 2 in two steps."""
    cells = np.array([[1, 2], [1, 1], [3, 3], [3, 3]])
    reward = np.array([[1, 0.5], [100, 100], [1.5, 1.5], [100, 100]])
    model = make_table(cells, reward, np.array([[0.4, 1], [1, 1], [0.1, 0.1], [1, 1]]))
    config = MCTSConfig(num_simulations=50, discount=1.0, horizon=10, num_rollouts=1)
    found = mcts(
        model, {"cell": torch.tensor([0])}, config, _seeded(), lambda s: (torch.zeros(1, 2), torch.full((1,), 9.0))
    )
    torch.testing.assert_close(found.action_values[:, 0], torch.tensor([1.0]))
    assert found.action_values[0, 1] <= 9.5
    assert found.action.item() == 1
    assert found.visits.sum() == 50


def test_the_default_evaluation_ends_at_the_horizon(make_table) -> None:
    """A reward of 1 a step for ever: every action is worth exactly the horizon, however deep the tree and the hold."""
    model = make_table(np.zeros((1, 2), int), np.ones((1, 2)), np.ones((1, 2)))
    state = {"cell": torch.zeros(3, dtype=torch.int64)}
    for hold in (1, 4):
        config = MCTSConfig(num_simulations=40, hold=hold, horizon=7, discount=1.0)
        found = mcts(model, state, config, _seeded())
        assert found.action_values.tolist() == [[7.0, 7.0]] * 3
        assert found.value.tolist() == [7.0] * 3


def test_held_edges_discount_every_step(make_table) -> None:
    model = make_table(np.zeros((1, 2), int), np.array([[1.0, 2.0]]), np.full((1, 2), 0.8))
    config = MCTSConfig(num_simulations=2, hold=2, discount=0.5)
    found = mcts(model, {"cell": torch.tensor([0])}, config, None, lambda s: (torch.zeros(1, 2), torch.ones(1)))
    expected = torch.tensor([[1.4 + 0.16, 2.8 + 0.16]])
    torch.testing.assert_close(found.action_values, expected)


@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf])
def test_a_diverging_step_is_never_taken_again(make_table, bad: float) -> None:
    model = make_table(np.zeros((1, 3), int), np.array([[bad, -1.0, -2.0]]), np.full((1, 3), 0.9))
    for evaluate in (None, lambda s: (torch.zeros(1, 3), torch.full((1,), -3.0))):
        found = mcts(model, {"cell": torch.tensor([0])}, MCTSConfig(num_simulations=30), _seeded(), evaluate)
        assert found.action.item() == 1
        assert found.visits[0, 0] == 0
        assert found.value.isfinite().all()


@pytest.mark.parametrize("select", ["puct", "uct", "gumbel"])
def test_a_place_where_all_diverges_takes_no_more_simulations_than_it_has_actions(make_table, select: str) -> None:
    """Action 0 leads to a cell of the highest value, but both of its actions diverge."""
    nan = math.nan
    model = make_table(
        np.array([[1, 2], [1, 1], [2, 2]]), np.array([[0.0, 0.0], [nan, nan], [0.5, 0.5]]), np.full((3, 2), 0.9)
    )
    values = torch.tensor([0.0, 1.0, 0.5])
    config = MCTSConfig(num_simulations=50, select=select)  # type: ignore[arg-type]
    found = mcts(
        model, {"cell": torch.tensor([0])}, config, _seeded(), lambda s: (torch.zeros(1, 2), values[s["cell"]])
    )
    assert found.action.item() == 1
    assert found.visits[0, 0] == 0
    assert found.visits[0, 1] >= 40


@pytest.mark.parametrize("select", ["puct", "uct", "gumbel"])
def test_where_no_action_is_allowed_all_are(make_table, select: str) -> None:
    model = make_table(np.zeros((1, 3), int), np.array([[0.0, 1.0, 2.0]]), np.full((1, 3), 0.9))
    config = MCTSConfig(num_simulations=30, select=select)  # type: ignore[arg-type]
    nothing = torch.full((1, 3), -math.inf)
    found = mcts(model, {"cell": torch.tensor([0])}, config, _seeded(), lambda s: (nothing, torch.zeros(1)))
    assert found.action.item() == 2
    assert found.policy.isfinite().all()
    assert found.visits[0].min() > 0


@pytest.mark.parametrize("select", ["puct", "gumbel"])
def test_what_is_forbidden_is_not_done_even_where_all_else_diverges(make_table, select: str) -> None:
    model = make_table(np.zeros((1, 3), int), np.full((1, 3), math.nan), np.full((1, 3), 0.9))
    config = MCTSConfig(num_simulations=10, select=select, random_ties=False)  # type: ignore[arg-type]
    forbidden = torch.tensor([[True, False, False]])
    found = mcts(model, {"cell": torch.tensor([0])}, config, _seeded(), invalid_actions=forbidden)
    assert found.action.item() == 1
    assert found.policy.tolist() == [[0.0, 1.0, 0.0]]


def test_a_diverging_evaluation_gives_finite_statistics(make_table) -> None:
    model = make_table(np.zeros((1, 2), int), np.ones((1, 2)), np.ones((1, 2)))
    nan = torch.full((1, 2), math.nan)
    found = mcts(
        model, {"cell": torch.tensor([0])}, MCTSConfig(num_simulations=5), _seeded(), lambda s: (nan, nan[:, 0])
    )
    assert found.value.tolist() == [0.0]
    assert found.action.item() in (0, 1)


def test_nothing_beyond_an_end_matters_not_even_nan(make_table) -> None:
    """Action 0 pays 5 and ends in a cell where all is NaN."""
    cells, nan = np.array([[1, 0], [1, 1]]), math.nan
    model = make_table(cells, np.array([[5.0, 1.0], [nan, nan]]), np.array([[0.0, 0.9], [nan, nan]]))
    values = torch.tensor([1.0, nan])
    for evaluate in (None, lambda state: (torch.zeros(1, 2), values[state["cell"]])):
        config = MCTSConfig(num_simulations=4, horizon=1)
        found = mcts(model, {"cell": torch.tensor([0])}, config, _seeded(), evaluate)
        assert found.action_values[0, 0] == 5.0
        assert found.visits[0, 0] > 0


def test_discrete_start(random_table) -> None:
    evaluate, config = _by_table(12, 3), MCTSConfig(num_simulations=30, random_ties=False)
    state = {"cell": torch.arange(12)}
    plain, offset = (mcts(random_table(4, start=start), state, config, None, evaluate) for start in (0, -2))
    assert torch.equal(plain.visits, offset.visits)
    assert torch.equal(plain.action, offset.action + 2)


def test_root_noise_is_seeded_and_differs_between_rows(random_table) -> None:
    model, evaluate = random_table(5), _by_table(12, 3)
    state = {"cell": torch.zeros(6, dtype=torch.int64)}
    noisy = MCTSConfig(num_simulations=40, dirichlet_fraction=0.9, random_ties=False)
    first, again, other = (mcts(model, state, noisy, _seeded(seed), evaluate) for seed in (0, 0, 1))
    assert torch.equal(first.visits, again.visits)
    assert not torch.equal(first.visits, other.visits)
    assert len({tuple(row) for row in first.visits.tolist()}) > 1
    calm = mcts(model, state, replace(noisy, dirichlet_fraction=0.0), _seeded(), evaluate)
    assert len({tuple(row) for row in calm.visits.tolist()}) == 1


def test_equal_actions_are_chosen_by_lot(make_table) -> None:
    model = make_table(np.zeros((1, 3), int), np.ones((1, 3)), np.ones((1, 3)))
    state = {"cell": torch.zeros(300, dtype=torch.int64)}
    found = mcts(model, state, MCTSConfig(num_simulations=7), _seeded())
    assert torch.bincount(found.action, minlength=3).min() > 60
    first = mcts(model, state, MCTSConfig(num_simulations=7, random_ties=False), _seeded())
    assert first.action.eq(0).all()


def test_an_action_space_is_refused_with_the_planners_that_serve_it(make_integrator) -> None:
    model = make_integrator()
    model.spec = replace(model.spec, action_space=spaces.Box(-np.inf, np.inf, (1,), np.float32))
    with pytest.raises(InputError, match=r"mcts expects a Discrete or bounded Box action space.*no planner serves it"):
        mcts(model, {"x": torch.zeros(1, 2)}, MCTSConfig())
    model.spec = replace(model.spec, action_space=spaces.MultiDiscrete([2, 2]))
    with pytest.raises(InputError, match="no planner serves it"):
        mcts(model, {"x": torch.zeros(1, 2)}, MCTSConfig())
