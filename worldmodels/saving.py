"""World models as artifacts: everything that is needed to imagine, so that a model is loadable on its own."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.artifact import Artifact, load_artifact, save_artifact
from envs.errors import InputError, unknown_name
from envs.spec import EnvSpec
from worldmodels.configs import EnsembleConfig, Propagation
from worldmodels.ensemble import Ensemble, EnsembleParts
from worldmodels.ensemble_network import EnsembleNetwork, EnsembleNormalisers
from worldmodels.normaliser import Normaliser
from worldmodels.starts import Starts

KIND = "world_model"
FAMILIES = ("ensemble",)
_NETWORK = "network."


def save_model(
    model: Ensemble, path: Path | str, quality: dict[str, Any] | None = None, overwrite: bool = False
) -> None:
    """Writes ``model`` as an artifact folder.

    Args:
        model: what is saved.
        path: the folder.
        quality: the JSON of `worldmodels.quality.Quality`, kept in the provenance.
        overwrite: replace what is at ``path``.

    Raises:
        InputError: ``path`` exists and ``overwrite`` is off.
    """
    parts = model.parts
    provenance = parts.provenance if quality is None else {**parts.provenance, "quality": quality}
    tensors = {name: value.numpy() for name, value in _tensors_of(parts).items()}
    config = {**asdict(parts.config), "propagation": model.propagation}
    save_artifact(path, Artifact(KIND, "ensemble", parts.spec, config, tensors, provenance), overwrite)


def load_model(path: Path | str, propagation: Propagation | None = None, device: str = "cpu") -> Ensemble:
    """Loads a world model.

    Args:
        path: the artifact's folder.
        propagation: how members are combined; None for what was saved.
        device: where it shall compute, for example ``cpu`` or ``cuda``.

    Raises:
        InputError: no world model there, damaged, of an unknown family, or tensors that do not fit its configuration.
    """
    artifact = load_artifact(path, KIND)
    if artifact.family not in FAMILIES:
        raise unknown_name(f"family of world model in {path}", artifact.family, FAMILIES)
    try:
        parts = _parts_of(artifact.spec, artifact.config, artifact.tensors, artifact.provenance)
    except (KeyError, TypeError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"the ensemble in {path} does not fit its own configuration: {told}") from None
    return Ensemble(parts, propagation, device)


def _tensors_of(parts: EnsembleParts) -> dict[str, Tensor]:
    normalisers = {"observation": parts.normalisers.observation, "action": parts.normalisers.action}
    normalisers["target"] = parts.normalisers.target
    tensors = {f"{_NETWORK}{name}": value for name, value in parts.network.state_dict().items()}
    for name, normaliser in normalisers.items():
        tensors |= {f"normaliser.{name}.mean": normaliser.mean, f"normaliser.{name}.std": normaliser.std}
    starts = {"starts.initial": parts.starts.initial, "starts.any": parts.starts.any}
    return {**tensors, **starts, "uncertainty_levels": parts.uncertainty_levels}


def _parts_of(
    spec: EnvSpec, content: dict[str, Any], arrays: Mapping[str, np.ndarray], provenance: dict[str, Any]
) -> EnsembleParts:
    settings: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in content.items()}
    config = EnsembleConfig(**settings)
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    network = EnsembleNetwork(spec, config, torch.Generator())
    weights = {name.removeprefix(_NETWORK): value for name, value in tensors.items() if name.startswith(_NETWORK)}
    network.elites = weights["elites"]
    network.load_state_dict(weights)
    normalisers = (
        Normaliser(tensors[f"normaliser.{name}.mean"], tensors[f"normaliser.{name}.std"])
        for name in ("observation", "action", "target")
    )
    return EnsembleParts(
        spec=spec,
        config=config,
        network=network,
        normalisers=EnsembleNormalisers(*normalisers),
        starts=Starts(tensors["starts.initial"], tensors["starts.any"]),
        uncertainty_levels=tensors["uncertainty_levels"],
        provenance=provenance,
    )
