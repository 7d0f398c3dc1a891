"""Lightning's trainer with everything off that is not needed, and the surroundings that it runs in."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException

from envs.errors import InputError
from worldmodels.configs import FitConfig
from worldmodels.progress import FitProgress


def make_trainer(fit: FitConfig, progress: str | None) -> lightning.Trainer:
    """Returns a trainer; raises `InputError` for a device or precision that this machine does not offer.

    One of Lightning's epochs is what lies between two looks at the validation episodes.
    """
    num_updates = fit.num_looks * fit.updates_per_look
    try:
        return lightning.Trainer(
            accelerator=fit.device,
            devices=1,
            precision=fit.precision,  # type: ignore[arg-type]  # a string of the user's, which Lightning checks
            max_epochs=fit.num_looks,
            callbacks=[] if progress is None else [FitProgress(progress, num_updates)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except (ValueError, MisconfigurationException) as error:
        told = " ".join(str(error).split())
        raise InputError(f"cannot train on device {fit.device!r} in precision {fit.precision!r}: {told}") from None


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Holds back Lightning's notes on hardware, its tips, and one warning that Lightning 2.6 causes in torch 2.13."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
