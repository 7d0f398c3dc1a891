"""Ensembles as artifacts: their weights, normalisers, starts and levels of uncertainty, by name."""

import dataclasses

import numpy as np
import torch
from torch import Tensor

from envs.artifact import Artifact
from worldmodels.configs import EnsembleConfig, Propagation
from worldmodels.ensemble import Ensemble, EnsembleParts
from worldmodels.ensemble_network import EnsembleNetwork, EnsembleNormalisers
from worldmodels.normaliser import Normaliser
from worldmodels.saved_model import Family
from worldmodels.starts import Starts

_NETWORK = "network."


def _content_of(model: Ensemble) -> tuple[EnsembleConfig, dict[str, np.ndarray]]:
    parts = model.parts
    normalisers = {"observation": parts.normalisers.observation, "action": parts.normalisers.action}
    normalisers["target"] = parts.normalisers.target
    tensors = {f"{_NETWORK}{name}": value for name, value in parts.network.state_dict().items()}
    for name, normaliser in normalisers.items():
        tensors |= {f"normaliser.{name}.mean": normaliser.mean, f"normaliser.{name}.std": normaliser.std}
    tensors |= {"starts.initial": parts.starts.initial, "starts.any": parts.starts.any}
    tensors["uncertainty_levels"] = parts.uncertainty_levels
    config = dataclasses.replace(parts.config, propagation=model.propagation)
    return config, {name: value.numpy() for name, value in tensors.items()}


def _rebuild(artifact: Artifact, config: EnsembleConfig, propagation: Propagation | None, device: str) -> Ensemble:
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in artifact.tensors.items()}
    normalisers = (
        Normaliser(tensors[f"normaliser.{name}.mean"], tensors[f"normaliser.{name}.std"])
        for name in ("observation", "action", "target")
    )
    parts = EnsembleParts(
        spec=artifact.spec,
        config=config,
        network=_network(artifact, config, tensors),
        normalisers=EnsembleNormalisers(*normalisers),
        starts=Starts(tensors["starts.initial"], tensors["starts.any"]),
        uncertainty_levels=tensors["uncertainty_levels"],
        provenance=artifact.provenance,
    )
    return Ensemble(parts, propagation, device)


def _network(artifact: Artifact, config: EnsembleConfig, tensors: dict[str, Tensor]) -> EnsembleNetwork:
    network = EnsembleNetwork(artifact.spec, config, torch.Generator())
    weights = {name.removeprefix(_NETWORK): value for name, value in tensors.items() if name.startswith(_NETWORK)}
    network.elites = weights["elites"]  # of a length of its own, which load_state_dict would refuse
    network.load_state_dict(weights)
    return network


ENSEMBLE = Family(EnsembleConfig, _content_of, _rebuild)
