import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy import stats

from envs.errors import InputError
from envs.world_model import ModelState, WorldModel
from worldmodels.gym.learned_starts import LearnedStarts, nearest_neighbours


class Echo(WorldModel):
    """A model that remembers what it was given."""

    device = torch.device("cpu")

    def encode(self, observation, previous=None, action=None) -> ModelState:
        assert previous is None
        return {"shown": observation.clone()}


def starts_from(points: np.ndarray, count: int = 5000) -> np.ndarray:
    source = LearnedStarts(Echo(), points)
    observation, state = source(np.random.default_rng(0).random((count, source.num_draws)))
    assert observation.dtype == points.dtype
    assert np.array_equal(state["shown"].numpy(), observation)
    return observation


def test_starts_lie_between_a_point_and_one_of_its_neighbours() -> None:
    points = np.array([[0.0], [1.0], [10.0], [11.0], [12.0], [13.0], [14.0], [15.0]], np.float32)
    source = LearnedStarts(Echo(), points)
    draws = np.array([[0.0, 0.0, 0.25], [0.999, 0.0, 0.5], [0.0, 0.999, 0.5]])
    assert source(draws)[0].ravel().tolist() == [0.25, 14.5, 6.5]  # the fifth neighbour of 0 is 13


def test_neighbours_are_near_in_normalised_units() -> None:
    points = np.array([[0, 0, 5], [0, 900, 5], [1, 0, 5], [1, 1000, 5]], np.float32)
    assert nearest_neighbours(points)[0].tolist() == [1, 2, 3]
    assert nearest_neighbours(points * np.array([1, 1e-6, 1], np.float32))[0].tolist() == [1, 2, 3]


def test_neighbours_found_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    whole = nearest_neighbours(points)
    monkeypatch.setattr("worldmodels.gym.learned_starts._MOST_DISTANCES", 280)
    assert np.array_equal(nearest_neighbours(points), whole)


def test_starts_follow_the_distribution_of_what_was_logged() -> None:
    logged = np.random.default_rng(1).uniform(-0.05, 0.05, (300, 4)).astype(np.float32)
    drawn = starts_from(logged)
    assert len(np.unique(drawn, axis=0)) == len(drawn)  # new ones, not logged ones
    assert (drawn >= logged.min(0)).all()
    assert (drawn <= logged.max(0)).all()
    for logged_column, drawn_column in zip(logged.T, drawn.T, strict=True):
        assert stats.ks_2samp(logged_column, drawn_column).statistic < 0.08
        assert np.isclose(logged_column.std(), drawn_column.std(), rtol=0.1)


def test_starts_stay_on_a_circle() -> None:
    angles = np.random.default_rng(2).uniform(-np.pi, np.pi, 200)
    points = np.column_stack((np.cos(angles), np.sin(angles))).astype(np.float32)
    drawn = starts_from(points)
    assert np.abs(np.linalg.norm(drawn, axis=1) - 1).max() < 0.01
    assert stats.ks_2samp(np.arctan2(drawn[:, 1], drawn[:, 0]), angles).statistic < 0.08


def test_constant_dimensions_and_equal_points_stay_as_they_are() -> None:
    drawn = starts_from(np.full((9, 2), 0.7, np.float32), 100)
    assert (drawn == np.float32(0.7)).all()


def test_a_single_point_is_the_only_start() -> None:
    assert starts_from(np.array([[1.0, 2.0]], np.float32), 3).tolist() == [[1.0, 2.0]] * 3


@pytest.mark.parametrize("shape", [(), (2,)])
def test_whole_numbers_keep_their_logged_frequencies(shape: tuple[int, ...]) -> None:
    cells = np.repeat([3, 7, 9], [50, 30, 20])
    logged = np.broadcast_to(cells.reshape(-1, *[1] * len(shape)), (100, *shape)).copy()
    drawn = starts_from(logged, 20_000).reshape(20_000, -1)[:, 0]
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [3, 7, 9]
    assert np.allclose(counts / 20_000, [0.5, 0.3, 0.2], atol=0.02)


def test_they_stay_inside_the_space() -> None:
    low = np.full(3, -0.1, np.float32)
    space = spaces.Box(low, -low)
    logged = np.where(np.random.default_rng(0).random((60, 3)) < 0.5, low, -low)
    assert all(space.contains(row) for row in starts_from(logged, 500))


def test_rounding_does_not_lead_past_an_end() -> None:
    """In float32 the way from -0.7 to 0.1 is a little longer than it should be."""
    source = LearnedStarts(Echo(), np.array([[-0.7], [0.1]], np.float32))
    assert source(np.array([[0.0, 0.0, 1 - 2**-53]]))[0].tolist() == [[np.float32(0.1)]]


def test_no_points_are_refused() -> None:
    with pytest.raises(InputError, match="at least one point"):
        LearnedStarts(Echo(), np.zeros((0, 2), np.float32))
