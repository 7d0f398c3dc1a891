"""What is finished in a run's folder stays finished; nothing of anybody else's is touched."""

import json
from pathlib import Path

import pytest

from envs.errors import InputError
from envs.work_folder import differences
from experiments.run_folder import RunFolder

CONFIG = {"seed": 0, "ppo": {"gamma": 0.99, "hidden": [64]}}


def kept(run: Path) -> dict:
    return json.loads((run / "config.json").read_text())["config"]


def test_a_new_run_keeps_its_configuration(tmp_path):
    RunFolder(tmp_path / "deep" / "run", CONFIG)
    assert kept(tmp_path / "deep" / "run") == CONFIG


def test_a_run_that_is_there_is_refused_and_kept(tmp_path):
    RunFolder(tmp_path, CONFIG).stage("logs", lambda: {"steps": 3})
    with pytest.raises(InputError, match=r"already holds a run; give --resume .* or --overwrite"):
        RunFolder(tmp_path, CONFIG)
    assert json.loads((tmp_path / "stages" / "logs.json").read_text()) == {"steps": 3}


def test_a_finished_stage_is_not_done_again(tmp_path):
    done = []

    def work():
        done.append(1)
        return {"steps": len(done)}

    assert RunFolder(tmp_path, CONFIG).stage("logs", work) == {"steps": 1}
    resumed = RunFolder(tmp_path, CONFIG, resume=True)
    assert resumed.stage("logs", work) == {"steps": 1}
    assert resumed.stage("other", work) == {"steps": 2}
    assert len(done) == 2


def test_a_stage_that_fails_is_done_again(tmp_path):
    folder = RunFolder(tmp_path, CONFIG)
    with pytest.raises(ZeroDivisionError):
        folder.stage("logs", lambda: 1 / 0)
    assert list((tmp_path / "stages").iterdir()) == []
    with pytest.raises(ValueError, match="JSON"):
        folder.stage("logs", lambda: {"return": float("nan")})
    assert list((tmp_path / "stages").iterdir()) == []
    assert RunFolder(tmp_path, CONFIG, resume=True).stage("logs", lambda: 1) == 1


def test_overwriting_starts_anew(tmp_path):
    RunFolder(tmp_path, CONFIG).stage("logs", lambda: 1)
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "notes.txt").write_text("the user's own")
    folder = RunFolder(tmp_path, {**CONFIG, "seed": 1}, overwrite=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "notes.txt", "stages"]
    assert folder.stage("logs", lambda: 2) == 2


def test_another_configuration_cannot_be_resumed_and_the_difference_is_told(tmp_path):
    RunFolder(tmp_path, CONFIG).stage("logs", lambda: 1)
    changed = {"seed": 5, "ppo": {"gamma": 0.9, "hidden": [64]}}
    with pytest.raises(
        InputError, match=r"config\.ppo\.gamma was 0\.99 and is now 0\.9; config\.seed was 0 and is now 5"
    ):
        RunFolder(tmp_path, changed, resume=True)
    assert kept(tmp_path) == CONFIG


def test_other_packages_cannot_go_on_with_it(tmp_path, monkeypatch):
    RunFolder(tmp_path, CONFIG)
    monkeypatch.setattr("experiments.run_folder.package_versions", lambda: {"jax": "99"})
    with pytest.raises(InputError, match=r"cannot resume .* with other settings: .*versions\.jax was .* is now '99'"):
        RunFolder(tmp_path, CONFIG, resume=True)


def test_resuming_where_nothing_is_starts_a_run(tmp_path):
    assert RunFolder(tmp_path / "new", CONFIG, resume=True).stage("logs", lambda: 1) == 1


def test_a_run_killed_before_its_configuration_was_written_can_be_resumed(tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / ".config.json.1.tmp").write_text("{")
    with pytest.raises(InputError, match="already holds a run"):
        RunFolder(tmp_path, CONFIG)
    RunFolder(tmp_path, CONFIG, resume=True)
    assert kept(tmp_path) == CONFIG


@pytest.mark.parametrize("files", [["thesis.tex"], ["config.json"], ["stages", "thesis.tex"]])
@pytest.mark.parametrize("ask", [{}, {"resume": True}, {"overwrite": True}])
def test_what_is_no_run_is_never_touched(tmp_path, files, ask):
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match="expected a new or empty folder or an older run"):
        RunFolder(tmp_path, CONFIG, **ask)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(files)


def test_odd_places_are_told(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match=r"expected a folder for the run at .*file, found a file"):
        RunFolder(file, CONFIG)
    with pytest.raises(InputError, match=r"expected a folder at .*file to make .*below in, found a file"):
        RunFolder(file / "run" / "below", CONFIG)
    with pytest.raises(InputError, match="at most one of --resume and --overwrite"):
        RunFolder(tmp_path / "run", CONFIG, resume=True, overwrite=True)


def test_a_damaged_configuration_is_told(tmp_path):
    RunFolder(tmp_path, CONFIG)
    (tmp_path / "config.json").write_text('{"seed": 0, "pp')
    with pytest.raises(InputError, match=r"expected JSON in .*config\.json, but it is damaged"):
        RunFolder(tmp_path, CONFIG, resume=True)


def test_differences_by_hand():
    assert differences(CONFIG, dict(CONFIG)) == []
    assert differences({"a": 1}, {"b": 2}) == ["a was 1 and is now None", "b was None and is now 2"]
    assert differences({"a": {"b": [1]}}, {"a": {"b": [2]}}) == ["a.b was [1] and is now [2]"]
