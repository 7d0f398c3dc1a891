"""The networks of a categorical model and how they learn: cross-entropy for next states, squared error for rewards.

Shape legend: ``M`` members, ``B`` rows of a batch, ``N`` states, ``A`` actions. States and actions are counted from 0.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from torch import Tensor, nn

from envs.errors import InputError
from envs.logs import Log
from envs.spec import EnvSpec
from worldmodels.configs import CategoricalConfig, FitConfig
from worldmodels.networks import EnsembleMLP
from worldmodels.normaliser import fit_normaliser
from worldmodels.saved_model import Trained
from worldmodels.training.batches import MemberBatches, ValidationBatches
from worldmodels.training.learning import Learning, Part
from worldmodels.training.split import Split
from worldmodels.training.terminations import termination_errors, termination_weight

if TYPE_CHECKING:
    from worldmodels.families.categorical import CategoricalModel

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


class DiscreteBatch(NamedTuple):
    """Transitions ``[M, B]``; states and actions counted from 0.

    Attributes:
        state: int64.
        action: int64.
        after: the next state, int64.
        reward: normalised, float32.
        terminated: 1 where the step ended the episode, else 0, float32.
    """

    state: Tensor
    action: Tensor
    after: Tensor
    reward: Tensor
    terminated: Tensor


def _read_batch(log: Log, episodes: np.ndarray) -> DiscreteBatch:
    """Returns all transitions of ``episodes`` as one batch without the member axis; rewards as logged."""
    steps, spec = log.transitions(episodes), log.spec
    first, first_action = (int(space.start) for space in (spec.observation_space, spec.action_space))  # type: ignore[attr-defined]
    return DiscreteBatch(
        state=torch.from_numpy(steps.observation.astype(np.int64) - first),
        action=torch.from_numpy(steps.action.astype(np.int64) - first_action),
        after=torch.from_numpy(steps.next_observation.astype(np.int64) - first),
        reward=torch.from_numpy(steps.reward.astype(np.float32)),
        terminated=torch.from_numpy(steps.terminated.astype(np.float32)),
    )


class CategoricalLearning(Learning):
    """A categorical model in training. The three kinds of network have each their own best moment."""

    def __init__(self, log: Log, split: Split, config: CategoricalConfig, fit: FitConfig):
        super().__init__()
        self.config, self.fit = config, fit
        self.network = network = CategoricalNetwork(log.spec, config, torch.Generator().manual_seed(fit.seed))
        rows, held_out = _read_batch(log, split.train), _read_batch(log, split.validation)
        network.termination_weight.fill_(termination_weight(rows.terminated))
        normaliser = fit_normaliser(rows.reward[:, None])
        network.reward_mean.copy_(normaliser.mean)
        network.reward_std.copy_(normaliser.std)
        rows, held_out = (part._replace(reward=normaliser.normalise(part.reward)) for part in (rows, held_out))
        members, factor = config.num_members, config.learning_rate_factor
        self.parts = {
            "transition": Part(network.transition, factor * fit.learning_rate, members),
            "reward": Part(network.reward, factor * fit.learning_rate, members),
        }
        self._ends = bool(rows.terminated.any())
        network.termination.requires_grad_(self._ends)
        if self._ends:
            self.parts["termination"] = Part(network.termination, factor * fit.termination_learning_rate, members)
        self.train_batches = MemberBatches(rows, members, fit)
        self.validation_batches = ValidationBatches(held_out)

    def loss(self, batch: DiscreteBatch) -> Tensor:
        return torch.stack(list(self.errors(batch).values())).sum()

    def errors(self, batch: DiscreteBatch) -> Mapping[str, Tensor]:
        batch = DiscreteBatch(*(column.expand(self.config.num_members, -1) for column in batch))
        network, step = self.network, (batch.state, batch.action, batch.after)
        logits = network.transition(batch.state, batch.action)
        surprise = F.cross_entropy(logits.flatten(0, 1), batch.after.flatten(), reduction="none")
        errors = {
            "transition": surprise.view(batch.state.shape).mean(1),
            "reward": (network.reward(*step).squeeze(-1) - batch.reward).square().mean(1),
        }
        if self._ends:
            ending = network.termination(*step).squeeze(-1)
            errors["termination"] = termination_errors(ending, batch.terminated, network.termination_weight)
        return errors

    def num_rows(self, batch: DiscreteBatch) -> int:
        return batch.state.shape[1]

    @torch.no_grad()
    def finish(self, errors: Mapping[str, Tensor], trained: Trained) -> "CategoricalModel":  # noqa: ARG002, contract
        from worldmodels.families.categorical import CategoricalModel

        network = self.network
        misses = [network.reward(*batch[:3]).squeeze(-1).mean(0) - batch.reward[0] for batch in self.validation_batches]
        network.reward_residual.fill_(torch.cat(misses).square().mean().sqrt())
        return CategoricalModel(trained, self.config, network)
