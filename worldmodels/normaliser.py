"""Shift and scale to zero mean and unit variance, with constant dimensions handled.

Shape legend: ``N`` rows, ``F`` features.
"""

from collections.abc import Mapping
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

    def part(self, features: slice) -> "Normaliser":
        """Returns the map of some of the features."""
        return Normaliser(self.mean[features], self.std[features])

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


@dataclass(frozen=True)
class Normalisers:
    """What each group of numbers is normalised by, fitted on the training split.

    Attributes:
        observation: of ``D`` observation dimensions.
        action: of ``A`` action features (the identity for one-hot ones).
        target: of ``Y = D + 1`` predicted numbers: the change of the observation, then the reward.
    """

    observation: Normaliser
    action: Normaliser
    target: Normaliser

    @property
    def inputs(self) -> Normaliser:
        """Of observation and action features joined, ``D + A``."""
        return join_normalisers(self.observation, self.action)

    def to_tensors(self, prefix: str = "normaliser.") -> dict[str, Tensor]:
        """Returns all of them by name, as an artifact holds them."""
        parts = {"observation": self.observation, "action": self.action, "target": self.target}
        means = {f"{prefix}{name}.mean": part.mean for name, part in parts.items()}
        return means | {f"{prefix}{name}.std": part.std for name, part in parts.items()}


def normalisers_from(tensors: Mapping[str, Tensor], prefix: str = "normaliser.") -> Normalisers:
    """Returns what `Normalisers.to_tensors` gave; raises KeyError where one is missing."""
    names = ("observation", "action", "target")
    return Normalisers(*(Normaliser(tensors[f"{prefix}{name}.mean"], tensors[f"{prefix}{name}.std"]) for name in names))
