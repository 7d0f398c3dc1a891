"""Lightning's trainer with everything off that is not needed, and the surroundings that it runs in."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException

from envs.errors import InputError
from envs.threads import torch_threads
from worldmodels.configs import FitConfig
from worldmodels.training.checkpoints import AtomicCheckpoints, KeepCheckpoint
from worldmodels.training.fit_folder import FitFiles
from worldmodels.training.lightning_module import Training
from worldmodels.training.progress import FitProgress

_TERMINATED = 128 + signal.SIGTERM


def train(training: Training, fit: FitConfig, progress: str | None, files: FitFiles | None) -> None:
    """Trains in this process, which is alone or, with ``ddp``, one of several; goes on from ``files``' checkpoint.

    Raises:
        InputError: a device or precision that is not there, or a damaged checkpoint.
    """
    callbacks: list[lightning.Callback] = [] if progress is None else [FitProgress(progress)]
    start = None
    if files is not None:
        from worldmodels.training.metrics import Metrics  # imports TensorBoard

        callbacks += [Metrics(files), KeepCheckpoint(files.checkpoint)]
        # Never Lightning's ckpt_path="last": where it finds nothing, it trains from scratch without a word.
        start = files.checkpoint if files.checkpoint.exists() else None
    learning = training.learning
    with torch_threads(fit.num_threads), _own_generators(), quiet_lightning(), _honest_signals():
        trainer = make_trainer(fit, callbacks)
        trainer.fit(training, learning.train_batches, learning.validation_batches, ckpt_path=start, weights_only=True)


def make_trainer(fit: FitConfig, callbacks: Sequence[lightning.Callback] = ()) -> lightning.Trainer:
    """Returns a trainer; raises `InputError` for a device or precision that this machine does not offer.

    One of Lightning's epochs is what lies between two looks at the validation episodes.
    """
    many = fit.strategy == "ddp"
    # Of all buffers only the best weights and counts change, the same in every process.
    strategy = DDPStrategy(broadcast_buffers=False) if many else "auto"
    try:
        return lightning.Trainer(
            accelerator=fit.device,
            strategy=strategy,
            devices=fit.num_processes if many else 1,
            precision=fit.precision,  # type: ignore[arg-type]  # a string of the user's, which Lightning checks
            max_epochs=fit.num_looks,
            callbacks=list(callbacks),
            # The environment is named so that a cluster's is not guessed: on SLURM, Lightning would by itself take
            # up whatever checkpoint of its own lies in the current folder.
            plugins=[AtomicCheckpoints(), LightningEnvironment()],
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
def _own_generators() -> Iterator[None]:
    """Gives the caller's random generators back as they were: every look seeds them."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


@contextmanager
def _honest_signals() -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM leave `Trainer.fit` as what they are.

    Lightning 2.6 turns Ctrl-C into an exit with code 1 (and, before training starts, leaves later ones ignored), and
    SIGTERM into an exit with code 0 as if all were done.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise SystemExit(_TERMINATED) from None
    except SystemExit as stopped:
        if isinstance(stopped.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Holds back Lightning's notes on hardware, its tips, and what Lightning 2.6 makes torch 2.13 warn of."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for told in (r".*isinstance\(treespec, LeafSpec\)", ".*broadcast_buffers"):
                warnings.filterwarnings("ignore", told, FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
