"""Learning when an episode ends: a boundary that few logged steps cross.

Shape legend: ``N`` steps, ``M`` members, ``B`` rows.
"""

import torch.nn.functional as F
from torch import Tensor

from worldmodels.judging import NEVER_ENDS
from worldmodels.networks import EnsembleMLP

_RARE = 0.02
_TINY = 1e-12  # keeps the square root's slope finite at zero
_MAX_WEIGHT = 50.0


def termination_weight(terminated: Tensor) -> float:
    """How often a termination counts: more than once where fewer than 2% of the steps ``[N]`` are terminations.

    Taken back in a model's probabilities by subtracting its logarithm from the logits. `NEVER_ENDS` where none is.
    """
    positives = float(terminated.sum())
    if positives == 0:
        return NEVER_ENDS
    return min(max(_RARE * len(terminated) / positives, 1.0), _MAX_WEIGHT)


def termination_errors(logits: Tensor, terminated: Tensor, weight: Tensor) -> Tensor:
    """Returns each member's weighted cross-entropy ``[M]``; logits and flags are ``[M, B]``."""
    flags = terminated.expand_as(logits)
    return F.binary_cross_entropy_with_logits(logits, flags, pos_weight=weight, reduction="none").mean(1)


def input_lasso(network: EnsembleMLP) -> Tensor:
    """Returns the group lasso over what each member reads (`FitConfig.termination_lasso`)."""
    return network.weights[0].square().sum(2).add(_TINY).sqrt().sum()
