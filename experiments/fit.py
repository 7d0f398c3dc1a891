"""Fitting a world model to a log, measuring it on held-out episodes, and saving both together."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from envs.artifact import read_artifact_json, require_artifact_place
from envs.errors import InputError
from envs.files import plain_json
from envs.logs import Log
from envs.work_folder import differences
from experiments.configs import RankingConfig
from experiments.model_card.card import make_card, save_with_card
from worldmodels.configs import FitConfig, ModelConfig
from worldmodels.families.table import name_of
from worldmodels.saved_model import SavedWorldModel
from worldmodels.saving import KIND, load_model
from worldmodels.training.fit import fit_model
from worldmodels.training.fit_folder import FitFiles
from worldmodels.training.split import split_episodes


def fit_world_model(
    log: Log,
    out: Path | str,
    config: ModelConfig,
    fit: FitConfig | None = None,
    ranking: RankingConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: str | None = "world model",
) -> tuple[SavedWorldModel, dict[str, Any]]:
    """Trains a world model on ``log`` alone, measures it on episodes it has not seen, and saves it as an artifact.

    Training works in the folder ``<out>.fit``, which is removed once the artifact is there.

    Args:
        log: at least three episodes.
        out: folder of the artifact; the card is in its provenance and its ``quality.json``.
        config: the architecture, which chooses the family.
        fit: the training.
        ranking: how policies are ranked in the model and for real; None leaves that out.
        resume: go on with the training that is there, or start where there is none; a model that is complete is
            opened.
        overwrite: replace what is at ``out`` and an unfinished training beside it.
        progress: title of the progress bars, or None for no bar.

    Returns:
        The model and its quality card, as JSON.

    Raises:
        InputError: see `worldmodels.training.fit.fit_model`; or ``out`` exists, and is not what is resumed.
    """
    out, fit = Path(out), fit or FitConfig()
    finished = finished_model(log, out, config, fit) if resume else None
    if finished is not None:
        return finished
    require_artifact_place(out, overwrite)
    files = _work_files(out)
    model = fit_model(log, config, fit, progress, files.path, resume, overwrite)
    split = split_episodes(log.lengths, fit)
    card = make_card(model, log, split, ranking, fit.seed, progress)
    save_with_card(model, card, log, split, out, overwrite, files.records())
    files.remove()
    return model, card


def finished_model(
    log: Log, out: Path, config: ModelConfig, fit: FitConfig
) -> tuple[SavedWorldModel, dict[str, Any]] | None:
    """Returns the model that is complete at ``out`` and its card, or None where there is none.

    Raises:
        InputError: it was trained on another log or with other settings, which are named.
    """
    if not (out / "artifact.json").is_file():
        return None
    content = read_artifact_json(out, KIND)
    old = {
        "family": content["family"],
        "architecture": content["config"],
        **{key: content["provenance"].get(key) for key in ("log_sha256", "fit")},
    }
    new = {"family": name_of(config), "architecture": asdict(config), "log_sha256": log.sha256, "fit": asdict(fit)}
    changed = differences(old, plain_json(new))
    if changed:
        raise InputError(f"cannot resume {out} with other settings: {'; '.join(changed)}")
    if "quality" not in content["provenance"]:
        raise InputError(f"expected a world model with its quality card at {out}, found none; --overwrite makes both")
    files = _work_files(out)
    if files.path.is_dir():  # killed between the last two steps of `fit_world_model`
        files.remove()
    return load_model(out), content["provenance"]["quality"]


def _work_files(out: Path) -> FitFiles:
    return FitFiles(out.with_name(f"{out.name}.fit"))
