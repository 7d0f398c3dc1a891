"""Models that train in a second, and whether two are the same."""

import torch

from worldmodels.configs import EnsembleConfig, FitConfig
from worldmodels.families.table import family_named
from worldmodels.saved_model import SavedWorldModel

TINY = EnsembleConfig(num_members=2, hidden=(8,), termination_hidden=(8,))
FIT = FitConfig(num_updates=60, validate_every=10)


def tensors_of(model: SavedWorldModel) -> dict[str, torch.Tensor]:
    """All that was learned and measured in training."""
    _, learned = family_named(model.family, "of a test").content_of(model)
    trained = model.trained
    starts = {"initial": trained.starts.initial.observation, "any": trained.starts.any.observation}
    measured = {"noise_scale": trained.noise_scale, "uncertainty_levels": trained.uncertainty_levels}
    return {**learned, **starts, **measured}


def same(one: SavedWorldModel, other: SavedWorldModel) -> bool:
    """Whether two models are equal bit for bit."""
    ours, theirs = tensors_of(one), tensors_of(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
