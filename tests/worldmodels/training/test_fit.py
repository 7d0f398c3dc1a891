"""`fit_model`, whatever the family: one seed, one model; early stopping; precision; bad input."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from tests.worldmodels.training.tiny_models import FIT, TINY, same, tensors_of
from worldmodels.configs import FitConfig
from worldmodels.training import trainer
from worldmodels.training.fit import fit_model


def write_log(path: Path, lengths: Sequence[int]) -> Log:
    """Episodes of random numbers in two dimensions."""
    spec = EnvSpec("Noise-v0", spaces.Box(-np.inf, np.inf, (2,), np.float32), spaces.Discrete(2), max_episode_steps=50)
    random = np.random.default_rng(0)
    with LogWriter(path, spec, {"kind": "test"}) as writer:
        for length in lengths:
            observations = random.normal(size=(length + 1, 2)).astype(np.float32)
            actions, rewards = random.integers(2, size=length), np.zeros(length, np.float32)
            writer.add(Episode(observations, actions, rewards, False, True))
    return open_log(path)


def test_the_global_generator_has_no_say_and_is_left_alone(linear_log: Log) -> None:
    models, states = [], []
    for seed in (3, 4):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        models.append(fit_model(linear_log, TINY, FIT, progress=None))
        states.append(torch.equal(before, torch.get_rng_state()))
    assert same(*models)
    assert states == [True, True]
    assert not same(models[0], fit_model(linear_log, TINY, replace(FIT, seed=1), progress=None))


def test_provenance_tells_where_the_model_came_from(linear_log: Log) -> None:
    provenance = fit_model(linear_log, TINY, FIT, progress=None).trained.provenance
    assert provenance["log_sha256"] == linear_log.sha256
    assert provenance["fit"]["num_updates"] == provenance["updates"] == 60
    assert provenance["seconds"] > 0
    parts = [set(provenance[f"{name}_episodes"]) for name in ("train", "validation", "test")]
    assert set.union(*parts) == set(range(linear_log.num_episodes))
    assert sum(map(len, parts)) == linear_log.num_episodes


def test_training_uses_its_threads_and_gives_them_back(linear_log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, make = [], trainer.make_trainer

    def watched(fit: FitConfig, callbacks: Sequence[lightning.Callback]) -> lightning.Trainer:
        seen.append(torch.get_num_threads())
        return make(fit, callbacks)

    monkeypatch.setattr(trainer, "make_trainer", watched)
    before = torch.get_num_threads()
    fit_model(linear_log, TINY, FitConfig(num_updates=2, validate_every=1, num_threads=before + 1), progress=None)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_patience_stops_training(linear_log: Log) -> None:
    fit = FitConfig(num_updates=500, validate_every=10, patience=2, min_improvement=0.99)
    model = fit_model(linear_log, TINY, fit, progress=None)
    assert model.trained.provenance["updates"] == 30  # the first look counts as an improvement, two more do not


def test_the_bar_shows_the_losses(linear_log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    fit_model(linear_log, TINY, FIT, progress="fitting")
    shown = capsys.readouterr()
    for told in ("fitting", "loss=", "dynamics_error=", "termination_error=", "60/60"):
        assert told in shown.err
    assert shown.out == ""


def test_bfloat16_trains_too(linear_log: Log) -> None:
    fit = replace(FIT, num_updates=300, validate_every=50)
    errors = {}
    for precision in ("32-true", "bf16-mixed"):
        model = fit_model(linear_log, TINY, replace(fit, precision=precision), progress=None)
        errors[precision] = np.array(model.trained.provenance["validation_errors"]["dynamics"])
        assert all(value.dtype != torch.bfloat16 for value in tensors_of(model).values())
    assert not np.array_equal(errors["32-true"], errors["bf16-mixed"])
    np.testing.assert_allclose(errors["bf16-mixed"], errors["32-true"], rtol=0.2)


@pytest.mark.parametrize("settings", [{"device": "abacus"}, {"precision": "7-bit"}])
def test_a_device_or_precision_that_is_not_there_is_refused(
    linear_log: Log, tmp_path: Path, settings: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=next(iter(settings.values()))):
        fit_model(linear_log, TINY, FitConfig(**settings), None, tmp_path / "fit")  # type: ignore[arg-type]
    assert not (tmp_path / "fit").exists()


def test_training_that_diverges_is_told_and_not_kept(linear_log: Log, tmp_path: Path) -> None:
    fit = FitConfig(num_updates=20, validate_every=10, learning_rate=1e30)
    with pytest.raises(InputError, match="training diverged"):
        fit_model(linear_log, TINY, fit, None, tmp_path / "fit")
    assert not (tmp_path / "fit").exists()


def test_a_single_episode_is_told(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", [50])
    with pytest.raises(InputError, match="at least 3 episodes, to train, validate and test on, got 1"):
        fit_model(log, TINY, FIT, None, tmp_path / "fit")
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize("lengths", [[1, 1, 1], [1, 1, 1, 1, 30, 1]])
def test_episodes_of_one_step_are_learned_from(tmp_path: Path, lengths: list[int]) -> None:
    model = fit_model(write_log(tmp_path / "log", lengths), TINY, FIT, progress=None)
    assert all(value.isfinite().all() for value in tensors_of(model).values())
    counts = [len(model.trained.provenance[f"{name}_episodes"]) for name in ("train", "validation", "test")]
    assert sum(counts) == len(lengths)


def test_what_is_no_configuration_of_a_model_is_refused(linear_log: Log) -> None:
    with pytest.raises(
        InputError, match=r"expected the configuration of a world model .*EnsembleConfig.*got FitConfig"
    ):
        fit_model(linear_log, FitConfig(), FIT, progress=None)
