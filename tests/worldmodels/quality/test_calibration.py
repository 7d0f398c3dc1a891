import numpy as np
import pytest
import torch

from worldmodels.prediction import Categorical, Mixture
from worldmodels.quality.calibration import LEVELS, coverage_of, reliability_of
from worldmodels.quality.intervals import EpisodeResampling

ROWS = 4000


def gaussian(std: list[float]) -> Mixture:
    widths = torch.tensor(std).expand(ROWS, 1, -1)
    return Mixture(torch.zeros(ROWS, 1), torch.zeros_like(widths), widths)


def draws(std: list[float]) -> torch.Tensor:
    return torch.randn(ROWS, len(std), generator=torch.Generator().manual_seed(0)) * torch.tensor(std)


@pytest.fixture
def resampling() -> EpisodeResampling:
    return EpisodeResampling(np.arange(ROWS) // 10, ROWS // 10, 0)


def test_a_model_that_is_right_covers_what_it_says(resampling: EpisodeResampling) -> None:
    found = coverage_of(gaussian([1.0, 5.0]), draws([1.0, 5.0]), np.ones(2), resampling)
    assert found is not None
    assert found.levels == LEVELS
    assert (LEVELS[0], LEVELS[9], LEVELS[-1], len(LEVELS)) == (0.05, 0.5, 0.95, 19)
    np.testing.assert_allclose(found.pooled.value, LEVELS, atol=0.015)
    for number in found.numbers:
        assert number is not None
        np.testing.assert_allclose(number, LEVELS, atol=0.025)
    assert all(np.array(found.pooled.low) <= LEVELS)
    assert all(np.array(found.pooled.high) >= LEVELS)


def test_too_narrow_and_too_wide_are_seen(resampling: EpisodeResampling) -> None:
    """Half as wide as the truth: the 90% interval, 1.645 wide, reaches 0.822 deviations, which hold 58.9%."""
    found = coverage_of(gaussian([1.0, 1.0]), draws([2.0, 0.5]), np.ones(2), resampling)
    assert found is not None
    narrow, wide = found.numbers
    assert narrow is not None
    assert wide is not None
    assert narrow[LEVELS.index(0.9)] == pytest.approx(0.589, abs=0.025)
    assert wide[LEVELS.index(0.9)] > 0.99
    middle = (narrow[LEVELS.index(0.9)] + wide[LEVELS.index(0.9)]) / 2
    assert found.pooled.value[LEVELS.index(0.9)] == pytest.approx(middle)


def test_numbers_that_never_changed_do_not_count(resampling: EpisodeResampling) -> None:
    found = coverage_of(gaussian([1.0, 0.0]), draws([1.0, 0.0]), np.array([1.0, 0.0]), resampling)
    assert found is not None
    assert found.numbers[1] is None
    assert found.pooled.value == found.numbers[0]
    assert coverage_of(gaussian([0.0]), draws([0.0]), np.zeros(1), resampling) is None


def categorical(probability: list[list[float]]) -> Categorical:
    rows = len(probability)
    return Categorical(torch.tensor(probability), Mixture(torch.zeros(rows, 1), *(torch.ones(rows, 1, 1),) * 2))


def test_reliability_is_hand_computed() -> None:
    # Two steps of confidence 0.55, one of them right; one of 0.95, right; one certain and wrong, in the last bin too.
    found = reliability_of(categorical([[0.55, 0.45], [0.45, 0.55], [0.95, 0.05], [1.0, 0.0]]), np.array([0, 0, 0, 1]))
    assert found.counts == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert (found.confidence[5], found.accuracy[5]) == pytest.approx((0.55, 0.5))
    assert (found.confidence[9], found.accuracy[9]) == pytest.approx((0.975, 0.5))
    assert found.confidence[0] is None
    assert found.expected_error == pytest.approx((2 * 0.05 + 2 * 0.475) / 4)
    assert found.brier == pytest.approx((2 * 0.45**2 + 2 * 0.55**2 + 2 * 0.05**2 + 2 * 1.0) / 4)


def test_a_perfect_categorical_has_no_error() -> None:
    found = reliability_of(categorical([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 0]))
    assert (found.expected_error, found.brier) == (0.0, 0.0)
