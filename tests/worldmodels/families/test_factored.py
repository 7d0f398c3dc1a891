from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from worldmodels.configs import FactoredConfig, FitConfig, TerminationInputs
from worldmodels.families.factored import FactoredModel, FactoredParts
from worldmodels.families.factored_network import FactoredNetwork, FactorNormalisers
from worldmodels.normaliser import Normaliser, Normalisers
from worldmodels.prediction import Mixture
from worldmodels.saved_model import Trained
from worldmodels.saving import load_model, save_model
from worldmodels.starts import StartPoints, Starts
from worldmodels.training.fit import fit_model

NOWHERE = StartPoints(torch.zeros(0))
SMALL = FactoredConfig(hidden=(16,), reward_hidden=(16,), termination_hidden=(16,))
BOX, FORCE = spaces.Box(-np.inf, np.inf, (2,), np.float32), spaces.Box(-1, 1, (1,), np.float32)
RewardFn = Callable[[np.ndarray], np.ndarray]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def walk_log(path: Path, reward_fn: RewardFn, wall: float = 0.8, seed: int = 0, env_id: str = "Walk-v0") -> Log:
    """40 episodes of at most 30 steps: two places pushed by the action and by noise of 0.1; an end beyond the wall.

    The reward is a function of the next observation ``[T, 2]``.
    """
    random = np.random.default_rng(seed)
    with LogWriter(path, EnvSpec(env_id, BOX, FORCE, max_episode_steps=30), {"kind": "test"}) as writer:
        for _ in range(40):
            actions = random.uniform(-1, 1, (30, 1)).astype(np.float32)
            places = [random.normal(size=2) * 0.5]
            for action in actions:
                places.append(0.9 * places[-1] + [0.3, -0.2] * action + 0.1 * random.normal(size=2))
                if places[-1][0] > wall:
                    break
            observations = np.stack(places).astype(np.float32)
            num_steps, terminated = len(places) - 1, bool(places[-1][0] > wall)
            rewards = reward_fn(observations[1:]).astype(np.float32)
            writer.add(Episode(observations, actions[:num_steps], rewards, terminated, not terminated))
    return open_log(path)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """The reward is twice the first place plus once the second."""
    return walk_log(tmp_path_factory.mktemp("logs") / "walk", lambda after: after @ [2.0, 1.0])


@pytest.fixture(scope="module")
def model(log: Log) -> FactoredModel:
    found = fit_model(log, SMALL, FitConfig(num_updates=600), progress=None)
    assert isinstance(found, FactoredModel)
    return found


@pytest.mark.parametrize("inputs", ["next", "transition"])
def test_step_is_the_formula_written_out(inputs: TerminationInputs) -> None:
    generator = seeded(0)
    spec = EnvSpec("Toy-v0", spaces.Box(-2, 2, (3,), np.float32), spaces.Discrete(2), max_episode_steps=50)
    config = replace(SMALL, termination_inputs=inputs)
    network = FactoredNetwork(spec, config, generator)
    network.termination_weight.fill_(4.0)

    def normalisers() -> Normalisers:
        sizes = (3, 2, 4)
        return Normalisers(
            *(Normaliser(torch.randn(n, generator=generator), torch.rand(n, generator=generator) + 0.5) for n in sizes)
        )

    parts = FactoredParts(config, network, FactorNormalisers(normalisers(), normalisers(), normalisers()))
    scale = torch.tensor([1.0, 2.0, 3.0, 4.0])
    model = FactoredModel(Trained(spec, Starts(NOWHERE, NOWHERE), scale), parts)
    observation, action = torch.rand(6, 3, generator=seeded(1)), torch.tensor([0, 1, 1, 0, 0, 1])
    observation[0], observation[1] = 2.0, -2.0  # where bounds matter
    features = torch.nn.functional.one_hot(action, 2).float()
    for drawn in (None, seeded(5)):
        draws = torch.zeros(6, 4) if drawn is None else torch.randn(6, 4, generator=seeded(5))
        imagined = model.step(model.encode(observation), action, drawn)

        def read(factor: Normalisers, after: torch.Tensor) -> torch.Tensor:
            change = (after - observation - factor.target.mean[:3]) / factor.target.std[:3]
            columns = (factor.observation.normalise(after), change, factor.action.normalise(features))
            return torch.cat(columns, 1)[None]

        with torch.no_grad():
            own = parts.normalisers.transition
            place = torch.cat((own.observation.normalise(observation), own.action.normalise(features)), 1)
            mean, log_variance = (value[0] for value in network.transition(place[None]))
            std = (log_variance / 2).exp()
            change = (mean + std * draws[:, :3] * scale[:3]) * own.target.std[:3] + own.target.mean[:3]
            after = (observation + change).clamp(-2, 2)
            own = parts.normalisers.reward
            mean, log_variance = (value[0] for value in network.reward(read(own, after)))
            reward_std = (log_variance / 2).exp()
            reward = (mean + reward_std * draws[:, 3:] * scale[3]) * own.target.std[3] + own.target.mean[3]
            ending = read(parts.normalisers.termination, after)[..., : 3 if inputs == "next" else None]
            odds = network.termination(ending)[0, :, 0].exp() / 4.0
        assert (after.abs() == 2).any()
        torch.testing.assert_close(imagined.observation, after)
        torch.testing.assert_close(imagined.reward, reward[:, 0])
        torch.testing.assert_close(imagined.continuation, 1 / (1 + odds))
        torch.testing.assert_close(imagined.noise, (torch.cat((std, reward_std), 1) * scale).mean(1))
        assert (imagined.uncertainty == 0).all()


def test_the_reward_is_of_the_next_observation_that_was_drawn(model: FactoredModel) -> None:
    state, action = model.encode(torch.tensor([[0.3, -0.2]]).repeat(5000, 1)), torch.full((5000, 1), 0.5)
    drawn = model.step(state, action, seeded(0))
    assert 0.08 < drawn.observation[:, 0].std() < 0.12
    expected = drawn.observation @ torch.tensor([2.0, 1.0])
    assert (drawn.reward - expected).square().mean().sqrt() < 0.04  # against the spread of 0.22 of what was drawn
    predicted = model.predict(index_first(state), action[:1])
    assert isinstance(predicted, Mixture)
    spread = torch.cat((drawn.observation, drawn.reward[:, None]), 1).std(0)
    torch.testing.assert_close(predicted.std[0, 0], spread, rtol=0.1, atol=0)


def index_first(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value[:1] for name, value in state.items()}


def test_ends_are_learned(log: Log, model: FactoredModel) -> None:
    steps = log.transitions()
    assert steps.terminated.sum() > 5
    places = torch.tensor([[1.2, 0.0], [1.1, -0.5], [0.6, 0.0], [0.0, 0.0]])
    ended = model.step(model.encode(places), torch.zeros(4, 1)).continuation < 0.5
    assert ended.tolist() == [True, True, False, False]


def test_reward_and_termination_come_from_logs_of_their_own(log: Log, model: FactoredModel, tmp_path: Path) -> None:
    other = walk_log(tmp_path / "other", lambda after: -after[:, 0], wall=0.3, seed=9)
    paths = {"reward_log": str(other.path), "termination_log": str(other.path)}
    fit = FitConfig(num_updates=600)
    mixed = fit_model(log, replace(SMALL, **paths), fit, progress=None)
    assert isinstance(mixed, FactoredModel)
    state = model.encode(torch.tensor([[0.2, 0.1], [0.9, 0.1]]))
    imagined = mixed.step(state, torch.zeros(2, 1))
    torch.testing.assert_close(imagined.reward, -imagined.observation[:, 0], atol=0.05, rtol=0)
    assert (imagined.continuation < 0.5).tolist() == [False, True]
    assert torch.equal(
        mixed.step(state, torch.zeros(2, 1)).observation, model.step(state, torch.zeros(2, 1)).observation
    )
    ours, theirs = (found.parts.network.transition.state_dict() for found in (mixed, model))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    sources = {"reward": other.sha256, "termination": other.sha256}
    assert mixed.trained.provenance["other_logs_sha256"] == sources
    assert model.trained.provenance["other_logs_sha256"] == {}
    save_model(mixed, tmp_path / "model")
    (tmp_path / "other").rename(tmp_path / "gone")  # a loaded model needs no log
    assert load_model(tmp_path / "model").trained.provenance["other_logs_sha256"] == sources


def test_a_reward_log_of_another_environment_is_refused(log: Log, tmp_path: Path) -> None:
    other = walk_log(tmp_path / "other", lambda after: after[:, 0], env_id="Run-v0")
    with pytest.raises(InputError, match="the reward log and the log disagree on env_id: Run-v0 against Walk-v0"):
        fit_model(log, replace(SMALL, reward_log=str(other.path)), progress=None)
    with pytest.raises(InputError, match="nowhere"):
        fit_model(log, replace(SMALL, termination_log=str(tmp_path / "nowhere")), progress=None)


def test_sizes_and_step_sizes_are_each_networks_own(log: Log) -> None:
    config = FactoredConfig(hidden=(4,), reward_hidden=(5, 6), termination_hidden=(7,), reward_learning_rate=1e-30)
    start = fit_model(log, config, FitConfig(num_updates=1, validate_every=1), progress=None)
    later = fit_model(log, config, FitConfig(num_updates=60, validate_every=20), progress=None)
    assert isinstance(start, FactoredModel)
    assert isinstance(later, FactoredModel)
    first, last = start.parts.network, later.parts.network
    assert [tuple(weight.shape[1:]) for weight in last.transition.mlp.weights] == [(3, 4), (4, 4)]
    assert [tuple(weight.shape[1:]) for weight in last.reward.mlp.weights] == [(5, 5), (5, 6), (6, 2)]
    assert [tuple(weight.shape[1:]) for weight in last.termination.weights] == [(2, 7), (7, 1)]
    torch.testing.assert_close(first.reward.mlp.weights[0], last.reward.mlp.weights[0])
    assert (first.transition.mlp.weights[0] - last.transition.mlp.weights[0]).abs().max() > 0.01
