from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from envs.world_model import Imagined, ModelState
from worldmodels.quality import measure

SPEC = EnvSpec("Drift-v0", spaces.Box(-np.inf, np.inf, (1,), np.float32), spaces.Discrete(2), max_episode_steps=10)
STEP = 2.0


@pytest.fixture
def drift_log(tmp_path: Path) -> Log:
    """Each step adds 2; rewards 1, 3, 1, 3, ...; episodes of 6, 4 and 3 steps; the last two terminate."""
    with LogWriter(tmp_path / "log", SPEC, {"kind": "test"}) as writer:
        for first, steps, terminated in ((0.0, 6, False), (100.0, 4, True), (-50.0, 3, True)):
            observations = (first + STEP * np.arange(steps + 1, dtype=np.float32))[:, None]
            rewards = 1.0 + 2.0 * (np.arange(steps) % 2)
            writer.add(
                Episode(observations, np.zeros(steps, np.int64), rewards.astype(np.float32), terminated, not terminated)
            )
    return open_log(tmp_path / "log")


class DriftModel:
    """Adds ``change`` at each step, says reward 1, and ends above 105."""

    spec = SPEC
    device = torch.device("cpu")

    def __init__(self, change: float):
        self.change = change

    def encode(
        self,
        observation: torch.Tensor,
        previous: ModelState | None = None,
        action: torch.Tensor | None = None,
    ) -> ModelState:
        return {"observation": observation}

    def step(self, state: ModelState, action: torch.Tensor, generator: torch.Generator | None = None) -> Imagined:
        assert generator is None
        after = state["observation"] + self.change
        ones = torch.ones(len(action))
        return Imagined({"observation": after}, after, ones, (after[:, 0] < 105).float(), 0 * ones)


def test_a_perfect_model_has_no_error(drift_log: Log) -> None:
    quality = measure(DriftModel(STEP), drift_log, np.arange(3))
    assert quality.model.error == [0.0] * 6
    assert quality.num_starts == [13, 10, 7, 4, 2, 1]
    assert (quality.num_episodes, quality.num_steps) == (3, 13)


def test_no_change_is_its_own_baseline(drift_log: Log) -> None:
    quality = measure(DriftModel(0.0), drift_log, np.arange(3))
    assert quality.model == quality.no_change


def test_errors_are_hand_computed(drift_log: Log) -> None:
    quality = measure(DriftModel(STEP + 0.5), drift_log, np.array([0, 1]), horizon=3)
    std = drift_log.transitions(np.array([0, 1])).next_observation.std()
    np.testing.assert_allclose(quality.model.error, np.array([0.5, 1.0, 1.5]) / std, rtol=1e-6)
    np.testing.assert_allclose(quality.no_change.error, np.array([2.0, 4.0, 6.0]) / std, rtol=1e-6)
    np.testing.assert_allclose(quality.model.low, quality.model.error)  # all starts are alike: nothing to resample
    np.testing.assert_allclose(quality.model.high, quality.model.error)
    assert quality.reward_error == pytest.approx(np.sqrt(0.5 * 2.0**2))
    assert quality.reward_spread == pytest.approx(1.0)


def test_terminations_are_counted(drift_log: Log) -> None:
    told = measure(DriftModel(STEP), drift_log, np.arange(3)).termination
    assert (told.num_terminated, told.num_predicted) == (2, 2)  # 106 and 108 are above 105; -44 is missed
    assert (told.precision, told.recall) == (0.5, 0.5)
    assert told.accuracy == pytest.approx(11 / 13)
    none = measure(DriftModel(STEP), drift_log, np.array([0])).termination
    assert (none.precision, none.recall, none.accuracy) == (None, None, 1.0)


def test_intervals_resample_episodes(tmp_path: Path) -> None:
    """Half of the episodes drift by 1, half by 3: over 40 of them the mean square's deviation is 4 / sqrt(40)."""
    with LogWriter(tmp_path / "log", SPEC, {"kind": "test"}) as writer:
        for episode in range(40):
            observations = ((1.0 + 2 * (episode % 2)) * np.arange(6, dtype=np.float32))[:, None]
            writer.add(Episode(observations, np.zeros(5, np.int64), np.ones(5, np.float32), False, True))
    log = open_log(tmp_path / "log")
    quality = measure(DriftModel(0.0), log, np.arange(40), horizon=1)
    std = log.transitions().next_observation.std()
    expected = np.sqrt(5 + np.array([-1.96, 1.96]) * 4 / np.sqrt(40)) / std
    np.testing.assert_allclose([quality.model.low[0], quality.model.high[0]], expected, rtol=0.05)


def test_the_report_is_json(drift_log: Log) -> None:
    content = measure(DriftModel(STEP), drift_log, np.arange(3)).to_json()
    assert content["termination"]["recall"] == 0.5
    assert len(content["no_change"]["high"]) == 6


def test_wrong_questions_are_refused(drift_log: Log, counting_model: object) -> None:
    with pytest.raises(InputError, match="at least one episode"):
        measure(DriftModel(STEP), drift_log, np.array([], int))
    with pytest.raises(InputError, match="disagree on env_id"):
        measure(counting_model, drift_log, np.arange(3))  # type: ignore[arg-type]
