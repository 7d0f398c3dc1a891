import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.logs import Log
from envs.spec import EnvSpec
from worldmodels.configs import FitConfig, MLPConfig, TerminationInputs
from worldmodels.families.mlp import MLPModel
from worldmodels.families.mlp_network import MLPNetwork
from worldmodels.normaliser import Normaliser, Normalisers
from worldmodels.prediction import Mixture
from worldmodels.saved_model import LoadOptions, Trained
from worldmodels.starts import StartPoints, Starts
from worldmodels.training.calibration import coverage
from worldmodels.training.fit import fit_model

NOWHERE = StartPoints(torch.zeros(0))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_model(action_space: spaces.Space, config: MLPConfig, noise_scale: float = 1.0) -> MLPModel:
    """Random weights, normalisers and residuals."""
    generator = seeded(0)
    spec = EnvSpec("Toy-v0", spaces.Box(-2, 2, (3,), np.float32), action_space, max_episode_steps=50)
    network = MLPNetwork(spec, config, generator)
    network.termination_weight.fill_(4.0)
    network.residual.copy_(torch.rand(4, generator=generator))
    normalisers = Normalisers(
        *(Normaliser(torch.randn(n, generator=generator), torch.rand(n, generator=generator) + 0.5) for n in (3, 2, 4))
    )
    trained = Trained(spec, Starts(NOWHERE, NOWHERE), torch.full((4,), noise_scale))
    return MLPModel(trained, config, network, normalisers)


@pytest.mark.parametrize("inputs", ["next", "transition"])
@pytest.mark.parametrize("action_space", [spaces.Discrete(2, start=3), spaces.Box(-1, 1, (2,), np.float32)])
def test_step_is_the_formula_written_out(action_space: spaces.Space, inputs: TerminationInputs) -> None:
    config = MLPConfig(hidden=(16, 8), termination_hidden=(8,), termination_inputs=inputs)
    model = make_model(action_space, config)
    network, normalisers = model.network, model.normalisers
    observation = torch.rand(6, 3, generator=seeded(1))
    observation[0], observation[1] = 2.0, -2.0  # where bounds matter
    if isinstance(action_space, spaces.Discrete):
        action = torch.tensor([3, 4, 4, 3, 3, 4])
        features = torch.nn.functional.one_hot(action - 3, 2).float()
    else:
        action = features = torch.rand(6, 2, generator=seeded(2)) * 2 - 1
    imagined = model.step(model.encode(observation), action, seeded(0))

    with torch.no_grad():
        before, done = normalisers.observation.normalise(observation), normalisers.action.normalise(features)
        outcome = network.dynamics(torch.cat((before, done), 1)[None])[0]
        outcome = outcome * normalisers.target.std + normalisers.target.mean
        after = (observation + outcome[:, :3]).clamp(-2, 2)
        change = (after - observation - normalisers.target.mean[:3]) / normalisers.target.std[:3]
        place = normalisers.observation.normalise(after)
        ending = place if inputs == "next" else torch.cat((place, change, done), 1)
        odds = network.termination(ending[None])[0, :, 0].exp() / 4.0
    assert (after.abs() == 2).any()
    torch.testing.assert_close(imagined.observation, after)
    torch.testing.assert_close(imagined.reward, outcome[:, 3])
    torch.testing.assert_close(imagined.continuation, 1 / (1 + odds))
    assert (imagined.uncertainty == 0).all()


def test_noise_and_width_come_from_the_residuals() -> None:
    model = make_model(spaces.Box(-1, 1, (2,), np.float32), MLPConfig(hidden=(8,)), noise_scale=2.0)
    state, action = model.encode(torch.rand(5, 3, generator=seeded(1))), torch.zeros(5, 2)
    residual = model.network.residual
    torch.testing.assert_close(model.step(state, action).noise, (2 * residual.mean()).expand(5))
    predicted = model.predict(state, action)
    assert isinstance(predicted, Mixture)
    torch.testing.assert_close(predicted.std[3, 0], 2 * residual * model.normalisers.target.std)


def test_a_linear_system_is_recovered_and_its_noise_is_told(linear_log: Log) -> None:
    model = fit_model(linear_log, MLPConfig((32, 32), (16,)), FitConfig(num_updates=800), progress=None)
    assert isinstance(model, MLPModel)
    random = np.random.default_rng(1)
    pairs, actions = random.normal(size=(500, 2)) * 0.4, random.uniform(-1, 1, (500, 1))
    observations = np.concatenate((pairs, np.full((500, 1), 7.0)), 1).astype(np.float32)
    state = model.encode(torch.from_numpy(observations))
    imagined = model.step(state, torch.from_numpy(actions.astype(np.float32)))
    expected = pairs @ np.array([[0.9, 0.2], [-0.2, 0.9]]).T + actions * [0.0, 0.5]  # as in conftest.py
    error = imagined.observation.numpy()[:, :2] - expected
    assert np.sqrt(np.square(error).mean()) < 0.03  # a third of the noise
    width = model.network.residual * model.normalisers.target.std
    np.testing.assert_allclose(width[:2], [0.1, 0.1], rtol=0.15)
    assert width[2] == 0


def test_residuals_are_those_of_the_validation_episodes(linear_log: Log) -> None:
    model = fit_model(linear_log, MLPConfig((8,), (8,)), FitConfig(num_updates=40, validate_every=20), progress=None)
    assert isinstance(model, MLPModel)
    steps = linear_log.transitions(np.array(model.trained.provenance["validation_episodes"]))
    state, action = model.encode(torch.from_numpy(steps.observation)), torch.from_numpy(steps.action)
    target = torch.from_numpy(np.concatenate((steps.next_observation, steps.reward[:, None]), axis=1))
    predicted = model.predict(state, action)
    assert isinstance(predicted, Mixture)
    errors = (predicted.average() - target).square().mean(0).sqrt()
    torch.testing.assert_close(errors, model.network.residual * model.normalisers.target.std, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(coverage(predicted, target, 0.9)[[0, 1, 3]], torch.full((3,), 0.9), atol=0.01, rtol=0)


def test_a_propagation_is_refused() -> None:
    model = make_model(spaces.Discrete(2), MLPConfig(hidden=(8,)))
    with pytest.raises(InputError, match="deterministic perceptron, which has no members, got mean"):
        MLPModel(model.trained, model.config, model.network, model.normalisers, LoadOptions("mean"))
