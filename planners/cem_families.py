"""The distributions over action sequences that the cross-entropy method, iCEM and MPPI refit.

Both have the same face: `initial`, `draw`, `to_actions`, `refit`, `best_action`, and `as_centres` and `as_samples`,
which turn single sequences into the form of a centre and back, so that they can be handed on beside it.

Shape legend: ``B`` rows, ``N`` sequences a row, ``K`` blocks of held actions, ``A`` the action's shape, ``n`` number
of Discrete actions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from gymnasium import spaces
from torch import Tensor

from envs.spec import EnvSpec
from planners.action_spaces import box_bounds, num_actions
from planners.draws import Randomness
from planners.noise import colored_normal, colored_uniform


class Parameters(NamedTuple):
    """Centre and spread: mean and standard deviation ``[B, K, *A]``, or probabilities ``[B, K, n]`` and nothing."""

    centre: Tensor
    spread: Tensor


@dataclass(frozen=True)
class FamilySettings:
    """How a distribution starts and moves.

    Attributes:
        initial_std: first standard deviation of a Box action, as a share of its range.
        min_std: lowest standard deviation of a Box action, as a share of its range.
        min_probability: lowest probability of a Discrete action, times their number.
        smoothing: weight of the old distribution in the new one.
        noise_exponent: of the noise along a sequence, 0 for white.
        keeps_spread: the standard deviation stays as it was.
    """

    initial_std: float
    min_std: float = 0.0
    min_probability: float = 0.0
    smoothing: float = 0.0
    noise_exponent: float = 0.0
    keeps_spread: bool = False


class Gaussian:
    """Normal distributions, draws clipped to the bounds of a Box."""

    def __init__(self, spec: EnvSpec, settings: FamilySettings, device: torch.device):
        self._low, self._high = box_bounds(spec, device)
        self._settings = settings

    def initial(self, rows: int, blocks: int, start: Tensor | None) -> Parameters:
        """Returns the first distribution: around ``start`` ``[B, K, *A]``, or the middle of the bounds."""
        middle = ((self._low + self._high) / 2).expand(rows, blocks, *self._low.shape)
        spread = (self._settings.initial_std * (self._high - self._low)).expand_as(middle)
        return Parameters(middle if start is None else start, spread)

    def draw(self, parameters: Parameters, num: int, randomness: Randomness) -> Tensor:
        """Returns draws ``[B, N, K, *A]``."""
        rows, *rest = parameters.centre.shape
        shape, exponent = (rows, num, *rest), self._settings.noise_exponent
        noise = colored_normal(shape, exponent, self._low.dtype, self._low.device, randomness)
        drawn = torch.addcmul(parameters.centre.unsqueeze(1), parameters.spread.unsqueeze(1), noise)
        return torch.clamp(drawn, self._low, self._high)

    def to_actions(self, samples: Tensor) -> Tensor:
        return samples

    def refit(self, old: Parameters, samples: Tensor, weights: Tensor) -> Parameters:
        """Returns the distribution moved to the elites; rows whose ``weights`` ``[B, N]`` are all 0 stay."""
        weights = weights.to(samples.dtype)
        mean = _weighted_mean(weights, samples)
        any_elite = (weights.sum(dim=1) > 0).view(-1, *[1] * (mean.dim() - 1))
        kept = self._settings.smoothing
        centre = torch.where(any_elite, torch.lerp(mean, old.centre, kept), old.centre)
        if self._settings.keeps_spread:
            return Parameters(centre, old.spread)
        std = _weighted_mean(weights, (samples - mean.unsqueeze(1)).square_()).sqrt_()
        floor = self._settings.min_std * (self._high - self._low)
        spread = torch.maximum(torch.lerp(std, old.spread, kept), floor)
        return Parameters(centre, torch.where(any_elite, spread, old.spread))

    def best_action(self, centre: Tensor) -> Tensor:
        """Returns the action ``[B, *A]`` at a centre; a mean of clipped draws can leave the bounds by rounding."""
        return torch.clamp(centre, self._low, self._high)

    def as_centres(self, samples: Tensor) -> Tensor:
        return samples

    def as_samples(self, centres: Tensor) -> Tensor:
        return torch.clamp(centres, self._low, self._high)


class Categorical:
    """Categorical distributions over Discrete actions."""

    def __init__(self, spec: EnvSpec, settings: FamilySettings, device: torch.device):
        self._n, self._start = num_actions(spec)
        self._settings, self._device = settings, device

    def initial(self, rows: int, blocks: int, start: Tensor | None) -> Parameters:
        """Returns the first distribution: the uniform one, or half-way from ``start`` ``[B, K, n]`` to it.

        A Gaussian's spread begins anew at each step of the episode; this is the same for probabilities. Kept as they
        were, near 0 and 1, they would draw hardly anything new.
        """
        uniform = torch.full((rows, blocks, self._n), 1 / self._n, device=self._device)
        return Parameters(uniform if start is None else (start + uniform) / 2, uniform)

    def draw(self, parameters: Parameters, num: int, randomness: Randomness) -> Tensor:
        """Returns draws ``[B, N, K]``, counted from 0, by inverting the cumulative probabilities."""
        share = self._settings.min_probability
        probabilities = (1 - share) * parameters.centre + share / self._n
        edges = probabilities.cumsum(dim=-1)[..., :-1].unsqueeze(1)
        rows, blocks, _ = probabilities.shape
        lots = colored_uniform((rows, num, blocks), self._settings.noise_exponent, self._device, randomness)
        return (lots.unsqueeze(-1) > edges).sum(dim=-1)

    def to_actions(self, samples: Tensor) -> Tensor:
        return samples + self._start

    def refit(self, old: Parameters, samples: Tensor, weights: Tensor) -> Parameters:
        """Returns the distribution moved to the elites; rows whose ``weights`` ``[B, N]`` are all 0 stay."""
        frequency = _weighted_mean(weights, self.as_centres(samples))
        centre = torch.lerp(frequency, old.centre, self._settings.smoothing)
        any_elite = (weights.sum(dim=1) > 0).view(-1, 1, 1)
        return Parameters(torch.where(any_elite, centre, old.centre), old.spread)

    def best_action(self, centre: Tensor) -> Tensor:
        """Returns the likeliest action ``[B]`` at a centre ``[B, n]``."""
        return centre.argmax(dim=-1) + self._start

    def as_centres(self, samples: Tensor) -> Tensor:
        """Returns probabilities ``[..., n]`` that are sure of ``samples`` ``[...]``."""
        return torch.nn.functional.one_hot(samples, self._n).to(torch.float32)

    def as_samples(self, centres: Tensor) -> Tensor:
        return centres.argmax(dim=-1)


Family = Gaussian | Categorical


def make_family(spec: EnvSpec, settings: FamilySettings, device: torch.device) -> Family:
    """Returns the distribution over the action space of ``spec``, which is Discrete or a bounded Box."""
    return (Categorical if isinstance(spec.action_space, spaces.Discrete) else Gaussian)(spec, settings, device)


def _weighted_mean(weights: Tensor, values: Tensor) -> Tensor:
    """Returns ``[B, ...]``, the sum of ``values`` ``[B, N, ...]`` by ``weights`` ``[B, N]``."""
    return torch.bmm(weights.unsqueeze(1), values.flatten(2)).view(len(values), *values.shape[2:])
