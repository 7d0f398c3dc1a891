from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
import torch

from envs.artifact import load_artifact, save_artifact
from envs.errors import InputError
from envs.spec import EnvSpec
from envs.world_model import ModelState, WorldModel
from worldmodels.families.ensemble import Ensemble
from worldmodels.families.family import Family
from worldmodels.families.table import FAMILIES
from worldmodels.saved_model import LoadOptions, Trained
from worldmodels.saving import load_model, save_model
from worldmodels.starts import StartPoints, Starts


def test_a_loaded_model_is_the_same_model(toy: Ensemble, tmp_path: Path) -> None:
    toy.parts.network.elites = torch.tensor([0, 2])
    toy.parts.network.termination_weight.fill_(3.0)
    model = Ensemble(replace(toy.trained, provenance={"seed": 5}), toy.parts, LoadOptions("ts1"))
    save_model(model, tmp_path / "model", quality={"recall": 0.5})
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded, Ensemble)
    assert loaded.propagation == "ts1"
    assert loaded.spec == model.spec
    assert loaded.parts.config == replace(model.parts.config, propagation="ts1")
    assert loaded.trained.provenance["seed"] == 5
    assert loaded.trained.provenance["quality"] == {"recall": 0.5}
    assert torch.equal(loaded.trained.starts.any.observation, model.trained.starts.any.observation)
    assert loaded.trained.uncertainty_at(0.5) == model.trained.uncertainty_at(0.5)
    observation, action = torch.rand(7, 3, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 2
    one, two = (m.step(m.encode(observation), action, torch.Generator().manual_seed(1)) for m in (model, loaded))
    for name in ("observation", "reward", "continuation", "uncertainty"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def test_propagation_can_be_chosen_at_loading(toy: Ensemble, tmp_path: Path) -> None:
    save_model(toy, tmp_path / "model")
    loaded = load_model(tmp_path / "model", LoadOptions("tsinf"))
    assert isinstance(loaded, Ensemble)
    assert loaded.propagation == "tsinf"
    with pytest.raises(InputError, match="propagation"):
        load_model(tmp_path / "model", LoadOptions("median"))  # type: ignore[arg-type]


def test_nothing_is_overwritten_unasked(toy: Ensemble, tmp_path: Path) -> None:
    save_model(toy, tmp_path / "model")
    with pytest.raises(InputError, match="already exists"):
        save_model(toy, tmp_path / "model")
    save_model(toy, tmp_path / "model", overwrite=True)


def test_artifacts_that_are_no_ensemble_are_refused(toy: Ensemble, tmp_path: Path) -> None:
    save_model(toy, tmp_path / "model")
    artifact = load_artifact(tmp_path / "model")
    wrong = {
        "expected a world_model": replace(artifact, kind="policy"),
        "family of world model": replace(artifact, family="diffusion"),
        "does not fit its own configuration.*normaliser": replace(
            artifact, tensors={k: v for k, v in artifact.tensors.items() if not k.startswith("normaliser")}
        ),
        "does not fit its own configuration.*size mismatch": replace(
            artifact, tensors={**artifact.tensors, "network.termination.weights.0": np.zeros((1, 1, 1), np.float32)}
        ),
        "expected a EnsembleConfig as the configuration of.*unpack": replace(
            artifact, config={**artifact.config, "log_variance_bounds": [-10.0, 0.5, 1.0]}
        ),
        "does not fit its own configuration.*index": replace(
            artifact, tensors={**artifact.tensors, "network.elites": np.array([0, 7])}
        ),
    }
    for number, (message, content) in enumerate(wrong.items()):
        save_artifact(tmp_path / str(number), content)
        with pytest.raises(InputError, match=f"(?s){message}"):
            load_model(tmp_path / str(number))


def test_a_configuration_has_exactly_the_fields_of_its_dataclass(toy: Ensemble, tmp_path: Path) -> None:
    save_model(toy, tmp_path / "model")
    artifact = load_artifact(tmp_path / "model")
    without = {key: value for key, value in artifact.config.items() if key != "hidden"}
    wrong = {
        "has an unknown num_wings": {**artifact.config, "num_wings": 2},
        "lacks hidden": without,
        "lacks hidden and has an unknown num_wings": {**without, "num_wings": 2},
    }
    for number, (message, config) in enumerate(wrong.items()):
        save_artifact(tmp_path / str(number), replace(artifact, config=config))
        with pytest.raises(InputError, match=f"fields of EnsembleConfig .* the ensemble in .*, but it {message}$"):
            load_model(tmp_path / str(number))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["network.dynamics.mlp.weights.1", "normaliser.target.std"])
def test_tensors_that_are_not_finite_are_refused(toy: Ensemble, tmp_path: Path, name: str, value: float) -> None:
    save_model(toy, tmp_path / "model")
    artifact = load_artifact(tmp_path / "model")
    broken = artifact.tensors[name].copy()
    broken.flat[-1] = value
    save_artifact(tmp_path / "broken", replace(artifact, tensors={**artifact.tensors, name: broken}))
    with pytest.raises(InputError, match=f"^expected finite numbers .* the ensemble in .* in {name}$"):
        load_model(tmp_path / "broken")


@dataclass(frozen=True)
class CountingConfig:
    """A setting that only this family has."""

    first: tuple[float, float] = (1.0, 0.0)


class SavedCounting:
    """A world model that shares nothing with an ensemble but the contract."""

    family: ClassVar[str] = "counting"
    remembers: ClassVar[bool] = False

    def __init__(self, model: WorldModel, config: CountingConfig, trained: Trained):
        self.spec, self.device = model.spec, model.device
        self.encode, self.step = model.encode, model.step
        self.config, self.trained = config, trained

    def recall(self, observation: torch.Tensor, memory: ModelState) -> ModelState:
        return self.encode(observation)


def carried(spec: EnvSpec) -> Trained:
    """A start point at the artifact's first observation; the uncertainty's levels reach 0.2."""
    points = StartPoints(torch.tensor([[2.0, 0.5]]))
    levels = torch.linspace(0, 0.2, 11).expand(3, -1)
    return Trained(spec, Starts(points, points), torch.ones(3), levels, {"seed": 5})


def test_a_new_family_is_one_entry(counting_model: WorldModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counting = Family(
        CountingConfig,
        lambda log, split, config, fit: pytest.fail("not trained here"),
        lambda model: (model.config, {"nothing": torch.zeros(1)}),
        lambda trained, config, tensors, options: SavedCounting(counting_model, config, trained),
    )
    path = tmp_path / "model"
    model = SavedCounting(counting_model, CountingConfig((2.0, 0.5)), carried(counting_model.spec))
    with pytest.raises(InputError, match="unknown family of world model to save 'counting'"):
        save_model(model, path)
    monkeypatch.setitem(FAMILIES, "counting", counting)
    save_model(model, path, quality={"recall": 0.5})
    artifact = load_artifact(path)
    assert (artifact.family, artifact.config) == ("counting", {"first": [2.0, 0.5]})
    loaded = load_model(path)
    assert isinstance(loaded, SavedCounting)
    assert loaded.config == model.config
    assert (loaded.trained.provenance["seed"], loaded.trained.provenance["quality"]) == (5, {"recall": 0.5})
    env = gymnasium.make("simulacra/WorldModel-v0", path=str(path), uncertainty_quantile=0.5)
    assert env.reset(seed=0)[0].tolist() == [2.0, 0.5]
    *_, truncated, info = env.step(1)
    assert info["uncertainty"] == pytest.approx(0.15)
    assert truncated
    envs = gymnasium.make_vec("simulacra/WorldModel-v0", num_envs=3, path=str(path))
    assert envs.reset(seed=0)[0].tolist() == [[2.0, 0.5]] * 3


def test_a_changed_configuration_value_is_refused(toy: Ensemble, tmp_path: Path) -> None:
    save_model(toy, tmp_path / "model")
    artifact = load_artifact(tmp_path / "model")
    save_artifact(tmp_path / "changed", replace(artifact, config={**artifact.config, "num_members": 0}))
    with pytest.raises(InputError, match="num_members"):
        load_model(tmp_path / "changed")
