"""Logs and models whose every error is known."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from envs.world_model import Imagined, ModelState
from worldmodels.prediction import Mixture
from worldmodels.training.split import Split

SPEC = EnvSpec("Drift-v0", spaces.Box(-np.inf, np.inf, (1,), np.float32), spaces.Discrete(2), max_episode_steps=10)
STEP = 2.0


class DriftModel:
    """Adds ``change`` at each step, says reward 1, and ends above 105; expects errors of ``width`` in both numbers."""

    spec = SPEC
    device = torch.device("cpu")
    remembers: ClassVar[bool] = False

    def __init__(self, change: float, width: float = 1.0):
        self.change, self.width = change, width

    def encode(
        self, observation: torch.Tensor, previous: ModelState | None = None, action: torch.Tensor | None = None
    ) -> ModelState:
        return {"observation": observation}

    def step(self, state: ModelState, action: torch.Tensor, generator: torch.Generator | None = None) -> Imagined:
        after = state["observation"] + self.change
        if generator is not None:
            after = after + self.width * torch.randn(after.shape, generator=generator)
        ones = torch.ones(len(action))
        return Imagined({"observation": after}, after, ones, (after[:, 0] < 105).float(), 0 * ones, 0 * ones)

    def predict(self, state: ModelState, action: torch.Tensor) -> Mixture:
        mean = torch.cat((state["observation"] + self.change, torch.ones(len(action), 1)), dim=1)[:, None]
        return Mixture(torch.zeros(len(action), 1), mean, torch.full_like(mean, self.width))


class CountingMemory(DriftModel):
    """Knows the last observation and the last change, and goes on by that: right only where it has seen a change.

    At the first observation of an episode it knows no change and stays. Actions are remembered to be checked.
    """

    remembers: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(0.0)

    def encode(
        self, observation: torch.Tensor, previous: ModelState | None = None, action: torch.Tensor | None = None
    ) -> ModelState:
        if previous is None:
            return {"observation": observation, "change": torch.zeros_like(observation)}
        assert action is not None
        return {"observation": observation, "change": observation - previous["observation"]}

    def step(self, state: ModelState, action: torch.Tensor, generator: torch.Generator | None = None) -> Imagined:
        after = state["observation"] + state["change"]
        ones = torch.ones(len(action))
        following = {"observation": after, "change": state["change"]}
        return Imagined(following, after, ones, ones, 0 * ones, 0 * ones)


def write_log(path: Path, episodes: list[Episode], spec: EnvSpec = SPEC) -> Log:
    with LogWriter(path, spec, {"kind": "test"}) as writer:
        for episode in episodes:
            writer.add(episode)
    return open_log(path)


@pytest.fixture
def drift_log(tmp_path: Path) -> Log:
    """Each step adds 2; rewards 1, 3, 1, 3, ...; episodes of 6, 4 and 3 steps; the last two terminate."""
    episodes = []
    for first, steps, terminated in ((0.0, 6, False), (100.0, 4, True), (-50.0, 3, True)):
        observations = (first + STEP * np.arange(steps + 1, dtype=np.float32))[:, None]
        rewards = (1.0 + 2.0 * (np.arange(steps) % 2)).astype(np.float32)
        episodes.append(Episode(observations, np.zeros(steps, np.int64), rewards, terminated, not terminated))
    return write_log(tmp_path / "log", episodes)


def all_of(log: Log) -> Split:
    """Every episode for everything."""
    every = np.arange(log.num_episodes)
    return Split(every, every, every)
