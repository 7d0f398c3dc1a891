"""A progress bar over gradient steps, with the losses beside it."""

import lightning
from tqdm import tqdm


class FitProgress(lightning.Callback):
    """Shows one bar for the whole training (Lightning's own starts again at every look at the validation data)."""

    def __init__(self, title: str, num_updates: int):
        self._bar = tqdm(total=num_updates, desc=title, unit="update", leave=False, disable=True)
        self._title, self._num_updates = title, num_updates

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self._bar = tqdm(total=self._num_updates, desc=self._title, unit="update", leave=False)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self._bar.set_postfix({name: f"{float(value):.2e}" for name, value in trainer.callback_metrics.items()})
        self._bar.update(trainer.global_step - self._bar.n)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self._bar.close()

    def on_exception(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,  # noqa: ARG002
        exception: BaseException,  # noqa: ARG002
    ) -> None:
        self._bar.close()
