"""The networks of a categorical model and how they learn: cross-entropy for next states, squared error for rewards.

Shape legend: ``M`` members, ``B`` rows of a batch, ``N`` states, ``A`` actions. States and actions are counted from 0.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from envs.logs import Log
from worldmodels.configs import CategoricalConfig, FitConfig
from worldmodels.families.categorical import CategoricalModel, content_of, rebuild
from worldmodels.families.categorical_network import CategoricalNetwork
from worldmodels.families.family import Family
from worldmodels.normaliser import fit_normaliser
from worldmodels.saved_model import Trained
from worldmodels.training.batches import MemberBatches, ValidationBatches
from worldmodels.training.learning import Learning, Part
from worldmodels.training.split import Split
from worldmodels.training.terminations import termination_errors, termination_weight


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
    def finish(self, errors: Mapping[str, Tensor], trained: Trained) -> CategoricalModel:  # noqa: ARG002, contract
        network = self.network
        misses = [network.reward(*batch[:3]).squeeze(-1).mean(0) - batch.reward[0] for batch in self.validation_batches]
        network.reward_residual.fill_(torch.cat(misses).square().mean().sqrt())
        return CategoricalModel(trained, self.config, network)


CATEGORICAL = Family(CategoricalConfig, CategoricalLearning, content_of, rebuild)
