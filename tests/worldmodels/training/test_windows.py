from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from worldmodels.configs import FitConfig
from worldmodels.training.windows import ValidationWindows, WindowBatches, Windows, WindowSource


class Numbered(NamedTuple):
    """Steps that know their number ``[N]``."""

    step: Tensor


def source(lengths: list[int], window: int, burn_in: int) -> WindowSource:
    return WindowSource(Numbered(torch.arange(sum(lengths))), np.array(lengths), window, burn_in)


def shown(windows: Windows) -> list[list[int]]:
    """The steps of each window; those that are not counted are negative, minus one."""
    marked = torch.where(windows.counted, windows.steps.step, -1 - windows.steps.step)
    return marked.T.tolist()


def test_validation_windows_by_hand() -> None:
    # Steps 0-4 and 5-6: three are counted in a window, after one that fills the memory.
    (only,) = list(source([5, 2], 4, 1).each_step_once())
    assert shown(only) == [[0, 1, 2, -3], [-3, 3, 4, -5], [5, 6, -7, -7]]


def test_all_training_windows_by_hand() -> None:
    drawn = source([4, 1], 3, 1).draw(500, np.random.default_rng(0))
    padded = {(0, -1, -1), (0, 1, -2), (0, 1, 2), (-2, 2, 3), (-3, 3, -4)}  # the last goes beyond the episode's end
    assert set(map(tuple, shown(drawn))) == padded | {(4, -5, -5)}


@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    window=st.integers(1, 9),
    data=st.data(),
)
def test_every_validation_step_is_counted_once_and_windows_stay_in_their_episode(
    lengths: list[int], window: int, data: st.DataObject
) -> None:
    burn_in = data.draw(st.integers(0, window - 1))
    made = source(lengths, window, burn_in)
    counted = torch.cat([batch.steps.step[batch.counted] for batch in made.each_step_once()])
    assert sorted(counted.tolist()) == list(range(sum(lengths)))
    episode = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))
    first = torch.from_numpy(np.cumsum(lengths) - lengths)
    for batch in [*made.each_step_once(), made.draw(30, np.random.default_rng(0))]:
        home = episode[batch.steps.step]
        assert (home == home[0]).all()
        assert batch.counted.any(dim=0).all()
        begins = batch.steps.step[0] == first[home[0]]
        filling = batch.counted.long().argmax(0)
        assert (filling[begins & batch.counted[0]] == 0).all()
        assert ((filling == burn_in) | begins).all()


def test_first_and_last_steps_and_short_episodes_count_like_all_others() -> None:
    drawn = source([40, 3, 12], 10, 4).draw(60_000, np.random.default_rng(0))
    counts = np.bincount(drawn.steps.step[drawn.counted].numpy(), minlength=55) / 60_000
    often = np.full(55, 6 / (45 + 8 + 17))  # of so many windows, each step is counted in T - burn_in
    for first, length in ((0, 40), (40, 3), (43, 12)):
        early = min(4, length)  # windows that begin with the episode count all of it, those of up to T steps
        often[first : first + early] *= (10 - np.arange(early)) / 6
    often[40:43] = [8 / 70, 7 / 70, 6 / 70]
    np.testing.assert_allclose(counts, often, rtol=0.05)


def test_a_batch_follows_from_seed_and_step() -> None:
    def batches(seed: int, start: int = 0) -> list[Windows]:
        fit = FitConfig(seed=seed, num_updates=6, validate_every=3)
        made = WindowBatches(source([30, 5, 9], 6, 2), 4, fit)
        assert len(made) == 3
        made.next_step = start
        found = [*made, *made]
        assert made.next_step == start + 6
        return found

    one, same, later, other = batches(0), batches(0), batches(0, start=3), batches(1)
    assert all(torch.equal(a.steps.step, b.steps.step) for a, b in zip(one, same, strict=True))
    assert torch.equal(one[4].steps.step, later[1].steps.step)
    assert not torch.equal(one[0].steps.step, one[1].steps.step)
    assert not torch.equal(one[0].steps.step, other[0].steps.step)
    assert one[0].steps.step.shape == one[0].counted.shape == (6, 4)


@pytest.mark.parametrize("episodes", [3, 700])
def test_validation_batches_are_the_same_each_time(episodes: int) -> None:
    made = ValidationWindows(source([7] * episodes, 6, 2))
    assert len(made) == -(-2 * episodes // 256)
    first, again = ([batch.steps.step for batch in made] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
