import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from envs.artifact import load_artifact, save_artifact
from envs.errors import InputError
from worldmodels.ensemble import Ensemble
from worldmodels.saving import load_model, save_model


def test_a_loaded_model_is_the_same_model(toy: Ensemble, tmp_path: Path) -> None:
    toy.parts.network.elites = torch.tensor([0, 2])
    toy.parts.network.termination_weight.fill_(3.0)
    model = Ensemble(replace(toy.parts, provenance={"seed": 5}), "ts1")
    save_model(model, tmp_path / "model", quality={"recall": 0.5})
    loaded = load_model(tmp_path / "model")
    assert loaded.propagation == "ts1"
    assert loaded.spec == model.spec
    assert loaded.parts.config == replace(model.parts.config, propagation="ts1")
    assert loaded.parts.provenance["seed"] == 5
    assert loaded.parts.provenance["quality"] == {"recall": 0.5}
    assert torch.equal(loaded.parts.starts.any, model.parts.starts.any)
    assert loaded.uncertainty_at(0.5) == model.uncertainty_at(0.5)
    observation, action = torch.rand(7, 3, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 2
    one, two = (m.step(m.encode(observation), action, torch.Generator().manual_seed(1)) for m in (model, loaded))
    for name in ("observation", "reward", "continuation", "uncertainty"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def test_propagation_can_be_chosen_at_loading(toy: Ensemble, tmp_path: Path) -> None:
    save_model(toy, tmp_path / "model")
    assert load_model(tmp_path / "model", "tsinf").propagation == "tsinf"
    with pytest.raises(InputError, match="propagation"):
        load_model(tmp_path / "model", "median")  # type: ignore[arg-type]


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
        "does not fit its own configuration.*num_wings": replace(artifact, config={**artifact.config, "num_wings": 2}),
    }
    for number, (message, content) in enumerate(wrong.items()):
        save_artifact(tmp_path / str(number), content)
        with pytest.raises(InputError, match=f"(?s){message}"):
            load_model(tmp_path / str(number))


def test_a_changed_configuration_value_is_refused(toy: Ensemble, tmp_path: Path) -> None:
    save_model(toy, tmp_path / "model")
    file = tmp_path / "model" / "artifact.json"
    content = json.loads(file.read_text())
    content["config"]["num_members"] = 0
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="num_members"):
        load_model(tmp_path / "model")
