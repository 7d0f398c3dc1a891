"""Networks that judge a step once it is known where it led: whether it ended the episode, what its reward was.

Shape legend: ``B`` rows, ``M`` members, ``D`` observation dimensions, ``A`` action features, ``J`` numbers read.
"""

import torch
from torch import Tensor

from worldmodels.configs import TerminationInputs
from worldmodels.dealing import Dealt
from worldmodels.networks import EnsembleMLP, FoldedMLP
from worldmodels.normaliser import Normaliser, Normalisers, join_normalisers

NEVER_ENDS = 0.0
"""Weight of terminations where training saw none: the model never ends an episode."""


def judged(inputs: TerminationInputs, after: Tensor, change: Tensor, action: Tensor) -> Tensor:
    """Returns what a judge reads ``[B, J]``, in raw units.

    Args:
        inputs: ``next`` for the observation that the step led to, ``transition`` for all three.
        after: that observation ``[B, D]``.
        change: how it differs from the one before ``[B, D]``. Small changes would drown if it were left to the
            network to subtract two observations.
        action: features ``[B, A]``.
    """
    return after if inputs == "next" else torch.cat((after, change, action), dim=-1)


def num_judged(inputs: TerminationInputs, num_dims: int, num_actions: int) -> int:
    """Returns ``J``."""
    return num_dims if inputs == "next" else 2 * num_dims + num_actions


def judged_normaliser(inputs: TerminationInputs, normalisers: Normalisers) -> Normaliser:
    """Returns the normaliser of what `judged` gives."""
    if inputs == "next":
        return normalisers.observation
    change = normalisers.target.part(slice(0, -1))
    return join_normalisers(normalisers.observation, change, normalisers.action)


class FoldedTermination:
    """Termination networks for inference.

    Attributes:
        never_ends: whether training saw no termination, so that there is none.
    """

    def __init__(
        self,
        network: EnsembleMLP,
        weight: Tensor,
        inputs: TerminationInputs,
        normalisers: Normalisers,
        device: torch.device,
        members: Tensor | None = None,
    ):
        """``weight`` ``[]`` is how many times a termination counted in training, `NEVER_ENDS` where there was none.

        ``members`` are those in use, indices ``[M]``; None for all.
        """
        self.never_ends = float(weight) == NEVER_ENDS
        used = torch.arange(len(network.weights[0])) if members is None else members
        self._inputs = inputs
        self._mlp = FoldedMLP(network, used, judged_normaliser(inputs, normalisers), device)
        self._logit = self._mlp.head(slice(0, 1))
        self._shift = weight.log().to(device)

    def continuation(self, after: Tensor, change: Tensor, action: Tensor, dealt: Dealt | None = None) -> Tensor:
        """Returns the probability ``[B]`` that a step did not end the episode; see `judged` for the arguments.

        It is the members' mean, or with ``dealt`` that of the member which each row follows.
        """
        if self.never_ends:
            return torch.ones(len(after), device=after.device)
        inputs = judged(self._inputs, after, change, action)
        if dealt is None:
            return torch.sigmoid_(self._shift - self._logit(self._mlp.hidden(inputs)).squeeze(-1)).mean(0)
        logits = self._logit(self._mlp.hidden_of_each(dealt.gather(inputs)))
        return torch.sigmoid_(self._shift - dealt.scatter(logits).squeeze(-1))

    def continuation_of_each(self, after: Tensor, change: Tensor, action: Tensor) -> Tensor:
        """Returns the same ``[M, C]`` by each member of its own rows, for arguments ``[M, C, *]``."""
        logits = self._logit(self._mlp.hidden_of_each(judged(self._inputs, after, change, action)))
        return torch.sigmoid_(self._shift - logits.squeeze(-1))
