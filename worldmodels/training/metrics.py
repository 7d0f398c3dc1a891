"""Losses, errors and step sizes at every look at the validation data, as CSV and for TensorBoard.

Their rows are part of the checkpoint and both files are written from them: see `envs.training_log`.
"""

from typing import Any

import lightning

from envs.training_log import TrainingLog
from worldmodels.training.fit_folder import FitFiles


class Metrics(lightning.Callback):
    """Writes the metrics of all looks so far."""

    def __init__(self, files: FitFiles):
        self._files = files
        self._rows: list[dict[str, float]] = []
        self._log: TrainingLog | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rows = list(state_dict["rows"])

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        if trainer.is_global_zero:
            self._log = TrainingLog(self._files.logged, self._rows)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        errors = {name: float(value) for name, value in trainer.callback_metrics.items()}
        groups = trainer.optimizers[0].param_groups
        rates = {f"{group['name']}_learning_rate": float(group["lr"]) for group in groups}
        self._rows.append({"step": trainer.global_step, **errors, **rates})
        if self._log is not None:
            self._log.add(self._rows[-1])

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self._close()

    def on_exception(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,  # noqa: ARG002
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._log is not None:
            self._log.close()
