"""A model in training as Lightning wants it: losses, looks at the validation data, the best weights so far.

What changes as training goes on is in this module's ``state_dict``, in the optimiser and in the schedule, which
Lightning's checkpoints hold. Batches and random numbers are functions of the seed and the step: Lightning restores
neither a loader's position nor a generator's state, and need not.
"""

import time
from collections.abc import Mapping
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from envs.errors import InputError, require
from envs.logs import Log
from worldmodels.configs import FitConfig
from worldmodels.families.table import family_of
from worldmodels.training.best_weights import BestWeights
from worldmodels.training.learning import Learning
from worldmodels.training.split import split_episodes


def share_of(batch: Any, rank: int, num_processes: int) -> Any:
    """Returns one process's rows of a training batch: every ``num_processes``-th, from row ``rank``."""
    return apply_to_collection(batch, Tensor, lambda column: column[:, rank::num_processes])


class Training(lightning.LightningModule):
    """A `Learning` and the best weights of each of its parts so far."""

    looks: Tensor
    best_look: Tensor
    milliseconds: Tensor

    def __init__(self, learning: Learning, config: FitConfig):
        super().__init__()
        self.learning, self.config = learning, config
        self._best = {
            name: BestWeights(part.module, part.num_members, config.min_improvement)
            for name, part in learning.parts.items()
        }
        self.best = nn.ModuleDict(self._best)  # so that checkpoints hold them
        for name in ("looks", "best_look", "milliseconds"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))
        self._losses: list[Tensor] = []
        self._errors: list[tuple[int, Mapping[str, Tensor]]] = []
        self._since = 0.0

    @property
    def is_over(self) -> bool:
        """Whether all updates are done, or no part has clearly improved for ``patience`` looks."""
        looks, best_look = int(self.looks), int(self.best_look)
        return looks >= self.config.num_looks or looks - best_look >= self.config.patience

    @property
    def num_updates(self) -> int:
        """Gradient steps so far, at a look."""
        return int(self.looks) * self.config.updates_per_look

    def on_train_epoch_start(self) -> None:
        self._since = time.perf_counter()
        self.learning.train_batches.next_step = self.trainer.global_step
        purpose_and_place = (3, self.global_rank, int(self.looks))
        seed = np.random.SeedSequence([self.config.seed, *purpose_and_place]).generate_state(1)
        torch.manual_seed(int(seed[0]))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ARG002, Lightning's signature
        loss = self._loss(batch)
        self._losses.append(loss.detach())
        return loss

    def _loss(self, batch: Any) -> Tensor:
        """The loss of the whole batch, or of this process's share, scaled so that all shares' mean is the whole's.

        Up to rounding, since losses are a mean over `Learning.num_rows` rows.
        """
        learning, num_processes = self.learning, self.trainer.world_size
        if num_processes == 1:
            return learning.loss(batch)
        share = share_of(batch, self.global_rank, num_processes)
        return learning.loss(share) * (num_processes * learning.num_rows(share) / learning.num_rows(batch))

    def validation_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ARG002, Lightning's signature
        # Every process measures all rows, so that all come to the same decisions.
        self._errors.append((self.learning.num_rows(batch), self.learning.errors(batch)))

    def on_validation_epoch_end(self) -> None:
        self.log("loss", torch.stack(self._losses).mean(), sync_dist=True)
        num_rows = sum(rows for rows, _ in self._errors)
        improved = []
        for name, best in self._best.items():
            error = torch.stack([rows / num_rows * errors[name] for rows, errors in self._errors]).sum(0)
            improved.append(best.offer(error))
            self.log(f"{name}_error", error.mean(), sync_dist=True)
        self._losses.clear()
        self._errors.clear()
        self.looks += 1
        if any(improved):
            self.best_look.copy_(self.looks)
        self.milliseconds += round(1000 * (time.perf_counter() - self._since))
        self.trainer.should_stop = self.is_over

    def restore_best(self) -> dict[str, Tensor]:
        """Puts every part's best weights back and returns their validation errors, each ``[M]`` or ``[1]``.

        Raises:
            InputError: some weights never had a finite validation error.
        """
        for best in self._best.values():
            if not best.errors.isfinite().all():
                rate = self.config.learning_rate
                raise InputError(f"training diverged; expected a learning rate below {rate} to help")
            best.restore()
        return {name: best.errors for name, best in self._best.items()}

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        parts = self.learning.parts.items()
        groups = [
            {"params": list(part.module.parameters()), "lr": part.learning_rate, "name": name} for name, part in parts
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=self.config.weight_decay, fused=True)
        num_updates = self.config.num_looks * self.config.updates_per_look
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_updates)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def make_training(log: Log, config: Any, fit: FitConfig) -> Training:
    """Returns a model that has learned nothing yet; a function of its arguments.

    Raises:
        InputError: too few episodes or rows, or spaces that the family cannot model.
    """
    learning = family_of(config).make_learning(log, split_episodes(log.lengths, fit), config, fit)
    if fit.strategy == "ddp":
        batch, last = next(iter(learning.train_batches)), fit.num_processes - 1
        has_rows = learning.num_rows(share_of(batch, last, fit.num_processes)) > 0
        require(has_rows, "num_processes", "of at most the rows of a batch", fit.num_processes)
    return Training(learning, fit)
