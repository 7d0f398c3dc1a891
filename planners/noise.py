"""Noise that is correlated in time, for action sequences that go on in a direction instead of trembling.

Colored noise has a power spectrum that falls as ``frequency^-exponent`` (Timmer and Koenig 1995; for planning iCEM,
Pinneri et al. 2020, arXiv 2008.06389): exponent 0 is white, 1 pink, 2 red. Here it is white noise passed through a
circular filter, so that every step of a sequence has exactly variance 1; the frequency 0 has the power of the lowest
one above it.

Shape legend: ``B`` rows, ``N`` sequences a row, ``K`` steps, ``A`` the action's shape.
"""

import functools
import math

import numpy as np
import torch
from torch import Tensor

from planners.draws import Randomness, normal, uniform


def colored_normal(
    shape: tuple[int, ...], exponent: float, dtype: torch.dtype, device: torch.device, randomness: Randomness
) -> Tensor:
    """Returns standard normal numbers ``[B, N, K, *A]`` that are correlated along ``K`` and nowhere else."""
    rows, num, steps, *action = shape
    if exponent == 0 or steps == 1:
        return normal(shape, dtype, device, randomness)
    white = normal((rows, num, math.prod(action), steps), dtype, device, randomness)
    return (white @ _filter(steps, exponent, dtype, device)).transpose(2, 3).reshape(shape)


def colored_uniform(shape: tuple[int, ...], exponent: float, device: torch.device, randomness: Randomness) -> Tensor:
    """Returns numbers ``[B, N, K]`` that are uniform in (0, 1) one by one and correlated along ``K``."""
    if exponent == 0 or shape[2] == 1:
        return uniform(shape, torch.float32, device, randomness)
    return torch.special.ndtr(colored_normal(shape, exponent, torch.float32, device, randomness))


@functools.lru_cache(maxsize=32)
def _filter(steps: int, exponent: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Returns the circular filter ``[K, K]``: symmetric, and of columns whose squares sum to 1."""
    frequency = np.fft.rfftfreq(steps)
    frequency[0] = frequency[1]
    response = np.fft.irfft(frequency ** (-exponent / 2), steps)
    lag = (np.arange(steps)[:, None] - np.arange(steps)) % steps
    return torch.from_numpy(response[lag] / np.linalg.norm(response)).to(device, dtype)
