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


class AllToOne:
    """Rows that all follow the only member, in their order; the face of `worldmodels.dealing.Dealt`."""

    def gather(self, values: Tensor) -> Tensor:
        return values.unsqueeze(0)

    def scatter(self, values: Tensor) -> Tensor:
        return values.squeeze(0)


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
        self, observation: Tensor, features: Tensor, dealt: Dealt | AllToOne, generator: torch.Generator | None
    ) -> Imagination:
        """Imagines rows, each with the member that it is dealt to.

        Args:
            observation: where they start, ``[B, D]`` float32.
            features: of the actions, ``[B, H, A]``.
            dealt: who follows whom.
            generator: of the noise; None for none.
        """
        dims, horizon = observation.shape[1], features.shape[1]
        steps = dealt.gather(features.flatten(1)).unflatten(2, features.shape[1:]).unbind(2)
        start = dealt.gather(observation)
        inputs = start.new_empty(*start.shape[:2], dims + features.shape[2])
        now, doing = inputs[..., :dims], inputs[..., dims:]
        now.copy_(start)
        outcomes = start.new_empty(horizon, *start.shape[:2], dims + 1)
        changes, goes_on = outcomes[..., :dims].unbind(0), start.new_ones(horizon, *start.shape[:2])
        room, noise = self.dynamics.buffers(start.shape[1]), self._noise(outcomes.shape, generator)
        for t, outcome in enumerate(outcomes.unbind(0)):
            doing.copy_(steps[t])
            self._predict(self.dynamics.hidden_of_each(inputs, room), None if noise is None else noise[t], outcome)
            if self.ending.never_ends and self.bounds.unbounded:
                now.add_(changes[t])
                continue
            after = self.bounds.apply(now + changes[t])
            if not self.ending.never_ends:
                goes_on[t] = self.ending.continuation_of_each(after, after - now, steps[t])
            now.copy_(after)
        return Imagination(
            state={"observation": dealt.scatter(now)},
            reward=dealt.scatter(outcomes[..., dims].permute(1, 2, 0)).T,
            continuation=dealt.scatter(goes_on.permute(1, 2, 0)).T,
            uncertainty=None,
        )

    def imagine_mean(self, observation: Tensor, features: Tensor) -> Imagination:
        """Imagines rows ``[B, D]`` by the mean of all members, for features ``[B, H, A]``; nothing is drawn."""
        now, rewards, goes_on = observation, [], []
        for doing in features.unbind(1):
            outcome = self.mean(self.dynamics.hidden(torch.cat((now, doing), dim=1))).mean(0)
            after = self.bounds.apply(now + outcome[:, :-1])
            rewards.append(outcome[:, -1])
            goes_on.append(self.ending.continuation(after, after - now, doing))
            now = after
        return Imagination({"observation": now}, torch.stack(rewards), torch.stack(goes_on), None)

    def _predict(self, hidden: Tensor, noise: Tensor | None, into: Tensor) -> None:
        """Writes the outcome ``[M, C, Y]``, with its noise where there is some."""
        if noise is None or self.gaussian is None or self.spread is None:
            self.mean(hidden, into)
            return
        mean, log_variance = self.gaussian(hidden).chunk(2, dim=-1)
        torch.addcmul(mean, noise, self.spread(log_variance), out=into)

    def _noise(self, shape: torch.Size, generator: torch.Generator | None) -> Tensor | None:
        if generator is None or self.spread is None:
            return None
        return torch.randn(shape, generator=generator, device=generator.device)
