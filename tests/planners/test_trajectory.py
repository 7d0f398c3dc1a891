import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from planners.trajectory import block_means, draw_sequences, hold_actions, imagine_returns, shift


def test_returns_by_hand(corridor) -> None:
    state = {"cell": torch.tensor([2, 0])}
    actions = torch.tensor([[[1, 1, 1], [0, 0, 1]]]).expand(2, -1, -1)
    returns = imagine_returns(corridor, state, actions, discount=0.5)
    # From 2: -0.1 + 0.5 * 1, then the episode has ended; otherwise three steps at -0.1.
    slow = -0.1 * (1 + 0.5 + 0.25)
    torch.testing.assert_close(returns, torch.tensor([[0.4, slow], [slow, slow]]))


def test_continuation_weighs_what_follows_and_the_value(make_table) -> None:
    model = make_table(np.zeros((1, 1), int), np.ones((1, 1)), np.full((1, 1), 0.5))
    state, actions = {"cell": torch.zeros(1, dtype=torch.int64)}, torch.zeros(1, 1, 2, dtype=torch.int64)
    returns = imagine_returns(model, state, actions, 0.9, lambda state: torch.full((len(state["cell"]),), 10.0))
    torch.testing.assert_close(returns, torch.tensor([[1 + 0.45 + 0.45**2 * 10]]))


def test_nothing_counts_after_a_termination_not_even_nan(make_table) -> None:
    model = make_table(np.array([[1], [1]]), np.array([[3.0], [math.nan]]), np.array([[0.0], [1.0]]))
    actions = torch.zeros(1, 1, 4, dtype=torch.int64)
    returns = imagine_returns(
        model, {"cell": torch.tensor([0])}, actions, value_fn=lambda state: state["cell"] * math.nan
    )
    assert returns.tolist() == [[3.0]]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_diverged_model_returns_minus_infinity(make_table, bad: float) -> None:
    model = make_table(np.array([[1, 0], [1, 1]]), np.array([[1.0, 1.0], [bad, bad]]), np.ones((2, 2)))
    actions = torch.tensor([[[0, 0], [1, 1]]])
    assert imagine_returns(model, {"cell": torch.tensor([0])}, actions).tolist() == [[-math.inf, 2.0]]


def test_a_nan_continuation_is_not_lost_at_the_last_step(make_table) -> None:
    model = make_table(np.zeros((1, 1), int), np.ones((1, 1)), np.full((1, 1), math.nan))
    actions = torch.zeros(1, 1, 1, dtype=torch.int64)
    assert imagine_returns(model, {"cell": torch.tensor([0])}, actions).tolist() == [[-math.inf]]


def test_rows_can_end_early(make_table) -> None:
    model = make_table(np.zeros((1, 1), int), np.ones((1, 1)), np.ones((1, 1)))
    state, actions = {"cell": torch.zeros(3, dtype=torch.int64)}, torch.zeros(3, 2, 4, dtype=torch.int64)
    returns = imagine_returns(model, state, actions, lengths=torch.tensor([0, 2, 9]))
    assert returns.tolist() == [[0, 0], [2, 2], [4, 4]]


def test_one_model_call_a_step_for_all_rows(cartpole) -> None:
    sizes, step = [], cartpole.step
    cartpole.step = lambda state, action, generator=None: sizes.append(len(action)) or step(state, action, generator)
    imagine_returns(cartpole, {"x": torch.zeros(3, 4)}, torch.zeros(3, 5, 7, dtype=torch.int64))
    assert sizes == [15] * 7


def test_few_sequences_are_listed_and_many_are_drawn(cartpole) -> None:
    listed, drawn = draw_sequences(cartpole.spec, (2, 8, 7), 3, cartpole.device, None)
    assert not drawn
    assert listed.shape == (2, 8, 7)
    assert len({tuple(row) for row in listed[1].tolist()}) == 8
    assert all(row[0] == row[1] == row[2] and row[3] == row[4] == row[5] for row in listed[0].tolist())
    several, drawn = draw_sequences(cartpole.spec, (2, 7, 7), 3, cartpole.device, torch.Generator().manual_seed(0))
    assert drawn
    assert several.shape == (2, 7, 7)


def test_drawn_actions_lie_in_a_discrete_space_with_an_offset(cartpole) -> None:
    space = type(cartpole.spec.action_space)(3, start=-4)
    actions, _ = draw_sequences(replace(cartpole.spec, action_space=space), (4, 20, 9), 1, cartpole.device, None)
    assert set(actions.flatten().tolist()) == {-4, -3, -2}


def test_blocks_and_shift() -> None:
    blocks = torch.tensor([[[1.0, 2.0]]])
    held = hold_actions(blocks, 3, 5)
    assert held.tolist() == [[[1, 1, 1, 2, 2]]]
    later = shift(held[0], torch.tensor([7.0]))
    assert later.tolist() == [[1, 1, 2, 2, 7]]
    torch.testing.assert_close(block_means(later, 3), torch.tensor([[4 / 3, 4.5]]))
