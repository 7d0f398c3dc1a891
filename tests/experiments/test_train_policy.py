"""``simulacra train``: what it leaves behind, and that a killed training ends where an uninterrupted one ends."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.agent_policy import load_policy
from agents.configs import CONFIGS, SACConfig
from agents.table import ALGORITHMS
from envs.artifact import load_artifact, read_artifact_json
from experiments.agent_presets import AGENT_PRESETS, agent_preset
from experiments.cli import main, parse
from experiments.train_loops import points_at

TINY = {
    "ppo": ["--agent.num-envs", "2", "--agent.num-steps", "8", "--agent.num-epochs", "1", "--agent.hidden", "8"],
    "sac": ["--agent.num-envs", "2", "--agent.num-steps", "8", "--agent.hidden", "8", "--agent.batch-size", "8",
            "--agent.gradient-steps", "1", "--agent.warmup-steps", "20"],
}  # fmt: skip
HIDDEN = "simulacra/PositionOnlyCartPole-v1"
"""A real environment without compiled dynamics: it is trained on the host."""


def command(
    out: Path, *options: str, world: str = "CartPole-v1", algorithm: str = "ppo", steps: int = 640
) -> list[str]:
    given = ["train", "--world", world, "--out", str(out), "--algorithm", algorithm]
    return [*given, "--agent.total-steps", str(steps), *TINY[algorithm], *options]


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def require_same(one: Path, other: Path) -> None:
    ours, theirs = (load_artifact(out).tensors for out in (one, other))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.tobytes() == theirs[name].tobytes(), name
    metrics = [(out / "training" / "seed-0" / "metrics.csv").read_text() for out in (one, other)]
    assert metrics[0] == metrics[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "policy"
    main(command(out))
    return out


def test_the_policy_lies_beside_its_report_and_its_metrics_and_nothing_else_stays(whole):
    files = {path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()}
    events = {name for name in files if "/events." in name}
    assert len(events) == 1
    assert files - events == {
        "artifact.json", "tensors.safetensors", "report.html", "training/seed-0/metrics.csv"
    }  # fmt: skip
    assert [path.name for path in whole.parent.iterdir()] == ["policy"]
    rows = list(csv.DictReader(io.StringIO((whole / "training" / "seed-0" / "metrics.csv").read_text())))
    assert [int(float(row["step"])) for row in rows] == list(range(32, 641, 32))
    assert {"return", "episode_return", "policy_loss", "value_loss", "entropy", "approx_kl"} <= rows[0].keys()
    curve = read_artifact_json(whole)["provenance"]["curve"]
    assert [float(row["return"]) for row in rows] == curve["returns"][0]
    page = (whole / "report.html").read_text()
    assert "PPO on CartPole-v1" in page
    assert "agent" not in page or "num_envs = 2" in page
    assert load_policy(whole).config.num_envs == 2


def test_a_complete_policy_is_not_trained_again_and_another_is_refused(whole, capsys):
    main(command(whole, "--resume"))
    assert "is complete; nothing is left to do" in capsys.readouterr().out
    assert "agent.gamma was 0.98 and is now 0.9" in refused(capsys, command(whole, "--resume", "--agent.gamma", "0.9"))
    assert "already exists" in refused(capsys, command(whole))


def test_what_resumes_must_be_the_same_training(tmp_path, capsys, monkeypatch):
    from experiments import train_folder

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_folder.TrainFolder, "log", stop)
        with pytest.raises(SystemExit) as stopped:
            main(command(tmp_path / "it"))
    assert stopped.value.code == 130
    assert "interrupted; with --resume it goes on where it stopped" in capsys.readouterr().err
    assert "already holds a training" in refused(capsys, command(tmp_path / "it"))
    assert "seed was 0 and is now 1" in refused(capsys, command(tmp_path / "it", "--resume", "--seed", "1"))
    main(command(tmp_path / "it", "--resume"))


@pytest.mark.parametrize(("num_updates", "part"), [(41, 41), (41, 7), (3, 3), (100, 50), (1, 1), (1000, 51)])
def test_points_of_the_curve_are_about_twenty_and_at_the_end_of_every_part(num_updates, part):
    points = points_at(num_updates, part)
    assert points == sorted(set(points))
    assert points[-1] == num_updates
    assert set(range(part, num_updates, part)) <= set(points)
    assert min(num_updates, 10) <= len(points) <= 41


def kill_when(condition, arguments: list[str]) -> None:
    """Runs a training as a process of its own and kills it as soon as ``condition`` holds."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-c", "from experiments.cli import main; main()", *arguments]
    process = subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not condition():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("world", "algorithm", "steps"),
                         [("CartPole-v1", "sac", 16000), (HIDDEN, "ppo", 12000)])  # fmt: skip
def test_killed_at_any_moment_and_resumed_it_ends_where_the_whole_training_ends(world, algorithm, steps, tmp_path):
    settings = {"world": world, "algorithm": algorithm, "steps": steps}
    main(command(tmp_path / "whole", **settings))
    out, kept = tmp_path / "killed", tmp_path / "killed.train" / "training"

    def saved_since(before: float):
        return lambda: any(file.stat().st_mtime > before for file in kept.glob("*.checkpoint"))

    kill_when(kept.is_dir, command(out, **settings))
    for _ in range(2):
        kill_when(saved_since(time.time()), command(out, "--resume", **settings))
    assert not out.exists()
    main(command(out, "--resume", **settings))
    require_same(out, tmp_path / "whole")
    assert not kept.parent.exists()


# From logs


QUICK_LOG = ["--gradient-steps", "40", "--agent.hidden", "8"]
QUICK_IQL = [*QUICK_LOG, "--agent.batch-size", "16", "--agent.warmup-steps", "20", "--agent.total-steps", "200"]


def test_from_a_log_alone_and_then_on(shelf, tmp_path, capsys):
    logs = ["--logs", str(shelf / "log")]
    main(["train", *logs, "--out", str(tmp_path / "alone"), "--algorithm", "iql", *QUICK_IQL])
    main(["train", *logs, "--out", str(tmp_path / "on"), "--algorithm", "iql", "--world", "CartPole-v1", *QUICK_IQL])
    for name, folders in (("alone", {"log-seed-0"}), ("on", {"log-seed-0", "seed-0"})):
        assert {path.name for path in (tmp_path / name / "training").iterdir()} == folders
        assert "learning curve" in (tmp_path / name / "report.html").read_text()
    one, other = ((tmp_path / name / "training" / "log-seed-0" / "metrics.csv").read_text() for name in ("alone", "on"))
    assert one == other
    assert one.count("\n") == 1 + 20
    ours, theirs = (load_artifact(tmp_path / name).tensors for name in ("alone", "on"))
    assert any(value.tobytes() != theirs[name].tobytes() for name, value in ours.items())  # it went on learning
    main(["train", *logs, "--out", str(tmp_path / "on"), "--algorithm", "iql", "--world", "CartPole-v1", *QUICK_IQL,
          "--resume"])  # fmt: skip
    assert "is complete" in capsys.readouterr().out
    told = refused(capsys, ["train", *logs, "--out", str(tmp_path / "on"), "--algorithm", "iql", *QUICK_IQL,
                            "--resume"])  # fmt: skip
    assert "world was 'CartPole-v1' and is now None" in told


def test_ppo_starts_with_cloned_behaviour(shelf, tmp_path):
    out = tmp_path / "policy"
    main(["train", "--logs", str(shelf / "log"), "--gradient-steps", "40", *command(out)[1:]])
    rows = (out / "training" / "log-seed-0" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 20
    assert load_policy(out).config.label == "PPO"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--algorithm", "ppo"], "PPO needs whole rollouts: it cannot learn from the single steps of a log"),
        (["--algorithm", "td3-bc"], r"TD3\+BC does not fit: expected a vector Box action space of CartPole-v1"),
        (["--algorithm", "iql", "--world", "Pendulum-v1"], "disagree on env_id: Pendulum-v1 against CartPole-v1"),
        (["--algorithm", "bc", "--world", "CartPole-v1"], "an agent that learns by collecting such as ppo"),
        (["--algorithm", "iql", "--gradient-steps", "0"], "gradient_steps on a log of at least 1, got 0"),
    ],
)
def test_what_cannot_learn_so_is_told_before_anything_is_made(shelf, tmp_path, capsys, arguments, told):
    found = refused(capsys, ["train", "--logs", str(shelf / "log"), "--out", str(tmp_path / "it"), *arguments])
    assert re.search(told, found), found
    assert list(tmp_path.iterdir()) == []


def test_neither_a_world_nor_a_log_is_told(tmp_path, capsys):
    assert "expected --world to train on, --logs to learn from" in refused(capsys, ["train", "--out", str(tmp_path)])


def test_settings_are_those_tuned_for_the_environment_that_a_world_or_a_log_stands_for(shelf):
    for option, source in (("--world", "CartPole-v1"), ("--world", shelf / "model"), ("--logs", shelf / "log")):
        for algorithm in ("ppo", "sac"):
            found = parse(["train", option, str(source), "--out", "x", "--algorithm", algorithm])
            assert found.agent == agent_preset("CartPole-v1", algorithm)
    assert parse(["train", "--world", "Nowhere-v0", "--out", "x", "--algorithm=sac"]).agent == SACConfig()


def test_every_algorithm_has_its_settings_and_its_name():
    assert {name: one.config_type for name, one in ALGORITHMS.items()} == CONFIGS
    assert all(type(config) is CONFIGS[algorithm] for (_, algorithm), config in AGENT_PRESETS.items())
