import math

import numpy as np
import pytest
import torch

from planners.noise import colored_normal, colored_uniform

CPU = torch.device("cpu")


def _draw(steps: int, exponent: float, num: int = 20_000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return colored_normal((1, num, steps, 2), exponent, torch.float64, CPU, generator)[0]


@pytest.mark.parametrize("steps", [2, 15, 30])
@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_every_step_is_standard_normal(steps: int, exponent: float) -> None:
    drawn = _draw(steps, exponent)
    assert drawn.shape == (20_000, steps, 2)
    torch.testing.assert_close(drawn.mean(0), torch.zeros(steps, 2, dtype=torch.float64), atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.ones(steps, 2, dtype=torch.float64), atol=0.03, rtol=0)
    fourth = (drawn**4).mean()
    assert fourth.item() == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_power_falls_with_the_frequency(exponent: float) -> None:
    drawn = _draw(64, exponent, 4000)[..., 0].numpy()
    power = (np.abs(np.fft.rfft(drawn, axis=1)) ** 2).mean(axis=0)[1:-1]
    slope, _ = np.polyfit(np.log(np.arange(1, 32)), np.log(power), 1)
    assert slope == pytest.approx(-exponent, abs=0.05)


def test_numbers_of_an_action_and_sequences_are_independent() -> None:
    drawn = _draw(8, 2.0)
    across = (drawn[:, :, 0] * drawn[:, :, 1]).mean()
    assert abs(across.item()) < 0.02
    along = (drawn[:, 1:] * drawn[:, :-1]).mean()
    assert along.item() > 0.5
    assert torch.corrcoef(drawn[:2000].flatten(1)[::1000])[0, 1].abs() < 0.95


def test_uniform_numbers_are_uniform_one_by_one_and_stay_together_along_a_sequence() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = colored_uniform((2, 20_000, 10), 2.0, CPU, generator)
    counts = torch.histc(drawn[:, :, 3], 10, 0, 1) / 40_000
    torch.testing.assert_close(counts, torch.full((10,), 0.1), atol=0.01, rtol=0)
    high = drawn > 0.5
    assert (high[:, :, 1:] == high[:, :, :-1]).float().mean() > 0.7
    white = colored_uniform((1, 1000, 10), 0.0, CPU, generator) > 0.5
    assert (white[:, :, 1:] == white[:, :, :-1]).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_one_step_is_white() -> None:
    assert colored_normal((3, 4, 1), 2.0, torch.float32, CPU, None).shape == (3, 4, 1)
    assert math.isfinite(colored_uniform((1, 1, 1), 2.0, CPU, None).item())
