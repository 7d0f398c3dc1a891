"""What a log cannot teach is told, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from worldmodels.training import log_warnings as module
from worldmodels.training.log_warnings import log_warnings

TWO = spaces.Box(-9, 9, (2,), np.float32)
VARIED = np.arange(8, dtype=np.float32).reshape(4, 2)


def write(
    path: Path,
    observations: np.ndarray,
    actions: np.ndarray,
    action_space: spaces.Space,
    terminated: bool = True,
    observation_space: spaces.Space = TWO,
) -> Log:
    """Two equal episodes of three steps."""
    spec = EnvSpec("Toy-v0", observation_space, action_space, max_episode_steps=50)
    with LogWriter(path / "log", spec, {"kind": "test"}) as writer:
        for _ in range(2):
            writer.add(Episode(observations, actions, np.ones(3, np.float32), terminated, not terminated))
    return open_log(path / "log")


def test_a_log_that_teaches_warns_of_nothing(tmp_path: Path) -> None:
    assert log_warnings(write(tmp_path, VARIED, np.array([5, 6, 5]), spaces.Discrete(2, start=5))) == []


@pytest.mark.parametrize(
    ("actions", "space", "told"),
    [
        (
            [5, 5, 5],
            spaces.Discrete(2, start=5),
            ["every action in the log is the same (5): what others do cannot be learned"],
        ),
        ([5, 7, 5], spaces.Discrete(3, start=5), ["action 6 is never tried in the log: the effect cannot be learned"]),
        ([0, 1, 0], spaces.Discrete(4), ["actions 2, 3 are never tried in the log: the effect cannot be learned"]),
        (
            [[0.5, 1], [0.5, 2], [0.5, 3]],
            TWO,
            ["number 0 of the action is constant in the log: the effect cannot be learned"],
        ),
        ([[0.5, 1]] * 3, TWO, ["every action in the log is the same (0.5, 1): what others do cannot be learned"]),
    ],
)
def test_actions_that_do_not_vary_are_told(tmp_path: Path, actions: list, space: spaces.Space, told: list[str]) -> None:
    assert log_warnings(write(tmp_path, VARIED, np.array(actions, space.dtype), space)) == told


def test_constant_dimensions_are_named(tmp_path: Path) -> None:
    same = VARIED.copy()
    same[:, 1] = 4.0
    told = log_warnings(write(tmp_path, same, np.array([0, 1, 0]), spaces.Discrete(2)))
    assert told == ["dimension 1 of the observation is constant in the log: predicted to stay so"]


def test_observations_that_never_change_are_told(tmp_path: Path) -> None:
    still = np.full((4, 2), 4.5, np.float32)
    told = log_warnings(write(tmp_path, still, np.array([0, 1, 0]), spaces.Discrete(2)))
    assert told == ["every observation in the log is the same (4.5, 4.5): there is nothing to learn"]
    (tmp_path / "discrete").mkdir()
    space = spaces.Discrete(3)
    log = write(
        tmp_path / "discrete", np.ones(4, int), np.array([0, 1, 0]), spaces.Discrete(2), observation_space=space
    )
    assert log_warnings(log) == ["every observation in the log is the same (1): there is nothing to learn"]


def test_terminations_never_seen_are_told(tmp_path: Path) -> None:
    log = write(tmp_path, VARIED, np.array([0, 1, 0]), spaces.Discrete(2), terminated=False)
    assert log_warnings(log) == ["no episode in the log was terminated: the model cannot learn what ends an episode"]


def test_several_things_are_told_and_many_names_are_cut_short(tmp_path: Path) -> None:
    log = write(tmp_path, VARIED, np.array([0, 1, 0]), spaces.Discrete(20), terminated=False)
    told = log_warnings(log)
    assert len(told) == 2
    assert told[0].startswith("actions 2, 3, 4, 5, 6, 7, 8, 9 and 10 more are never tried")


def test_blocks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path, VARIED, np.array([0, 1, 0]), spaces.Discrete(3), terminated=False)
    whole = log_warnings(log)
    for rows in (1, 3):
        monkeypatch.setattr(module, "_BLOCK_ROWS", rows)
        assert log_warnings(log) == whole
