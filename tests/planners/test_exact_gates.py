"""Searches on true models reach exact answers: toy text as value iteration does, tic-tac-toe as perfect play.

Toy text episodes are too long for one tree, so the leaves are valued by a table that starts with zeros and is filled by
the searches from every cell themselves (expert iteration); nothing else is known of the answer.
"""

import itertools
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from envs.evaluate import evaluate
from envs.spec import EnvSpec
from envs.world_model import Imagined, ModelState
from planners.configs import MCTSConfig
from planners.mcts import mcts
from planners.planner_policy import PlannerPolicy, make_planner
from planners.tabular_model import TabularModel, toy_text_model


def action_values(model: TabularModel, value: np.ndarray, discount: float) -> np.ndarray:
    follows = model.reward + discount * model.continuation * value[model.next_cell]
    return (model.probability * follows).sum(axis=2)


def settle(update: Any, num_cells: int) -> np.ndarray:
    value = np.zeros(num_cells)
    for _ in range(5000):
        after = update(value)
        if np.abs(after - value).max() < 1e-11:
            break
        value = after
    return value


def searched_actions(model: TabularModel, discount: float, rounds: int) -> np.ndarray:
    """Returns the action that the last search took in each cell."""
    num_cells, num_actions, _ = model.probability.shape
    config = MCTSConfig(
        num_simulations=24, select="uct", uct_c=2.0, backup="best", discount=discount, stochastic_model=True
    )
    table, generator = torch.zeros(num_cells), torch.Generator().manual_seed(0)

    def look_up(state: ModelState) -> tuple[Tensor, Tensor]:
        return torch.zeros(len(state["cell"]), num_actions), table[state["cell"]]

    for _ in range(rounds):
        found = mcts(model, {"cell": torch.arange(num_cells)}, config, generator, look_up)
        table = found.value
    return found.action.numpy()


CASES = [
    ("FrozenLake-v1", {}, 0.99, 60, 0, 0.542026),
    ("FrozenLake-v1", {}, 1.0, 150, 0, 0.823529),
    ("FrozenLake-v1", {"is_slippery": False}, 0.99, 15, 0, 0.99**5),
    ("FrozenLake8x8-v1", {}, 0.99, 200, 0, 0.414640),
    ("FrozenLake8x8-v1", {"is_slippery": False}, 0.99, 20, 0, 0.99**13),
    ("CliffWalking-v1", {}, 1.0, 25, 36, -13.0),
    ("CliffWalking-v1", {"is_slippery": True}, 1.0, 60, 36, -64.709),
    ("Taxi-v4", {}, 1.0, 25, None, 7.930),
]


@pytest.mark.parametrize(("env_id", "settings", "discount", "rounds", "start", "known"), CASES, ids=str)
def test_toy_text(
    env_id: str, settings: dict[str, Any], discount: float, rounds: int, start: int | None, known: float
) -> None:
    model = toy_text_model(lambda: gymnasium.make(env_id, **settings))
    cells = np.arange(len(model.probability))
    best = settle(lambda value: action_values(model, value, discount).max(axis=1), len(cells))
    actions = searched_actions(model, discount, rounds)
    reached = settle(lambda value: action_values(model, value, discount)[cells, actions], len(cells))
    env = gymnasium.make(env_id, **settings).unwrapped
    starts = env.initial_state_distrib if start is None else np.eye(len(cells))[start]  # type: ignore[attr-defined]
    assert starts @ best == pytest.approx(known, rel=2e-4)
    assert starts @ reached >= starts @ best - 0.01 * abs(starts @ best)


class TicTacToe:
    """Boards ``[B, 9]`` as the player to move sees them: 1 own, -1 the other's; a win pays 1."""

    LINES = torch.tensor(
        [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]]
    )  # fmt: skip

    def __init__(self) -> None:
        self.spec = EnvSpec("TicTacToe-v0", spaces.Box(-1, 1, (9,), np.int8), spaces.Discrete(9))
        self.device = torch.device("cpu")

    def encode(self, observation: Tensor, previous: Any = None, action: Any = None) -> ModelState:
        return {"board": observation}

    def valid_actions(self, state: ModelState) -> Tensor:
        return state["board"] == 0

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        board, rows = state["board"].clone(), torch.arange(len(action))
        over = self._won(-board) | (board != 0).all(dim=1)
        assert (over | (board[rows, action] == 0)).all(), "a move that is not allowed"
        board[rows, action] = torch.where(over, board[rows, action], torch.ones_like(board[rows, action]))
        won = self._won(board) & ~over
        goes_on = ~(won | over | (board != 0).all(dim=1))
        return Imagined({"board": -board}, -board, won.float(), goes_on.float(), *torch.zeros(2, len(action)))

    def _won(self, board: Tensor) -> Tensor:
        return (board[:, self.LINES] == 1).all(dim=2).any(dim=1)


@pytest.mark.parametrize("select", ["puct", "uct"])
@pytest.mark.parametrize("moves_first", [True, False])
def test_tic_tac_toe_never_loses_whatever_the_other_does(moves_first: bool, select: Any) -> None:
    """All replies are tried, so perfect and random play are among them; and chances that they give are taken."""
    game, generator = TicTacToe(), torch.Generator().manual_seed(0)
    simulations = {"uct": 400, "puct": 1200}[select]
    config = MCTSConfig(num_simulations=simulations, select=select, discount=-1.0, horizon=9, num_rollouts=2)
    boards, wins = torch.zeros(1, 9, dtype=torch.int8), 0
    ours = moves_first
    while len(boards):
        if ours:
            boards = boards.unique(dim=0)
            action = mcts(game, {"board": boards}, config, generator).action
            step = game.step({"board": boards}, action)
            wins += int(step.reward.sum())
        else:
            row, action = torch.nonzero(boards == 0, as_tuple=True)
            step = game.step({"board": boards[row]}, action)
            assert step.reward.max() == 0, "lost"
        boards, ours = step.state["board"][step.continuation > 0], not ours
    assert wins > 10


@pytest.mark.slow
def test_cartpole_with_the_true_dynamics(cartpole: Any) -> None:
    for select in ("puct", "gumbel"):
        config = MCTSConfig(num_simulations=16, select=select)
        found = evaluate(PlannerPolicy(cartpole, make_planner(config)), "CartPole-v1", episodes=4)
        assert found.returns.mean() == 500


def test_probabilities_of_equal_outcomes_are_joined() -> None:
    model = toy_text_model("FrozenLake-v1")
    assert model.num_outcomes == 3
    corner = sorted(model.probability[0, 0][model.probability[0, 0] > 0])
    assert corner == pytest.approx([1 / 3, 2 / 3])
    drawn = torch.Generator().manual_seed(0)
    cells = model.step({"cell": torch.zeros(3000, dtype=torch.int64)}, torch.zeros(3000, dtype=torch.int64), drawn)
    assert (cells.observation == 0).float().mean().item() == pytest.approx(2 / 3, abs=0.03)
    likeliest = model.step({"cell": torch.zeros(1, dtype=torch.int64)}, torch.zeros(1, dtype=torch.int64))
    assert likeliest.observation.item() == 0


def test_chance_nodes_visit_outcomes_by_their_probability() -> None:
    model = toy_text_model("FrozenLake-v1")
    config = MCTSConfig(num_simulations=120, stochastic_model=True, horizon=8)
    tree = mcts(model, {"cell": torch.tensor([14])}, config, torch.Generator().manual_seed(0)).tree
    for node in np.flatnonzero((tree.nodes["is_chance"][0] == 1) & (tree.nodes["visits"][0] > 8)):
        edges = tree.edges[0, node]
        there = edges["prior"] > 0
        share = edges["visits"][there] / edges["visits"][there].sum()
        np.testing.assert_allclose(share, edges["prior"][there], atol=0.15)
    depths = tree.nodes["depth"][0][tree.nodes["visits"][0] > 0]
    assert depths.max() > 1
    assert list(itertools.accumulate(sorted(set(depths)))) == list(itertools.accumulate(range(depths.max() + 1)))
