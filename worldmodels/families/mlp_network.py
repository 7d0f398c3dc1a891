"""The weights of a deterministic perceptron with terminations; everything here is in normalised units.

Shape legend: ``B`` rows of a batch, ``D`` observation dimensions, ``Y = D + 1`` predicted numbers (the change of the
observation, then the reward), ``A`` action features, ``J`` numbers that the termination network reads. Networks are
ensembles of one member, whose axis is written 1.
"""

import torch
from torch import Tensor, nn

from envs.spec import EnvSpec
from worldmodels.configs import MLPConfig
from worldmodels.features import num_action_features, vector_space
from worldmodels.judging import num_judged
from worldmodels.networks import EnsembleMLP


class MLPNetwork(nn.Module):
    """The weights, in normalised units.

    Attributes:
        dynamics: observation and action features ``[1, B, D + A]`` to ``[1, B, Y]``.
        termination: what `worldmodels.judging.judged` gives, to logits ``[1, B, 1]``.
        termination_weight: how many times a termination counts in training ``[]``; `worldmodels.judging.NEVER_ENDS`
            where the log has none: the termination network is then neither trained nor asked.
        residual: root mean square error of each predicted number on validation data ``[Y]``.
    """

    termination_weight: Tensor
    residual: Tensor

    def __init__(self, spec: EnvSpec, config: MLPConfig, generator: torch.Generator):
        super().__init__()
        num_dims, num_actions = vector_space(spec).shape[0], num_action_features(spec)
        self.dynamics = EnsembleMLP(1, (num_dims + num_actions, *config.hidden, num_dims + 1), generator)
        width = num_judged(config.termination_inputs, num_dims, num_actions)
        self.termination = EnsembleMLP(1, (width, *config.termination_hidden, 1), generator)
        self.register_buffer("termination_weight", torch.ones(()))
        self.register_buffer("residual", torch.zeros(num_dims + 1))
