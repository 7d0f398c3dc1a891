"""How a deterministic perceptron learns: squared error, and cross-entropy for terminations.

Shape legend: ``B`` rows of a batch, ``D`` observation dimensions, ``Y = D + 1`` predicted numbers (the change of the
observation, then the reward), ``A`` action features, ``J`` numbers that the termination network reads. Networks are
ensembles of one member, whose axis is written 1.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from envs.logs import Log
from worldmodels.configs import FitConfig, MLPConfig
from worldmodels.families.family import Family
from worldmodels.families.mlp import MLPModel, content_of, rebuild
from worldmodels.families.mlp_network import MLPNetwork
from worldmodels.saved_model import Trained
from worldmodels.training.batches import MemberBatches, ValidationBatches
from worldmodels.training.learning import Learning, Part
from worldmodels.training.rows import StepBatch, fit_normalisers, normalise_rows, read_rows
from worldmodels.training.split import Split
from worldmodels.training.terminations import input_lasso, termination_errors, termination_weight


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
        train, checked = (
            normalise_rows(part, self.normalisers, config.termination_inputs) for part in (rows, held_out)
        )
        self.train_batches = MemberBatches(train, 1, fit)
        self.validation_batches = ValidationBatches(checked)

    def loss(self, batch: StepBatch) -> Tensor:
        loss = torch.cat(list(self.errors(batch).values())).sum()
        return loss + self.fit.termination_lasso * input_lasso(self.network.termination) if self._ends else loss

    def errors(self, batch: StepBatch) -> Mapping[str, Tensor]:
        network = self.network
        errors = {"dynamics": (network.dynamics(batch.inputs) - batch.targets).square().mean((1, 2))}
        if self._ends:
            logits = network.termination(batch.ending_inputs).squeeze(-1)
            errors["termination"] = termination_errors(logits, batch.terminated, network.termination_weight)
        return errors

    def num_rows(self, batch: StepBatch) -> int:
        return batch.terminated.shape[1]

    @torch.no_grad()
    def finish(self, errors: Mapping[str, Tensor], trained: Trained) -> MLPModel:  # noqa: ARG002, part of the contract
        squares = [(self.network.dynamics(batch.inputs) - batch.targets).square() for batch in self.validation_batches]
        self.network.residual.copy_(torch.cat(squares, dim=1).mean((0, 1)).sqrt())
        return MLPModel(trained, self.config, self.network, self.normalisers)


MLP = Family(MLPConfig, MLPLearning, content_of, rebuild)
