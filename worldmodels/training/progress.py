"""A progress bar over gradient steps, with the losses beside it."""

import lightning
from tqdm import tqdm

from worldmodels.training.lightning_module import Training


class FitProgress(lightning.Callback):
    """Shows one bar for the whole training (Lightning's own starts again at every look at the validation data)."""

    def __init__(self, title: str):
        self._title = title
        self._bar = tqdm(disable=True)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Training) -> None:  # type: ignore[override]
        config, done = pl_module.config, trainer.global_step
        total = config.num_looks * config.updates_per_look
        self._bar = tqdm(total=total, initial=done, desc=self._title, unit="update", leave=False)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        losses = {name: f"{float(value):.2e}" for name, value in trainer.callback_metrics.items()}
        self._bar.set_postfix(losses, refresh=False)
        self._bar.update(trainer.global_step - self._bar.n)
        self._bar.refresh()  # looks may come too close together for tqdm to show each

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self._bar.close()

    def on_exception(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,  # noqa: ARG002
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        self._bar.close()
