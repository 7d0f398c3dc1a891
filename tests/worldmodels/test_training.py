from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from envs.errors import InputError
from envs.logs import Log
from envs.policy import random_streams
from envs.record import record
from envs.spec import EnvSpec, spec_of
from worldmodels.configs import EnsembleConfig, FitConfig
from worldmodels.ensemble import Ensemble
from worldmodels.quality import measure
from worldmodels.trainer import make_trainer
from worldmodels.training import fit_ensemble

SMALL = EnsembleConfig(num_members=3, hidden=(32, 32), termination_hidden=(16,))


@pytest.fixture(scope="module")
def linear_model(linear_log: Log) -> Ensemble:
    return fit_ensemble(linear_log, SMALL, FitConfig(num_updates=800), progress=None)


def test_a_linear_system_and_its_noise_are_recovered(linear_model: Ensemble) -> None:
    random = np.random.default_rng(1)
    pairs, actions = random.normal(size=(500, 2)) * 0.4, random.uniform(-1, 1, (500, 1))
    observations = torch.from_numpy(np.concatenate((pairs, np.full((500, 1), 7.0)), 1).astype(np.float32))
    action = torch.from_numpy(actions.astype(np.float32))
    state = linear_model.encode(observations)
    likely = linear_model.step(state, action)
    expected = pairs @ np.array([[0.9, 0.2], [-0.2, 0.9]]).T + actions * [0.0, 0.5]  # as in conftest.py
    error = likely.observation.numpy()[:, :2] - expected
    assert np.sqrt(np.square(error).mean()) < 0.01  # a tenth of the noise
    np.testing.assert_allclose(likely.reward.numpy(), pairs.sum(1), atol=0.1)
    assert (likely.observation[:, 2] == 7.0).all()

    often = linear_model.encode(observations.repeat(20, 1))
    noisy = linear_model.step(often, action.repeat(20, 1), torch.Generator().manual_seed(0))
    noise = (noisy.observation - likely.observation.repeat(20, 1)).numpy()
    np.testing.assert_allclose(noise.std(0), [0.1, 0.1, 0.0], rtol=0.1, atol=1e-7)


def test_terminations_of_the_linear_system_are_told(linear_log: Log, linear_model: Ensemble) -> None:
    quality = measure(linear_model, linear_log, np.arange(linear_log.num_episodes))
    assert quality.termination.num_terminated > 5
    assert quality.termination.accuracy > 0.99
    assert quality.model.error[0] < 0.5 * quality.no_change.error[0]


def test_provenance_tells_where_the_model_came_from(linear_log: Log, linear_model: Ensemble) -> None:
    provenance = linear_model.parts.provenance
    assert provenance["log_sha256"] == linear_log.sha256
    assert provenance["fit"]["num_updates"] == 800
    parts = [set(provenance[f"{name}_episodes"]) for name in ("train", "validation", "test")]
    assert set.union(*parts) == set(range(linear_log.num_episodes))
    assert sum(map(len, parts)) == linear_log.num_episodes
    assert linear_model.uncertainty_at(0.1) < linear_model.uncertainty_at(0.9)


def test_the_same_seed_gives_the_same_model_and_another_seed_another(linear_log: Log) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(np.random.default_rng().integers(1000))  # the global generator has no say
        fit = FitConfig(seed=seed, num_updates=20, validate_every=10)
        return fit_ensemble(linear_log, SMALL, fit, progress=None).parts.network.state_dict()

    one, same, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["dynamics.mlp.weights.0"], other["dynamics.mlp.weights.0"])


def test_elites_are_the_best_on_validation(linear_log: Log) -> None:
    config = EnsembleConfig(num_members=4, num_elites=2, hidden=(16,), termination_hidden=(8,))
    model = fit_ensemble(linear_log, config, FitConfig(num_updates=40, validate_every=20), progress=None)
    errors = np.array(model.parts.provenance["validation_errors"])
    assert sorted(model.parts.network.elites.tolist()) == sorted(np.argsort(errors)[:2])


def test_training_uses_its_threads_and_gives_them_back(linear_log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(fit: FitConfig, progress: str | None) -> lightning.Trainer:
        seen.append(torch.get_num_threads())
        return make_trainer(fit, progress)

    monkeypatch.setattr("worldmodels.training.make_trainer", watched)
    before = torch.get_num_threads()
    fit = FitConfig(num_updates=2, validate_every=1, num_threads=before + 1)
    fit_ensemble(linear_log, SMALL, fit, progress=None)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_patience_stops_training(linear_log: Log) -> None:
    fit = FitConfig(num_updates=500, validate_every=10, patience=2, min_improvement=0.99)
    model = fit_ensemble(linear_log, SMALL, fit, progress=None)
    assert model.parts.provenance["updates"] == 30  # the first look counts as an improvement, two more do not


def test_rare_terminations_are_weighted_and_the_probability_is_not(linear_log: Log) -> None:
    steps = linear_log.transitions()
    share = steps.terminated.mean()
    assert share < 0.02  # or this test tests nothing
    model = fit_ensemble(linear_log, SMALL, FitConfig(num_updates=400), progress=None)
    assert model.parts.network.termination_weight.item() > 1.0
    imagined = model.step(model.encode(torch.from_numpy(steps.observation)), torch.from_numpy(steps.action))
    np.testing.assert_allclose(1 - imagined.continuation.mean().item(), share, rtol=0.5)


def test_the_bar_shows_the_losses(linear_log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    fit_ensemble(linear_log, SMALL, FitConfig(num_updates=20, validate_every=10), progress="fitting")
    shown = capsys.readouterr()
    assert "fitting" in shown.err
    assert "validation_error" in shown.err
    assert shown.out == ""


def test_a_device_that_is_not_there_is_refused(linear_log: Log, linear_model: Ensemble) -> None:
    for settings in ({"device": "abacus"}, {"precision": "7-bit"}):
        with pytest.raises(InputError, match=next(iter(settings.values()))):
            fit_ensemble(linear_log, SMALL, FitConfig(**settings), progress=None)
    with pytest.raises(InputError, match="abacus"):
        Ensemble(linear_model.parts, device="abacus")


def test_training_that_diverges_is_told(linear_log: Log) -> None:
    fit = FitConfig(num_updates=20, validate_every=10, learning_rate=1e30)
    with pytest.raises(InputError, match="training diverged"):
        fit_ensemble(linear_log, SMALL, fit, progress=None)


class WeakPolicy:
    """In half of the episodes random; else pushes where the pole falls, with 35% random actions."""

    def __init__(self, spec: EnvSpec):
        self.spec = spec

    def initial_state(self, num_rows: int, seed: int) -> dict[str, np.ndarray]:
        streams = random_streams(seed, num_rows)
        return {"streams": streams, "weak": np.array([stream.random() < 0.15 for stream in streams])}

    def act(self, observations: np.ndarray, state: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        actions = np.array([stream.integers(2) for stream in state["streams"]])
        follows = state["weak"] & np.array([stream.random() > 0.35 for stream in state["streams"]])
        return np.where(follows, observations[:, 2] + observations[:, 3] > 0, actions), state


@pytest.mark.slow
def test_cartpole_is_learned_from_10000_steps(tmp_path: Path) -> None:
    log = record(WeakPolicy(spec_of("CartPole-v1")), "CartPole-v1", 10_000, 0, tmp_path / "log")
    model = fit_ensemble(log, progress=None)
    quality = measure(model, log, np.array(model.parts.provenance["test_episodes"]))
    assert quality.model.high[24] < 0.03 * quality.no_change.low[24]
    assert quality.termination.recall is not None
    assert quality.termination.recall > 0.7
    assert quality.termination.accuracy > 0.99
    assert quality.reward_error == 0.0
    beyond = torch.tensor(
        [[2.7, 0.5, 0.0, 0.0], [-2.7, -0.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.5], [0.0, 0.0, -0.25, -0.5]]
    )
    ended = model.step(model.encode(beyond), torch.tensor([1, 0, 1, 0])).continuation
    assert (ended < 0.5).all()
