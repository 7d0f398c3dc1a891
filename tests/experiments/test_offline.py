"""From logs to agents judged for real: what the study promises is there, it resumes, and mistakes are told."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.agent_policy import load_policy
from agents.configs import PPOConfig, SACConfig
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.logs import open_log
from envs.policy import RandomPolicy
from envs.record import record
from envs.spec import spec_of
from experiments.cli import main
from experiments.configs import BranchedConfig, OfflineConfig
from experiments.inspect import inspect_lines
from experiments.offline import agent_for, gap_told, make_gap, offline
from experiments.results import SeedReturns
from experiments.statistics import bootstrap_interval, interquartile_mean
from worldmodels.configs import EnsembleConfig, FitConfig, RolloutLengthConfig
from worldmodels.saving import load_model

MODEL = EnsembleConfig(num_members=2, hidden=(8,), termination_hidden=(8,))
CONFIG = OfflineConfig(
    seeds=2,
    episodes=2,
    fit=FitConfig(num_updates=4),
    sac=SACConfig(total_steps=80, num_envs=4, gradient_steps=1, batch_size=16, warmup_steps=20, hidden=(8,)),
    ppo=PPOConfig(total_steps=80, num_envs=4, num_steps=5, num_epochs=1, num_minibatches=1, hidden=(8,)),
    branched=BranchedConfig(
        num_epochs=3, gradient_steps=5, num_rollouts=10, length=RolloutLengthConfig(1, 3, 0, 2), keep_epochs=2
    ),
)
COMMAND = [
    "--seeds", "2", "--episodes", "1", "--fit.num-updates", "2", "--ensemble.num-members", "1",
    "--ensemble.hidden", "4", "--ensemble.termination-hidden", "4", "--ppo.total-steps", "64", "--ppo.num-envs", "2",
    "--ppo.hidden", "4", "--ppo.num-epochs", "1",
]  # fmt: skip


@pytest.fixture(scope="module")
def pendulum_log(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pendulum") / "log"
    record(RandomPolicy(spec_of("Pendulum-v1")), "Pendulum-v1", 800, 0, path)
    return path


@pytest.fixture(scope="module")
def run(pendulum_log, tmp_path_factory) -> Path:
    """An uninterrupted study of SAC."""
    path = tmp_path_factory.mktemp("uninterrupted") / "run"
    offline(pendulum_log, path, CONFIG, MODEL, progress=False)
    return path


def content_of(run: Path) -> dict:
    return json.loads((run / "results.json").read_text(), parse_constant=pytest.fail)


def test_everything_promised_is_there(run):
    assert {path.name for path in run.iterdir()} == {
        "worlds", "policies", "stages", "report.html", "results.json", "results.csv", "config.json"
    }  # fmt: skip
    assert {path.stem for path in (run / "stages").iterdir()} == {"world-model", "random", "sac-seed0", "sac-seed1"}
    assert {path.name for path in (run / "policies").iterdir()} == {"sac-seed0", "sac-seed1"}
    page = (run / "report.html").read_text()
    assert page.endswith("</html>\n")
    for told in ("Trained only inside a world model of 800 logged steps", "What it promised", "The world model"):
        assert told in page
    assert any("sac on world-model" in line for line in inspect_lines(run))


def test_the_numbers_follow_from_the_returns(run):
    content = content_of(run)
    assert [(row["world"], row["method"], row["real_steps"]) for row in content["rows"]] == [
        ("none", "random", 0), ("world-model", "sac", 800),
    ]  # fmt: skip
    scores = {}
    for row in content["rows"]:
        assert [seed["seed"] for seed in row["seeds"]] == [0, 1]
        scores[row["method"]] = np.array([np.mean(seed["returns"]) for seed in row["seeds"]])
        assert row["iqm"] == interquartile_mean(scores[row["method"]])
    gap = content["gap"]
    imagined = np.array([np.mean(seed["returns"]) for seed in gap["imagined"]])
    assert gap["gap"] == interquartile_mean(imagined - scores["sac"])
    assert (gap["gap_low"], gap["gap_high"]) == bootstrap_interval(imagined - scores["sac"])
    lines = list(csv.DictReader((run / "results.csv").read_text().splitlines()))
    assert [float(line["iqm"]) for line in lines] == [row["iqm"] for row in content["rows"]]


def test_a_saved_policy_returns_what_the_table_says(run):
    for seed in content_of(run)["rows"][1]["seeds"]:
        policy = load_policy(run / "policies" / f"sac-seed{seed['seed']}")
        assert evaluate(policy, "Pendulum-v1", 2, 1_000_000 + seed["seed"]).returns.tolist() == seed["returns"]


def test_seeds_differ_and_share_one_model_of_the_log(run, pendulum_log):
    policies = [load_policy(run / "policies" / f"sac-seed{seed}") for seed in (0, 1)]
    weights = [policy.params["actor"]["0"]["w"] for policy in policies]
    assert np.abs(weights[0] - weights[1]).max() > 1e-3
    assert load_model(run / "worlds" / "world-model").trained.provenance["log_sha256"] == open_log(pendulum_log).sha256


def test_an_interrupted_study_ends_where_an_uninterrupted_one_ends(run, pendulum_log, tmp_path):
    """As if killed while the second agent trained: with its policy written, but not yet what it is worth."""
    path = tmp_path / "run"
    shutil.copytree(run, path)
    for name in ("stages/sac-seed1.json", "results.json", "results.csv", "report.html"):
        (path / name).unlink()
    kept = (path / "stages" / "sac-seed0.json").stat().st_mtime_ns
    offline(pendulum_log, path, CONFIG, MODEL, resume=True, progress=False)
    assert (path / "stages" / "sac-seed0.json").stat().st_mtime_ns == kept
    files = sorted(file.relative_to(run) for file in run.rglob("*.safetensors"))
    assert len(files) == 3
    for file in files:
        assert (path / file).read_bytes() == (run / file).read_bytes(), file
    returns = [[row["seeds"] for row in content_of(one)["rows"]] for one in (path, run)]
    assert returns[0] == returns[1]
    assert content_of(path)["gap"] == content_of(run)["gap"]


def test_a_run_is_not_resumed_with_other_settings_or_another_log(run, pendulum_log, tmp_path):
    with pytest.raises(InputError, match="episodes was 2 and is now 3"):
        offline(pendulum_log, run, replace(CONFIG, episodes=3), MODEL, resume=True)
    other = record(RandomPolicy(spec_of("Pendulum-v1")), "Pendulum-v1", 800, 1, tmp_path / "log")
    with pytest.raises(InputError, match="log_sha256 was"):
        offline(other.path, run, CONFIG, MODEL, resume=True)
    with pytest.raises(InputError, match="already holds a run"):
        offline(pendulum_log, run, CONFIG, MODEL)


def test_branched_rollouts_in_a_model_that_is_there(run, pendulum_log, tmp_path):
    config = replace(CONFIG, experience="branched", seeds=1, sac=replace(CONFIG.sac, gradient_steps=2))
    model = run / "worlds" / "world-model"
    results, gap = offline(pendulum_log, tmp_path / "run", config, model, progress=False)
    assert not (tmp_path / "run" / "worlds").exists()
    assert np.isfinite([results.row("world-model", "sac").iqm, gap.gap]).all()
    curve = json.loads((tmp_path / "run" / "stages" / "sac-seed0.json").read_text())["curve"]
    assert curve["steps"] == [10, 30, 60]  # rollouts of 1, 2 and 3 steps, none of which ends early
    again, _ = offline(pendulum_log, tmp_path / "again", config, model, progress=False)
    assert again.rows[1].seeds == results.rows[1].seeds


def test_branched_rollouts_serve_discrete_actions_as_well(shelf, tmp_path):
    config = replace(CONFIG, experience="branched", seeds=1)
    results, _ = offline(shelf / "log", tmp_path / "run", config, shelf / "model", progress=False)
    assert results.row("world-model", "sac").worst >= 8  # CartPole's least


def test_the_command_by_default_trains_ppo_where_actions_are_discrete(shelf, tmp_path, capsys):
    main(["offline", "--logs", str(shelf / "log"), "--out", str(tmp_path / "run"), *COMMAND])
    told = capsys.readouterr().out
    assert "ppo, seed 1: real return" in told
    assert "imagined minus real" in told
    assert (tmp_path / "run" / "report.html").is_file()


def test_the_agent_follows_from_the_actions(shelf, pendulum_log):
    for log, experience, expected in (
        (shelf / "log", "episodes", CONFIG.ppo),
        (shelf / "log", "branched", CONFIG.sac),
        (pendulum_log, "episodes", CONFIG.sac),
    ):
        assert agent_for(open_log(log), replace(CONFIG, experience=experience)) is expected
    assert agent_for(open_log(pendulum_log), replace(CONFIG, algorithm="ppo")) is CONFIG.ppo


def test_the_gap_by_hand():
    imagined = [SeedReturns(seed, [10.0 * seed, 20.0]) for seed in range(4)]
    real = [SeedReturns(0, [0.0]), SeedReturns(1, [5.0]), SeedReturns(2, [10.0]), SeedReturns(3, [100.0])]
    gap = make_gap(imagined, real)  # imagined means 10, 15, 20, 25; gaps 10, 10, 10, -75
    assert (gap.imagined_iqm, gap.gap) == (17.5, 10.0)
    assert gap.gap_low < 10.0 == gap.gap_high
    assert "return 17.5: imagined minus real +10.0" in gap_told(gap)


def test_a_model_of_another_log_is_refused(shelf, pendulum_log, tmp_path):
    record(RandomPolicy(spec_of("CartPole-v1")), "CartPole-v1", 100, 5, tmp_path / "log")
    with pytest.raises(InputError, match=r"expected a world model learned from the log at .*, found one .* another"):
        offline(tmp_path / "log", tmp_path / "run", CONFIG, shelf / "model")
    assert not (tmp_path / "run").exists()


def refused(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["offline", *map(str, arguments)])
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seeds", 0], "the study's seeds of at least 1, got 0"),
        (["--episodes", 0], "the study's episodes of at least 1, got 0"),
        (["--seed", 2**32], "the study's seed from 0 to"),
        (["--algorithm", "ppo", "--experience", "branched"], "branched experience for SAC"),
        (["--branched.real-share", 1.5], "branched real_share in [0, 1], got 1.5"),
        (["--imagination.pessimism", -1], "pessimism of at least 0"),
    ],
)
def test_settings_out_of_range_are_told_before_any_work(capsys, shelf, tmp_path, arguments, told):
    assert told in refused(capsys, "--logs", shelf / "log", "--out", tmp_path / "run", *arguments)
    assert not (tmp_path / "run").exists()


def test_what_does_not_fit_together_is_told(capsys, shelf, tmp_path):
    out = ["--out", tmp_path / "run"]
    told = refused(capsys, "--logs", shelf / "log", *out, "--model", shelf / "model", "--family", "mlp")
    assert "expected settings of a world model to fit, or the world model at --model, got both" in told
    assert "found a policy" in refused(capsys, "--logs", shelf / "log", *out, "--model", shelf / "policy")
    record(RandomPolicy(spec_of("FrozenLake-v1")), "FrozenLake-v1", 50, 0, tmp_path / "frozen")
    assert "PPO does not fit: expected a Box of vectors as observation space of FrozenLake-v1" in refused(
        capsys, "--logs", tmp_path / "frozen", *out
    )
    assert not (tmp_path / "run").exists()
