"""How a deterministic perceptron learns: squared error, and cross-entropy for terminations.

Shape legend: ``B`` rows of a batch, ``D`` observation dimensions, ``Y = D + 1`` predicted numbers (the change of the
observation, then the reward), ``A`` action features, ``J`` numbers that the termination network reads. Networks are
ensembles of one member, whose axis is written 1.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from envs.logs import Log
from worldmodels.configs import FitConfig, MLPConfig
from worldmodels.families.family import Family
from worldmodels.families.mlp import MLPModel, content_of, rebuild
from worldmodels.families.mlp_network import MLPNetwork
from worldmodels.judging import judged, judged_normaliser
from worldmodels.normaliser import Normalisers
from worldmodels.saved_model import Trained
from worldmodels.training.batches import MemberBatches, ValidationBatches
from worldmodels.training.learning import Learning, Part
from worldmodels.training.rows import Rows, fit_normalisers, read_rows
from worldmodels.training.split import Split
from worldmodels.training.terminations import input_lasso, termination_errors, termination_weight


class MLPBatch(NamedTuple):
    """What a gradient step reads, all normalised float32.

    Attributes:
        inputs: observation and action features ``[1, B, D + A]``.
        targets: change of the observation and reward ``[1, B, Y]``.
        ending_inputs: what the termination network reads ``[1, B, J]``.
        terminated: ``[1, B]``.
    """

    inputs: Tensor
    targets: Tensor
    ending_inputs: Tensor
    terminated: Tensor


def _batch_of(rows: Rows, normalisers: Normalisers, config: MLPConfig) -> MLPBatch:
    """Returns all rows as one batch without the member axis."""
    ending = judged(config.termination_inputs, rows.observation + rows.change, rows.change, rows.action)
    return MLPBatch(
        inputs=normalisers.inputs.normalise(torch.cat((rows.observation, rows.action), dim=1)),
        targets=normalisers.target.normalise(rows.target),
        ending_inputs=judged_normaliser(config.termination_inputs, normalisers).normalise(ending),
        terminated=rows.terminated,
    )


class MLPLearning(Learning):
    """A perceptron in training. Dynamics and termination have each their own best moment."""

    def __init__(self, log: Log, split: Split, config: MLPConfig, fit: FitConfig):
        super().__init__()
        self.config, self.fit = config, fit
        self.network = MLPNetwork(log.spec, config, torch.Generator().manual_seed(fit.seed))
        rows, held_out = read_rows(log, split.train), read_rows(log, split.validation)
        self.normalisers = fit_normalisers(rows, log.spec)
        self.network.termination_weight.fill_(termination_weight(rows.terminated))
        self.parts = {"dynamics": Part(self.network.dynamics, fit.learning_rate)}
        self._ends = bool(rows.terminated.any())
        self.network.termination.requires_grad_(self._ends)
        if self._ends:
            self.parts["termination"] = Part(self.network.termination, fit.termination_learning_rate)
        self.train_batches = MemberBatches(_batch_of(rows, self.normalisers, config), 1, fit)
        self.validation_batches = ValidationBatches(_batch_of(held_out, self.normalisers, config))

    def loss(self, batch: MLPBatch) -> Tensor:
        loss = torch.cat(list(self.errors(batch).values())).sum()
        return loss + self.fit.termination_lasso * input_lasso(self.network.termination) if self._ends else loss

    def errors(self, batch: MLPBatch) -> Mapping[str, Tensor]:
        network = self.network
        errors = {"dynamics": (network.dynamics(batch.inputs) - batch.targets).square().mean((1, 2))}
        if self._ends:
            logits = network.termination(batch.ending_inputs).squeeze(-1)
            errors["termination"] = termination_errors(logits, batch.terminated, network.termination_weight)
        return errors

    def num_rows(self, batch: MLPBatch) -> int:
        return batch.terminated.shape[1]

    @torch.no_grad()
    def finish(self, errors: Mapping[str, Tensor], trained: Trained) -> MLPModel:  # noqa: ARG002, part of the contract
        squares = [(self.network.dynamics(batch.inputs) - batch.targets).square() for batch in self.validation_batches]
        self.network.residual.copy_(torch.cat(squares, dim=1).mean((0, 1)).sqrt())
        return MLPModel(trained, self.config, self.network, self.normalisers)


MLP = Family(MLPConfig, MLPLearning, content_of, rebuild)
