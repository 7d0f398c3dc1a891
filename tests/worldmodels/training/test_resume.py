"""A training that was stopped anywhere, and goes on, ends where an uninterrupted one ends: bit for bit.

Here the stops happen inside the process; `tests/experiments/test_fit.py` kills real ones.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray
from torch import Tensor, nn

from envs import files
from envs.errors import InputError
from envs.logs import Log
from envs.policy import RandomPolicy
from envs.record import record
from envs.spec import spec_of
from tests.worldmodels.training.tiny_models import FIT, TINY, same
from worldmodels.configs import FitConfig
from worldmodels.families.ensemble_learning import EnsembleLearning
from worldmodels.families.table import FAMILIES
from worldmodels.saved_model import SavedWorldModel
from worldmodels.training.checkpoints import AtomicCheckpoints, read_checkpoint
from worldmodels.training.fit import fit_model
from worldmodels.training.fit_folder import FitFiles, open_fit_folder
from worldmodels.training.learning import Learning, Part
from worldmodels.training.lightning_module import Training
from worldmodels.training.trainer import train

METRICS = "step,loss,dynamics_error,termination_error,dynamics_learning_rate,termination_learning_rate"


@pytest.fixture(scope="module")
def uninterrupted(linear_log: Log, tmp_path_factory: pytest.TempPathFactory) -> tuple[SavedWorldModel, FitFiles]:
    folder = tmp_path_factory.mktemp("uninterrupted") / "fit"
    return fit_model(linear_log, TINY, FIT, None, folder), FitFiles(folder)


def fit(log: Log, folder: Path, settings: FitConfig = FIT, **choices: bool) -> SavedWorldModel:
    return fit_model(log, TINY, settings, None, folder, **choices)


def stop_at(patch: pytest.MonkeyPatch, owner: type, method: str, call: int) -> list[int]:
    """Makes ``call`` (from 0) of a method be interrupted; returns a list that counts its calls."""
    calls: list[int] = []
    original = getattr(owner, method)

    def interrupted(self: Any, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == call + 1:
            raise KeyboardInterrupt
        return original(self, *arguments)

    patch.setattr(owner, method, interrupted)
    return calls


def stopped_at(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, call: int, work: Callable[[], object]
) -> None:
    """Runs ``work`` until `stop_at` stops it."""
    with monkeypatch.context() as patch:
        stop_at(patch, owner, method, call)
        with pytest.raises(KeyboardInterrupt):
            work()


def events_of(folder: FitFiles) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder.logged)).Reload()
    return {
        name: [(event.step, make_ndarray(event.tensor_proto).item()) for event in events.Tensors(name)]
        for name in events.Tags()["tensors"]
    }


def require_equal(resumed: SavedWorldModel, folder: Path, uninterrupted: tuple[SavedWorldModel, FitFiles]) -> None:
    model, whole = uninterrupted
    assert same(resumed, model)
    assert FitFiles(folder).metrics.read_text() == whole.metrics.read_text()
    assert events_of(FitFiles(folder)) == events_of(whole)


# Stops


@pytest.mark.parametrize(
    ("method", "call"),
    [("loss", 0), ("loss", 10), ("loss", 17), ("loss", 59), ("errors", 0), ("errors", 3), ("finish", 0)],
)
def test_a_stop_anywhere_changes_nothing(
    linear_log: Log,
    tmp_path: Path,
    uninterrupted: tuple[SavedWorldModel, FitFiles],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    call: int,
) -> None:
    stopped_at(monkeypatch, EnsembleLearning, method, call, lambda: fit(linear_log, tmp_path / "fit"))
    calls = stop_at(monkeypatch, EnsembleLearning, "loss", 10_000)
    resumed = fit(linear_log, tmp_path / "fit", resume=True)
    done = {"loss": call // 10 * 10, "errors": call * 10, "finish": 60}[method]
    assert len(calls) == 60 - done  # at most what followed the last look is done again
    require_equal(resumed, tmp_path / "fit", uninterrupted)


def test_a_row_of_stops_changes_nothing(
    linear_log: Log, tmp_path: Path, uninterrupted: tuple[SavedWorldModel, FitFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in (13, 5, 25, 0, 12):
        stopped_at(monkeypatch, EnsembleLearning, "loss", call, lambda: fit(linear_log, tmp_path / "fit", resume=True))
    require_equal(fit(linear_log, tmp_path / "fit", resume=True), tmp_path / "fit", uninterrupted)


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_stop_during_a_write_leaves_the_checkpoint_before(
    linear_log: Log,
    tmp_path: Path,
    uninterrupted: tuple[SavedWorldModel, FitFiles],
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    checkpoint = FitFiles(tmp_path / "fit").checkpoint
    kept: list[bytes] = []

    class Full(io.FileIO):
        def write(self, content: Any) -> int:
            super().write(bytes(content)[:100])
            raise OSError("no space left on device")

    def is_third(path: Path) -> bool:
        if ".ckpt" not in path.name:
            return False
        kept.append(checkpoint.read_bytes() if checkpoint.exists() else b"")
        return len(kept) == 3

    opens, replaces = Path.open, Path.replace

    def failing_open(self: Path, *args: Any, **kwargs: Any) -> Any:
        if args == ("wb",) and is_third(self):
            if failing == "write":
                return Full(self, "wb")
            if failing == "fsync":
                patch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk gone")))
        return opens(self, *args, **kwargs)

    def failing_replace(self: Path, target: Path) -> Path:
        if failing == "replace" and len(kept) == 3 and ".ckpt" in self.name:
            raise OSError("disk gone")
        return replaces(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing_open)
        patch.setattr(Path, "replace", failing_replace)
        with pytest.raises(OSError, match=r"disk gone|no space left"):
            fit(linear_log, tmp_path / "fit")
    assert checkpoint.read_bytes() == kept[-1] != b""
    require_equal(fit(linear_log, tmp_path / "fit", resume=True), tmp_path / "fit", uninterrupted)


def test_leftovers_of_a_killed_write_are_ignored_and_removed(
    linear_log: Log, tmp_path: Path, uninterrupted: tuple[SavedWorldModel, FitFiles]
) -> None:
    fit(linear_log, tmp_path / "fit")
    left = tmp_path / "fit" / "training" / ".checkpoint.ckpt.123.tmp"
    left.write_bytes(b"half a checkp")
    require_equal(fit(linear_log, tmp_path / "fit", resume=True), tmp_path / "fit", uninterrupted)
    assert not left.exists()


def test_a_training_that_was_stopped_by_patience_stays_stopped(
    linear_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FitConfig(num_updates=500, validate_every=10, patience=2, min_improvement=0.99)
    for call in (5, 27):  # before the first look, and where one look without an improvement lies behind
        folder = tmp_path / str(call)
        stopped_at(monkeypatch, EnsembleLearning, "loss", call, partial(fit, linear_log, folder, settings))
        resumed = fit(linear_log, folder, settings, resume=True)
        assert resumed.trained.provenance["updates"] == 30
        again = fit(linear_log, folder, settings, resume=True)
        assert again.trained.provenance["updates"] == 30
        assert same(again, resumed)


@pytest.fixture(scope="module")
def lake_log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    path = tmp_path_factory.mktemp("logs") / "lake"
    return record(RandomPolicy(spec_of("FrozenLake-v1")), "FrozenLake-v1", 300, 0, path)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_goes_on_exactly(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    log = request.getfixturevalue("lake_log" if family == "categorical" else "linear_log")
    config, settings = FAMILIES[family].config_type(), FitConfig(num_updates=6, validate_every=2)
    work = partial(fit_model, log, config, settings, None, tmp_path / "fit")
    stopped_at(monkeypatch, Training, "training_step", 3, work)
    resumed = work(resume=True)
    assert same(resumed, fit_model(log, config, settings, progress=None))


class DropoutLearning(Learning):
    """A line fitted through noise with dropout: a model that draws random numbers in training."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(3, 8), nn.Dropout(), nn.Linear(8, 1))
        for parameter in self.network.parameters():
            nn.init.constant_(parameter, 0.1)
        self.parts = {"line": Part(self.network, 0.01)}
        self.train_batches, self.validation_batches = LineBatches(), LineBatches(held_out=True)
        self.seeds: list[int] = []

    def loss(self, batch: Tensor) -> Tensor:
        self.seeds.append(torch.initial_seed())
        return (self.network(batch[0]) - batch[0].sum(1, keepdim=True)).square().mean()

    def errors(self, batch: Tensor) -> dict[str, Tensor]:
        return {"line": self.loss(batch)[None]}

    def num_rows(self, batch: Tensor) -> int:
        return batch.shape[1]

    def finish(self, errors: Any, trained: Any) -> SavedWorldModel:
        raise NotImplementedError


class LineBatches:
    def __init__(self, held_out: bool = False):
        self.next_step, self._held_out = 0, held_out

    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Iterator[Tensor]:
        if self._held_out:
            self.next_step = 1000
        for _ in range(len(self)):
            self.next_step += 1
            yield torch.randn(1, 16, 3, generator=torch.Generator().manual_seed(self.next_step))


def test_random_numbers_drawn_in_training_are_the_same_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FitConfig(num_updates=20, validate_every=5)

    def trained(name: str) -> DropoutLearning:
        training = Training(DropoutLearning(), settings)
        folder, _ = open_fit_folder(tmp_path / name, {}, resume=True)
        torch.manual_seed(len(name))  # has no say
        train(training, settings, None, folder)
        assert isinstance(training.learning, DropoutLearning)
        return training.learning

    whole = trained("whole")
    assert len(set(whole.seeds)) == 4  # other numbers at every look
    stopped_at(monkeypatch, DropoutLearning, "loss", 8, lambda: trained("stopped"))
    ours, theirs = trained("stopped").state_dict(), whole.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


# Files


def test_metrics_hold_one_row_a_look(uninterrupted: tuple[SavedWorldModel, FitFiles]) -> None:
    model, folder = uninterrupted
    text = folder.metrics.read_text()
    assert text.splitlines()[0] == METRICS
    rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(text.splitlines())]
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 50, 60]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["dynamics_learning_rate"] == 0.0 < rows[0]["dynamics_learning_rate"] < 5e-3
    best = model.trained.provenance["validation_errors"]["dynamics"]
    assert min(row["dynamics_error"] for row in rows) == pytest.approx(sum(best) / len(best), rel=0.05)
    events = events_of(folder)
    assert sorted(events) == sorted(METRICS.split(",")[1:])
    for name, values in events.items():
        assert values == [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in rows]


def test_the_folder_tells_what_is_trained(linear_log: Log, uninterrupted: tuple[SavedWorldModel, FitFiles]) -> None:
    content = json.loads((uninterrupted[1].path / "config.json").read_text())
    assert content["log_sha256"] == linear_log.sha256
    assert content["architecture"]["type"] == "EnsembleConfig"
    assert content["architecture"]["hidden"] == [8]
    assert content["fit"]["num_updates"] == 60
    assert content["versions"]["torch"]
    assert sorted(uninterrupted[1].records()) == sorted(
        path.relative_to(uninterrupted[1].path).as_posix()
        for path in uninterrupted[1].path.glob("training/*")
        if path.suffix != ".ckpt"
    )


def test_training_into_a_folder_gives_the_same_model_as_without(
    linear_log: Log, uninterrupted: tuple[SavedWorldModel, FitFiles]
) -> None:
    assert same(fit_model(linear_log, TINY, FIT, progress=None), uninterrupted[0])


# What is refused


@pytest.fixture
def stopped(linear_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which 2 of 6 looks were taken."""
    stopped_at(monkeypatch, EnsembleLearning, "loss", 25, lambda: fit(linear_log, tmp_path / "fit"))
    return tmp_path / "fit"


def test_another_training_is_not_resumed_and_the_difference_is_told(
    linear_log: Log, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = FitFiles(stopped).checkpoint.read_bytes()
    with pytest.raises(InputError, match=r"cannot resume .*fit with other settings: fit\.seed was 0 and is now 1$"):
        fit(linear_log, stopped, replace(FIT, seed=1), resume=True)
    with pytest.raises(InputError, match=r"architecture\.hidden was \[8\] and is now \[9\]$"):
        fit_model(linear_log, replace(TINY, hidden=(9,)), FIT, None, stopped, resume=True)
    monkeypatch.setitem(linear_log.manifest, "sha256", "another")
    with pytest.raises(InputError, match=r"log_sha256 was '\w+' and is now 'another'$"):
        fit(linear_log, stopped, resume=True)
    assert FitFiles(stopped).checkpoint.read_bytes() == before


def test_a_training_that_is_there_is_kept_or_replaced_as_asked(
    linear_log: Log, stopped: Path, uninterrupted: tuple[SavedWorldModel, FitFiles]
) -> None:
    with pytest.raises(InputError, match="already holds a training; give --resume to go on with it or --overwrite"):
        fit(linear_log, stopped)
    with pytest.raises(InputError, match="at most one of --resume and --overwrite"):
        fit(linear_log, stopped, resume=True, overwrite=True)
    (stopped / "notes.txt").write_text("the user's own")
    other = fit(linear_log, stopped, replace(FIT, seed=1), overwrite=True)
    assert not same(other, uninterrupted[0])
    assert (stopped / "notes.txt").read_text() == "the user's own"


def test_a_damaged_checkpoint_is_told_and_kept(linear_log: Log, stopped: Path) -> None:
    checkpoint = FitFiles(stopped).checkpoint
    whole = checkpoint.read_bytes()
    flipped = whole[:5000] + bytes([whole[5000] ^ 16]) + whole[5001:]  # torch itself would see no difference
    for damaged in (whole[: len(whole) // 2], b"", b"what", flipped):
        checkpoint.write_bytes(damaged)
        with pytest.raises(InputError, match=r"expected a checkpoint at .*, but it is damaged; --overwrite trains"):
            fit(linear_log, stopped, resume=True)
        assert checkpoint.read_bytes() == damaged


def test_a_checkpoint_never_runs_code(linear_log: Log, stopped: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    checkpoint = FitFiles(stopped).checkpoint
    AtomicCheckpoints().save_checkpoint({**read_checkpoint(checkpoint), "evil": Evil()}, checkpoint)
    with pytest.raises(InputError, match="expected tensors, numbers and text alone in the checkpoint"):
        fit(linear_log, stopped, resume=True)
    assert not (tmp_path / "ran").exists()


def test_a_folder_of_something_else_is_kept(linear_log: Log, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for choices in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(InputError, match="expected a new or empty folder or an older training at"):
            fit(linear_log, tmp_path, **choices)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
