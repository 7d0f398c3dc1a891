"""The weights of a factored model, and what each of its factors is normalised by.

Shape legend: ``N`` rows in all, ``B`` rows of a batch, ``D`` observation dimensions, ``A`` action features,
``J`` numbers that a judge reads (`worldmodels.judging`). Networks are ensembles of one member, whose axis is written 1.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from envs.spec import EnvSpec
from worldmodels.configs import FactoredConfig
from worldmodels.features import num_action_features, vector_space
from worldmodels.judging import num_judged
from worldmodels.networks import EnsembleMLP, GaussianMLP
from worldmodels.normaliser import Normalisers


class FactoredNetwork(nn.Module):
    """The weights, in normalised units.

    Attributes:
        transition: observation and action features ``[1, B, D + A]`` to a Gaussian over the change ``[1, B, D]``.
        reward: the next observation, its change and action features ``[1, B, 2 D + A]`` to a Gaussian over the reward
            ``[1, B, 1]``.
        termination: the same, or the next observation alone ``[1, B, D]``, to logits ``[1, B, 1]``.
        termination_weight: how many times a termination counts in training ``[]``; `worldmodels.judging.NEVER_ENDS`
            where the log has none: the termination network is then neither trained nor asked.
    """

    termination_weight: Tensor

    def __init__(self, spec: EnvSpec, config: FactoredConfig, generator: torch.Generator):
        super().__init__()
        num_dims, num_actions = vector_space(spec).shape[0], num_action_features(spec)
        bounds, width = config.log_variance_bounds, num_judged("transition", num_dims, num_actions)
        self.transition = GaussianMLP(1, (num_dims + num_actions, *config.hidden, 2 * num_dims), bounds, generator)
        self.reward = GaussianMLP(1, (width, *config.reward_hidden, 2), bounds, generator)
        width = num_judged(config.termination_inputs, num_dims, num_actions)
        self.termination = EnsembleMLP(1, (width, *config.termination_hidden, 1), generator)
        self.register_buffer("termination_weight", torch.ones(()))


class FactorNormalisers(NamedTuple):
    """What each network's numbers are normalised by, fitted on its own training rows."""

    transition: Normalisers
    reward: Normalisers
    termination: Normalisers
