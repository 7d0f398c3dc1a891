"""Training of an ensemble with Lightning.

Losses are those of PETS (Chua et al. 2018, appendix A.1): Gaussian negative log-likelihood plus a penalty on the
width of the log-variance's bounds; termination is learned by cross-entropy, in which very rare terminations get more
weight (taken back in the model's probabilities), with a group lasso on the inputs. Best weights are kept per member.

Shape legend: ``M`` members, ``B`` rows, ``Y`` predicted numbers.
"""

import time
from dataclasses import asdict, replace

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from envs.errors import InputError
from envs.logs import Log
from envs.threads import torch_threads
from worldmodels.best_weights import BestWeights
from worldmodels.configs import EnsembleConfig, FitConfig
from worldmodels.data import Batch, EnsembleData
from worldmodels.ensemble import Ensemble, EnsembleParts
from worldmodels.ensemble_network import EnsembleNetwork
from worldmodels.starts import choose_starts
from worldmodels.trainer import make_trainer, quiet_lightning

_RARE = 0.02
_TINY = 1e-12  # keeps the square root's slope finite at zero
_MAX_TERMINATION_WEIGHT = 50.0
_MAX_UNCERTAINTY_ROWS = 10_000
_NUM_LEVELS = 1001


class EnsembleTraining(lightning.LightningModule):
    """One network, its losses, and the best weights of each member so far."""

    def __init__(self, network: EnsembleNetwork, config: FitConfig):
        super().__init__()
        self.network, self.config = network, config
        num_members = len(network.elites)
        self.dynamics_best = BestWeights(network.dynamics, num_members, config.min_improvement)
        self.ending_best = BestWeights(network.termination, num_members, config.min_improvement)
        self._looks_without = 0
        self._errors: list[tuple[int, Tensor]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002, Lightning's signature
        dynamics, fit = self.network.dynamics, self.config
        mean, log_variance = dynamics(batch.inputs)
        likelihood = ((mean - batch.targets).square() * (-log_variance).exp() + log_variance).mean((1, 2)).sum()
        width = (dynamics.max_log_variance - dynamics.min_log_variance).sum()
        inputs_used = self.network.termination.weights[0].square().sum(2).add(_TINY).sqrt().sum()
        ending = self._ending_errors(batch).sum() + fit.termination_lasso * inputs_used
        return likelihood + fit.bound_penalty * width + ending

    def _ending_errors(self, batch: Batch) -> Tensor:
        """Weighted cross-entropy of each member ``[M]``."""
        logits = self.network.termination_logits(batch.ending_inputs)
        terminated, weight = batch.terminated.expand_as(logits), self.network.termination_weight
        return F.binary_cross_entropy_with_logits(logits, terminated, pos_weight=weight, reduction="none").mean(1)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002, Lightning's signature
        batch = Batch(*(column.expand(len(self.network.elites), *column.shape[1:]) for column in batch))
        mean, _ = self.network.dynamics(batch.inputs)
        errors = (mean - batch.targets).square().mean((1, 2))
        self._errors.append((batch.terminated.shape[1], torch.stack((errors, self._ending_errors(batch)))))

    def on_validation_epoch_end(self) -> None:
        num_rows = sum(rows for rows, _ in self._errors)
        dynamics, ending = torch.stack([rows / num_rows * errors for rows, errors in self._errors]).sum(0)
        self._errors.clear()
        improved = [self.dynamics_best.offer(dynamics), self.ending_best.offer(ending)]
        self._looks_without = 0 if any(improved) else self._looks_without + 1
        self.trainer.should_stop = self._looks_without >= self.config.patience
        self.log_dict({"validation_error": dynamics.mean(), "termination_loss": ending.mean()})

    def finish(self, num_elites: int | None) -> None:
        """Puts every member's best weights back and chooses the elites.

        Raises:
            InputError: a member never had a finite validation error.
        """
        if not (self.dynamics_best.errors.isfinite().all() and self.ending_best.errors.isfinite().all()):
            raise InputError(f"training diverged; expected a learning rate below {self.config.learning_rate} to help")
        self.dynamics_best.restore()
        self.ending_best.restore()
        order = self.dynamics_best.errors.argsort(stable=True)
        self.network.elites = order[:num_elites].sort().values

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        groups = [
            {"params": list(self.network.dynamics.parameters()), "lr": self.config.learning_rate},
            {"params": list(self.network.termination.parameters()), "lr": self.config.termination_learning_rate},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=self.config.weight_decay, fused=True)
        num_updates = self.config.num_looks * self.config.updates_per_look
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_updates)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit_ensemble(
    log: Log,
    config: EnsembleConfig | None = None,
    fit: FitConfig | None = None,
    progress: str | None = "world model",
) -> Ensemble:
    """Trains an ensemble on a log; the same log, settings and machine give the same model, bit for bit.

    Args:
        log: at least three episodes.
        config: the architecture.
        fit: how to train.
        progress: title of a progress bar with the losses, or None for no bar.

    Raises:
        InputError: too few episodes, spaces that an ensemble cannot model, a device or precision that is not there,
            or training that diverged.
    """
    config, fit = config or EnsembleConfig(), fit or FitConfig()
    started = time.perf_counter()
    network = EnsembleNetwork(log.spec, config, torch.Generator().manual_seed(fit.seed))
    data = EnsembleData(log, config, fit)
    network.termination_weight.fill_(_termination_weight(data.train_rows.terminated))
    training = EnsembleTraining(network, fit)
    with torch_threads(fit.num_threads), quiet_lightning():
        trainer = make_trainer(fit, progress)
        trainer.fit(training, datamodule=data)
    training.cpu()
    training.finish(config.num_elites)
    parts = EnsembleParts(
        spec=log.spec,
        config=config,
        network=network,
        normalisers=data.normalisers,
        starts=choose_starts(log, data.split.train, fit.seed),
        uncertainty_levels=torch.zeros(1),
        provenance=_provenance(log, data, training, trainer.global_step, time.perf_counter() - started),
    )
    levels = _uncertainty_levels(Ensemble(parts), log, data.split.train, fit.seed)
    return Ensemble(replace(parts, uncertainty_levels=levels))


def _uncertainty_levels(model: Ensemble, log: Log, episodes: np.ndarray, seed: int) -> Tensor:
    """Returns 1001 quantiles of the uncertainty on (at most 10,000 of) the transitions of ``episodes``."""
    steps = log.transitions(episodes)
    rows = np.random.default_rng([seed, 4]).permutation(len(steps.reward))[:_MAX_UNCERTAINTY_ROWS]
    state = model.encode(torch.from_numpy(steps.observation[rows]))
    uncertainty = model.step(state, torch.from_numpy(steps.action[rows])).uncertainty
    return torch.quantile(uncertainty, torch.linspace(0, 1, _NUM_LEVELS))


def _termination_weight(terminated: Tensor) -> float:
    """How often a termination counts: more than once where fewer than 2% of the steps are terminations."""
    positives = max(float(terminated.sum()), 1.0)
    return min(max(_RARE * len(terminated) / positives, 1.0), _MAX_TERMINATION_WEIGHT)


def _provenance(log: Log, data: EnsembleData, training: EnsembleTraining, updates: int, seconds: float) -> dict:
    return {
        "log_sha256": log.sha256,
        "log_steps": log.num_steps,
        "fit": asdict(training.config),
        "updates": updates,
        "seconds": round(seconds, 3),
        "validation_errors": training.dynamics_best.errors.tolist(),
        "termination_losses": training.ending_best.errors.tolist(),
        "train_episodes": data.split.train.tolist(),
        "validation_episodes": data.split.validation.tolist(),
        "test_episodes": data.split.test.tolist(),
    }
