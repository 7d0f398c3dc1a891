"""The study, much shrunk: all that it promises is there, and a killed one ends where an uninterrupted one ends."""

import csv
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.agent_policy import load_policy
from envs.evaluate import evaluate
from envs.logs import open_log
from experiments.cli import main
from experiments.inspect import inspect_lines
from experiments.results import Row, row_from_json
from experiments.statistics import bootstrap_interval, interquartile_mean
from synthetic_envs.saving import load_synthetic
from worldmodels.saving import load_model

pytestmark = pytest.mark.slow

STAGES = ["logs", "world-model", "bandit", "none-random", "real-ppo", "world-model-ppo", "bandit-ppo",
          "world-model-random-shooting", "world-model-mcts", "world-model-ranking"]  # fmt: skip
ROWS = [
    ("none", "random"),
    ("real", "ppo"),
    ("world-model", "ppo"),
    ("bandit", "ppo"),
    ("world-model", "random-shooting"),
    ("world-model", "mcts"),
]
COMMAND = [
    "transfer", "--preset", "cartpole-small", "--config.log-steps", "500", "--config.num-seeds", "2",
    "--config.num-episodes", "1", "--config.real-steps", "256", "--config.model-steps", "256",
    "--config.bandit-steps", "128", "--config.ppo.num-envs", "4", "--config.ppo.num-epochs", "1",
    "--config.ppo.hidden", "8", "--config.evolution.num-generations", "1", "--config.evolution.population-size", "2",
    "--config.evolution.num-checks", "1", "--config.evolution-episodes", "1", "--config.fit.num-updates", "10",
    "--config.ensemble.num-members", "2", "--config.ensemble.hidden", "8", "--config.ensemble.termination-hidden", "8",
    "--config.mcts.num-simulations", "2",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """An uninterrupted study."""
    path = tmp_path_factory.mktemp("uninterrupted") / "run"
    main([*COMMAND, "--out", str(path)])
    return path


def content_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text(), parse_constant=pytest.fail)


def rows_of(run: Path) -> list[Row]:
    return [row_from_json(row) for row in content_of(run)["rows"]]


def test_everything_promised_is_there(run):
    assert {path.name for path in run.iterdir()} == {
        "logs", "worlds", "policies", "stages", "report.html", "results.json", "results.csv", "config.json"
    }  # fmt: skip
    assert sorted(path.stem for path in (run / "stages").iterdir()) == sorted(STAGES)
    policies = {f"{world}-ppo-seed{seed}" for world in ("real", "world-model", "bandit") for seed in (0, 1)}
    assert {path.name for path in (run / "policies").iterdir()} == policies
    assert {path.name for path in (run / "worlds").iterdir()} == {"world-model", "bandit"}
    page = (run / "report.html").read_text()
    assert page.endswith("</html>\n")
    assert page.count("<img ") == 11
    assert "Not solved:" in page  # with so little training


def test_results_json_has_exactly_the_promised_shape(run):
    content = content_of(run)
    assert list(content) == ["env", "threshold", "rows", "config", "versions"]
    assert (content["env"], content["threshold"]) == ("CartPole-v1", 475.0)
    assert [(row["world"], row["method"]) for row in content["rows"]] == ROWS
    for row in content["rows"]:
        assert list(row) == ["world", "method", "seeds", "iqm", "ci_low", "ci_high", "worst", "real_steps", "seconds"]
        assert [seed["seed"] for seed in row["seeds"]] == [0, 1]
        assert all(len(seed["returns"]) == 1 for seed in row["seeds"])
    assert content["config"] == json.loads((run / "config.json").read_text())["config"]


def test_the_numbers_follow_from_the_returns(run):
    for row in rows_of(run):
        scores = np.array([np.mean(seed.returns) for seed in row.seeds])
        assert row.iqm == interquartile_mean(scores)
        assert (row.ci_low, row.ci_high) == bootstrap_interval(scores)
        assert row.worst == scores.min()
    lines = list(csv.DictReader((run / "results.csv").read_text().splitlines()))
    assert [float(line["iqm"]) for line in lines] == [row.iqm for row in rows_of(run)]


def test_real_steps_are_counted(run):
    bandit = json.loads((run / "stages" / "bandit.json").read_text())
    found = {(row.world, row.method): row.real_steps for row in rows_of(run)}
    evolved = bandit["history"]["real_steps"]
    assert 0 < evolved == found["bandit", "ppo"]
    assert [found[row] for row in ROWS] == [0, 256, 500, evolved, 500, 500]


def test_every_part_is_loadable_on_its_own(run, tmp_path):
    for part in ["logs", "worlds/world-model", "worlds/bandit", "policies/real-ppo-seed0"]:
        shutil.copytree(run / part, tmp_path / Path(part).name)
    assert open_log(tmp_path / "logs").num_steps == 500
    assert load_model(tmp_path / "world-model").spec.env_id == "CartPole-v1"
    assert load_synthetic(tmp_path / "bandit")[0].spec.env_id == "CartPole-v1"
    for name, path in (("WorldModel", "world-model"), ("Synthetic", "bandit")):
        env = gymnasium.make(f"simulacra/{name}-v0", path=str(tmp_path / path))
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation)
        env.close()
    for path in [run / "logs", *(run / "worlds").iterdir(), *(run / "policies").iterdir(), run]:
        assert inspect_lines(path)


def test_a_saved_policy_returns_what_the_table_says(run):
    row = rows_of(run)[ROWS.index(("world-model", "ppo"))]
    for seed in row.seeds:
        policy = load_policy(run / "policies" / f"world-model-ppo-seed{seed.seed}")
        assert evaluate(policy, "CartPole-v1", 1, 1_000_000 + seed.seed).returns.tolist() == seed.returns


def test_resuming_a_finished_study_does_nothing_again(run, capsys):
    def written() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in run.rglob("*") if path.parent.name == "stages"}

    before, table = written(), content_of(run)
    main([*COMMAND, "--out", str(run), "--resume"])
    assert written() == before
    assert content_of(run) == table
    assert "report: " in capsys.readouterr().out


def test_a_finished_study_is_kept_and_not_resumed_as_another(run, capsys):
    for more, told in (([], "already holds a run"), (["--resume", "--config.seed", "1"], "seed was 0 and is now 1")):
        with pytest.raises(SystemExit) as stopped:
            main([*COMMAND, "--out", str(run), *more])
        assert stopped.value.code == 2
        assert told in capsys.readouterr().err


def in_process(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from experiments.cli import main; main()", *arguments]


def kill_after(stage: str, delay: float, path: Path) -> None:
    """Starts a study in a process of its own and kills it ``delay`` seconds after ``stage`` was finished."""
    process = subprocess.Popen(
        in_process(*COMMAND, "--out", str(path)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not (path / "stages" / f"{stage}.json").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(delay)
    process.kill()
    _, told = process.communicate()
    assert process.returncode == -signal.SIGKILL, told.decode()


def same_but_seconds(run: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in content_of(run)["rows"]]


def test_a_killed_study_ends_where_an_uninterrupted_one_ends(run, tmp_path):
    """The same seed in another process, killed at some moment, gives the same returns and weights, bit for bit."""
    stage, delay = random.choice(STAGES[:-3]), random.uniform(0.0, 1.0)
    print(f"killed {delay:.3f} s after {stage}")  # shown when the test fails
    path = tmp_path / "run"
    kill_after(stage, delay, path)
    assert not (path / "results.json").exists()
    for file in (path / "stages").glob("[!.]*"):
        json.loads(file.read_text())
    main([*COMMAND, "--out", str(path), "--resume"])
    assert same_but_seconds(path) == same_but_seconds(run)
    assert open_log(path / "logs").sha256 == open_log(run / "logs").sha256
    weights = sorted(file.relative_to(run) for file in run.rglob("*.safetensors"))
    assert len(weights) == 2 + 6
    for file in weights:
        assert (path / file).read_bytes() == (run / file).read_bytes(), file
