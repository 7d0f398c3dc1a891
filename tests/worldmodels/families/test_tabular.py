"""The baselines of Discrete observations, by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from worldmodels.families.baselines import make_baselines
from worldmodels.prediction import Categorical
from worldmodels.saved_model import PredictiveModel
from worldmodels.training.split import Split

STATES = [1, 2, 2, 1, 2, 3, 1, 1]  # from 1 with action 5: to 2, 2, 1; from 2 with 5: to 2, 1; with 6: to 3; ...
ACTIONS = [5, 5, 5, 5, 6, 5, 5]


def record(path: Path, actions: spaces.Space, taken: np.ndarray) -> Log:
    spec = EnvSpec("Walk-v0", spaces.Discrete(4, start=1), actions, max_episode_steps=50)
    with LogWriter(path, spec, {"kind": "test"}) as writer:
        writer.add(Episode(np.array(STATES), taken, np.arange(7, dtype=np.float32), True, False))
    return open_log(path)


@pytest.fixture
def baselines(tmp_path: Path) -> dict[str, PredictiveModel]:
    log = record(tmp_path / "log", spaces.Discrete(2, start=5), np.array(ACTIONS))
    return make_baselines(log, Split(*(np.array([0]),) * 3))


def ask(model: PredictiveModel, states: list[int], actions: list[int]):  # type: ignore[no-untyped-def]
    state, action = model.encode(torch.tensor(states)), torch.tensor(actions)
    predicted = model.predict(state, action)
    assert isinstance(predicted, Categorical)
    return model.step(state, action), predicted


def test_the_most_frequent_outcome_is_predicted(baselines: dict[str, PredictiveModel]) -> None:
    # From 1 with 5: to 2, to 2, to 1. From 2 with 5: to 2, to 1. From 2 with 6: to 3. From 3 with 5: to 1.
    imagined, predicted = ask(baselines["most_frequent"], [1, 2, 3, 3, 4], [5, 6, 5, 6, 5])
    assert imagined.observation.tolist() == [2, 3, 1, 3, 4]  # what was never seen stays
    # One pseudo-count: half on staying, half spread over the four states.
    expected = np.array([[1.625, 2.125, 0.125, 0.125], [0.125, 0.625, 1.125, 0.125], [1.125, 0.125, 0.625, 0.125]])
    np.testing.assert_allclose(predicted.probability[:3], expected / expected.sum(1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(predicted.probability[4], [0.125, 0.125, 0.125, 0.625])
    np.testing.assert_allclose(predicted.probability.sum(1), 1.0)


def test_rewards_and_ends_are_averages(baselines: dict[str, PredictiveModel]) -> None:
    imagined, predicted = ask(baselines["most_frequent"], [1, 2, 4], [5, 6, 5])
    np.testing.assert_allclose(imagined.reward, [(0 + 3 + 6) / 3, 4, 3])  # never seen: the mean of all
    np.testing.assert_allclose(imagined.continuation, [2 / 3, 1, 1])
    np.testing.assert_allclose(predicted.reward.average()[:, 0], imagined.reward)
    errors = np.array([0 - 3, 1 - 1.5, 2 - 1.5, 3 - 3, 4 - 4, 5 - 5, 6 - 3])
    np.testing.assert_allclose(predicted.reward.std[0], np.sqrt(np.square(errors).mean()), rtol=1e-6)


def test_no_change_stays(baselines: dict[str, PredictiveModel]) -> None:
    imagined, predicted = ask(baselines["no_change"], [1, 4], [5, 6])
    assert imagined.observation.tolist() == [1, 4]
    stays = (2 + 1) / (7 + 2)  # twice in seven steps, and one of two
    np.testing.assert_allclose(predicted.probability[1], [(1 - stays) / 3] * 3 + [stays], rtol=1e-6)
    np.testing.assert_allclose(imagined.reward, 3.0)
    assert imagined.continuation.tolist() == [1.0, 1.0]


def test_actions_that_cannot_be_counted_are_left_out(tmp_path: Path) -> None:
    log = record(
        tmp_path / "log", spaces.Box(-1, 1, (1,), np.float32), np.linspace(-1, 1, 7, dtype=np.float32)[:, None]
    )
    model = make_baselines(log, Split(*(np.array([0]),) * 3))["most_frequent"]
    imagined = model.step(model.encode(torch.tensor([1, 3])), torch.zeros(2, 1))
    assert imagined.observation.tolist() == [2, 1]


def test_batches_equal_loops(baselines: dict[str, PredictiveModel]) -> None:
    states, actions = [1, 2, 3, 4, 2, 1], [5, 6, 5, 6, 5, 5]
    for model in baselines.values():
        _, whole = ask(model, states, actions)
        for row, (state, action) in enumerate(zip(states, actions, strict=True)):
            _, alone = ask(model, [state], [action])
            np.testing.assert_allclose(alone.probability[0], whole.probability[row])
