"""The weights of a probabilistic ensemble; everything here is in normalised units.

Shape legend: ``M`` members, ``B`` rows, ``D`` observation dimensions, ``Y = D + 1`` predicted numbers (the change of
the observation, then the reward), ``A`` action features.
"""

import torch
from torch import Tensor, nn

from envs.spec import EnvSpec
from worldmodels.configs import EnsembleConfig
from worldmodels.features import num_action_features, vector_space
from worldmodels.judging import num_judged
from worldmodels.networks import EnsembleMLP, GaussianMLP


class EnsembleNetwork(nn.Module):
    """The networks that tell the next observation and the reward, and those that tell an end.

    Attributes:
        dynamics: observation and action features ``[M, B, D + A]`` to a Gaussian over ``[M, B, Y]``.
        termination: next observation ``[M, B, D]``, or also its change and action features ``[M, B, 2 D + A]``, to
            logits ``[M, B, 1]``.
        termination_weight: how many times a termination counts in training ``[]``; `NEVER_ENDS` where the log has none:
            the termination networks are then neither trained nor asked.
        elites: members that are best on validation data ``[K]`` int64.
    """

    def __init__(self, spec: EnvSpec, config: EnsembleConfig, generator: torch.Generator):
        super().__init__()
        num_dims, num_actions = vector_space(spec).shape[0], num_action_features(spec)
        sizes = (num_dims + num_actions, *config.hidden, 2 * (num_dims + 1))
        self.dynamics = GaussianMLP(config.num_members, sizes, config.log_variance_bounds, generator)
        width = num_judged(config.termination_inputs, num_dims, num_actions)
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
