"""What a folder is, in text and in JSON; damage is told, never a traceback."""

import json
import random
import re
import shutil

import pytest

from envs.artifact import read_artifact_json
from envs.errors import InputError
from experiments.inspect import inspect_lines
from tests.envs.artifact_editing import edit_artifact


def as_json(path) -> dict:
    return json.loads("\n".join(inspect_lines(path, as_json=True)))


def test_a_log_is_described(shelf):
    told = as_json(shelf / "log")
    assert (told["kind"], told["environment"], told["steps"]) == ("log", "CartPole-v1", 400)
    assert told["source"]["policy"] == "RandomPolicy"
    assert len(told["sha256"]) == 64


@pytest.mark.parametrize(
    ("folder", "kind", "family"),
    [("model", "world_model", "ensemble"), ("bandit", "synthetic_env", "bandit"), ("policy", "policy", "ppo")],
)
def test_an_artifact_is_described(shelf, folder, kind, family):
    told = as_json(shelf / folder)
    assert (told["kind"], told["family"], told["environment"]) == (kind, family, "CartPole-v1")
    assert told["parameters"] > 0
    assert isinstance(told["configuration"], dict)
    text = inspect_lines(shelf / folder)
    assert text[0] == f"kind:             {kind}"
    assert len(text) == len(told)


def test_a_model_tells_its_quality_and_its_log(shelf):
    told = as_json(shelf / "model")
    assert told["log sha256"] == as_json(shelf / "log")["sha256"]
    assert told["quality"] == json.loads((shelf / "model" / "quality.json").read_text())
    text = inspect_lines(shelf / "model")
    lines = "\n".join(text).split("\n")
    table = [
        line for line in lines if re.match(r"(quality:)? +(error, 1 step  |world model|no change|linear|nearest)", line)
    ]
    assert len(table) == 5
    assert any(line.startswith(" " * 18 + "terminations:") for line in lines)


def test_the_parameters_are_counted(shelf):
    # CartPole with 4 hidden units: context 4 -> 4 -> 4, reward (4 + 2 actions) -> 4 -> 1.
    assert as_json(shelf / "bandit")["parameters"] == (4 * 4 + 4) + (4 * 4 + 4) + (6 * 4 + 4) + (4 + 1)


def test_an_evolution_is_told(shelf, tmp_path):
    shutil.copytree(shelf / "bandit", tmp_path / "bandit")
    history = {"fitness_mean": [1, 2], "check_mean": [9, 8], "best_check": 9, "real_steps": 1234}
    provenance = read_artifact_json(tmp_path / "bandit")["provenance"]
    edit_artifact(tmp_path / "bandit", provenance={**provenance, "history": history})
    assert (
        as_json(tmp_path / "bandit")["evolution"]
        == "2 generations, 1,234 real steps, fresh agents reach 9.0 in the best"
    )


def test_a_run_is_described(tmp_path):
    row = {"world": "real", "method": "ppo", "iqm": 499.5, "ci_low": 490.0, "ci_high": 500.0}
    (tmp_path / "results.json").write_text(json.dumps({"env": "CartPole-v1", "threshold": 475.0, "rows": [row]}))
    assert as_json(tmp_path) == {
        "kind": "run",
        "environment": "CartPole-v1",
        "threshold": 475.0,
        "ppo on real": "499.5 [490.0, 500.0]",
    }


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"env": 1, "threshold": 2, "rows": [{}]}', "{"])
def test_a_damaged_run_is_told(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(InputError, match="damaged"):
        inspect_lines(tmp_path)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_nothing_known_is_told(tmp_path, make):
    make(tmp_path / "what")
    with pytest.raises(InputError, match=r"expected a log, an artifact or a finished run at .*what"):
        inspect_lines(tmp_path / "what")


@pytest.mark.parametrize("folder", ["log", "model", "bandit", "policy"])
def test_any_flipped_bit_or_lost_byte_is_refused_or_harmless(shelf, tmp_path, folder):
    """All data are guarded by a checksum. Notes on a log's origin are not: a flip there may pass, but never as a
    crash."""
    rng = random.Random(0)
    shutil.copytree(shelf / folder, tmp_path / "it")
    expected = inspect_lines(tmp_path / "it")
    for file in sorted(path for path in (tmp_path / "it").rglob("*") if path.is_file()):
        whole = file.read_bytes()
        for _ in range(20):
            place = rng.randrange(len(whole))
            flipped = bytes([whole[place] ^ 1 << rng.randrange(8)])
            for damaged in (whole[:place], whole[:place] + flipped + whole[place + 1 :]):
                file.write_bytes(damaged)
                try:
                    found = inspect_lines(tmp_path / "it")
                except InputError:
                    continue
                guarded = slice(-1) if folder == "log" else slice(None)  # the last line of a log is its origin
                assert found[guarded] == expected[guarded], (file.name, place)
        file.write_bytes(whole)
    assert inspect_lines(tmp_path / "it") == expected
