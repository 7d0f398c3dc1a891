import numpy as np
import pytest
import torch

from envs.world_model import imagine_by_steps, repeat_state
from planners.prefixes import imagine_shared


def _both(model, state, actions):
    sizes = []

    def imagine(one, each):
        sizes.append(each.shape)
        return imagine_by_steps(model, one, each, None)

    shared = imagine_shared(state, actions, imagine)
    whole = imagine_by_steps(model, repeat_state(state, actions.shape[1]), actions.flatten(0, 1), None)
    return shared, whole, sizes


@pytest.mark.parametrize("horizon", [1, 4, 9])
@pytest.mark.parametrize("start", [0, -3])
def test_the_same_as_imagining_all(random_table, horizon: int, start: int) -> None:
    model, generator = random_table(0, num_actions=2, start=start), torch.Generator().manual_seed(0)
    actions = torch.randint(start, start + 2, (3, 40, horizon), generator=generator)
    shared, whole, sizes = _both(model, {"cell": torch.tensor([4, 0, 4])}, actions)
    torch.testing.assert_close(shared.reward, whole.reward, rtol=0, atol=0)
    torch.testing.assert_close(shared.continuation, whole.continuation, rtol=0, atol=0)
    torch.testing.assert_close(shared.uncertainty, whole.uncertainty, rtol=0, atol=0)
    assert torch.equal(shared.state["cell"], whole.state["cell"])
    assert sum(rows * steps for rows, steps in sizes) < 3 * 40 * horizon


def test_equal_beginnings_are_imagined_once(random_table) -> None:
    """Three held actions of two kinds for 15 steps: 2, then 4, then 8 different sequences, of 64."""
    held = torch.randint(0, 2, (1, 64, 3), generator=torch.Generator().manual_seed(0)).repeat_interleave(5, dim=2)
    _, _, sizes = _both(random_table(0, num_actions=2), {"cell": torch.tensor([1])}, held)
    assert sum(rows * steps for rows, steps in sizes) <= 4 * 10 + 8 * 5
    assert sum(steps for _, steps in sizes) == 15


def test_sequences_that_share_little_are_imagined_at_once(random_table) -> None:
    actions = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (1, 5, 20)))
    _, _, sizes = _both(random_table(0), {"cell": torch.tensor([1])}, actions)
    assert sizes == [(5, 20)]
