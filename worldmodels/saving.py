"""World models as artifacts: everything that is needed to imagine, so that a model is loadable on its own."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from envs.artifact import Artifact, load_artifact, save_artifact
from envs.artifact_contents import config_from_json, require_finite
from envs.errors import InputError, unknown_name
from worldmodels.configs import Propagation
from worldmodels.ensemble_family import ENSEMBLE
from worldmodels.saved_model import Family, SavedWorldModel

KIND = "world_model"
FAMILIES: dict[str, Family] = {"ensemble": ENSEMBLE}
"""What can be saved and loaded. A new family is one file that ends in such a `Family`, and one entry here."""


def save_model(
    model: SavedWorldModel, path: Path | str, quality: dict[str, Any] | None = None, overwrite: bool = False
) -> None:
    """Writes ``model`` as an artifact folder.

    Args:
        model: what is saved, of a family in `FAMILIES`.
        path: the folder.
        quality: the JSON of `worldmodels.quality.Quality`, kept in the provenance.
        overwrite: replace what is at ``path``.

    Raises:
        InputError: an unknown family, or ``path`` exists and ``overwrite`` is off.
    """
    config, tensors = _family(model.family, "to save").content_of(model)
    provenance = model.provenance if quality is None else {**model.provenance, "quality": quality}
    save_artifact(path, Artifact(KIND, model.family, model.spec, asdict(config), tensors, provenance), overwrite)


def load_model(path: Path | str, propagation: Propagation | None = None, device: str = "cpu") -> SavedWorldModel:
    """Loads a world model.

    Args:
        path: the artifact's folder.
        propagation: how members are combined; None for what was saved.
        device: where it shall compute, for example ``cpu`` or ``cuda``.

    Raises:
        InputError: no world model there, damaged, of an unknown family, a configuration that has not exactly the
            fields of its family's, or tensors that are not finite or do not fit it.
    """
    artifact = load_artifact(path, KIND)
    family = _family(artifact.family, f"in {path}")
    what = f"the {artifact.family} in {path}"
    require_finite(artifact.tensors, what)
    config: Any = config_from_json(family.config_type, artifact.config, what)
    try:
        return family.rebuild(artifact, config, propagation, device)
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"{what} does not fit its own configuration: {told}") from None


def _family(name: str, where: str) -> Family:
    if name not in FAMILIES:
        raise unknown_name(f"family of world model {where}", name, FAMILIES)
    return FAMILIES[name]
