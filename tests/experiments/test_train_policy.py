"""``simulacra train``: what it leaves behind, and that a killed training ends where an uninterrupted one ends."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.agent_policy import load_policy
from envs.artifact import load_artifact, read_artifact_json
from experiments.cli import main
from experiments.train import _points_at

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
    points = _points_at(num_updates, part)
    assert points == sorted(set(points))
    assert points[-1] == num_updates
    assert set(range(part, num_updates, part)) <= set(points)
    assert min(num_updates, 10) <= len(points) <= 41


def kill_when(condition, arguments: list[str]) -> None:
    """Runs a training as a process of its own and kills it as soon as ``condition`` holds."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", "from experiments.cli import main; main()", *arguments], env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
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
