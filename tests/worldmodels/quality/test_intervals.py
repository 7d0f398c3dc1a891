import numpy as np
import pytest

from worldmodels.quality.intervals import EpisodeResampling


def test_episodes_are_resampled_not_steps() -> None:
    """Half of 40 episodes say 1, half 9, five times each: the mean's deviation is 4 / sqrt(40), not 4 / sqrt(200)."""
    episode = np.repeat(np.arange(40), 5)
    values = np.where(episode % 2 == 0, 1.0, 9.0)
    found = EpisodeResampling(episode, 40, 0).mean_of(values)
    assert found.value == 5.0
    np.testing.assert_allclose([found.low, found.high], 5 + np.array([-1.96, 1.96]) * 4 / np.sqrt(40), rtol=0.06)


def test_long_episodes_count_by_their_steps() -> None:
    episode = np.array([0, 0, 0, 1])
    assert EpisodeResampling(episode, 2, 0).mean_of(np.array([2.0, 2.0, 2.0, 6.0])).value == 3.0


def test_entries_outside_do_not_count() -> None:
    values = np.array([[1.0, 4.0], [3.0, np.inf]])
    inside = np.array([[True, True], [True, False]])
    found = EpisodeResampling(np.array([0, 1]), 2, 0).mean(values, inside)
    assert found.value == [2.0, 4.0]
    assert (found.low[1], found.high[1]) == (4.0, 4.0)  # resamples without episode 0 say nothing of this column
    assert (found.low[0], found.high[0]) == (1.0, 3.0)


def test_roots_are_of_means() -> None:
    resampling = EpisodeResampling(np.arange(2), 2, 0)
    found = resampling.root_mean(np.array([[1.0], [7.0]]))
    assert found.value == [2.0]
    assert found.low == [1.0]
    assert found.high == [pytest.approx(np.sqrt(7.0))]


def test_the_seed_decides() -> None:
    episode, values = np.arange(30), np.random.default_rng(0).normal(size=30)
    one, two, other = (EpisodeResampling(episode, 30, seed).mean_of(values) for seed in (0, 0, 1))
    assert one == two
    assert one.low != other.low


def test_what_diverged_stays_visible() -> None:
    found = EpisodeResampling(np.arange(3), 3, 0).mean_of(np.array([1.0, np.inf, 1.0]))
    assert found.value == np.inf
