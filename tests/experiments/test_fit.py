"""``simulacra fit``: what it leaves behind, and that a killed training ends where an uninterrupted one ends."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.artifact import load_artifact
from experiments.cli import main
from worldmodels.families.ensemble_learning import EnsembleLearning
from worldmodels.families.table import FAMILIES
from worldmodels.saving import load_model

TINY = ["--ensemble.num-members", "2", "--ensemble.hidden", "8", "--ensemble.termination-hidden", "8"]
QUICK = [*TINY, "--fit.num-updates", "40", "--fit.validate-every", "10", "--no-ranking"]
LONG = [*TINY, "--fit.num-updates", "1500", "--fit.validate-every", "10", "--fit.patience", "1000", "--no-ranking"]
GOES_ON = "; with --resume it goes on where it stopped\n"


def fit(shelf: Path, out: Path, *options: str) -> None:
    main(["fit", "--logs", str(shelf / "log"), "--out", str(out), *options])


def stopped_with(code: int, capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """Runs a fit that must stop; returns the last line that it told."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        fit(*arguments)
    told = capsys.readouterr()
    assert stopped.value.code == code, told.err
    assert told.out == ""
    return told.err.rpartition("\r")[2].removeprefix("simulacra: ")


def tensors_of(out: Path) -> dict[str, np.ndarray]:
    return dict(load_artifact(out).tensors)


def require_same(one: Path, other: Path) -> None:
    ours, theirs = tensors_of(one), tensors_of(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.tobytes() == theirs[name].tobytes(), name
    metrics = [(out / "training" / "metrics.csv").read_text() for out in (one, other)]
    assert metrics[0] == metrics[1]


@pytest.fixture(scope="module")
def whole(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of an uninterrupted short training."""
    out = tmp_path_factory.mktemp("whole") / "model"
    fit(shelf, out, *QUICK)
    return out


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Returns a function that makes the 25th gradient step of the next training call something first."""
    with monkeypatch.context() as patch:
        original = EnsembleLearning.loss

        def at_step_25(do: Any) -> None:
            calls: list[int] = []

            def loss(self: EnsembleLearning, batch: Any) -> Any:
                calls.append(1)
                if len(calls) == 25:
                    do()
                return original(self, batch)

            patch.setattr(EnsembleLearning, "loss", loss)

        yield at_step_25


# What it leaves behind


def test_the_model_lies_beside_its_card_its_report_and_its_metrics(whole: Path) -> None:
    files = {path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()}
    events = {name for name in files if name.startswith("training/events.")}
    assert len(events) == 1
    assert files - events == {
        "artifact.json", "tensors.safetensors", "quality.json", "report.html", "training/metrics.csv"
    }  # fmt: skip
    assert [path.name for path in whole.parent.iterdir()] == ["model"]  # the working folder is gone
    provenance = load_artifact(whole).provenance
    assert json.loads((whole / "quality.json").read_text()) == provenance["quality"]
    assert (whole / "training" / "metrics.csv").read_text().count("\n") == 1 + 4


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "categorical"])
def test_every_family_is_trained_by_its_name(shelf: Path, tmp_path: Path, family: str) -> None:
    quick = ["--fit.num-updates", "4", "--fit.validate-every", "2", "--no-ranking"]
    options = ["--family", family, f"--{family}.hidden", "8", f"--{family}.termination-hidden", "8", *quick]
    fit(shelf, tmp_path / "model", *options)
    model = load_model(tmp_path / "model")
    assert model.family == family
    fit(shelf, tmp_path / "model", *options, "--resume")  # is complete


def test_settings_of_a_family_that_was_not_chosen_are_told(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = stopped_with(2, capsys, shelf, tmp_path / "out", "--family", "mlp", "--ensemble.hidden", "8")
    assert told == "expected settings of the chosen family mlp alone, got some of ensemble too\n"
    assert list(tmp_path.iterdir()) == []


# Going on


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_an_interrupted_training_tells_how_to_go_on(
    shelf: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupt: Any, number: int, word: str
) -> None:
    out = tmp_path / "model"
    handlers = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
    interrupt(lambda: os.kill(os.getpid(), number))
    told = stopped_with(128 + number, capsys, shelf, out, *QUICK)
    assert told == word + GOES_ON
    assert handlers == [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
    assert [path.name for path in tmp_path.iterdir()] == ["model.fit"]

    told = stopped_with(2, capsys, shelf, out, *QUICK)
    assert re.search(r"model\.fit already holds a training; give --resume to go on with it or --overwrite", told)
    told = stopped_with(2, capsys, shelf, out, *QUICK, "--resume", "--fit.seed", "1")
    assert re.search(r"cannot resume .*model\.fit with other settings: fit\.seed was 0 and is now 1", told)
    told = stopped_with(2, capsys, shelf, out, "--family", "mlp", "--resume", "--no-ranking")
    assert "architecture.type was 'EnsembleConfig' and is now 'MLPConfig'" in told
    fit(shelf, out, *QUICK, "--resume")
    require_same(out, whole)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_another_log_is_not_gone_on_with(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupt: Any
) -> None:
    interrupt(lambda: os.kill(os.getpid(), signal.SIGINT))
    stopped_with(130, capsys, shelf, tmp_path / "model", *QUICK)
    main(["collect", "--steps", "300", "--seed", "5", "--out", str(tmp_path / "other" / "log")])
    told = stopped_with(2, capsys, tmp_path / "other", tmp_path / "model", *QUICK, "--resume")
    assert re.search(r"cannot resume .* with other settings: log_sha256 was '\w+' and is now '\w+'", told)


def test_a_complete_model_is_left_as_it_is(
    shelf: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    fit(shelf, out, *QUICK, "--resume")  # where there is nothing, a new one is trained
    require_same(out, whole)
    (tmp_path / "model.fit" / "training").mkdir(parents=True)  # killed just before it was removed
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    capsys.readouterr()
    fit(shelf, out, *QUICK, "--resume")
    assert capsys.readouterr().out == f"the world model at {out} is complete; nothing is left to do\n"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

    told = stopped_with(2, capsys, shelf, out, *QUICK, "--resume", "--fit.batch-size", "8")
    assert re.search(r"cannot resume .*model with other settings: fit\.batch_size was 256 and is now 8", told)
    assert "already exists" in stopped_with(2, capsys, shelf, out, *QUICK)
    told = stopped_with(2, capsys, shelf, out, *QUICK, "--resume", "--overwrite")
    assert "expected at most one of --resume and --overwrite" in told
    fit(shelf, out, *QUICK, "--overwrite", "--fit.seed", "1")
    assert not np.array_equal(*(tensors_of(path)["noise_scale"] for path in (out, whole)))


# Real kills


def start(shelf: Path, out: Path, options: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from experiments.cli import main; main()", "fit", "--resume", *options]
    return subprocess.Popen([*command, "--logs", shelf / "log", "--out", out], stderr=subprocess.PIPE)


def kill_somewhere(process: subprocess.Popen[bytes], out: Path, number: int, within: float) -> str:
    """Kills a training at some moment after it wrote a checkpoint; returns what it told last."""
    checkpoint = out.with_name(f"{out.name}.fit") / "training" / "checkpoint.ckpt"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    while not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before) and process.poll() is None:
        time.sleep(0.002)
    delay = random.uniform(0, within)
    print(f"signal {number}, {delay:.4f} s after a checkpoint")  # shown when the test fails
    time.sleep(delay)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    return told.decode().rpartition("\r")[2]


@pytest.mark.slow
def test_a_training_killed_again_and_again_ends_where_an_uninterrupted_one_ends(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        process = start(shelf, out, LONG)
        told = kill_somewhere(process, out, number, within=0.3)
        expected = -number if number == signal.SIGKILL else 128 + number
        assert process.returncode == expected, told
        if number != signal.SIGKILL:
            assert told == f"simulacra: {'terminated' if number == signal.SIGTERM else 'interrupted'}{GOES_ON}"
        assert not out.exists()
    fit(shelf, out, *LONG, "--resume")
    fit(shelf, tmp_path / "uninterrupted", *LONG)
    require_same(out, tmp_path / "uninterrupted")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "uninterrupted"]


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in map(int, children) for one in (child, *descendants(child))]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds child processes in /proc")
def test_two_processes_come_to_the_weights_of_one_also_after_a_kill(shelf: Path, tmp_path: Path) -> None:
    options = [*TINY, "--fit.num-updates", "200", "--fit.validate-every", "10", "--fit.patience", "99", "--no-ranking"]
    whole, out = tmp_path / "whole", tmp_path / "model"
    for path, signal_number in ((whole, None), (out, signal.SIGKILL), (out, None)):
        process = start(shelf, path, [*options, "--fit.strategy", "ddp"])
        if signal_number is None:
            _, told = process.communicate(timeout=300)
            assert process.returncode == 0, told.decode()
        else:
            kill_with_processes(process, path)
    require_same(out, whole)
    fit(shelf, tmp_path / "alone", *options)
    ours, theirs = (np.loadtxt(path / "training" / "metrics.csv", delimiter=",", skiprows=1, max_rows=5) for path in (
        whole, tmp_path / "alone"))  # fmt: skip
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def kill_with_processes(process: subprocess.Popen[bytes], out: Path) -> None:
    """Kills a training; its processes must end with it."""
    checkpoint = out.with_name(f"{out.name}.fit") / "training" / "checkpoint.ckpt"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    left = descendants(process.pid)
    assert len(left) >= 2
    told = kill_somewhere(process, out, signal.SIGKILL, within=0.05)
    assert process.returncode == -signal.SIGKILL, told
    deadline = time.monotonic() + 60
    while any(is_alive(pid) for pid in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(pid) for pid in left)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
