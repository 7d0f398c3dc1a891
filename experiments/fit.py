"""Fitting a world model to a log, measuring it on held-out episodes, and saving both together."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.artifact import require_artifact_place
from envs.logs import Log
from envs.world_model import ModelState
from worldmodels.configs import EnsembleConfig, FitConfig
from worldmodels.data import split_episodes
from worldmodels.ensemble import Ensemble
from worldmodels.quality import Quality, measure
from worldmodels.saving import save_model
from worldmodels.training import fit_ensemble


def fit_world_model(
    log: Log,
    out: Path | str,
    ensemble: EnsembleConfig | None = None,
    fit: FitConfig | None = None,
    overwrite: bool = False,
    progress: str | None = "world model",
) -> tuple[Ensemble, Quality]:
    """Trains an ensemble on ``log`` alone, measures it on episodes it has not seen, and saves it as an artifact.

    Args:
        log: at least three episodes.
        out: folder of the artifact; the quality is in its provenance.
        ensemble: the architecture.
        fit: the training.
        overwrite: replace what is at ``out``.
        progress: title of the progress bar, or None for no bar.

    Raises:
        InputError: too few episodes, spaces that an ensemble cannot model, or ``out`` exists.
    """
    require_artifact_place(Path(out), overwrite)
    fit = fit or FitConfig()
    model = fit_ensemble(log, ensemble, fit, progress)
    quality = measure(model, log, split_episodes(log.lengths, fit).test, seed=fit.seed)
    save_model(model, out, quality.to_json(), overwrite)
    return model, quality


def imagined_trajectory(model: Ensemble, log: Log, episodes: np.ndarray, max_steps: int = 100) -> dict[str, Any]:
    """Returns the longest of ``episodes`` beside the model's open-loop imagination of it, as JSON.

    Args:
        model: the world model.
        log: the episodes' log.
        episodes: indices ``[E]``, held out.
        max_steps: compare at most so many steps.

    Returns:
        ``real`` and ``imagined`` (the members' mean) ``[T+1][D]``, and ``members`` ``[M][T+1][D]``, each member alone.
    """
    episode = log.episode(int(episodes[np.argmax(log.lengths[episodes])]))
    actions = episode.actions[:max_steps]
    single = Ensemble(model.parts, propagation="tsinf", device=str(model.device))
    num_members = len(model.parts.network.elites)
    # Row m follows member m; the last row follows none, which means their mean.
    members = torch.arange(num_members + 1)
    members[-1] = -1
    first = torch.as_tensor(np.repeat(episode.observations[:1], num_members + 1, axis=0))
    state: ModelState = {**single.encode(first), "member": members}
    paths = [first.numpy()]
    for action in actions:
        imagined = single.step(state, torch.as_tensor(np.repeat(action[None], num_members + 1, axis=0)))
        state = imagined.state
        paths.append(imagined.observation.numpy())
    stacked = np.stack(paths, axis=1)
    real = episode.observations[: len(actions) + 1]
    return {"real": real.tolist(), "imagined": stacked[-1].tolist(), "members": stacked[:-1].tolist()}
