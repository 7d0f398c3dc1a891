"""Real logs, and the same data in the layouts that are imported."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from envs.logs import Log
from envs.policy import RandomPolicy
from envs.record import record
from envs.spec import spec_of


def recorded(path: Path, env_id: str, num_steps: int) -> Log:
    return record(RandomPolicy(spec_of(env_id)), env_id, num_steps, 0, path)


@pytest.fixture(scope="session")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """A dozen terminated episodes and a last one that was cut."""
    return recorded(tmp_path_factory.mktemp("logs") / "cartpole", "CartPole-v1", 300)


@pytest.fixture(scope="session")
def pendulum(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Two episodes up to the time limit and one of 50 steps; actions are continuous."""
    return recorded(tmp_path_factory.mktemp("logs") / "pendulum", "Pendulum-v1", 450)


@pytest.fixture(scope="session")
def flat_arrays() -> Callable[[Log], dict[str, np.ndarray]]:
    """Makes the flat transitions of a log, named as in an ``.npz``."""

    def make(log: Log) -> dict[str, np.ndarray]:
        steps = log.transitions()
        return {
            "observations": steps.observation,
            "actions": steps.action,
            "rewards": steps.reward,
            "terminated": steps.terminated,
            "truncated": steps.truncated,
            "next_observations": steps.next_observation,
        }

    return make


@pytest.fixture(scope="session")
def as_table() -> Callable[[Log], pa.Table]:
    """Makes the table of a log: a row a row, the last one of an episode with only its observation."""

    def make(log: Log) -> pa.Table:
        ids = np.repeat(np.arange(log.num_episodes), log.lengths + 1)
        step = np.arange(len(ids)) - log.episode_starts[ids]
        final = step == log.lengths[ids]
        columns = {"episode": pa.array(ids), "step": pa.array(step)}
        for i, values in enumerate(np.asarray(log.observations).T):
            columns[f"observation_{i}"] = pa.array(values)
        for name, column in (("action", log.actions), ("reward", log.rewards)):
            columns[name] = pa.array(np.asarray(column).reshape(len(ids)), mask=final)
        for name, flags in (("terminated", log.terminated), ("truncated", log.truncated)):
            columns[name] = pa.array(np.asarray(flags), mask=final)
        return pa.table(columns)

    return make
