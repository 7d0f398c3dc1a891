"""The distributions over action sequences that the cross-entropy method refits.

Both have the same face: `initial`, `draw`, `to_actions`, `refit`, `best_action`.

Shape legend: ``B`` rows, ``N`` sequences a row, ``K`` blocks of held actions, ``A`` the action's shape, ``n`` number
of Discrete actions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from envs.spec import EnvSpec
from planners.action_spaces import box_bounds, num_actions
from planners.configs import CEMConfig


class Parameters(NamedTuple):
    """Centre and spread: mean and standard deviation ``[B, K, *A]``, or probabilities ``[B, K, n]`` and nothing."""

    centre: Tensor
    spread: Tensor


class Gaussian:
    """Independent normal distributions, draws clipped to the bounds of a Box."""

    def __init__(self, spec: EnvSpec, config: CEMConfig, device: torch.device):
        self._low, self._high = box_bounds(spec, device)
        self._config = config

    def initial(self, rows: int, blocks: int, start: Tensor | None) -> Parameters:
        """Returns the first distribution: around ``start`` ``[B, K, *A]``, or the middle of the bounds."""
        middle = ((self._low + self._high) / 2).expand(rows, blocks, *self._low.shape)
        spread = (self._config.initial_std * (self._high - self._low)).expand_as(middle)
        return Parameters(middle if start is None else start, spread)

    def draw(self, parameters: Parameters, num: int, generator: torch.Generator | None) -> Tensor:
        """Returns draws ``[B, N, K, *A]``."""
        rows, *rest = parameters.centre.shape
        noise = torch.randn(rows, num, *rest, dtype=self._low.dtype, device=self._low.device, generator=generator)
        drawn = parameters.centre.unsqueeze(1) + parameters.spread.unsqueeze(1) * noise
        return torch.clamp(drawn, self._low, self._high)

    def to_actions(self, samples: Tensor) -> Tensor:
        return samples

    def refit(self, old: Parameters, samples: Tensor, weights: Tensor) -> Parameters:
        """Returns the distribution moved to the elites; rows whose ``weights`` ``[B, N]`` are all 0 stay."""
        weights = weights.to(samples.dtype)
        mean = torch.einsum("bn,bn...->b...", weights, samples)
        variance = torch.einsum("bn,bn...->b...", weights, (samples - mean.unsqueeze(1)) ** 2)
        floor = self._config.min_std * (self._high - self._low)
        kept = self._config.smoothing
        centre = kept * old.centre + (1 - kept) * mean
        spread = torch.maximum(kept * old.spread + (1 - kept) * variance.sqrt(), floor)
        any_elite = (weights.sum(dim=1) > 0).view(-1, *[1] * (mean.dim() - 1))
        return Parameters(torch.where(any_elite, centre, old.centre), torch.where(any_elite, spread, old.spread))

    def best_action(self, centre: Tensor) -> Tensor:
        """Returns the action ``[B, *A]`` at a centre; a mean of clipped draws can leave the bounds by rounding."""
        return torch.clamp(centre, self._low, self._high)


class Categorical:
    """Independent categorical distributions over Discrete actions."""

    def __init__(self, spec: EnvSpec, config: CEMConfig, device: torch.device):
        self._n, self._start = num_actions(spec)
        self._config, self._device = config, device

    def initial(self, rows: int, blocks: int, start: Tensor | None) -> Parameters:
        """Returns the first distribution: the uniform one, or half-way from ``start`` ``[B, K, n]`` to it.

        A Gaussian's spread begins anew at each step of the episode; this is the same for probabilities. Kept as they
        were, near 0 and 1, they would draw hardly anything new.
        """
        uniform = torch.full((rows, blocks, self._n), 1 / self._n, device=self._device)
        return Parameters(uniform if start is None else (start + uniform) / 2, uniform)

    def draw(self, parameters: Parameters, num: int, generator: torch.Generator | None) -> Tensor:
        """Returns draws ``[B, N, K]``, counted from 0, by inverting the cumulative probabilities."""
        share = self._config.min_probability
        probabilities = (1 - share) * parameters.centre + share / self._n
        edges = probabilities.cumsum(dim=-1)[..., :-1].unsqueeze(1)
        rows, blocks, _ = probabilities.shape
        uniform = torch.rand(rows, num, blocks, 1, device=self._device, generator=generator)
        return (uniform > edges).sum(dim=-1)

    def to_actions(self, samples: Tensor) -> Tensor:
        return samples + self._start

    def refit(self, old: Parameters, samples: Tensor, weights: Tensor) -> Parameters:
        """Returns the distribution moved to the elites; rows whose ``weights`` ``[B, N]`` are all 0 stay."""
        taken = torch.nn.functional.one_hot(samples, self._n).to(weights.dtype)
        frequency = torch.einsum("bn,bnka->bka", weights, taken)
        kept = self._config.smoothing
        centre = kept * old.centre + (1 - kept) * frequency
        any_elite = (weights.sum(dim=1) > 0).view(-1, 1, 1)
        return Parameters(torch.where(any_elite, centre, old.centre), old.spread)

    def best_action(self, centre: Tensor) -> Tensor:
        """Returns the likeliest action ``[B]`` at a centre ``[B, n]``."""
        return centre.argmax(dim=-1) + self._start
