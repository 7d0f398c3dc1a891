"""The trainable half of an ensemble: its weights and losses, all in normalised units.

PETS (Chua et al. 2018, https://arxiv.org/abs/1805.12114) and MBPO (Janner et al. 2019,
https://arxiv.org/abs/1906.08253): every member predicts a Gaussian over the change of the observation and the reward.
Departures: termination is learned, by a second small ensemble that sees where the step led, since in most
environments termination is a function of that place; best weights are kept per member.

Shape legend: ``M`` members, ``B`` rows, ``D`` observation dimensions, ``Y = D + 1`` predicted numbers (the change of
the observation, then the reward), ``A`` action features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from envs.spec import EnvSpec
from worldmodels.configs import EnsembleConfig
from worldmodels.features import num_action_features, vector_space
from worldmodels.networks import EnsembleMLP
from worldmodels.normaliser import Normaliser


@dataclass(frozen=True)
class EnsembleNormalisers:
    """What each group of numbers is normalised by, fitted on the training split.

    Attributes:
        observation: of ``D`` observation dimensions.
        action: of ``A`` action features (the identity for one-hot ones).
        target: of ``Y`` predicted numbers.
    """

    observation: Normaliser
    action: Normaliser
    target: Normaliser


class GaussianMLP(nn.Module):
    """Perceptrons that predict a Gaussian, with learned soft bounds of its log-variance.

    Every parameter has the member as first axis.
    """

    def __init__(self, num_members: int, sizes: Sequence[int], bounds: tuple[float, float], generator: torch.Generator):
        super().__init__()
        self.mlp = EnsembleMLP(num_members, sizes, generator)
        outputs = sizes[-1] // 2
        self.min_log_variance = nn.Parameter(torch.full((num_members, 1, outputs), bounds[0]))
        self.max_log_variance = nn.Parameter(torch.full((num_members, 1, outputs), bounds[1]))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """``[M, B, F]`` to means and log-variances, both ``[M, B, Y]``."""
        mean, raw = self.mlp(inputs).chunk(2, dim=-1)
        return mean, soft_clamp(raw, self.min_log_variance, self.max_log_variance)


class EnsembleNetwork(nn.Module):
    """The weights of an ensemble; everything here is in normalised units.

    Attributes:
        dynamics: observation and action features ``[M, B, D + A]`` to a Gaussian over ``[M, B, Y]``.
        termination: next observation ``[M, B, D]``, or also its change and action features ``[M, B, 2 D + A]``, to
            logits ``[M, B, 1]``.
        termination_weight: how many times a termination counts in training ``[]``.
        elites: members that are used ``[K]`` int64.
    """

    def __init__(self, spec: EnvSpec, config: EnsembleConfig, generator: torch.Generator):
        super().__init__()
        num_dims, num_actions = vector_space(spec).shape[0], num_action_features(spec)
        sizes = (num_dims + num_actions, *config.hidden, 2 * (num_dims + 1))
        self.dynamics = GaussianMLP(config.num_members, sizes, config.log_variance_bounds, generator)
        width = num_dims if config.termination_inputs == "next" else 2 * num_dims + num_actions
        self.termination = EnsembleMLP(config.num_members, (width, *config.termination_hidden, 1), generator)
        self.termination_weight: Tensor
        self.register_buffer("termination_weight", torch.ones(()))
        self.elites: Tensor
        self.register_buffer("elites", torch.arange(config.num_members))

    def termination_logits(self, inputs: Tensor) -> Tensor:
        """Inputs of ``termination`` to training logits ``[M, B]``.

        Terminations count ``termination_weight`` times in training. Subtracting its logarithm gives back logits of
        the true probability.
        """
        return self.termination(inputs).squeeze(-1)


def soft_clamp(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Brings ``values`` smoothly between ``low`` and ``high`` (PETS, appendix A.1)."""
    values = high - F.softplus(high - values)
    return low + F.softplus(values - low)
