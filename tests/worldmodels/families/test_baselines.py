"""The baselines of vectors, against NumPy and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from worldmodels.configs import FitConfig
from worldmodels.families import baselines
from worldmodels.families.baselines import make_baselines
from worldmodels.prediction import Mixture
from worldmodels.training.split import Split, split_episodes

TORQUE = spaces.Box(-1, 1, (2,), np.float32)


def record(path: Path, episodes: list[Episode], actions: spaces.Space, bound: float = np.inf) -> Log:
    size = episodes[0].observations.shape[1]
    spec = EnvSpec("Toy-v0", spaces.Box(-bound, bound, (size,), np.float32), actions, max_episode_steps=50)
    with LogWriter(path, spec, {"kind": "test"}) as writer:
        for episode in episodes:
            writer.add(episode)
    return open_log(path)


def wandering(seed: int, actions: spaces.Space, steps: int = 30) -> Episode:
    random = np.random.default_rng(seed)
    observations = random.normal(size=(steps + 1, 3)).astype(np.float32)
    if isinstance(actions, spaces.Discrete):
        taken = random.integers(actions.start, actions.start + actions.n, steps)
    else:
        taken = random.uniform(-1, 1, (steps, 2)).astype(np.float32)
    return Episode(observations, taken, random.normal(size=steps).astype(np.float32), bool(seed % 2), not seed % 2)


@pytest.fixture(params=[TORQUE, spaces.Discrete(3, start=-1)], ids=["box", "discrete"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    return record(tmp_path / "log", [wandering(seed, request.param) for seed in range(6)], request.param)


@pytest.fixture
def split(log: Log) -> Split:
    return split_episodes(log.lengths, FitConfig())


def features(log: Log, actions: np.ndarray) -> np.ndarray:
    return np.eye(3)[actions + 1] if isinstance(log.spec.action_space, spaces.Discrete) else actions.astype(float)


def test_no_change_stays_and_never_ends(log: Log, split: Split) -> None:
    model, test = make_baselines(log, split)["no_change"], log.transitions(split.test)
    imagined = model.step(model.encode(torch.from_numpy(test.observation)), torch.from_numpy(test.action))
    np.testing.assert_array_equal(imagined.observation, test.observation)
    np.testing.assert_allclose(imagined.reward, log.transitions(split.train).reward.mean(), rtol=1e-5)
    assert (imagined.continuation == 1).all()
    assert (imagined.uncertainty == 0).all()
    assert (imagined.noise == 0).all()


def test_linear_is_numpys_least_squares(log: Log, split: Split) -> None:
    train, test = log.transitions(split.train), log.transitions(split.test)

    def inputs(steps):  # type: ignore[no-untyped-def]
        return np.column_stack((steps.observation, features(log, steps.action), np.ones(len(steps.reward))))

    targets = np.column_stack((train.next_observation, train.reward)).astype(float)
    expected = inputs(test) @ np.linalg.lstsq(inputs(train), targets)[0]
    model = make_baselines(log, split)["linear"]
    imagined = model.step(model.encode(torch.from_numpy(test.observation)), torch.from_numpy(test.action))
    np.testing.assert_allclose(imagined.observation, expected[:, :-1], atol=1e-4)
    np.testing.assert_allclose(imagined.reward, expected[:, -1], atol=1e-4)


def test_nearest_is_the_first_of_the_nearest_rows(log: Log, split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_CHUNK", 500)  # several chunks
    train, test = log.transitions(split.train), log.transitions()
    std, taken = train.observation.std(0), features(log, train.action)
    scale = taken.std(0) if log.spec.action_space == TORQUE else np.ones(3)
    known = np.column_stack((train.observation / std, taken / scale))
    asked = np.column_stack((test.observation / std, features(log, test.action) / scale))
    nearest = np.square(asked[:, None] - known).sum(2).argmin(1)
    model = make_baselines(log, split)["nearest"]
    imagined = model.step(model.encode(torch.from_numpy(test.observation)), torch.from_numpy(test.action))
    change = (train.next_observation - train.observation)[nearest]
    np.testing.assert_allclose(imagined.observation, test.observation + change, atol=1e-5)
    np.testing.assert_allclose(imagined.reward, train.reward[nearest])
    np.testing.assert_array_equal(imagined.continuation < 0.5, train.terminated[nearest])
    assert imagined.continuation.min() == 0


def test_of_equals_the_first_is_nearest(tmp_path: Path) -> None:
    """The same state and action three times over, followed by 1, 2 and 3."""
    episodes = [
        Episode(
            np.array([[0.0], [after], [5.0 * after]], np.float32),
            np.array([0, 1]),
            np.zeros(2, np.float32),
            False,
            True,
        )
        for after in (1.0, 2.0, 3.0)
    ]
    log = record(tmp_path / "log", episodes, spaces.Discrete(2))
    split = Split(np.arange(3), np.array([0]), np.array([0]))
    model = make_baselines(log, split)["nearest"]
    imagined = model.step(model.encode(torch.zeros(4, 1)), torch.zeros(4, dtype=torch.int64))
    assert imagined.observation[:, 0].tolist() == [1.0] * 4


def test_many_rows_are_thinned_out_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MAX_NEIGHBOURS", 3)
    line = np.arange(10, dtype=np.float32)[:, None]  # 9 steps: those at 0, 4 and 8 are kept
    episode = Episode(line, np.zeros(9, np.int64), line[:-1, 0], False, True)
    log = record(tmp_path / "log", [episode], spaces.Discrete(2))
    model = make_baselines(log, Split(*(np.array([0]),) * 3))["nearest"]
    asked = torch.tensor([[0.0], [1.9], [2.1], [5.0], [9.0]])
    assert model.step(model.encode(asked), torch.zeros(5, dtype=torch.int64)).reward.tolist() == [0, 0, 4, 4, 8]


@pytest.mark.parametrize("name", ["no_change", "linear", "nearest"])
def test_widths_are_the_errors_on_validation_data(log: Log, split: Split, name: str) -> None:
    model, held_out = make_baselines(log, split)[name], log.transitions(split.validation)
    state, action = model.encode(torch.from_numpy(held_out.observation)), torch.from_numpy(held_out.action)
    imagined, predicted = model.step(state, action), model.predict(state, action)
    assert isinstance(predicted, Mixture)
    np.testing.assert_allclose(predicted.average()[:, :-1], imagined.observation, atol=1e-6)
    np.testing.assert_allclose(predicted.average()[:, -1], imagined.reward, atol=1e-6)
    truth = np.column_stack((held_out.next_observation, held_out.reward))
    expected = np.sqrt(np.square(predicted.average().numpy() - truth).mean(0))
    np.testing.assert_allclose(predicted.std[0, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["no_change", "linear", "nearest"])
def test_rows_do_not_depend_on_each_other(log: Log, split: Split, name: str) -> None:
    model, test = make_baselines(log, split)[name], log.transitions(split.test)
    observation, action = torch.from_numpy(test.observation), torch.from_numpy(test.action)
    whole = model.step(model.encode(observation), action).observation
    for row in (0, 7):
        alone = model.step(model.encode(observation[row : row + 1]), action[row : row + 1]).observation
        np.testing.assert_allclose(alone[0], whole[row], atol=1e-6)


def test_predictions_stay_inside_the_space(tmp_path: Path) -> None:
    """Each step adds 1, up to the bound of 5."""
    line = np.arange(6, dtype=np.float32)[:, None]
    episode = Episode(line, np.zeros(5, np.int64), np.ones(5, np.float32), False, True)
    log = record(tmp_path / "log", [episode], spaces.Discrete(2), bound=5.0)
    model = make_baselines(log, Split(*(np.array([0]),) * 3))["linear"]
    imagined = model.step(model.encode(torch.tensor([[3.0], [5.0]])), torch.zeros(2, dtype=torch.int64))
    np.testing.assert_allclose(imagined.observation[:, 0], [4.0, 5.0], atol=1e-5)
