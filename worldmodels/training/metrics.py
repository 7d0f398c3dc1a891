"""Losses, errors and step sizes at every look at the validation data, as CSV and for TensorBoard.

Their rows are part of the checkpoint and both files are written from them, so that a resumed training, whose files may
be a look ahead of its checkpoint, has no row twice and loses none.
"""

import csv
import io
from typing import Any

import lightning
from torch.utils.tensorboard import SummaryWriter

from envs.files import write_atomically
from worldmodels.training.fit_folder import FitFiles


class Metrics(lightning.Callback):
    """Writes the metrics of all looks so far."""

    def __init__(self, files: FitFiles):
        self._files = files
        self._rows: list[dict[str, float]] = []
        self._events: SummaryWriter | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rows = list(state_dict["rows"])

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        if not trainer.is_global_zero:
            return
        for old in self._files.tensorboard.glob("events.*"):
            old.unlink()
        self._events = SummaryWriter(str(self._files.tensorboard))
        for row in self._rows:
            _add(self._events, row)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        errors = {name: float(value) for name, value in trainer.callback_metrics.items()}
        groups = trainer.optimizers[0].param_groups
        rates = {f"{group['name']}_learning_rate": float(group["lr"]) for group in groups}
        self._rows.append({"step": trainer.global_step, **errors, **rates})
        if self._events is not None:
            write_atomically(self._files.metrics, _as_csv(self._rows), durable=False)
            _add(self._events, self._rows[-1])
            self._events.flush()

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
        if self._events is not None:
            self._events.close()


def _add(events: SummaryWriter, row: dict[str, float]) -> None:
    for name, value in row.items():
        if name != "step":
            events.add_scalar(name, value, int(row["step"]))


def _as_csv(rows: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
