"""The weights of a categorical ensemble: perceptrons that read one-hot states and actions.

Shape legend: ``M`` members, ``B`` rows of a batch, ``N`` states, ``A`` actions. States and actions are counted from 0.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from torch import Tensor, nn

from envs.errors import InputError
from envs.spec import EnvSpec
from worldmodels.configs import CategoricalConfig
from worldmodels.networks import EnsembleMLP

_MAX_TABLE = 2**26


def discrete_sizes(spec: EnvSpec) -> tuple[int, int]:
    """Returns ``N`` and ``A``; raises `InputError` unless both spaces are Discrete and not too large."""
    observations, actions = spec.observation_space, spec.action_space
    if not isinstance(observations, spaces.Discrete) or not isinstance(actions, spaces.Discrete):
        expected = "a categorical model needs Discrete observations and actions"
        raise InputError(f"{expected}, but {spec.env_id} has {observations} and {actions}")
    num_states, num_actions = int(observations.n), int(actions.n)
    if num_states * num_actions * num_states > _MAX_TABLE:
        expected = f"a categorical model needs at most {_MAX_TABLE:,} triples of state, action and next state"
        raise InputError(f"{expected}, but {spec.env_id} has {num_states} states and {num_actions} actions")
    return num_states, num_actions


class OneHotMLP(nn.Module):
    """``M`` perceptrons with SiLU units whose inputs are one-hot vectors, given as the index of each one's 1.

    The first layer looks weights up instead of multiplying by zeros.
    """

    offsets: Tensor

    def __init__(self, num_members: int, counts: Sequence[int], sizes: Sequence[int], generator: torch.Generator):
        """``counts`` are the lengths of the one-hot vectors, ``sizes`` the widths from the first layer on."""
        super().__init__()
        table = torch.empty(num_members, sum(counts), sizes[0])
        std = 0.5 / math.sqrt(len(counts))  # as `EnsembleMLP`, with as many inputs as are 1
        self.table = nn.Parameter(nn.init.trunc_normal_(table, std=std, a=-2 * std, b=2 * std, generator=generator))
        self.deeper = EnsembleMLP(num_members, sizes, generator)
        places = np.cumsum([0, *counts[:-1]]) + np.arange(num_members)[:, None, None] * sum(counts)
        self.register_buffer("offsets", torch.from_numpy(places), persistent=False)

    def forward(self, *indices: Tensor) -> Tensor:
        """Indices, each ``[M, B]`` (or ``[1, B]``, the same for all members), to ``[M, B, Y]``."""
        rows = torch.stack(indices, dim=-1) + self.offsets
        first = F.embedding(rows, self.table.flatten(0, 1)).sum(2)
        return self.deeper(F.silu(first))


class CategoricalNetwork(nn.Module):
    """The weights.

    Attributes:
        transition: state and action to logits of the next state ``[M, B, N]``.
        reward: state, action and next state to the normalised reward ``[M, B, 1]``.
        termination: the same to logits ``[M, B, 1]``.
        termination_weight: how many times a termination counts in training ``[]``; `worldmodels.judging.NEVER_ENDS`
            where the log has none: the termination networks are then neither trained nor asked.
        reward_mean, reward_std: what rewards are normalised by ``[1]``.
        reward_residual: root mean square error of the normalised reward on validation data ``[1]``.
    """

    termination_weight: Tensor
    reward_mean: Tensor
    reward_std: Tensor
    reward_residual: Tensor

    def __init__(self, spec: EnvSpec, config: CategoricalConfig, generator: torch.Generator):
        super().__init__()
        (num_states, num_actions), members = discrete_sizes(spec), config.num_members
        pair, triple = (num_states, num_actions), (num_states, num_actions, num_states)
        self.transition = OneHotMLP(members, pair, (*config.hidden, num_states), generator)
        self.reward = OneHotMLP(members, triple, (*config.reward_hidden, 1), generator)
        self.termination = OneHotMLP(members, triple, (*config.termination_hidden, 1), generator)
        self.register_buffer("termination_weight", torch.ones(()))
        for name in ("reward_mean", "reward_std", "reward_residual"):
            self.register_buffer(name, torch.zeros(1))
