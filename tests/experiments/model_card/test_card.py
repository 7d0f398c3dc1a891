"""The card is one JSON object, in the model's folder, in its report and in its artifact."""

import json
from pathlib import Path

import pytest

from envs.artifact import read_artifact_json
from envs.errors import InputError
from envs.logs import open_log
from experiments.model_card.card import CARD_VERSION, make_card, save_with_card
from worldmodels.configs import FitConfig
from worldmodels.saving import load_model
from worldmodels.training.split import split_episodes


@pytest.fixture(scope="module")
def made(shelf: Path):
    log, model = open_log(shelf / "log"), load_model(shelf / "model")
    split = split_episodes(log.lengths, FitConfig(num_updates=2))
    return model, log, split, make_card(model, log, split)


def test_it_tells_whose_it_is_and_all_that_is_measured(made):
    _, log, split, card = made
    assert (card["card_version"], card["environment"], card["family"]) == (CARD_VERSION, "CartPole-v1", "ensemble")
    assert card["log"] == {"sha256": log.sha256, "num_steps": 400, "num_episodes": log.num_episodes}
    assert card["num_episodes"] == len(split.test)
    assert list(card["open_loop"]) == ["model", "no_change", "linear", "nearest"]
    assert card["ranking"] == {"missing": "it was not asked for"}
    assert card["warnings"] == []
    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_it_is_the_one_that_fitting_made(made, shelf):
    assert json.loads((shelf / "model" / "quality.json").read_text()) == made[3]
    assert read_artifact_json(shelf / "model")["provenance"]["quality"] == made[3]
    page = (shelf / "model" / "report.html").read_text()
    assert page.endswith("</html>\n")
    assert "data:image/gif" in page  # CartPole can be drawn


def test_a_folder_is_whole_or_absent(made, tmp_path, monkeypatch):
    model, log, split, card = made
    save_with_card(model, card, log, split, tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "artifact.json", "tensors.safetensors", "quality.json", "report.html"
    }  # fmt: skip
    with pytest.raises(InputError, match="already exists"):
        save_with_card(model, card, log, split, tmp_path / "model")
    monkeypatch.setattr("experiments.model_card.card.report_page", _fail)
    with pytest.raises(RuntimeError):
        save_with_card(model, card, log, split, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def _fail(*_: object) -> str:
    raise RuntimeError


def test_another_environments_log_is_refused(made, tmp_path):
    from envs.policy import RandomPolicy
    from envs.record import record
    from envs.spec import spec_of

    log = record(RandomPolicy(spec_of("MountainCar-v0")), "MountainCar-v0", 600, 0, tmp_path / "log")
    with pytest.raises(InputError, match="disagree on env_id"):
        make_card(made[0], log, split_episodes(log.lengths, FitConfig()))
