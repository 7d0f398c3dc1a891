"""How an ensemble learns: Gaussian likelihood for dynamics and reward, cross-entropy for terminations.

Losses are those of PETS (Chua et al. 2018, appendix A.1): Gaussian negative log-likelihood plus a penalty on the
width of the log-variance's bounds. Terminations: `worldmodels.training.terminations`.

Shape legend: ``N`` rows in all, ``M`` members, ``B`` rows of a batch, ``D`` observation dimensions, ``Y = D + 1``,
``A`` action features.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from envs.logs import Log
from worldmodels.configs import EnsembleConfig, FitConfig
from worldmodels.families.ensemble import Ensemble, EnsembleParts, content_of, rebuild
from worldmodels.families.ensemble_network import EnsembleNetwork
from worldmodels.families.family import Family
from worldmodels.saved_model import Trained
from worldmodels.training.batches import MemberBatches, ValidationBatches
from worldmodels.training.learning import Learning, Part
from worldmodels.training.rows import StepBatch, fit_normalisers, normalise_rows, read_rows
from worldmodels.training.split import Split
from worldmodels.training.terminations import input_lasso, termination_errors, termination_weight


class EnsembleLearning(Learning):
    """An ensemble in training. Dynamics and terminations have each their own best moment."""

    def __init__(self, log: Log, split: Split, config: EnsembleConfig, fit: FitConfig):
        super().__init__()
        self.config, self.fit = config, fit
        self.network = EnsembleNetwork(log.spec, config, torch.Generator().manual_seed(fit.seed))
        rows, held_out = read_rows(log, split.train), read_rows(log, split.validation)
        self.normalisers = fit_normalisers(rows, log.spec)
        self.parts = {"dynamics": Part(self.network.dynamics, fit.learning_rate, config.num_members)}
        self._ends = bool(rows.terminated.any())
        self.network.termination.requires_grad_(self._ends)
        self.network.termination_weight.fill_(termination_weight(rows.terminated))
        if self._ends:
            rate = fit.termination_learning_rate
            self.parts["termination"] = Part(self.network.termination, rate, config.num_members)
        train, checked = (
            normalise_rows(part, self.normalisers, config.termination_inputs) for part in (rows, held_out)
        )
        self.train_batches = MemberBatches(train, config.num_members, fit)
        self.validation_batches = ValidationBatches(checked)

    def loss(self, batch: StepBatch) -> Tensor:
        dynamics, fit = self.network.dynamics, self.fit
        mean, log_variance = dynamics(batch.inputs)
        likelihood = ((mean - batch.targets).square() * (-log_variance).exp() + log_variance).mean((1, 2)).sum()
        loss = likelihood + fit.bound_penalty * dynamics.bounds_width()
        if self._ends:
            loss = loss + fit.termination_lasso * input_lasso(self.network.termination)
            loss = loss + self._ending_errors(batch).sum()
        return loss

    def errors(self, batch: StepBatch) -> Mapping[str, Tensor]:
        members = self.config.num_members
        batch = StepBatch(*(column.expand(members, *column.shape[1:]) for column in batch))
        mean, _ = self.network.dynamics(batch.inputs)
        errors = {"dynamics": (mean - batch.targets).square().mean((1, 2))}
        return errors | ({"termination": self._ending_errors(batch)} if self._ends else {})

    def _ending_errors(self, batch: StepBatch) -> Tensor:
        logits = self.network.termination_logits(batch.ending_inputs)
        return termination_errors(logits, batch.terminated, self.network.termination_weight)

    def num_rows(self, batch: StepBatch) -> int:
        return batch.terminated.shape[1]

    def finish(self, errors: Mapping[str, Tensor], trained: Trained) -> Ensemble:
        order = errors["dynamics"].argsort(stable=True)
        self.network.elites = order[: self.config.num_elites].sort().values
        return Ensemble(trained, EnsembleParts(self.config, self.network, self.normalisers))


ENSEMBLE = Family(EnsembleConfig, EnsembleLearning, content_of, rebuild)
