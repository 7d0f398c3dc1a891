"""Whole action sequences through folded networks: what planners ask for, and nothing else.

Rows lie by the member that they follow, from the first step to the last, so that nothing is gathered in between; no
uncertainty is computed; and all noise is drawn at once.

Shape legend: ``M`` members, ``C`` slots of each (see `worldmodels.dealing`), ``B`` rows, ``H`` steps, ``D`` observation
dimensions, ``Y = D + 1`` predicted numbers (the change of the observation, then the reward), ``A`` action features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from envs.world_model import Imagination
from worldmodels.dealing import Dealt
from worldmodels.features import ObservationBounds
from worldmodels.judging import FoldedTermination
from worldmodels.networks import FoldedHead, FoldedMLP


class FoldedSpread:
    """The standard deviation of members' predictions, in raw units and widened.

    A log-variance x between soft bounds l and h has the variance ``e^l + 1 / (e^-h + e^-x)``: this is `soft_clamp` and
    its exponential in one, with a single exponential to compute.
    """

    def __init__(self, low: Tensor, high: Tensor, unit: Tensor):
        """``low`` and ``high`` are ``[M, 1, Y]``; ``unit`` ``[Y]`` multiplies the result."""
        self._lowest, self._inverse_highest, self._unit = low.exp(), (-high).exp(), unit

    def __call__(self, log_variance: Tensor) -> Tensor:
        """``[M, B, Y] -> [M, B, Y]``; the input is left as it is."""
        precision = torch.neg(log_variance).exp_().add_(self._inverse_highest)
        return precision.reciprocal_().add_(self._lowest).sqrt_().mul_(self._unit)


@dataclass(frozen=True)
class FoldedSequences:
    """Networks that imagine sequences.

    Attributes:
        dynamics: of all members.
        mean: its head for the mean ``[M, B, Y]``, in raw units.
        gaussian: its head for the mean and then the log-variance, ``[M, B, 2 Y]``; None where a model has no noise.
        spread: of the noise; None where a model has none.
        ending: the termination networks.
        bounds: of observations, which are float32.
    """

    dynamics: FoldedMLP
    mean: FoldedHead
    gaussian: FoldedHead | None
    spread: FoldedSpread | None
    ending: FoldedTermination
    bounds: ObservationBounds

    def imagine(
        self, observation: Tensor, features: Tensor, dealt: Dealt, generator: torch.Generator | None
    ) -> Imagination:
        """Imagines rows, each with the member that it is dealt to.

        Args:
            observation: where they start, ``[B, D]`` float32.
            features: of the actions, ``[B, H, A]``.
            dealt: who follows whom.
            generator: of the noise; None for none.
        """
        dims, horizon = observation.shape[1], features.shape[1]
        steps = dealt.gather(features.flatten(1)).unflatten(2, features.shape[1:])
        now = dealt.gather(observation)
        inputs = now.new_empty(*now.shape[:2], dims + features.shape[2])
        rewards = now.new_empty(horizon, *now.shape[:2])
        goes_on = torch.ones_like(rewards)
        room = self.dynamics.buffers(now.shape[1])
        noise = self._noise((horizon, *now.shape[:2], dims + 1), generator)
        for t in range(horizon):
            inputs[..., :dims], inputs[..., dims:] = now, steps[:, :, t]
            outcome = self._outcome(self.dynamics.hidden_of_each(inputs, room), None if noise is None else noise[t])
            after = self.bounds.apply(now + outcome[..., :dims])
            rewards[t] = outcome[..., dims]
            if not self.ending.never_ends:
                goes_on[t] = self.ending.continuation_of_each(after, after - now, steps[:, :, t])
            now = after
        return Imagination(
            state={"observation": dealt.scatter(now)},
            reward=dealt.scatter(rewards.permute(1, 2, 0)).T,
            continuation=dealt.scatter(goes_on.permute(1, 2, 0)).T,
            uncertainty=None,
        )

    def _outcome(self, hidden: Tensor, noise: Tensor | None) -> Tensor:
        """Returns ``[M, C, Y]``."""
        if noise is None or self.gaussian is None or self.spread is None:
            return self.mean(hidden)
        mean, log_variance = self.gaussian(hidden).chunk(2, dim=-1)
        return mean.addcmul_(noise, self.spread(log_variance))

    def _noise(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor | None:
        if generator is None or self.spread is None:
            return None
        return torch.randn(shape, generator=generator, device=generator.device)


def all_to_one(num_rows: int, device: torch.device) -> Dealt:
    """Returns rows that all follow the only member, in their order."""
    rows = torch.arange(num_rows, device=device)
    return Dealt(rows.unsqueeze(0), rows)
