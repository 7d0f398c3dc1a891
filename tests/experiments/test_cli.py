"""The command ``simulacra`` as a user meets it: help at once, one sentence for every mistake, and the whole way."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from envs.chunks import ChunkSampler
from envs.errors import InputError
from envs.logs import open_log
from experiments.cli import main
from experiments.commands import COMMANDS

BIN = Path(sys.executable).parent
QUICK_AGENT = ["--agent.total-steps", "512", "--agent.num-epochs", "1", "--agent.hidden", "8"]
CSV_HEAD = "episode,observation_0,observation_1,observation_2,observation_3,action,reward,terminated,truncated\n"
CSV_ROWS = ["0,0,0,0,0,1,1,0,0", "0,0.1,0,0,0,0,1,1,0", "0,0.2,0,0,0,,,,", "1,0,0,0,0,1,1,0,1", "1,0,0,0,0,,,,"]


def refused(capsys, *arguments: object) -> str:
    """Runs a command that must fail; returns its one sentence."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.out == ""
    told = captured.err.rpartition("\r")[2].strip()  # what a progress bar left is wiped in a terminal
    assert "Traceback" not in told
    return told


def sentence(capsys, *arguments: object) -> str:
    """The same for mistakes in what was given, whose message is a line that starts with the program's name."""
    told = refused(capsys, *arguments)
    assert told.startswith("simulacra: ")
    assert "\n" not in told
    return told.removeprefix("simulacra: ")


def files_of(folder: Path) -> dict[Path, bytes | None]:
    """Everything below a folder, hidden files too."""
    return {file: file.read_bytes() if file.is_file() else None for file in folder.rglob("*")}


@pytest.fixture
def out(tmp_path):
    """Where a refused command must not have made anything; what else is in the test's folder must stay as it was."""
    yield tmp_path / "out"
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("*.tmp"))


# Help


def test_every_help_exits_with_0_and_imports_nothing_heavy():
    script = """
import sys
from experiments.cli import main
for arguments in ([], *([name] for name in sys.argv[1:])):
    try:
        main([*arguments, "--help"])
    except SystemExit as stopped:
        assert stopped.code == 0, (arguments, stopped.code)
    else:
        raise AssertionError(arguments)
heavy = {"torch", "jax", "gymnasium", "numpy", "lightning", "matplotlib", "pyarrow"} & sys.modules.keys()
assert not heavy, heavy
"""
    found = subprocess.run([sys.executable, "-c", script, *COMMANDS], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    for name in COMMANDS:
        assert re.search(rf"usage: simulacra {name} ", found.stdout), name
    assert "--config.ppo.learning-rate" in found.stdout  # of a study: every setting of every part


def test_the_installed_command_tells_a_mistake_and_exits_with_2(tmp_path):
    found = subprocess.run(
        [BIN / "simulacra", "collect", "--env", "CartPole-v9", "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 2
    assert re.fullmatch(
        r"simulacra: unknown environment id 'CartPole-v9'; did you mean 'CartPole-v1'.*\n", found.stderr
    )
    assert list(tmp_path.iterdir()) == []


# Names and usage


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["collect", "--env", "Cartpole-v1"], "unknown environment id 'Cartpole-v1'; did you mean 'CartPole-v1'"),
        (["collect", "--behaviour", "mixt"], "unknown behaviour 'mixt'; did you mean 'mixed'"),
        (["collect", "--env", "Taxi-v4", "--behaviour", "mixed"], "expected an environment with a scripted rule"),
        (["train", "--world", "CartPole-v7"], "unknown environment id 'CartPole-v7'; did you mean 'CartPole-v1'"),
        (["evolve", "--env", "CartPole-v7"], "unknown environment with compiled dynamics"),
        (["evolve", "--preset", "generall"], "unknown way to evolve 'generall'; did you mean 'general'"),
        (["transfer", "--preset", "cartpol"], "unknown preset 'cartpol'; did you mean 'cartpole'"),
        (["transfer", "--preset=cart-pole"], "unknown preset 'cart-pole'; did you mean 'cartpole'"),
        (["transfer", "--config.env-id", "CartPole-v7"], "unknown environment id 'CartPole-v7'"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(capsys, out, arguments, told):
    assert sentence(capsys, *arguments, "--out", out).startswith(told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["evaluate", "--policy", "cme"], "unknown policy 'cme'; did you mean 'cem'"),
        (["evaluate", "--policy", "random", "--env", "CartPole-v7"], "unknown environment id 'CartPole-v7'"),
        (["evaluate", "--policy", "cem", "--env", "CartPole-v7"], "unknown environment id 'CartPole-v7'"),
        (["evaluate", "--policy", "cem", "--env", "Blackjack-v1"], "the state of .*Blackjack.* cannot be restored"),
    ],
)
def test_unknown_names_in_evaluations_are_told(capsys, arguments, told):
    assert re.match(told, sentence(capsys, *arguments))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["collect", "--out", "x", "--stepz", "3"], "--stepz"),
        (["transfer", "--out", "x", "--config.ppo.gama", "0.9"], "--config.ppo.gama"),
        (["colect", "--out", "x"], "colect"),
        ([], "collect, fit, evolve, distil, train, evaluate, offline, transfer, zoo, report, inspect"),
        (["fit", "--out", "x"], "--logs"),
        (["inspect"], "PATH"),
        (["transfer", "--preset"], "--preset"),
        (["collect", "--out", "x", "--steps", "many"], "many"),
        (["fit", "--logs", "x", "--out", "y", "--ensemble.propagation", "best"], "mean.*ts1.*tsinf"),
        (["train", "--world", "x", "--out", "y", "--agent.activation", "selu"], "tanh.*relu.*leaky_relu.*silu"),
    ],
)
def test_usage_errors_name_the_argument(capsys, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert re.search(told, sentence(capsys, *arguments))
    assert list(tmp_path.iterdir()) == []


# Numbers out of range


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["collect", "--steps", 0], "expected num_steps of at least 1 .*, got 0"),
        (["collect", "--seed", -1], "expected .* a seed of at least 0, got .* -1"),
        (["train", "--world", "CartPole-v1", "--agent.gamma", 1.5], r"expected PPO's gamma in \[0, 1\], got 1.5"),
        (
            ["train", "--world", "CartPole-v1", "--agent.total-steps", 0],
            "expected PPO's total_steps of at least 1, got 0",
        ),
        (["train", "--world", "CartPole-v1", "--agent.learning-rate", "nan"], "learning_rate above 0, got nan"),
        (["train", "--world", "CartPole-v1", "--agent.num-minibatches", 7], "to divide .* = 512, got 7"),
        (["train", "--world", "CartPole-v1", "--agent.hidden"], r"one or more .*widths .*, got \(\)"),
        (["train", "--world", "CartPole-v1", "--seed", -1], "expected a seed from 0 to 4294967295, got -1"),
        (["train", "--world", "CartPole-v1", "--imagination.horizon", 0], "horizon of at least 1 step, got 0"),
        (["evolve", "--search.population-size", 3], "expected population_size even and at least 2.*, got 3"),
        (["evolve", "--search.num-generations", 0], "num_generations of at least 1, got 0"),
        (["evolve", "--fitness.num-episodes", 0], "expected the fitness's num_episodes of at least 1, got 0"),
        (["evolve", "--workers", 0], "expected the workers of an evolution of at least 1, got 0"),
        (["evolve", "--seed", -1], "expected a seed from 0 to 4294967295, got -1"),
        (["evolve", "--bandit.reward-hidden", 0], r"widths of at least 1, got \(0,\)"),
        (["fit", "--logs", "none", "--fit.num-updates", 0], "expected num_updates of at least 1, got 0"),
        (["fit", "--logs", "none", "--fit.test-fraction", 1.5], r"together below 1, got \(0.1, 1.5\)"),
        (["fit", "--logs", "none", "--fit.seed", -1], "expected seed of at least 0, got -1"),
        (["fit", "--logs", "none", "--ensemble.num-elites", 9], "num_elites from 1 to num_members, got 9"),
        (["transfer", "--config.num-seeds", 0], "num_seeds of at least 1, got 0"),
        (["transfer", "--config.seed", -1], "expected the study's seed from 0 .*, got -1"),
        (["transfer", "--config.ppo.gamma", 2], r"expected PPO's gamma in \[0, 1\], got 2.0"),
        (["transfer", "--config.mcts.horizon", 0], "expected horizon of at least 1, got 0"),
        (["transfer", "--config.imagination.uncertainty-quantile", 2], "uncertainty_quantile from 0 to 1, got 2.0"),
        (["transfer", "--config.bandit-axes", 0, 4], r"bandit_axes among the 4 dimensions .*, got \(0, 4\)"),
        (["transfer", "--config.observation-names", "x"], r"expected 4 observation_names, .*, got \('x',\)"),
        (["transfer", "--config.env-id", "FrozenLake-v1", "--config.behaviour", "random"], "compiled dynamics"),
        (["transfer", "--config.env-id", "Pendulum-v1"], "expected Discrete actions .*, Pendulum-v1 has Box"),
    ],
)
def test_numbers_out_of_range_are_told_before_any_work(capsys, out, arguments, told):
    assert re.search(told, sentence(capsys, *arguments, "--out", out))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--policy", "random", "--episodes", 0], "expected .*episode.*, got 0"),
        (["--policy", "random", "--seed", -1], "seed.* of at least 0.*, got .*-1"),
        (["--policy", "cem", "--cem.elite-fraction", 0], r"expected elite_fraction in \(0, 1\], got 0.0"),
        (["--policy", "mcts", "--mcts.num-simulations", 0], "expected num_simulations of at least 1, got 0"),
        (
            ["--policy", "gradient"],
            "gradient expects a bounded Box .* planners that serve it: random-shooting, cem, icem",
        ),
        (["--policy", "icem", "--icem.horizon", 0], "expected horizon of at least 1, got 0"),
        (["--policy", "mppi", "--mppi.num-sequences", 0], "expected num_sequences of at least 1, got 0"),
        (["--policy", "icem", "--icem.risk.num-particles", 0], "expected num_particles of at least 1, got 0"),
        (
            ["--policy", "cem", "--cem.risk.num-particles", 4, "--episodes", 1],
            "expected an ensemble or stochastic_model",
        ),
    ],
)
def test_evaluations_out_of_range_are_told(capsys, arguments, told):
    assert re.search(told, sentence(capsys, "evaluate", *arguments))


# Logs


def import_csv(capsys, tmp_path, out, rows: list[str], head: str = CSV_HEAD) -> str:
    (tmp_path / "log.csv").write_text(head + "\n".join(rows) + "\n")
    return sentence(capsys, "collect", "--source", tmp_path / "log.csv", "--out", out)


def test_a_csv_is_imported(tmp_path, capsys):
    (tmp_path / "log.csv").write_text(CSV_HEAD + "\n".join(CSV_ROWS) + "\n")
    main(["collect", "--source", str(tmp_path / "log.csv"), "--out", str(tmp_path / "log")])
    assert capsys.readouterr().out == f"3 steps in 2 episodes at {tmp_path / 'log'}\n"
    assert open_log(tmp_path / "log").lengths.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("row", "new", "told"),
    [
        (1, "0,nan,0,0,0,0,1,1,0", "observation_0 of episode 0, row 1 in .*log.csv: expected a finite number, got nan"),
        (3, "1,0,0,inf,0,1,1,0,1", "observation_2 of episode 1, row 0 in .*log.csv: expected a finite number, got inf"),
        (3, "1,0,0,0,0,1,nan,0,1", "reward of episode 1, row 0 in .*log.csv"),
        (1, "0,0.1,0,0,0,,1,1,0", "action of episode 0, row 1 in .*: expected a number, found an empty cell"),
        (1, "0,0.1,0,0,zero,0,1,1,0", "observation_3 of episode 0, row 1 in .*: expected a number, got 'zero'"),
        (0, "0,0,0,0,0,2,1,0,0", r"actions of episode 0, row 0: expected an action inside Discrete\(2\), got 2"),
        (0, "0,0,0,0,0,0.5,1,0,0", "actions of episode 0: expected int64 .*, got float64"),
        (0, "0,0,0,0,0,1,1,1,0", "terminated of episode 0, row 0 .*: expected 0 or 1, and 1 at the last step only"),
    ],
)
def test_wrong_cells_are_told_with_field_episode_and_row(capsys, tmp_path, out, row, new, told):
    assert re.search(told, import_csv(capsys, tmp_path, out, [*CSV_ROWS[:row], new, *CSV_ROWS[row + 1 :]]))


def test_missing_columns_and_rows_are_told(capsys, tmp_path, out):
    assert "expected the columns reward" in import_csv(capsys, tmp_path, out, CSV_ROWS, CSV_HEAD.replace("reward", "r"))
    assert "expected rows in" in import_csv(capsys, tmp_path, out, [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"observations": np.zeros((5, 3), np.float32)},
            r"observations of episode 0: expected shape \(5, 4\), got \(5, 3\)",
        ),
        ({"observations": np.full((5, 4), "a")}, "observations of episode 0: expected float32 or what converts to it"),
        (
            {"actions": np.array([0, 1, 5, 1, 0])},
            r"actions of episode 0, row 2: expected an action inside Discrete\(2\), got 5",
        ),
        ({"rewards": np.array([0, 1, np.nan, 0, 0])}, "rewards of episode 0, row 2: expected finite numbers, got nan"),
        ({"rewards": np.zeros(4)}, r"rewards in .*log.npz: expected 5 rows, as many as end flags, got shape \(4,\)"),
    ],
)
def test_arrays_of_a_wrong_shape_or_dtype_are_told(capsys, tmp_path, out, change, told):
    arrays = {
        "observations": np.zeros((5, 4), np.float32),
        "actions": np.zeros(5, np.int64),
        "rewards": np.ones(5),
        "terminated": np.zeros(5, bool),
        "truncated": np.array([0, 0, 0, 0, 1], bool),
    }
    np.savez(tmp_path / "log.npz", **{**arrays, **change})
    assert re.search(told, sentence(capsys, "collect", "--source", tmp_path / "log.npz", "--out", out))


def test_sources_that_are_no_log_are_told(capsys, tmp_path, out):
    def told(*arguments: object) -> str:
        return sentence(capsys, "collect", "--out", out, "--source", *arguments)

    (tmp_path / "log.txt").write_text("what")
    (tmp_path / "log.npz").write_bytes(b"what")
    assert told(tmp_path / "none.csv").startswith("expected data to import at")
    assert told(tmp_path / "log.txt").startswith("expected a Minari folder or a file ending in")
    assert told(tmp_path / "log.txt", "--source-format", "cvs").startswith(
        "unknown file format 'cvs'; did you mean 'csv'"
    )
    assert "log.npz" in told(tmp_path / "log.npz")


def test_missing_and_empty_logs_are_told(capsys, tmp_path, out, shelf):
    def told(logs: Path) -> str:
        return sentence(capsys, "fit", "--logs", logs, "--out", out)

    (tmp_path / "empty").mkdir()
    assert re.match(r"expected a log folder at .*none, found nothing", told(tmp_path / "none"))
    assert re.match(r"expected a log with a manifest.json at .*empty, found a folder without", told(tmp_path / "empty"))
    assert re.match(r"expected a log with a manifest.json at .*model", told(shelf / "model"))
    main(["collect", "--steps", "20", "--out", str(tmp_path / "short")])
    capsys.readouterr()
    assert "expected a log of at least 3 episodes" in told(tmp_path / "short")


def test_episodes_shorter_than_the_chunks_are_told(shelf):
    log = open_log(shelf / "log")
    with pytest.raises(InputError, match=r"\d+ of \d+ episodes in .*log are shorter than 15 steps \(episode \d+ has"):
        ChunkSampler(log, 15)
    with pytest.raises(InputError, match=r"expected an episode of at least 401 steps in .*log, all \d+ are shorter"):
        ChunkSampler(log, 401, short_episodes="skip")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 16
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def make_newer(file: Path) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "format_version": 99}))


def make_pickle(file: Path) -> None:
    file.write_bytes(pickle.dumps({"weights": [1.0]}))


@pytest.mark.parametrize(
    ("file", "damage", "told"),
    [
        ("observations.npy", flip, r"observations.npy was changed: its SHA-256 is not"),
        ("episode_starts.npy", truncate, r"episode_starts.npy is truncated: expected \d+ bytes, found \d+"),
        ("manifest.json", truncate, r"expected JSON in .*manifest.json, but it is damaged"),
        ("manifest.json", make_newer, r"expected log format 1 or older in .*manifest.json, found 99"),
        ("rewards.npy", Path.unlink, r"expected .*rewards.npy, which manifest.json describes, found nothing"),
    ],
)
def test_damaged_logs_are_told(capsys, tmp_path, out, shelf, file, damage, told):
    shutil.copytree(shelf / "log", tmp_path / "log")
    damage(tmp_path / "log" / file)
    assert re.search(told, sentence(capsys, "fit", "--logs", tmp_path / "log", "--out", out))
    assert re.search(told, sentence(capsys, "inspect", tmp_path / "log"))


# Artifacts


def uses(kind: str, path: Path, out: Path) -> list[object]:
    """A command that reads an artifact of that kind."""
    match kind:
        case "model":
            return ["evaluate", "--policy", "cem", "--model", path, "--episodes", 1]
        case "bandit":
            return ["train", "--world", path, "--out", out, *QUICK_AGENT]
    return ["evaluate", "--policy", path, "--episodes", 1]


@pytest.mark.parametrize("kind", ["model", "bandit", "policy"])
@pytest.mark.parametrize(
    ("file", "damage", "told"),
    [
        ("tensors.safetensors", flip, "is truncated or changed: its SHA-256 is not"),
        ("tensors.safetensors", truncate, "is truncated or changed: its SHA-256 is not"),
        ("tensors.safetensors", make_pickle, "found a pickle, which is never loaded: it can run code"),
        ("tensors.safetensors", Path.unlink, "expected the tensors of an artifact at .*, found none"),
        ("artifact.json", truncate, "expected JSON in .*artifact.json, but it is damaged"),
        ("artifact.json", make_newer, "expected artifact format 1 or older in .*artifact.json, found 99"),
        ("artifact.json", Path.unlink, "expected an artifact folder with an artifact.json at"),
    ],
)
def test_damaged_artifacts_are_told(capsys, tmp_path, out, shelf, kind, file, damage, told):
    shutil.copytree(shelf / kind, tmp_path / kind)
    damage(tmp_path / kind / file)
    assert re.search(told, sentence(capsys, *uses(kind, tmp_path / kind, out)))
    if file == "tensors.safetensors":
        assert re.search(told, sentence(capsys, "inspect", tmp_path / kind))


@pytest.mark.parametrize(
    ("wanted", "given", "told"),
    [
        ("model", "policy", "expected a world_model at .*policy, found a policy"),
        ("policy", "model", "expected a policy at .*model, found a world_model"),
        ("policy", "log", "expected an artifact folder with an artifact.json at .*log, found none"),
        (
            "bandit",
            "policy",
            "expected a world model or a synthetic environment to train on at .*policy, found a policy",
        ),
        ("bandit", "none", "expected the folder of a world model or of a synthetic environment at .*none, found none"),
    ],
)
def test_artifacts_of_another_kind_are_told(capsys, out, shelf, wanted, given, told):
    assert re.match(told, sentence(capsys, *uses(wanted, shelf / given, out)))


def test_model_policy_and_environment_that_disagree_are_told(capsys, out, shelf):
    told = sentence(capsys, *uses("model", shelf / "model", out), "--env", "Acrobot-v1")
    assert told == "the environment and the world model disagree on env_id: Acrobot-v1 against CartPole-v1"
    told = sentence(capsys, *uses("policy", shelf / "policy", out), "--env", "Acrobot-v1")
    assert "the policy for CartPole-v1 and the environment" in told
    assert "disagree on observation_space" in told
    told = sentence(capsys, "collect", "--behaviour", shelf / "policy", "--env", "Acrobot-v1", "--out", out)
    assert told == "the environment and the policy disagree on env_id: Acrobot-v1 against CartPole-v1"
    told = sentence(capsys, "evaluate", "--policy", "random", "--model", shelf / "model")
    assert told.startswith(
        "expected a planner (random-shooting, cem, icem, mppi, gradient, mcts) to go with a model, got the policy"
    )


# Places to write to

MAKERS = {
    "collect": ["--steps", "10"],
    "fit": ["--logs", "LOG", "--fit.num-updates", "1"],
    "train": ["--world", "BANDIT", *QUICK_AGENT],
    "evolve": ["--search.num-generations", "1"],
    "transfer": ["--preset", "cartpole-small"],
}


def maker(name: str, shelf: Path) -> list[str]:
    places = {"LOG": str(shelf / "log"), "BANDIT": str(shelf / "bandit")}
    return [name, *(places.get(argument, argument) for argument in MAKERS[name])]


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_there_is_kept_unless_overwriting_is_allowed(capsys, tmp_path, shelf, name):
    kinds = {"collect": "log", "fit": "model", "train": "policy", "evolve": "bandit"}
    if name == "transfer":
        (tmp_path / "out" / "stages").mkdir(parents=True)
        (tmp_path / "out" / "config.json").write_text("{}")
    else:
        shutil.copytree(shelf / kinds[name], tmp_path / "out")
    before = files_of(tmp_path)
    told = sentence(capsys, *maker(name, shelf), "--out", tmp_path / "out")
    assert re.search(r"out already (exists|holds a log|holds a run)", told)
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_what_is_something_else_is_never_overwritten(capsys, tmp_path, shelf, name, overwrite):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("all of it")
    before = files_of(tmp_path)
    for place, expected in (
        (tmp_path / "home", "home"),
        (tmp_path / "home" / "thesis.tex", "thesis.tex"),
        (
            tmp_path / "home" / "thesis.tex" / "below" / "it",
            r"expected a folder at .*thesis.tex to make .*it in, found",
        ),
    ):
        assert re.search(expected, sentence(capsys, *maker(name, shelf), *overwrite, "--out", place))
        assert files_of(tmp_path) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder where nobody can write")
@pytest.mark.parametrize("name", ["collect", "transfer"])
def test_places_that_cannot_be_written_to_are_told(capsys, shelf, name):
    assert "/proc" in sentence(capsys, *maker(name, shelf), "--out", "/proc/out")


def test_resuming_and_overwriting_exclude_each_other(capsys, out):
    told = sentence(capsys, "transfer", "--out", out, "--resume", "--overwrite")
    assert told == "expected at most one of --resume and --overwrite, got both"


def test_another_configuration_cannot_be_resumed(capsys, tmp_path):
    (tmp_path / "run" / "stages").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text('{"config": {"seed": 3}}')
    told = sentence(capsys, "transfer", "--out", tmp_path / "run", "--resume")
    assert re.match(r"cannot resume .*run with other settings: .*; config.seed was 3 and is now 0;", told)
    assert (tmp_path / "run" / "config.json").read_text() == '{"config": {"seed": 3}}'


def test_nothing_to_inspect_is_told(capsys, tmp_path):
    assert sentence(capsys, "inspect", tmp_path / "none").startswith("expected a log, an artifact or a finished run at")
    assert sentence(capsys, "inspect", tmp_path).startswith("expected a log, an artifact or a finished run at")


def test_an_interrupt_is_no_crash(capsys, monkeypatch, tmp_path):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.inspect.inspect_lines", interrupt)
    with pytest.raises(SystemExit) as stopped:
        main(["inspect", str(tmp_path)])
    assert stopped.value.code == 130
    assert capsys.readouterr().err.startswith("simulacra: interrupted")


# The way through


def said(capsys, *arguments: object) -> str:
    capsys.readouterr()
    main([str(argument) for argument in arguments])
    return capsys.readouterr().out


PLANS = {
    "random-shooting": ["--random-shooting.num-sequences", 4, "--random-shooting.horizon", 3],
    "cem": ["--cem.num-sequences", 4, "--cem.horizon", 3],
    "icem": ["--icem.num-sequences", 4, "--icem.horizon", 3],
    "mppi": ["--mppi.num-sequences", 4, "--mppi.horizon", 3],
    "mcts": ["--mcts.num-simulations", 3, "--mcts.horizon", 3],
}


@pytest.mark.parametrize("name", PLANS)
def test_every_planner_is_evaluated_on_a_model_and_tells_its_cost(capsys, shelf, name):
    where = ["--model", shelf / "model", "--env", "CartPole-v1", "--episodes", 2]
    told = said(capsys, "evaluate", "--policy", name, *where, *PLANS[name])
    assert re.search(
        rf"{name} on CartPole-v1, 2 episodes: mean return .*\nplanning took .* ms a decision, \d+ model", told
    )


def test_a_planner_acts_in_an_environment_whose_observations_hide_its_state(capsys):
    """On the real simulator, which watches the environment that is acted in."""
    plan = ["--icem.num-sequences", 3, "--icem.horizon", 2, "--icem.iterations", 1]
    for env in ("simulacra/PositionOnlyCartPole-v1", "InvertedPendulum-v5"):
        told = said(capsys, "evaluate", "--policy", "icem", "--env", env, "--episodes", 1, *plan)
        assert told.startswith(f"icem on {env}, 1 episodes: mean return")


def test_what_was_collected_can_be_inspected(capsys, tmp_path):
    told = said(capsys, "collect", "--steps", 300, "--behaviour", "mixed", "--out", tmp_path / "log")
    assert re.fullmatch(r"300 steps in \d+ episodes at .*log\n", told)
    assert json.loads(said(capsys, "inspect", tmp_path / "log", "--format", "json"))["steps"] == 300
    told = said(capsys, "collect", "--steps", 5, "--seed", 1, "--out", tmp_path / "log", "--overwrite")
    assert told.startswith("5 steps in 1 episodes")


class Clock(gymnasium.Env):
    """Pays for button 1 in every second step only; always starts alike, and shows nothing of the time."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    time = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.time += 1
        paid = float(action) if self.time % 2 else -float(action)
        return np.zeros(1, np.float32), paid, self.time == 6, False, {}


def test_episodes_that_start_alike_are_planned_one_at_a_time(capsys):
    gymnasium.register("Clock-v0", Clock)
    plan = ["--random-shooting.horizon", 2, "--random-shooting.hold", 1]
    told = said(capsys, "evaluate", "--policy", "random-shooting", "--env", "Clock-v0", "--episodes", 3, *plan)
    assert "3 episodes: mean return 3.0" in told


def test_policies_are_evaluated(capsys, shelf):
    told = said(capsys, "evaluate", "--policy", "random", "--episodes", 3)
    assert re.fullmatch(r"random on CartPole-v1, 3 episodes: mean return [\d.]+, standard .*, worst [\d.]+\n", told)
    assert said(capsys, "evaluate", "--policy", "random", "--episodes", 3) == told
    assert said(capsys, "evaluate", "--policy", "random", "--episodes", 3, "--seed", 5) != told
    for policy in ([shelf / "policy"], [shelf / "policy", "--stochastic"], ["cem", "--model", shelf / "model"]):
        assert ", 1 episodes: mean return" in said(capsys, "evaluate", "--episodes", 1, "--policy", *policy)


@pytest.mark.slow
def test_the_whole_way_from_logs_to_policies(capsys, tmp_path):
    log, model, bandit = tmp_path / "log", tmp_path / "model", tmp_path / "bandit"
    assert "1,000 steps" in said(capsys, "collect", "--steps", 1000, "--out", log)
    told = said(capsys, "fit", "--logs", log, "--out", model, "--fit.num-updates", 50)
    assert re.match(r"world model at .*model; on held-out episodes:\n +error, 1 step ", told)
    assert re.search(r"\npolicy ranking: +\S*Spearman", told)
    told = said(capsys, "train", "--world", model, "--out", tmp_path / "from-model", *QUICK_AGENT)
    assert re.fullmatch(r"policy at .*from-model; return on real dynamics after training: [\d.]+\n", told)
    small = ["--search.num-generations", 2, "--search.population-size", 4, "--search.num-checks", 2]
    told = said(capsys, "evolve", "--out", bandit, *small, "--fitness.num-episodes", 2, "--no-report")
    assert not (bandit / "report.html").exists()
    assert re.fullmatch(
        r"bandit at .*bandit: 2 generations, [\d,]+ real steps, .*; fresh agents reach [\d.]+.*\n", told
    )
    assert "policy at" in said(capsys, "train", "--world", bandit, "--out", tmp_path / "from-bandit", *QUICK_AGENT)
    for policy in ("from-model", "from-bandit"):
        assert "mean return" in said(capsys, "evaluate", "--policy", tmp_path / policy, "--episodes", 2)
    told = {path.name: said(capsys, "inspect", path) for path in sorted(tmp_path.iterdir())}
    assert sorted(told) == ["bandit", "from-bandit", "from-model", "log", "model"]
    assert "2 generations" in told["bandit"]
    assert f"trained on:       {model}" in told["from-model"]
    assert "error, 1 step" in told["model"]
