"""Shift and scale to zero mean and unit variance, with constant dimensions handled.

Shape legend: ``N`` rows, ``F`` features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Normaliser:
    """An affine map per feature, fitted on training data.

    Attributes:
        mean: ``[F]`` float32.
        std: ``[F]`` float32; exactly 0 where the training data never changed. Such a feature normalises to 0
            whatever its value, and comes back as its mean: it is neither divided by zero nor given any noise.
    """

    mean: Tensor
    std: Tensor

    @property
    def inverse_std(self) -> Tensor:
        """``[F]``: 1 / std, and 0 where std is 0."""
        return torch.where(self.std > 0, 1 / self.std, 0.0)

    def normalise(self, values: Tensor) -> Tensor:
        """``[..., F]`` in raw units to ``[..., F]`` in normalised units."""
        return (values - self.mean) * self.inverse_std


def fit_normaliser(values: Tensor) -> Normaliser:
    """Fits a normaliser to ``values`` ``[N, F]``; computed in float64, so that large offsets keep their digits."""
    precise = values.double()
    mean, std = precise.mean(0), precise.std(0, correction=0)
    resolution = 1e-6 * precise.abs().amax(0)  # below it, differences are rounding errors of float32
    std = torch.where(std > resolution, std, 0.0)
    return Normaliser(mean.float(), std.float())


def identity_normaliser(num_features: int) -> Normaliser:
    """Returns the map that changes nothing (used for one-hot features)."""
    return Normaliser(torch.zeros(num_features), torch.ones(num_features))


def join_normalisers(*parts: Normaliser) -> Normaliser:
    """Returns the normaliser of features joined along the last axis."""
    return Normaliser(torch.cat([part.mean for part in parts]), torch.cat([part.std for part in parts]))
