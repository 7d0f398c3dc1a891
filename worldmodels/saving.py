"""World models as artifacts: everything that is needed to imagine, so that a model is loadable on its own."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.artifact import Artifact, load_artifact, save_artifact
from envs.artifact_contents import config_from_json, require_finite
from envs.errors import InputError
from envs.spec import EnvSpec
from worldmodels.families.table import family_named
from worldmodels.saved_model import LoadOptions, SavedWorldModel, Trained
from worldmodels.starts import StartPoints, Starts

KIND = "world_model"


def save_model(
    model: SavedWorldModel,
    path: Path | str,
    quality: dict[str, Any] | None = None,
    overwrite: bool = False,
    beside: Mapping[str, str | bytes] | None = None,
) -> None:
    """Writes ``model`` as an artifact folder.

    Args:
        model: what is saved, of a family in `worldmodels.families.table.FAMILIES`.
        path: the folder.
        quality: the JSON of its quality card, kept in the provenance, where the checksum guards it, and for readers as
            ``quality.json``.
        overwrite: replace what is at ``path``.
        beside: further files for readers, by their names in the folder.

    Raises:
        InputError: an unknown family, or ``path`` exists and ``overwrite`` is off.
    """
    config, tensors = family_named(model.family, "to save").content_of(model)
    content = {name: value.numpy() for name, value in {**tensors, **_tensors_of(model.trained)}.items()}
    provenance = model.trained.provenance if quality is None else {**model.trained.provenance, "quality": quality}
    card = {} if quality is None else {"quality.json": json.dumps(quality, indent=2, allow_nan=False) + "\n"}
    artifact = Artifact(KIND, model.family, model.spec, asdict(config), content, provenance)
    save_artifact(path, artifact, overwrite, {**card, **(beside or {})})


def load_model(path: Path | str, options: LoadOptions | None = None) -> SavedWorldModel:
    """Loads a world model.

    Args:
        path: the artifact's folder.
        options: how it shall compute.

    Raises:
        InputError: no world model there, damaged, of an unknown family, a configuration that has not exactly the
            fields of its family's, tensors that are not finite or do not fit it, or options that it does not have.
    """
    artifact = load_artifact(path, KIND)
    family = family_named(artifact.family, f"in {path}")
    what = f"the {artifact.family} in {path}"
    require_finite(artifact.tensors, what)
    config: Any = config_from_json(family.config_type, artifact.config, what)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in artifact.tensors.items()}
    try:
        trained = _trained_from(tensors, artifact.spec, artifact.provenance)
        return family.rebuild(trained, config, tensors, options or LoadOptions())
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"{what} does not fit its own configuration: {told}") from None


def _tensors_of(trained: Trained) -> dict[str, Tensor]:
    tensors = {"noise_scale": trained.noise_scale, "uncertainty_levels": trained.uncertainty_levels}
    for kind, points in (("initial", trained.starts.initial), ("any", trained.starts.any)):
        tensors[f"starts.{kind}.observation"] = points.observation
        tensors |= {f"starts.{kind}.memory.{name}": value for name, value in points.memory.items()}
    return {name: value.contiguous() for name, value in tensors.items()}


def _trained_from(tensors: Mapping[str, Tensor], spec: EnvSpec, provenance: dict[str, Any]) -> Trained:
    starts = Starts(_points_from(tensors, "starts.initial."), _points_from(tensors, "starts.any."))
    return Trained(spec, starts, tensors["noise_scale"], tensors["uncertainty_levels"], provenance)


def _points_from(tensors: Mapping[str, Tensor], prefix: str) -> StartPoints:
    memory = f"{prefix}memory."
    held = {name.removeprefix(memory): value for name, value in tensors.items() if name.startswith(memory)}
    return StartPoints(tensors[f"{prefix}observation"], held)
