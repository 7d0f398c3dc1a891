"""Training of a world model of any family with Lightning.

Best weights are kept per part and member, by validation error; training stops when no part has improved for a while.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.artifact import package_versions
from envs.errors import InputError
from envs.logs import Log
from envs.threads import torch_threads
from worldmodels.configs import FitConfig
from worldmodels.filtering import filtered_transitions, logged_starts
from worldmodels.prediction import Mixture
from worldmodels.saved_model import SavedWorldModel, Trained
from worldmodels.starts import StartPoints, Starts
from worldmodels.training.calibration import noise_scale
from worldmodels.training.checkpoints import read_checkpoint
from worldmodels.training.fit_folder import FitFiles, open_fit_folder
from worldmodels.training.learning import Learning
from worldmodels.training.lightning_module import Training, make_training
from worldmodels.training.processes import Job, train_in_processes
from worldmodels.training.split import Split, split_episodes
from worldmodels.training.trainer import make_trainer, quiet_lightning, train
from worldmodels.uncertainty import uncertainty_levels

_MAX_ROWS = 10_000


def fit_model(
    log: Log,
    config: Any,
    fit: FitConfig | None = None,
    progress: str | None = "world model",
    folder: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> SavedWorldModel:
    """Trains a world model on a log; the same log, settings and machine give the same model, bit for bit.

    Args:
        log: at least three episodes.
        config: the architecture: the configuration of any family, which it thereby chooses.
        fit: how to train.
        progress: title of a progress bar with the losses, or None for no bar.
        folder: where training leaves checkpoints and metrics (see `worldmodels.training.fit_folder`), or None.
        resume: go on with the training in ``folder``, which was stopped at any moment and ends where an uninterrupted
            one ends, or start where there is none.
        overwrite: delete the training in ``folder``.

    Raises:
        InputError: too few episodes or rows, spaces that the family cannot model, a device or precision that is not
            there, training that diverged; ``folder`` holds a training and neither ``resume`` nor ``overwrite`` was
            given, or one of another log or with other settings, or something else.
    """
    fit = fit or FitConfig()
    if folder is None and fit.strategy == "ddp":  # the processes leave their result in a folder
        with TemporaryDirectory() as temporary:
            return fit_model(log, config, fit, progress, Path(temporary))
    split = split_episodes(log.lengths, fit)
    training = make_training(log, config, fit)
    if folder is None:
        _train(training, log, config, fit, progress, None)
        return _finish(training, log, split, fit)
    files, is_new = open_fit_folder(folder, _work_of(training, log, config), resume, overwrite)
    try:
        _train(training, log, config, fit, progress, files)
        return _finish(training, log, split, fit)
    except InputError:
        if is_new:  # with these settings nobody will go on with it
            files.remove()
        raise


def _work_of(training: Training, log: Log, config: Any) -> dict[str, Any]:
    """Everything that decides what a training does: another one does not go on with it."""
    return {
        "log_sha256": log.sha256,
        "other_logs_sha256": dict(training.learning.other_logs),
        "architecture": {"type": type(config).__name__, **asdict(config)},
        "fit": asdict(training.config),
        "versions": package_versions(),
    }


def _train(
    training: Training, log: Log, config: Any, fit: FitConfig, progress: str | None, files: FitFiles | None
) -> None:
    if files is not None and files.checkpoint.exists():
        training.load_state_dict(read_checkpoint(files.checkpoint)["state_dict"])
        if training.is_over:
            return
    if fit.strategy == "ddp":
        assert files is not None
        with quiet_lightning():
            make_trainer(fit)  # so that a device that is not there is told here
        train_in_processes(Job(log.path, config, fit, progress, files))
        training.load_state_dict(read_checkpoint(files.checkpoint)["state_dict"])
    else:
        train(training, fit, progress, files)
    training.cpu()


def _finish(training: Training, log: Log, split: Split, fit: FitConfig) -> SavedWorldModel:
    errors = training.restore_best()
    provenance = _provenance(log, split, fit, errors, training)
    with torch_threads(fit.num_threads):
        return _completed(training.learning, errors, log, split, fit.seed, provenance)


def _completed(
    learning: Learning, errors: Mapping[str, Tensor], log: Log, split: Split, seed: int, provenance: dict[str, Any]
) -> SavedWorldModel:
    """Measures on logged steps what a trained model carries beside its networks."""
    nowhere = StartPoints(torch.zeros(0))
    num_outputs = int(np.prod(log.spec.observation_space.shape or ())) + 1
    bare = Trained(log.spec, Starts(nowhere, nowhere), torch.ones(num_outputs), provenance=provenance)
    model = learning.finish(errors, bare)
    held_out = filtered_transitions(model, log, split.validation, _MAX_ROWS, seed)
    predicted = model.predict(held_out.state, held_out.action)
    if isinstance(predicted, Mixture):
        bare = replace(bare, noise_scale=noise_scale(predicted, held_out.target))
    else:
        bare = replace(bare, noise_scale=torch.ones(0))
    model = model.with_trained(bare)
    seen = filtered_transitions(model, log, split.train, _MAX_ROWS, seed)
    levels = uncertainty_levels(model.step(seen.state, seen.action))
    starts = logged_starts(model, log, split.train, seed)
    return model.with_trained(replace(bare, starts=starts, uncertainty_levels=levels))


def _provenance(
    log: Log, split: Split, fit: FitConfig, errors: Mapping[str, Tensor], training: Training
) -> dict[str, Any]:
    return {
        "log_sha256": log.sha256,
        "log_steps": log.num_steps,
        "other_logs_sha256": dict(training.learning.other_logs),
        "fit": asdict(fit),
        "updates": training.num_updates,
        "seconds": int(training.milliseconds) / 1000,
        "validation_errors": {name: error.tolist() for name, error in errors.items()},
        "train_episodes": split.train.tolist(),
        "validation_episodes": split.validation.tolist(),
        "test_episodes": split.test.tolist(),
    }
