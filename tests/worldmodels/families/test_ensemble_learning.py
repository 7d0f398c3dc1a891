from pathlib import Path

import numpy as np
import pytest
import torch

from envs.errors import InputError
from envs.logs import Log
from envs.policy import random_streams
from envs.record import record
from envs.spec import EnvSpec, spec_of
from worldmodels.configs import EnsembleConfig, FitConfig
from worldmodels.families.baselines import make_baselines
from worldmodels.families.ensemble import Ensemble
from worldmodels.families.ensemble_learning import EnsembleLearning
from worldmodels.quality.measure import Quality, measure
from worldmodels.saved_model import LoadOptions
from worldmodels.training.fit import fit_model
from worldmodels.training.split import split_episodes

SMALL = EnsembleConfig(num_members=3, hidden=(32, 32), termination_hidden=(16,))


def fit_ensemble(log: Log, config: EnsembleConfig, fit: FitConfig | None = None) -> Ensemble:
    model = fit_model(log, config, fit, progress=None)
    assert isinstance(model, Ensemble)
    return model


def quality_of(model: Ensemble, log: Log) -> Quality:
    split = split_episodes(log.lengths, FitConfig())
    return measure(model, make_baselines(log, split), log, split)


@pytest.fixture(scope="module")
def linear_model(linear_log: Log) -> Ensemble:
    return fit_ensemble(linear_log, SMALL, FitConfig(num_updates=800))


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


def test_the_linear_system_is_imagined_better_than_standing_still(linear_log: Log, linear_model: Ensemble) -> None:
    quality = quality_of(linear_model, linear_log)
    errors = {name: estimate.value[0] for name, estimate in quality.open_loop.items()}
    assert errors["model"] < 0.5 * errors["no_change"]


def test_terminations_of_the_linear_system_are_told(linear_log: Log, linear_model: Ensemble) -> None:
    steps = linear_log.transitions()
    assert steps.terminated.sum() > 5
    imagined = linear_model.step(
        linear_model.encode(torch.from_numpy(steps.observation)), torch.from_numpy(steps.action)
    )
    told = imagined.continuation.numpy() < 0.5
    # The noise of 0.1 decides whether a step near the boundary crosses it.
    assert (told == steps.terminated).mean() > 0.985


def test_what_tells_an_end(linear_log: Log) -> None:
    for inputs, width in (("next", 3), ("transition", 3 + 3 + 1)):
        split = split_episodes(linear_log.lengths, FitConfig())
        learning = EnsembleLearning(linear_log, split, EnsembleConfig(termination_inputs=inputs), FitConfig())
        assert next(iter(learning.validation_batches)).ending_inputs.shape[-1] == width


def test_the_same_seed_gives_the_same_model_and_another_seed_another(linear_log: Log) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(np.random.default_rng().integers(1000))  # the global generator has no say
        fit = FitConfig(seed=seed, num_updates=20, validate_every=10)
        return fit_ensemble(linear_log, SMALL, fit).parts.network.state_dict()

    one, same, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["dynamics.mlp.weights.0"], other["dynamics.mlp.weights.0"])


def test_elites_are_the_best_on_validation(linear_log: Log) -> None:
    config = EnsembleConfig(num_members=4, num_elites=2, hidden=(16,), termination_hidden=(8,))
    model = fit_ensemble(linear_log, config, FitConfig(num_updates=40, validate_every=20))
    errors = np.array(model.trained.provenance["validation_errors"]["dynamics"])
    assert sorted(model.parts.network.elites.tolist()) == sorted(np.argsort(errors)[:2])


def test_rare_terminations_are_weighted_and_the_probability_is_not(linear_log: Log) -> None:
    steps = linear_log.transitions()
    share = steps.terminated.mean()
    assert share < 0.02  # or this test tests nothing
    model = fit_ensemble(linear_log, SMALL, FitConfig(num_updates=400))
    assert model.parts.network.termination_weight.item() > 1.0
    imagined = model.step(model.encode(torch.from_numpy(steps.observation)), torch.from_numpy(steps.action))
    np.testing.assert_allclose(1 - imagined.continuation.mean().item(), share, rtol=0.5)


def test_a_device_that_is_not_there_is_refused(linear_model: Ensemble) -> None:
    with pytest.raises(InputError, match="abacus"):
        Ensemble(linear_model.trained, linear_model.parts, LoadOptions(device="abacus"))


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
    model = fit_ensemble(log, EnsembleConfig())
    quality = quality_of(model, log)
    model_error, still_error = (quality.open_loop[name] for name in ("model", "no_change"))
    assert model_error.high[24] < 0.03 * still_error.low[24]
    termination = quality.termination["model"]
    assert termination.recall is not None
    assert termination.recall > 0.7
    assert termination.accuracy > 0.99
    assert quality.reward_error["model"] == 0.0
    beyond = torch.tensor(
        [[2.7, 0.5, 0.0, 0.0], [-2.7, -0.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.5], [0.0, 0.0, -0.25, -0.5]]
    )
    ended = model.step(model.encode(beyond), torch.tensor([1, 0, 1, 0])).continuation
    assert (ended < 0.5).all()
