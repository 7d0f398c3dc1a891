"""Widening a model's predicted distributions by what they were too narrow, or too wide, on validation data.

After Kuleshov et al. 2018 (https://arxiv.org/abs/1807.00263), with one factor a predicted number instead of a whole
recalibration curve: it can also widen the noise of imagined steps.

Shape legend: ``N`` steps, ``Y`` predicted numbers.
"""

import math

import torch
from torch import Tensor

from worldmodels.prediction import Mixture

LEVEL = 0.9
"""The central interval that covers this share of the validation steps, once widened."""

_RANGE = (1e-3, 1e3)
_NUM_HALVINGS = 30


def noise_scale(predicted: Mixture, target: Tensor) -> Tensor:
    """Returns the factors ``[Y]``, from 0.001 to 1000, by which intervals of level 0.9 cover 0.9 of ``target``.

    Numbers that never changed in training (of width 0) keep 1.

    Args:
        predicted: of ``N`` validation steps.
        target: what came, ``[N, Y]``.
    """
    target = target.to(predicted.mean.device)
    low, high = (torch.full((target.shape[1],), math.log(end), device=target.device) for end in _RANGE)
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        covered = coverage(predicted.widened(middle.exp()), target, LEVEL)
        low, high = torch.where(covered < LEVEL, middle, low), torch.where(covered < LEVEL, high, middle)
    changed = (predicted.std > 0).any(dim=(0, 1))
    return torch.where(changed, high.exp(), 1.0).cpu()


def coverage(predicted: Mixture, target: Tensor, level: float) -> Tensor:
    """Returns for each number ``[Y]`` the share of ``target`` ``[N, Y]`` inside the central interval of ``level``."""
    return ((predicted.cdf(target) - 0.5).abs() <= level / 2).double().mean(0).float()
