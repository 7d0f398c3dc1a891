"""How unsure a world model is, in three kinds, and how that compares with the transitions it was trained on.

Epistemic: how far the members' opinions lie apart (what more data would mend). Aleatoric: the noise that the model
expects (what no data would mend). Both in standard deviations of the training targets, averaged over them.

Shape legend: ``B`` rows, ``Q`` quantiles.
"""

from typing import get_args

import torch
from torch import Tensor

from envs.world_model import Imagined
from worldmodels.configs import UncertaintyKind

NUM_LEVELS = 1001
KINDS: tuple[UncertaintyKind, ...] = get_args(UncertaintyKind)


def uncertainty_of(imagined: Imagined, kind: UncertaintyKind) -> Tensor:
    """Returns ``[B]``: the epistemic, the aleatoric, or the total uncertainty (the root of the sum of squares)."""
    match kind:
        case "epistemic":
            return imagined.uncertainty
        case "aleatoric":
            return imagined.noise
    return torch.hypot(imagined.uncertainty, imagined.noise)


def uncertainty_levels(imagined: Imagined) -> Tensor:
    """Returns ``[3, Q]``: of each of `KINDS` the quantiles over the rows, at levels evenly spaced from 0 to 1."""
    levels = torch.linspace(0, 1, NUM_LEVELS)
    return torch.stack([torch.quantile(uncertainty_of(imagined, kind).cpu(), levels) for kind in KINDS])
