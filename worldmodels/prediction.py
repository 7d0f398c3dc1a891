"""What a model expects of one step, as a distribution: what likelihoods and intervals are measured by.

Shape legend: ``B`` rows, ``K`` mixture components, ``D`` observation dimensions, ``Y = D + 1`` predicted numbers (the
next observation, then the reward), ``N`` values of a Discrete observation.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_SQRT_2, _LOG_2_PI = math.sqrt(2), math.log(2 * math.pi)


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians without correlations inside a component, in raw units.

    An ensemble is one of its members' Gaussians in equal shares, a mixture-density network one of its components, and
    a deterministic model one component as wide as its errors on validation data.

    Attributes:
        log_weight: ``[B, K]``, logarithms of shares that sum to 1.
        mean: ``[B, K, Y]``.
        std: ``[B, K, Y]``, at least 0; 0 for numbers that never changed in training.
    """

    log_weight: Tensor
    mean: Tensor
    std: Tensor

    def log_prob(self, target: Tensor) -> Tensor:
        """Returns the log-density ``[B]`` of ``target`` ``[B, Y]``, over numbers that have a width.

        A number of width 0 has no density: it is left out.
        """
        widths = torch.where(self.std > 0, self.std, 1.0)
        z = (target[:, None] - self.mean) / widths
        each = -0.5 * (z.square() + _LOG_2_PI) - widths.log()
        return torch.logsumexp(self.log_weight + torch.where(self.std > 0, each, 0.0).sum(-1), dim=1)

    def cdf(self, target: Tensor) -> Tensor:
        """Returns for each number ``[B, Y]`` the probability of at most ``target`` ``[B, Y]``."""
        below = target[:, None] - self.mean
        smooth = 0.5 * (1 + torch.erf(below / (torch.where(self.std > 0, self.std, 1.0) * _SQRT_2)))
        sharp = 0.5 * (1 + torch.sign(below))
        each = torch.where(self.std > 0, smooth, sharp)
        return (self.log_weight.exp()[..., None] * each).sum(1)

    def average(self) -> Tensor:
        """Returns the mean ``[B, Y]``."""
        return (self.log_weight.exp()[..., None] * self.mean).sum(1)

    def widened(self, factor: Tensor) -> "Mixture":
        """Returns the mixture stretched by ``factor`` ``[Y]`` about its mean: its components and where they lie."""
        centre = self.average()[:, None]
        return Mixture(self.log_weight, centre + factor * (self.mean - centre), factor * self.std)


@dataclass(frozen=True)
class Categorical:
    """Probabilities of a Discrete observation, and a Gaussian over the reward.

    Attributes:
        probability: ``[B, N]`` of each next observation, counted from the space's start; sums to 1.
        reward: a `Mixture` over the reward alone (``Y = 1``).
    """

    probability: Tensor
    reward: Mixture


Prediction = Mixture | Categorical
