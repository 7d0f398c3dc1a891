import math

import numpy as np
import pytest
import torch

from worldmodels.prediction import Categorical, Mixture
from worldmodels.quality.likelihood import LEAST_PROBABILITY, SHARPEST, categorical_surprise, mixture_surprise


def gaussian(mean: list[float], std: list[float], rows: int = 1) -> Mixture:
    values = [torch.tensor(column).expand(rows, 1, -1) for column in (mean, std)]
    return Mixture(torch.zeros(rows, 1), *values)


def test_a_known_gaussian() -> None:
    """N(1, 2^2) at 3 in raw units is, with targets of spread 4, N(0.25, 0.5^2) at 0.75: one deviation off."""
    expected = 0.5 * math.log(2 * math.pi) + math.log(0.5) + 0.5
    found = mixture_surprise(gaussian([1.0], [2.0]), torch.tensor([[3.0]]), np.array([4.0]))
    assert found == pytest.approx([expected])


def test_a_gaussian_of_the_targets_own_spread_has_142_nats_a_number() -> None:
    random = torch.Generator().manual_seed(0)
    scale = np.array([0.01, 300.0])
    target = torch.randn(20_000, 2, generator=random) * torch.tensor(scale).float()
    found = mixture_surprise(gaussian([0.0, 0.0], [0.01, 300.0], 20_000), target, scale)
    assert found.mean() == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=0.02)


def test_units_do_not_matter() -> None:
    one = mixture_surprise(gaussian([1.0], [0.5]), torch.tensor([[2.0]]), np.array([3.0]))
    thousand = mixture_surprise(gaussian([1000.0], [500.0]), torch.tensor([[2000.0]]), np.array([3000.0]))
    assert one == pytest.approx(thousand)


def test_mixtures_share_their_density() -> None:
    shares = torch.tensor([[0.25, 0.75]]).log()
    predicted = Mixture(shares, torch.tensor([[[0.0], [10.0]]]), torch.ones(1, 2, 1))
    expected = -math.log(0.25 * math.exp(-0.5) / math.sqrt(2 * math.pi))  # the far component adds nothing
    assert mixture_surprise(predicted, torch.tensor([[1.0]]), np.array([1.0])) == pytest.approx([expected])


def test_numbers_that_never_changed_are_left_out() -> None:
    alone = mixture_surprise(gaussian([1.0], [2.0]), torch.tensor([[3.0]]), np.array([4.0]))
    both = mixture_surprise(gaussian([1.0, 5.0], [2.0, 0.0]), torch.tensor([[3.0, 9.0]]), np.array([4.0, 0.0]))
    assert both == pytest.approx(alone)
    assert mixture_surprise(gaussian([1.0], [0.0]), torch.tensor([[3.0]]), np.array([0.0])) == pytest.approx([0.0])


def test_false_certainty_is_punished_not_left_out() -> None:
    right = mixture_surprise(gaussian([1.0], [0.0]), torch.tensor([[1.0]]), np.array([1.0]))
    wrong = mixture_surprise(gaussian([1.0], [0.0]), torch.tensor([[1.1]]), np.array([1.0]))
    assert right == pytest.approx([0.5 * math.log(2 * math.pi) + math.log(SHARPEST)])
    assert wrong[0] > 1e9


def test_a_categorical_is_surprised_by_the_state_that_came() -> None:
    reward = Mixture(torch.zeros(3, 1), torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
    predicted = Categorical(torch.tensor([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]]), reward)
    found = categorical_surprise(predicted, np.array([1, 0, 1]))
    assert found == pytest.approx([-math.log(0.75), -math.log(0.5), -math.log(LEAST_PROBABILITY)])
